"""The command `export-hub`: issued forecasts and observed numbers, of a city and of its areas, as the files of a hub."""

import re
from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from shotspotter_assets.arrays import Booleans, Integers
from shotspotter_assets.calendar import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.forecasts_table import cells_of
from shotspotter_assets.gridding.districts import cell_districts, district_areas
from shotspotter_assets.hub.config import ADMIN, MODEL_ID, NAME, settings_files
from shotspotter_assets.models.alert_counts import CountDistribution
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.pages.places import read_layers
from shotspotter_assets.serving.forecast_facts import is_of_grid, next_day_rows, total_of
from shotspotter_assets.serving.issued_forecasts import ForecastRecord
from shotspotter_assets.storage.catalogue import FORECAST, RAW_ROWS, TENSORS
from shotspotter_assets.storage.store import Store
from shotspotter_assets.wording import first_of, number_of

LEVELS: Final = (0.01, 0.025, *(round(0.05 * step, 2) for step in range(1, 20)), 0.975, 0.99)
"""Levels of the quantiles: the 23 of FluSight."""
_EXPORTED_FILES: Final = re.compile(
    r"hub-config/(admin|tasks|target-data|model-metadata-schema)\.json|target-data/(time-series|oracle-output)\.csv"
    rf"|model-metadata/{MODEL_ID}\.yml|model-output/{MODEL_ID}/[0-9-]+-{MODEL_ID}\.csv"
)


def export_hub(store: Store, city: City, folder: Path, first: date, last: date) -> list[str]:
    """Write the forecasts of a city that were issued from `first` to `last` as a hub; return lines about it.

    Raises ValueError if there are none, if a quantile crosses another one, or if the folder has other files.
    """
    _refuse_other_files(folder, city)
    locations = city_locations(city)
    rounds: list[pd.DataFrame] = []
    series: list[pd.DataFrame] = []
    left_out = Counter[str]()  # number of forecasts by reason
    for of_target, view in city.by_target(store):
        covered: dict[date, tuple[Integers, Integers]] = {}
        for issue_date in sorted(of_target.days_present(FORECAST, city.name, first, last)):
            record = ForecastRecord.load(of_target, city.name, issue_date)
            forecast = of_target.read_table(FORECAST, city.name, issue_date)
            if reason := why_left_out(record, forecast, view):
                left_out[reason] += 1
            else:
                rounds.append(quantile_rows(record, forecast, view, locations))
                covered[record.forecast_date] = cells_of(next_day_rows(forecast))
        if covered:
            series.append(observations(of_target, view, locations, covered))
    lines = [f"Left out: {number_of(number, 'forecast')}: {reason}." for reason, number in left_out.items()]
    if not rounds:
        nothing = f"{city.name}: no issued forecast of the chosen issue dates can be exported."
        raise ValueError(" ".join([nothing, *lines]))
    output = pd.concat(rounds)
    write_folder(folder.resolve(), _texts(city, output, pd.concat(series)))
    return [
        f"{folder}: {number_of(len(rounds), 'forecast')} of {number_of(output['location'].nunique(), 'location')}.",
        *lines,
    ]


def _texts(city: City, output: pd.DataFrame, observed: pd.DataFrame) -> dict[str, str]:
    """Return the texts of all files by path; oracle output is the observed numbers of days with a forecast."""
    with_forecast = observed.merge(output[["target_end_date", "target"]].drop_duplicates())
    oracle = with_forecast.drop(columns="as_of").rename(columns={"observation": "oracle_value"})
    rounds = {f"model-output/{MODEL_ID}/{day}-{MODEL_ID}.csv": rows for day, rows in output.groupby("reference_date")}
    tables = rounds | {"target-data/time-series.csv": observed, "target-data/oracle-output.csv": oracle}
    return settings_files(city, output) | {
        path: table.to_csv(index=False, lineterminator="\n") for path, table in tables.items()
    }


def city_locations(city: City) -> dict[str, Booleans]:
    """Return the cells, shape (rows, columns), of the city by its name, and of its areas by `city/area`.

    Areas are the city's districts, else the areas of the coverage, else quarters of the grid, as on the public page. Raises
    ValueError if the city's file of districts is unusable.
    """
    layers, problems = read_layers(city)
    if city.layers.districts is not None and "districts" not in layers:
        raise ValueError(f"Areas cannot be exported. {problems[0]}")
    areas = cell_districts(city, district_areas(city, layers.get("districts")))
    return {city.name: np.ones(city.shape, bool)} | {
        f"{city.name}/{name}": areas == name for name in np.unique(areas).tolist() if name
    }


