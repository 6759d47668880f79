"""Streets and areas of a box from TIGER/Line files of the US Census Bureau, and the figures of a table on its areas.

Layout: https://www.census.gov/programs-surveys/geography/technical-documentation/complete-technical-documentation/tiger-geo-line.html
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shotspotter_assets.cities.box import Box
from shotspotter_assets.grid.shapes import named_rows, read_shapes, require_column, rows_in_box
from shotspotter_assets.storage.wording import first_of, number_of

if TYPE_CHECKING:
    import geopandas
    import pandas as pd

AREA_NAMES: Final = re.compile(r"NAME(LSAD)?(\d\d)?")  # with the census's year in some vintages
ANNOTATIONS: Final = ("-", "N", "(X)", "**", "***", "*****")  # missing figures in tables of data.census.gov


def tiger_streets(files: Sequence[Path], box: Box) -> "geopandas.GeoDataFrame":
    """Return named roads of counties (tl_YYYY_SSCCC_roads) in the box, with class (`mtfcc`); raise ValueError with the file."""
    import pandas as pd

    roads = pd.concat([_named("--roads", file, box, "FULLNAME", "MTFCC", "RTTYP") for file in files], ignore_index=True)
    # A road may be there once under each name. The first one names its segments: the common name before numbers.
    roads = roads.sort_values("RTTYP", key=lambda kinds: kinds != "M", kind="stable")
    return roads.rename(columns={"MTFCC": "mtfcc"})[["name", "mtfcc", "geometry"]]


def tiger_areas(file: Path, box: Box) -> "geopandas.GeoDataFrame":
    """Return the areas of a file (places, county subdivisions, tracts) within the box, with their `name`."""
    return _named("--areas", file, box)[["name", "geometry"]]


def join_figures(
    table: Path, shapes: Path, keys: tuple[str, str], only: Sequence[str], box: Box
) -> "tuple[geopandas.GeoDataFrame, list[str]]":
    """Return the whole areas that meet the box with the numbers of a table, and warnings about what is left out.

    Args:
        table: CSV or Parquet file with a row for each area.
        shapes: File of the areas.
        keys: Column of the table, and column of the areas.
        only: Conditions on rows of the table, as COLUMN=VALUE.
        box: Box of the city.

    Raises:
        ValueError: A key or number is missing or wrong; one line with file, row and remedy.
    """
    rows = _figure_rows(table, only, keys[0])
    of_rows = _plain_keys(f"--figures: {table}", rows[keys[0]])
    try:
        areas = read_shapes(shapes).reset_index(drop=True)
        require_column(areas, "--key", keys[1])
        is_inside = areas.index.isin(rows_in_box(areas, box).index)
    except ValueError as error:
        raise ValueError(f"--shapes: {shapes} {error}.") from None
    of_areas = _plain_keys(f"--shapes: {shapes}", areas[keys[1]].set_axis(areas.index + 1))
    named = areas[[keys[1], areas.geometry.name]].set_index(of_areas)[is_inside]
    if len(lacking := of_areas[is_inside & ~of_areas.isin(of_rows)]):
        raise ValueError(
            f"--shapes: {shapes}, row {lacking.index[0]}: {keys[1]} {lacking.iloc[0]} has no row in {table} "
            f"({number_of(len(lacking), 'such area')}). Use a table of these areas in the same census year, or add empty rows."
        )
    figures = rows[of_rows.isin(named.index)].drop(columns=[*keys], errors="ignore")
    numbers = _numbers(table, figures)
    warnings = [
        f"{table}: {name} has no number in any row, and is left out." for name in figures if name not in numbers
    ]
    if len(unplaced := of_rows[~of_rows.isin(of_areas)]):
        unused = f"{keys[0]} {unplaced.iloc[0]} is not in {shapes} ({number_of(len(unplaced), 'such row')})"
        warnings.append(f"{table}, row {unplaced.index[0]}: {unused}. Check that the city has no such area.")
    return named.join(numbers.set_index(of_rows[numbers.index])).reset_index(drop=True), warnings


def _figure_rows(table: Path, only: Sequence[str], key: str) -> "pd.DataFrame":
    """Return the rows that fit all conditions, by their number in the file; raise ValueError with the remedy."""
    import pandas as pd

    is_csv = table.suffix.lower() == ".csv"
    try:
        # Keys keep their zeros as text.
        rows = pd.read_csv(table, dtype=str, na_values=ANNOTATIONS) if is_csv else pd.read_parquet(table)
        rows.index += 2 if is_csv else 1  # the header is the first row
        for condition in only:
            name, _, value = condition.partition("=")
            rows = rows[rows[name].astype(str) == value]
        # A second header explains the names of columns.
        return rows[rows[key].astype(str).str.contains(r"\d") | (rows.index != 2)]
    except KeyError as error:
        raise ValueError(
            f"--figures: {table} has no column {error}; it has {first_of(list(map(str, rows.columns)))}. Correct --key or --only."
        ) from None
    except (ValueError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"--figures: {table} cannot be read as CSV or Parquet: {reason}") from None


def _numbers(table: Path, figures: "pd.DataFrame") -> "pd.DataFrame":
    """Return the columns with numbers as such; raise ValueError with the first row that has text among them."""
    import pandas as pd

    numbers = figures.apply(lambda given: pd.to_numeric(given.astype("string").str.replace(",", ""), errors="coerce"))
    numbers = numbers.dropna(axis="columns", how="all").astype("float64")
    broken = (figures.notna() & numbers.isna())[numbers.columns]
    if broken.any(axis=None):
        row = broken.any(axis=1).idxmax()
        name = broken.loc[row].idxmax()
        raise ValueError(
            f"--figures: {table}, row {row}: {name} is {figures[name][row]!r}, no number. "
            "Correct it, leave it empty, or remove the column."
        )
    return numbers


def _plain_keys(place: str, keys: "pd.Series") -> "pd.Series":
    """Return keys without the Bureau's prefix (`1400000US`), and without leading zeros, which spreadsheets drop.

    Raises ValueError for an empty key and for one of several rows; `place` is the option and its file.
    """
    plain = keys.astype("string").fillna("").str.strip().str.replace(r"^\d{7}US|\.0$", "", regex=True).str.lstrip("0")
    wrong = plain[plain.duplicated() | (plain == "")]
    if len(wrong):
        row = wrong.index[0]
        problem = f"{keys[row]} is in row {plain.index[plain == wrong[row]][0]} too" if wrong[row] else "is empty"
        raise ValueError(
            f"{place}, row {row}: {keys.name} {problem}. "
            "Keep one row for each area, such as those of one period with --only COLUMN=VALUE."
        )
    return plain


def _named(option: str, file: Path, box: Box, *columns: str) -> "geopandas.GeoDataFrame":
    """Return the shapes with a name, by default that of areas, cut to the box."""
    if not file.is_file():
        raise ValueError(f"{option}: {file} does not exist.")
    try:
        frame = read_shapes(file)
        for column in columns or _area_names(frame):
            require_column(frame, option, column)
        column = (columns or _area_names(frame))[0]
        named = named_rows(rows_in_box(frame, box), option, column)
    except ValueError as error:
        raise ValueError(f"{option}: {file} {error}.") from None
    shapes = named.geometry if columns else named.geometry.make_valid()
    named = named.assign(geometry=shapes.clip_by_rect(*box.edges))
    return named[~named.geometry.is_empty].drop(columns="name", errors="ignore").rename(columns={column: "name"})


def _area_names(frame: "geopandas.GeoDataFrame") -> list[str]:
    """Return the columns of names, the better one first: names of tracts are numbers, and only the longer form says of what."""
    columns = sorted(column for column in frame.columns if AREA_NAMES.fullmatch(column)) or ["NAME"]
    has_words = columns[0] in frame.columns and frame[columns[0]].astype(str).str.contains("[A-Za-z]").any()
    return columns if has_words else columns[::-1]
