from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shotspotter_assets.pages.track_record import issued_track
from shotspotter_assets.serving.issued_forecasts import next_day_forecasts
from shotspotter_assets.serving.issued_scores import ScoreRecord
from shotspotter_assets.storage.catalogue import FORECAST, TENSORS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.pages.site_of_tiny_city import CITY, DAYS, ISSUED, TinySite


def cells(table: pa.Table) -> set[tuple[int, int]]:
    return set(zip(table["row"].to_pylist(), table["column"].to_pylist(), strict=True))


def grid(site: TinySite, day: date) -> pa.Table:
    return site.store.read_table(TENSORS, CITY, day)


def test_the_track_record_is_that_of_the_stored_scores(tiny_site: TinySite) -> None:
    track = issued_track(tiny_site.store, tiny_site.city, tiny_site.last_issued)
    days = [ISSUED + timedelta(days=at) for at in range(1, DAYS)]
    records = {day: ScoreRecord.load(tiny_site.store, CITY, day) for day in days}
    scores = {day: record.scores for day, record in records.items() if record.scores is not None}
    forecasts = next_day_forecasts(tiny_site.store, tiny_site.city, days[0], days[-1])
    observed = {day: len(cells(forecasts[day]) & cells(grid(tiny_site, day))) for day in days}
    whole = track["whole"]
    assert whole["days"] == len(scores) == DAYS - 1
    assert whole["observed"] == sum(observed.values())
    assert whole["expected"] == pytest.approx(sum(pc.sum(forecasts[day]["probability"]).as_py() for day in days))
    gained = [(score.gain_over_historical_mean or 0.0) * observed[day] for day, score in scores.items()]
    assert whole["gain"].gain == pytest.approx(sum(gained) / whole["observed"])
    assert [row["name"] for row in track["months"]] == ["2023-11"]
    assert issued_track(tiny_site.store, tiny_site.city, ISSUED - timedelta(days=1)) is None


def test_the_network_is_scored_beside_what_was_issued(copy: Store, tiny_site: TinySite) -> None:
    for issue_date in copy.days_present(FORECAST, CITY):
        table = copy.read_table(FORECAST, CITY, issue_date)
        copy.write_table(FORECAST, table.append_column("model_network", table["probability"]), CITY, issue_date)
    track = issued_track(copy, tiny_site.city, tiny_site.last_issued)
    assert track["whole"]["network"] == track["whole"]["gain"]
    assert [curve["name"] for curve in track["charts"]["hits"]] == ["issued", "long-run mean", "network"]
    without = issued_track(tiny_site.store, tiny_site.city, tiny_site.last_issued)
    assert "network" not in [curve["name"] for curve in without["charts"]["hits"]]