def why_left_out(record: ForecastRecord, forecast: pa.Table, city: City) -> str:
    """Return why a forecast is not exported; empty for one that was issued before its day, which has begun."""
    begins = local_time.day_start(record.forecast_date, city.zone)
    reasons = {
        "the forecast date has not begun, so changes are possible": local_time.now() < begins,
        "computed after the forecast date had begun": record.replayed
        or datetime.fromisoformat(record.issued_at) >= begins,
        "the city had another grid": not is_of_grid(forecast, city),
        "stored by an earlier version, without the spread of totals": total_of(forecast).factor_variance is None,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def quantile_rows(
    record: ForecastRecord, forecast: pa.Table, city: City, locations: Mapping[str, Booleans]
) -> pd.DataFrame:
    """Return the quantiles of the day's total over the covered cells of each location that has any.

    The columns are those of hubverse's model output. Raises ValueError for a quantile that crosses another one.
    """
    next_day = next_day_rows(forecast)
    cells = cells_of(next_day)
    counts = CountDistribution.of_forecast(next_day)
    variance = total_of(forecast).factor_variance or 0.0
    quantiles = pd.DataFrame(
        {
            name: counts.of_cells(area[cells]).total(variance).ppf(LEVELS)
            for name, area in locations.items()
            if area[cells].any()
        },
        index=LEVELS,
    )
    refuse_crossing(quantiles, f"{record.issue_date}-{MODEL_ID}.csv")
    return pd.DataFrame(
        {
            "reference_date": record.issue_date,
            "target": city.target,
            "horizon": 1,
            "location": np.repeat(quantiles.columns, len(LEVELS)),
            "target_end_date": record.forecast_date,
            "output_type": "quantile",
            "output_type_id": np.tile(LEVELS, quantiles.shape[1]),
            "value": quantiles.to_numpy().T.ravel().astype(int),
        }
    )


def refuse_crossing(quantiles: pd.DataFrame, file: str) -> None:
    """Raise ValueError if a quantile is below that of the next lower level, or no number; shape (levels, locations)."""
    for location, by_level in quantiles.items():
        if len(crossing := by_level.index[1:][~(np.diff(by_level) >= 0)]):
            raise ValueError(f"{file}, {location}: the quantile of level {crossing[0]} crosses the one below it.")


def observations(
    store: Store, city: City, locations: Mapping[str, Booleans], covered: Mapping[date, tuple[Integers, Integers]]
) -> pd.DataFrame:
    """Return the time series of a target: its known days from a year before the first forecast to the last one.

    `covered` are (row, column) of the cells of each forecast by its date. A day counts the cells of the newest forecast to
    it, or of the first one; a location without any has no row. `as_of` is the local date from which the number is known: the
    day was over, and its last row was received. A day without rows is known from other days, at the latest since their last.
    """
    stored = store.days_present(TENSORS, city.name)
    first = max(min(covered) - local_time.ONE_YEAR, min(stored, default=city.start))
    history = CityHistory.load(store, city, min(max(covered), max(stored, default=max(covered))), first)
    rows = store.read_window(RAW_ROWS, city.name, history.days[0], history.last_known, ["received_at"]).drop_null()
    received = rows.to_pandas().groupby("date")["received_at"].max().dt.tz_convert(city.zone).dt.date.to_dict()
    newest = max(received.values(), default=history.last_known)
    cells = {
        day: covered[max((issued for issued in covered if issued <= day), default=min(covered))] for day in history.days
    }
    return pd.DataFrame(
        {
            "target_end_date": day,
            "target": city.target,
            "location": location,
            "observation": int(alerts[cells[day]][area[cells[day]]].sum()),
            "as_of": max(received.get(day, newest), day + local_time.ONE_DAY),
        }
        for day, alerts, is_known in zip(history.days, history.alerts, history.is_known, strict=True)
        for location, area in locations.items()
        if is_known and area[cells[day]].any()
    )


def _refuse_other_files(folder: Path, city: City) -> None:
    """Raise ValueError if a folder has files that are not of an export of the city."""
    present = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    others = [name for name in present if not _EXPORTED_FILES.fullmatch(name)]
    is_ours = ADMIN in present and f'"{NAME.format(city.name)}"' in (folder / ADMIN).read_text()
    if others or (present and not is_ours):
        raise ValueError(
            f"{folder} is no export of {city.name} alone: it has {first_of(others or present)}. Name another folder."
        )


def write_folder(folder: Path, texts: Mapping[str, str]) -> None:
    """Write the files beside the folder, then put them in its place; a killed process leaves a dotted folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as aside:
        new_folder = Path(aside, "new")
        for name, text in texts.items():
            (new_folder / name).parent.mkdir(parents=True, exist_ok=True)
            (new_folder / name).write_text(text)
        if folder.is_dir():
            folder.rename(Path(aside, "old"))
        new_folder.rename(folder)
