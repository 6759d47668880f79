"""Residents by group of an audit layer, spread from its polygons to cells by area, with draws within margins of error."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np
import shapely
from scipy.sparse import csr_array

from shotspotter_assets.cities.accountability import AuditFigure, AuditLayer
from shotspotter_assets.cities.city import City
from shotspotter_assets.grid.cell_values import MISSING_FIGURES, pieces_in_cells
from shotspotter_assets.grid.cells import Plane, cell_shapes
from shotspotter_assets.grid.shapes import read_shapes, require_column, rows_in_box
from shotspotter_assets.storage.arrays import Array, Booleans, Integers, Shapes
from shotspotter_assets.storage.wording import first_of, number_of

if TYPE_CHECKING:
    import geopandas

MARGIN_TO_ERROR: Final = 1.645  # margin of error at 90% over standard error (US Census Bureau, ACS General Handbook)
SUM_TOLERANCE: Final = 0.01  # rounded groups may add up to so much more than all residents
MIN_SHARE_OF_CELL: Final = 0.5  # of a covered cell's area within polygons; below it, the layer does not cover the cell
MAX_COVER_OF_CELL: Final = (
    1.05  # the same with polygons counted apart; above it, they overlap by more than their borders
)
COVERED_CELLS: Final = "covered cells"  # population of a city without an audit layer, where cells count alike
QUARTERS: Final = ("lowest", "second", "third", "highest")


class Figures(NamedTuple):
    """One figure of each polygon, NaN where unknown, and its standard error, 0 where unknown; shape (polygons,)."""

    values: Array
    errors: Array

    def of(self, polygons: Booleans) -> "Figures":
        """Return those of some polygons, chosen by a mask."""
        return Figures(self.values[polygons], self.errors[polygons])

    def drawn(self, random: np.random.Generator, draws: int) -> Array:
        """Return the values and then draws of them, shape (1 + draws, polygons).

        A draw may be below zero, because cutting it off would add people in polygons where few were counted.
        """
        normal = random.standard_normal((draws, len(self.values)))
        return self.values + np.vstack([0 * self.values, normal]) * self.errors


class Population(NamedTuple):
    """Residents of a city, area, group or quarter of incomes by covered cell; cells count alike without an audit layer."""

    kind: str  # city, area, group or income
    name: str
    residents: Array  # as counted, then as drawn within margins of error, shape (1 + draws, cells); (1, cells) of cells
    part: Array  # share of each cell's flags that falls on them, shape (1, cells)


@dataclass(frozen=True)
class Residents:
    """An audit layer on a city's grid; `problems` has a line for each figure and kind of polygon that is left out."""

    shares: csr_array  # share of each polygon's area in each cell of the grid, shape (polygons, cells)
    cover: Array  # share of each cell's area within any polygon of the file, shape (cells,)
    all: Figures
    groups: dict[str, Figures]
    income: Figures | None
    problems: tuple[str, ...]

    @classmethod
    def read(cls, city: City, layer: AuditLayer) -> Self:
        """Read the layer; raise ValueError in one line with the remedy if no polygon can be used."""
        file = _LayerFile(f"{city.name}.yaml, audit: {layer.path.name}", _polygons(city, layer))
        found = {name: file.find(f"groups.{name}", figure) for name, figure in layer.groups.items()}
        groups = {name: figures for name, figures in found.items() if figures is not None}
        income = None if layer.income is None else file.find("income", layer.income)
        residents = file.find("residents", layer.residents)
        if residents is None or not (usable := file.usable(residents, groups)).any():
            raise ValueError(" ".join([f"{file.place}: no polygon can be used.", *file.problems]))
        shapes = shapely.transform(file.frame.geometry.make_valid().to_numpy(), Plane.of(city.box).metres)
        shares, cover = _overlaps(city, shapes)
        if overlapping := int((cover > MAX_COVER_OF_CELL).sum()):
            twice = f"polygons overlap in {number_of(overlapping, 'cell')}, where residents count more than once"
            file.problems.append(f"{file.place}: {twice}. Leave one polygon for each place.")

        return cls(
            shares=shares[usable],
            cover=cover,
            all=residents.of(usable),
            groups={name: figures.of(usable) for name, figures in groups.items()},
            income=None if income is None else income.of(usable),
            problems=tuple(file.problems),
        )

    def populations(self, cells: Integers, random: np.random.Generator, draws: int) -> Iterator[Population]:
        """Yield the residents of the city, each group, and each quarter of incomes, in covered cells by their numbers."""
        shares = self.shares[:, cells]
        everyone = self.all.drawn(random, draws)
        total = shares.T @ self.all.values

        def population(kind: str, name: str, residents: Array) -> Population:
            by_cell = np.asarray((shares.T @ np.nan_to_num(residents).T).T)
            part = np.divide(by_cell[:1], total, out=np.zeros_like(by_cell[:1]), where=total > 0)
            return Population(kind, name, by_cell, part)

        yield population("city", "all residents", everyone)
        for name, figures in self.groups.items():
            yield population("group", name, figures.drawn(random, draws))
        if self.income is not None and np.isfinite(self.income.values).any():
            quarters = _quarters(self.income.drawn(random, draws), self.all.values)
            for number, name in enumerate(QUARTERS):
                yield population("income", f"{name} incomes", everyone * (quarters == number))


