import json
import re
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shotspotter_assets.evaluation.count_scores import COUNTS, distribution_rows
from shotspotter_assets.evaluation.forecasts_table import SERVED, forecasts_table
from shotspotter_assets.evaluation.score_rows import ALL
from shotspotter_assets.forecasts.issued_forecasts import next_day_forecasts, with_shadow_column
from shotspotter_assets.forecasts.issued_scores import ScoreRecord, scored_counts
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.pages.rendering import short_day
from shotspotter_assets.pages.site import make_pages
from shotspotter_assets.pages.track_record import FROM_FOLD, REPLAYED, track_record
from shotspotter_assets.storage.catalogue import FOLD_FORECASTS, FORECAST, HEADLINES, PAGE, STATUS, TENSORS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.evaluation.cities import fold_record
from shotspotter_assets_tests.pages.site_of_tiny_city import CITY, DAYS, ISSUED, TinySite


def cells(table: pa.Table) -> set[tuple[int, int]]:
    return set(zip(table["row"].to_pylist(), table["column"].to_pylist(), strict=True))


def grid(site: TinySite, day: date) -> pa.Table:
    return site.store.read_table(TENSORS, CITY, day)


def test_the_track_record_is_that_of_the_stored_scores(tiny_site: TinySite) -> None:
    track = track_record(tiny_site.store, tiny_site.city, tiny_site.last_issued)
    days = [ISSUED + timedelta(days=at) for at in range(1, DAYS)]
    records = {day: ScoreRecord.load(tiny_site.store, CITY, day) for day in days}
    scores = {day: record.scores for day, record in records.items() if record.scores is not None}
    forecasts = next_day_forecasts(tiny_site.store, tiny_site.city, days[0], days[-1])
    observed = {day: len(cells(forecasts[day]) & cells(grid(tiny_site, day))) for day in days}
    whole = track.whole
    assert whole.days == len(scores) == DAYS - 1
    assert whole.observed == sum(observed.values())
    assert whole.expected == pytest.approx(sum(pc.sum(forecasts[day]["probability"]).as_py() for day in days))
    assert [(row.name, row.made) for row in track.months] == [("2023-11", REPLAYED)]
    number = sum(record.scores.observed_alerts for record in records.values() if record.scores is not None)
    counts = scored_counts(forecasts, CityHistory.load(tiny_site.store, tiny_site.city, days[-1], days[0]))
    assert pc.sum(counts["alerts"]).as_py() == number
    assert track.totals["log_score_city"] == distribution_rows(counts)[COUNTS, ALL, SERVED, "log_score_city"]
    assert track.totals["days"].value == DAYS - 1
    assert track_record(tiny_site.store, tiny_site.city, ISSUED - timedelta(days=1)) is None


@pytest.mark.parametrize("served", ["stack", "persistence"])
def test_while_few_forecasts_are_stored_test_days_of_folds_count(copy: Store, tiny_site: TinySite, served: str) -> None:
    cutoff = ISSUED - timedelta(days=99)
    record = fold_record(tiny_site.city).model_copy(update={"cutoff": cutoff, "served": served})
    record.write(copy)
    days = np.arange(cutoff, ISSUED + timedelta(days=3))
    random = np.random.default_rng(0)
    chance = random.choice([0.02, 0.5], (len(days), 36), p=[0.9, 0.1])
    observed = random.random(chance.shape) < chance
    models = {
        "stack": chance,
        "historical_mean": np.sqrt(chance * random.random(chance.shape)),
        "persistence": random.random(chance.shape),
        "logistic_regression": 0.9 * chance,
    }
    cells_of_grid = np.divmod(np.arange(36), 6)
    copy.write_table(FOLD_FORECASTS, forecasts_table(days, cells_of_grid, observed, models), CITY, cutoff)
    track = track_record(copy, tiny_site.city, tiny_site.last_issued)
    made = {(row.name, row.made): row.days for row in track.months}
    assert made == {
        ("2023-08", FROM_FOLD): 25, ("2023-09", FROM_FOLD): 30, ("2023-10", FROM_FOLD): 31, ("2023-11", FROM_FOLD): 16,
        ("2023-11", REPLAYED): DAYS - 3,
    }  # fmt: skip
    assert (track.caught > track.caught_by_best) == (served == "stack")
    gain = track.whole.gain
    assert gain.is_shown == (served == "stack")
    assert track.best == "historical_mean"
    make_pages(copy, tiny_site.city)
    page = copy.read_bytes(PAGE.named(file="track_record.html"), CITY).decode()
    [(_, whole), *months] = re.findall(r'<th scope="row">(All|20\d\d-\d\d)</th><td class="number">(.*?)</td>', page)
    assert " to " in whole
    assert [month for month, gain in months if " to " in gain] == [], "four or five weeks are too few for an interval"
    # Replayed days lack the baselines that only folds fit.
    only_tested = track_record(copy, tiny_site.city, ISSUED + timedelta(days=2))
    assert only_tested.best == "logistic_regression"
    assert {row.made for row in only_tested.months} == {FROM_FOLD}


