"""Residents by group of an audit layer, spread from its polygons to cells by area, with draws within margins of error."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import shapely
from scipy.sparse import csr_array

from shotspotter_assets.arrays import Array, Booleans, Integers, Shapes
from shotspotter_assets.cities.audit_layer import AuditFigure, AuditLayer
from shotspotter_assets.cities.city import City
from shotspotter_assets.factors.cell_values import MISSING_FIGURES
from shotspotter_assets.geometry.cells import Plane, cell_shapes
from shotspotter_assets.geometry.shapes import read_shapes, require_column, rows_in_box
from shotspotter_assets.wording import first_of

if TYPE_CHECKING:
    import geopandas

MARGIN_TO_ERROR: Final = 1.645  # margin of error at 90% over standard error (US Census Bureau, ACS General Handbook)
SUM_TOLERANCE: Final = 0.01  # rounded groups may add up to so much more than all residents
MIN_SHARE_OF_CELL: Final = 0.5  # of a covered cell's area within polygons; below it, the layer does not cover the cell
QUARTERS: Final = ("lowest", "second", "third", "highest")
INCOME: Final = "income"


class AuditLayerError(ValueError):
    """No polygon of an audit layer can be used, with the remedy."""


@dataclass(frozen=True)
class Figures:
    """One figure of each polygon, NaN where unknown, and its standard error, 0 where unknown; shape (polygons,)."""

    values: Array
    errors: Array

    def chosen(self, polygons: Booleans) -> "Figures":
        """Return the figures of some polygons."""
        return Figures(self.values[polygons], self.errors[polygons])

    def drawn(self, random: np.random.Generator, draws: int) -> Array:
        """Return the values and then draws of them, shape (1 + draws, polygons).

        A draw may be below zero, because cutting it off would add people in polygons where few were counted.
        """
        return (
            self.values + np.vstack([0 * self.values, random.standard_normal((draws, len(self.values)))]) * self.errors
        )


@dataclass(frozen=True)
class Population:
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
        """Read the layer; raise AuditLayerError in one line with the remedy if no polygon can be used."""
        place = f"{city.name}.yaml, audit: {layer.path}"
        try:
            frame = rows_in_box(read_shapes(layer.path), city.box)
            require_column(frame, "audit.name", layer.name)
            file = _LayerFile(place, frame)
            residents = file.figures("residents", layer.residents)
        except ValueError as error:
            raise AuditLayerError(f"{place} {error}.") from None
        asked = {name: file.find_figures(f"groups.{name}", figure) for name, figure in layer.groups.items()}
        groups = {name: figures for name, figures in asked.items() if figures is not None}
        income = None if layer.income is None else file.find_figures(INCOME, layer.income)
        usable = file.usable(residents, groups)
        if not usable.any():
            raise AuditLayerError(" ".join([f"{place}: no polygon can be used.", *file.problems]))
        shapes = shapely.transform(frame.geometry.make_valid().to_numpy(), Plane.of(city.box).metres)
        shares, cover = _overlaps(city, shapes)
        return cls(
            shares=shares[usable],
            cover=cover,
            all=residents.chosen(usable),
            groups={name: figures.chosen(usable) for name, figures in groups.items()},
            income=None if income is None else income.chosen(usable),
            problems=tuple(file.problems),
        )

    def uncovered(self, cells: Integers) -> str:
        """Return a sentence about covered cells, by their numbers, that the layer does not cover; empty without any."""
        is_outside = self.cover[cells] < MIN_SHARE_OF_CELL
        if not is_outside.any():
            return ""
        return (
            f"{is_outside.sum():,} of {len(cells):,} covered cells lie mostly outside the polygons of the audit layer, so that "
            "their flags fall on few residents or none. Use a layer of the whole city."
        )

    def populations(self, cells: Integers, random: np.random.Generator, draws: int) -> Iterator[Population]:
        """Yield the residents of the city, each group, and each quarter of incomes, in covered cells by their numbers."""
        shares = self.shares[:, cells]

        def population(kind: str, name: str, residents: Array) -> Population:
            by_cell = np.asarray((shares.T @ np.nan_to_num(residents).T).T)
            part = np.divide(by_cell[:1], total[:1], out=np.zeros_like(by_cell[:1]), where=total[:1] > 0)
            return Population(kind, name, by_cell, part)

        everyone = self.all.drawn(random, draws)
        total = np.asarray((shares.T @ everyone.T).T)
        yield population("city", "all residents", everyone)
        for name, figures in self.groups.items():
            yield population("group", name, figures.drawn(random, draws))
        if self.income is not None and np.isfinite(self.income.values).any():
            quarters = _quarters(self.income.drawn(random, draws), self.all.values)
            for number, name in enumerate(QUARTERS):
                yield population(INCOME, f"{name} incomes", everyone * (quarters == number))


@dataclass(frozen=True)
class _LayerFile:
    """The polygons of an audit layer's file; `problems` grows with what cannot be used."""

    place: str  # city file, key and file, as messages name them
    frame: "geopandas.GeoDataFrame"
    problems: list[str] = field(default_factory=list)

    def figures(self, key: str, figure: AuditFigure) -> Figures:
        """Return a figure with its standard errors; raise ValueError if its column is missing or holds no numbers."""
        values = self._numbers(f"audit.{key}.column", figure.column)
        if (values < 0).any():
            self._report(values < 0, f"{figure.column} is negative; left out", "Correct it, or leave it empty")
        values = np.where(values < 0, np.nan, values)
        errors = np.zeros_like(values)
        if figure.margin is None:
            self.problems.append(
                f"{self.place}: {key} has no margin of error, so that intervals are too narrow. Name its column as `margin`."
            )
            return Figures(values, errors)
        try:
            errors = self._numbers(f"audit.{key}.margin", figure.margin) / MARGIN_TO_ERROR
        except ValueError as error:
            self.problems.append(f"{self.place} {error}. Until then, intervals are too narrow.")
        is_missing = ~(errors >= 0) & np.isfinite(values)
        if is_missing.any():
            self._report(is_missing, f"{figure.margin} is no margin of error; taken as 0", "Correct it")
        return Figures(values, np.where(errors >= 0, errors, 0.0))

    def find_figures(self, key: str, figure: AuditFigure) -> Figures | None:
        """Return a figure as `figures` does; None, with a line among the problems, if its column cannot be used."""
        try:
            return self.figures(key, figure)
        except ValueError as error:
            self.problems.append(f"{self.place} {error}. Until then, {key} is left out.")
            return None

    def usable(self, residents: Figures, groups: dict[str, Figures]) -> Booleans:
        """Flag the polygons with residents and groups that do not add up to more, shape (polygons,)."""
        counted = np.nan_to_num(residents.values)
        in_groups = (
            np.sum([np.nan_to_num(group.values) for group in groups.values()], axis=0) if groups else 0 * counted
        )
        is_empty = ~(residents.values > 0)
        is_over = ~is_empty & (in_groups > counted * (1 + SUM_TOLERANCE) + 1)
        if is_empty.any():
            self._report(is_empty, "no residents; left out", "Correct it if people live there")
        if is_over.any():
            self._report(is_over, "the groups add up to more than all; left out", "Name groups that do not overlap")
        return ~is_empty & ~is_over

    def _numbers(self, key: str, column: str) -> Array:
        """Return a column's numbers, NaN where missing; raise ValueError with the remedy if it cannot be used."""
        require_column(self.frame, key, column)
        try:
            values = self.frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError):
            raise ValueError(f"has no number in every row of {column}. Correct the file or `{key}`") from None
        return np.where(np.isfinite(values) & ~np.isin(values, MISSING_FIGURES), values, np.nan)

    def _report(self, polygons: Booleans, problem: str, remedy: str) -> None:
        """Add a line about some polygons, named by their rows in the file."""
        rows = [str(int(row) + 1) for row in self.frame.index[polygons]]
        self.problems.append(f"{self.place}: row {first_of(rows)}: {problem}. {remedy}.")