@dataclass
class _LayerFile:
    """The polygons of an audit layer's file; `problems` grows with what cannot be used."""

    place: str  # city file, key and file, as messages name them
    frame: "geopandas.GeoDataFrame"
    problems: list[str] = field(default_factory=list)

    def find(self, key: str, figure: AuditFigure) -> Figures | None:
        """Return a figure with its standard errors; None, with a line among the problems, if its column cannot be used."""
        try:
            values = self._numbers(f"audit.{key}.column", figure.column)
            margins = self._numbers(f"audit.{key}.margin", figure.margin) if figure.margin in self.frame else 0 * values
        except ValueError as error:
            self.problems.append(f"{self.place} {error}. Until then, {key} is left out.")
            return None
        if figure.margin not in self.frame:
            named = f"column {figure.margin} is missing" if figure.margin else "none is named"
            self.problems.append(
                f"{self.place}: audit.{key}.margin: {named}, so that intervals of {key} are too narrow."
            )
        self.report(values < 0, f"{figure.column} is negative; left out. Correct it, or leave it empty")
        self.report(~(margins >= 0) & (values >= 0), f"{figure.margin} is no margin of error; taken as 0. Correct it")
        return Figures(np.where(values < 0, np.nan, values), np.nan_to_num(np.maximum(margins, 0)) / MARGIN_TO_ERROR)

    def usable(self, residents: Figures, groups: dict[str, Figures]) -> Booleans:
        """Flag the polygons with an area, residents and groups that do not add up to more, shape (polygons,)."""
        is_flat = shapely.area(self.frame.geometry.make_valid().to_numpy()) == 0
        is_inhabited = (residents.values > 0) & ~is_flat
        in_groups = np.sum([np.nan_to_num(group.values) for group in groups.values()] or [0 * residents.values], axis=0)
        is_over = is_inhabited & (in_groups > residents.values * (1 + SUM_TOLERANCE) + 1)
        self.report(is_flat, "no polygon with an area; left out. Give it the outline of the place")
        self.report(~is_inhabited & ~is_flat, "no residents; left out. Correct it if people live there")
        self.report(is_over, "the groups add up to more than all; left out. Name groups that do not overlap")
        return is_inhabited & ~is_over

    def report(self, polygons: Booleans, problem: str) -> None:
        """Add a line about some polygons, named by their rows in the file; nothing without any."""
        rows = [str(int(row) + 1) for row in self.frame.index[polygons]]
        if rows:
            self.problems.append(f"{self.place}: row {first_of(rows)}: {problem}.")

    def _numbers(self, key: str, column: str | None) -> Array:
        """Return a column's numbers, NaN where missing; raise ValueError with the remedy if it cannot be used."""
        require_column(self.frame, key, str(column))
        try:
            values = self.frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError):
            raise ValueError(f"has no number in every row of {column}. Correct the file or `{key}`") from None
        return np.where(np.isfinite(values) & ~np.isin(values, MISSING_FIGURES), values, np.nan)


def _polygons(city: City, layer: AuditLayer) -> "geopandas.GeoDataFrame":
    """Return the polygons of a layer that meet the city's box; raise ValueError with the file and the remedy."""
    try:
        frame = rows_in_box(read_shapes(layer.path), city.box)
        require_column(frame, "audit.name", layer.name)
    except ValueError as error:
        raise ValueError(f"{city.name}.yaml, audit: {layer.path.name} {error}.") from None
    return frame


def _overlaps(city: City, polygons: Shapes) -> tuple[csr_array, Array]:
    """Return the share of each polygon's area in each cell, (polygons, cells), and of each cell's in polygons, (cells,)."""
    cell, polygon, area = pieces_in_cells(city, polygons, "area")
    whole = shapely.area(polygons)[polygon]
    part = np.divide(area, whole, out=np.zeros_like(area), where=whole > 0)  # lines and points have no area
    shares = csr_array((part, (polygon, cell)), shape=(len(polygons), city.grid.rows * city.grid.columns))
    return shares, np.bincount(cell, area, minlength=shares.shape[1]) / shapely.area(cell_shapes(city))


def _quarters(incomes: Array, residents: Array) -> Integers:
    """Return the quarter of residents, 0 to 3 by income, that each polygon falls into; -1 without one.

    `incomes` are draws, shape (draws, polygons), each ranked separately; `residents` have shape (polygons,).
    """
    order = np.argsort(incomes, axis=1)
    counted = np.take_along_axis(np.where(np.isfinite(incomes), residents, 0.0), order, axis=1)
    middle = np.cumsum(counted, axis=1) - counted / 2
    quarters = np.empty_like(order)
    np.put_along_axis(quarters, order, (4 * middle / counted.sum(axis=1, keepdims=True)).astype(np.int64), axis=1)
    return np.where(np.isfinite(incomes), np.minimum(quarters, 3), -1)
