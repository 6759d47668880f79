"""Facts of a stored forecast (`catalogue.FORECAST`) in its metadata, and its rows for the next day."""

import json
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.stored_settings import GRID, grid_settings

NEXT_DAY_HORIZON: Final = "day"
CANDIDATE_COLUMN: Final = "candidate"  # column of the candidate's probability, served or not, for its scores
MODEL_PREFIX: Final = "model_"  # prefix of columns with the probability of a model
LEAD: Final = "lead"  # metadata key
TOTAL: Final = "total_interval"  # metadata key of the 80% interval of the alerts of all cells on the day
REPLAYED: Final = "replayed"  # metadata key of forecasts after their day


def with_facts(table: pa.Table, city: City, lead: int, total: tuple[float, float], replayed: bool) -> pa.Table:
    """Return a forecast with its facts; `total` is the 80% interval of the alerts of all cells on the day."""
    facts = {GRID: grid_settings(city), LEAD: str(lead), TOTAL: json.dumps(total)}
    return table.replace_schema_metadata(facts | ({REPLAYED: "true"} if replayed else {}))


def next_day_rows(forecast: pa.Table) -> pa.Table:
    """Return the next day's rows of a forecast."""
    return forecast.filter(pc.equal(forecast["horizon"], NEXT_DAY_HORIZON))


def lead_of(forecast: pa.Table) -> int:
    """Return the lead of a forecast in days."""
    return int((forecast.schema.metadata or {}).get(LEAD.encode(), 1))


def total_of(forecast: pa.Table) -> tuple[float, float]:
    """Return the 80% interval of the alerts of all cells on the day."""
    low, high = json.loads(forecast.schema.metadata[TOTAL.encode()])
    return low, high


def is_of_grid(forecast: pa.Table, city: City) -> bool:
    """Return True if a forecast has the city's present box and cells, and the target's present events."""
    stored = (forecast.schema.metadata or {}).get(GRID.encode(), b"{}")
    return bool(json.loads(stored) == json.loads(grid_settings(city)))


def is_replayed(forecast: pa.Table) -> bool:
    """Return True if a forecast was computed after its day."""
    return REPLAYED.encode() in (forecast.schema.metadata or {})