def _overlaps(city: City, polygons: Shapes) -> tuple[csr_array, Array]:
    """Return the share of each polygon's area in each cell, (polygons, cells), and of each cell's in polygons, (cells,)."""
    cells = cell_shapes(city)
    cell, polygon = shapely.STRtree(polygons).query(cells, predicate="intersects")
    area = shapely.area(shapely.intersection(cells[cell], polygons[polygon]))
    shares = csr_array((area / shapely.area(polygons)[polygon], (polygon, cell)), shape=(len(polygons), len(cells)))
    return shares, np.bincount(cell, area, minlength=len(cells)) / shapely.area(cells)


def _quarters(incomes: Array, residents: Array) -> Integers:
    """Return the quarter of residents, 0 to 3 by income, that each polygon falls into; -1 without one.

    `incomes` are draws, shape (draws, polygons), of which each is ranked by itself; `residents` have shape (polygons,).
    """
    order = np.argsort(incomes, axis=1)  # NaN last
    counted = np.where(np.isfinite(incomes), residents, 0.0)
    ranked = np.take_along_axis(counted, order, axis=1)
    middle = np.cumsum(ranked, axis=1) - ranked / 2
    quarter = np.minimum(4 * middle / ranked.sum(axis=1, keepdims=True), 3).astype(np.int64)
    quarters = np.empty_like(quarter)
    np.put_along_axis(quarters, order, quarter, axis=1)
    return np.where(np.isfinite(incomes), quarters, -1)


def read_residents(city: City) -> tuple[Residents | None, list[str]]:
    """Read the audit layer of a city, if its file has one; lines say why it cannot be used."""
    if city.audit is None:
        return None, []
    try:
        return Residents.read(city, city.audit), []
    except AuditLayerError as error:
        return None, [str(error)]
