"""The page of the last hours: the latest nowcast, and earlier ones with observed incidents."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.forecasts_table import cells_of
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.words import chance
from shotspotter_assets.serving.nowcast_scores import has_new_incident
from shotspotter_assets.serving.nowcasting import NowcastRecord
from shotspotter_assets.storage.catalogue import ISSUED_MINUTES, NOWCAST_MINUTES
from shotspotter_assets.storage.store import Store

SHOWN_HOURS: Final = 12
SHOWN_PLACES: Final = 10
SHOWN_MINUTES: Final = 60  # length of the compared nowcasts


def last_hours(store: Store, city: City, places: Places) -> dict[str, Any] | None:
    """Return the last hours of a city up to its latest nowcast, for its page; None without one."""
    record = NowcastRecord.find(store, city.name)
    if record is None:
        return None
    minutes = store.read_table(NOWCAST_MINUTES, city.name)
    now = datetime.fromisoformat(record.now)
    day = now.astimezone(city.zone).date()
    tables = [store.find_sound_table(ISSUED_MINUTES, city.name, one) for one in (day - timedelta(days=1), day)]
    issued = [table for table in tables if table is not None]
    lengths = sorted(minutes["minutes"].unique().to_pylist())
    return {
        "record": record,
        "issued": _clock(now, city),
        "lengths": lengths,
        "places": _likely(minutes, lengths, places) if lengths else [],
        "nowcasts": _outcomes(pa.concat_tables(issued), record.incidents, now, city, places) if issued else [],
        "shown_hours": SHOWN_HOURS,
    }


def _likely(minutes: pa.Table, lengths: list[int], places: Places) -> list[dict[str, Any]]:
    """Return the likeliest cells of the shortest minutes; `times` is over the chance by the hour's forecast alone."""
    by_length = [minutes.filter(pc.equal(minutes["minutes"], length)) for length in lengths]
    probability = np.array([table["probability"].to_numpy() for table in by_length])
    times = probability[0] / by_length[0]["even"].to_numpy()
    top = np.argsort(-probability[0], kind="stable")[:SHOWN_PLACES]
    return [
        {"name": name, "chances": [chance(each) for each in probability[:, cell].tolist()], "times": float(times[cell])}
        for name, cell in zip(places.names(*cells_of(by_length[0].take(top))), top, strict=True)
    ]


def _outcomes(
    issued: pa.Table, incidents: Sequence[tuple[float, int, int]], now: datetime, city: City, places: Places
) -> list[dict[str, Any]]:
    """Compare cells with a new incident as expected, by the hour's forecast alone (`even`), and observed."""
    since = pa.scalar(now - timedelta(hours=SHOWN_HOURS), pa.timestamp("us", "UTC"))
    chosen = issued.filter((pc.field("minutes") == SHOWN_MINUTES) & (pc.field("starts_utc") >= since))
    rows = chosen.to_pandas().astype({"probability": np.float64, "even": np.float64})
    rows["observed"] = has_new_incident(chosen, incidents)
    by_nowcast = rows.groupby("starts_utc")
    sums, top = by_nowcast[["probability", "even", "observed"]].sum(), rows.loc[by_nowcast["probability"].idxmax()]
    outcomes = sums.rename(columns={"probability": "expected"}).assign(
        issued=[_clock(instant, city) for instant in sums.index],
        likeliest=places.names(top["row"], top["column"]),
        is_over=sums.index + timedelta(minutes=SHOWN_MINUTES) <= now,
    )
    return outcomes[::-1].to_dict("records")


def _clock(instant: datetime, city: City) -> str:
    return f"{instant.astimezone(city.zone):%Y-%m-%d %H:%M}"