def test_the_network_is_scored_beside_issued_forecasts(copy: Store, tiny_site: TinySite) -> None:
    for issue_date in copy.days_present(FORECAST, CITY):
        table = copy.read_table(FORECAST, CITY, issue_date)
        copy.write_table(FORECAST, table.append_column("model_network", table["probability"]), CITY, issue_date)
    track = track_record(copy, tiny_site.city, tiny_site.last_issued)
    assert track.whole.network == track.whole.gain
    assert [curve["name"] for curve in track.charts["hits"]] == ["forecast", "best simple method", "network"]
    without = track_record(tiny_site.store, tiny_site.city, tiny_site.last_issued)
    assert "network" not in [curve["name"] for curve in without.charts["hits"]]


def test_a_shadow_is_on_the_track_record_and_on_no_other_page(copy: Store, tiny_site: TinySite) -> None:
    before = dict(make_pages(copy, tiny_site.city).hashes)
    random = np.random.default_rng(0)
    for day in sorted(copy.days_present(FORECAST, CITY))[2:]:
        table = copy.read_table(FORECAST, CITY, day)
        cells_of_day = pc.sum(pc.equal(table["horizon"], "day")).as_py()
        shadow = random.uniform(0.01, 0.2, cells_of_day)
        copy.write_table(FORECAST, with_shadow_column(table, "regime_regression", shadow), CITY, day)
    site = make_pages(copy, tiny_site.city)
    assert {file for file in before | site.hashes if before.get(file) != site.hashes.get(file)} == {"track_record.html"}
    text = " ".join(site.contents["track_record.html"].decode().split())
    first = ISSUED + timedelta(days=3)
    assert "for any map or plan: the regression on rates and calendar. Its gain over the served forecasts is " in text
    known = DAYS - 2
    assert f", on {known} days since {short_day(first)}, {known} of them replayed" in text


def test_page_and_status_show_the_stored_headline_scores(copy: Store, tiny_site: TinySite) -> None:
    known = {
        "last": date(2023, 10, 31), "issued_days": 360, "best": "ewma", "gain": 0.0953, "low": 0.0198, "high": 0.1823,
        "tested_days": 92, "lead": 14, "planned_days": 350, "flip_flop": 0.214, "unknown": "",
    }  # fmt: skip
    early = dict.fromkeys(known) | {
        "last": date(2023, 9, 30), "issued_days": 3, "tested_days": 92, "lead": 56, "planned_days": 0, "unknown": "Unknown: both.",
    }  # fmt: skip
    copy.write_table(HEADLINES, pa.Table.from_pylist([early, known], HEADLINES.schema), CITY)
    make_pages(copy, tiny_site.city)
    assert json.loads(copy.read_bytes(STATUS, CITY))["headline_scores"] == known | {"last": "2023-10-31"}
    text = copy.read_bytes(PAGE.named(file="track_record.html"), CITY).decode()
    shown = text[text.index('id="headlines"') :]
    shown = " ".join(re.sub("<[^>]*>", " ", shown[: shown.index("</section>")]).split())
    top, months = shown.split("By month")
    assert "year to 31 Oct 2023" in top
    assert "+10.0% (+2.0% to +20.0%, over the recent mean of each cell) 360 days" in top
    assert "mean 14 Tested on 92 days." in top
    assert "21%" in top
    newest = months.index("2023-10-31")
    oldest = months.index("2023-09-30")
    assert newest < oldest
    assert "2023-10-31 +10.0% (+2.0% to +20.0%) 14 21% 360 92 350" in months
    assert "2023-09-30 unknown 56 or more unknown 3 92 0" in months
    assert "“Unknown” means that too few days are known" in shown
    copy.write_table(HEADLINES, pa.Table.from_pylist([early], HEADLINES.schema), CITY)
    make_pages(copy, tiny_site.city)
    assert json.loads(copy.read_bytes(STATUS, CITY))["headline_scores"]["gain"] is None
    assert "Unknown: both." in copy.read_bytes(PAGE.named(file="track_record.html"), CITY).decode()


def test_without_headline_scores_the_page_has_no_section(tiny_site: TinySite) -> None:
    assert json.loads(tiny_site.store.read_bytes(STATUS, CITY))["headline_scores"] is None
    assert 'id="headlines"' not in tiny_site.store.read_bytes(PAGE.named(file="track_record.html"), CITY).decode()
