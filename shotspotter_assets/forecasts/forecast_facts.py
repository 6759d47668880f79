"""Facts of a stored forecast (`catalogue.FORECAST`) in its metadata, and its rows for the next day."""

import json
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.stored_settings import GRID, grid_settings
from shotspotter_assets.storage.arrays import Array

NEXT_DAY_HORIZON: Final = "day"
CANDIDATE_COLUMN: Final = "candidate"  # column of the candidate's probability, served or not, for its scores
MODEL_PREFIX: Final = "model_"  # prefix of columns with the probability of a model
SHADOW: Final = "shadow"  # column of the shadow's probability, for its scores, and metadata key of its name
LEAD: Final = "lead"  # metadata key
TOTAL: Final = "total_interval"  # metadata key of `DayTotal`
REPLAYED: Final = "replayed"  # metadata key of forecasts after their day


class DayTotal(NamedTuple):
    """Facts of the number of alerts in all cells on the day, named like columns of `catalogue.FOLD_COUNTS`."""

    total_low: float  # ends of the 80% interval
    total_high: float
    factor_variance: float  # of the factor that all cells share (`CountDistribution.total`)
    year_mean: float  # `alert_counts.year_reference`; NaN without an earlier known day
    year_size: float


def with_facts(table: pa.Table, city: City, lead: int, total: DayTotal, replayed: bool) -> pa.Table:
    """Return a forecast with its facts."""
    facts = {
        GRID: grid_settings(city),
        LEAD: str(lead),
        TOTAL: json.dumps(total),
    }
    return table.replace_schema_metadata(facts | ({REPLAYED: "true"} if replayed else {}))


def with_shadow_column(table: pa.Table, name: str, probability: Array) -> pa.Table:
    """Return a forecast with the probabilities of the shadow, shape (cells,), in the next day's rows."""
    is_next_day = pc.equal(table["horizon"], NEXT_DAY_HORIZON)
    column = pc.replace_with_mask(
        pa.nulls(len(table), pa.float64()), is_next_day.combine_chunks(), pa.array(probability)
    )
    facts = {**table.schema.metadata, SHADOW: name}
    return table.append_column(SHADOW, column).replace_schema_metadata(facts)


def shadow_of(forecast: pa.Table) -> str:
    """Return the name of the forecaster in the shadow; "" without one."""
    return str((forecast.schema.metadata or {}).get(SHADOW.encode(), b"").decode())


def next_day_rows(forecast: pa.Table) -> pa.Table:
    """Return the next day's rows of a forecast."""
    return forecast.filter(pc.equal(forecast["horizon"], NEXT_DAY_HORIZON))


def lead_of(forecast: pa.Table) -> int:
    """Return the lead of a forecast in days."""
    return int((forecast.schema.metadata or {}).get(LEAD.encode(), 1))


def total_of(forecast: pa.Table) -> DayTotal:
    """Return the facts of the number of alerts in all cells on the day."""
    return DayTotal(*json.loads(forecast.schema.metadata[TOTAL.encode()]))


def is_of_grid(forecast: pa.Table, city: City) -> bool:
    """Return True if a forecast has the city's present box and cells, and the target's present events."""
    stored = json.loads((forecast.schema.metadata or {}).get(GRID.encode(), b"{}"))
    return bool(stored == json.loads(grid_settings(city)))


def is_replayed(forecast: pa.Table) -> bool:
    """Return True if a forecast was computed after its day."""
    return REPLAYED.encode() in (forecast.schema.metadata or {})
