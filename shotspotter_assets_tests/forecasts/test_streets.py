from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shotspotter_assets.cities.box import Box, Grid
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.cities.patrol_rules import PatrolRules, Shift
from shotspotter_assets.forecasts import street_ranking
from shotspotter_assets.forecasts.issued_forecasts import load_record
from shotspotter_assets.forecasts.risk_tables import hourly_table, risk_table
from shotspotter_assets.forecasts.street_ranking import score_streets
from shotspotter_assets.storage.catalogue import CLEANED, HOURLY, STREETS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.forecasts.street_town import lattice
from shotspotter_assets_tests.forecasts.test_risk_tables import COUNTS
from shotspotter_assets_tests.forecasts.town import TOWN, issue, store_days

DAY = TOWN.start + timedelta(days=30)
NEXT = DAY + timedelta(days=1)
SHIFTS = (Shift(name="day", start=6, end=18, units=1), Shift(name="night", start=18, end=6, units=1))


@pytest.fixture
def city(tmp_path: Path) -> City:
    box = Box(west=-77.06, south=38.88, east=-77.02, north=38.92)
    streets = lattice(tmp_path / "streets.parquet", box, 5, 5)
    changes = {"box": box, "grid": Grid(rows=4, columns=4), "patrol": PatrolRules(shifts=SHIFTS), "streets": streets}
    return TOWN.model_copy(update=changes)


@pytest.fixture
def store(city: City, tmp_path: Path) -> Store:
    """Cleaned and gridded days to `NEXT`, and a forecast of that day."""
    store = store_days(Store(str(tmp_path / "store")), city.source.open(city.site, None), city, NEXT)
    probability = np.linspace(0.05, 0.5, 16)
    offset = np.array([[-6.0], [1.0]]) - np.log(probability / (1 - probability))
    period = np.datetime64(datetime(NEXT.year, NEXT.month, NEXT.day, 5), "us"), 24
    covered = np.ones((4, 4), dtype=bool)
    counts = COUNTS.distribution(probability, np.array(False))
    next_day = risk_table("day", period, covered, offset, counts, np.ones(24), None)
    hourly = hourly_table(next_day, 1 + np.arange(168) / 24, city.zone, NEXT)
    issue(store, city, DAY, next_day, datetime.now(UTC), hourly, **{"3,3": ("near", "often", "lately")})
    return store


def ranked(store: Store, city: City) -> street_ranking.StreetForecast:
    return street_ranking.street_forecast(store, city, DAY)


def more_alerts(store: Store, city: City, day: date) -> None:
    days = [day - timedelta(days=1), day]
    tables = [store.read_table(CLEANED, city.name, at) for at in days]
    store.write_tables(CLEANED, {day: pa.concat_tables(tables)}, city.name)


def test_streets_of_a_day_and_its_shifts_add_up_to_the_cells(store: Store, city: City) -> None:
    streets = ranked(store, city)
    street_ranking.write_streets(store, streets)
    table = store.read_table(STREETS, city.name, DAY)
    assert table.schema.remove_metadata() == STREETS.schema
    low, p, high, expected = (table[name].to_numpy() for name in ("low", "probability", "high", "expected"))
    assert ((low <= p) & (p <= high) & (p <= expected + 1e-12) & (p > 0)).all()
    of_day = table.filter(pc.is_null(table["shift"]))
    record = streets.record
    assert street_ranking.StreetRecord.load(store, city.name, DAY) == record
    in_all = of_day["expected"].to_numpy().sum()
    assert record.expected_alerts == pytest.approx(in_all)
    of_cells = COUNTS.distribution(np.linspace(0.05, 0.5, 16), np.array(False)).expected.sum()
    assert record.expected_alerts + record.expected_on_no_street == pytest.approx(of_cells)
    shifts = [table.filter(pc.equal(table["shift"], shift.name))["expected"].to_numpy().sum() for shift in SHIFTS]
    hourly = store.read_table(HOURLY, city.name, DAY)["expected"].to_numpy()
    share_of_shifts = hourly.reshape(36, 16)[6:30].sum() / of_cells
    assert sum(shifts) == pytest.approx(in_all * share_of_shifts)


def test_the_likeliest_streets_of_a_day_have_ranks_reasons_and_lines(store: Store, city: City) -> None:
    streets = ranked(store, city)
    street_ranking.write_streets(store, streets)
    top = streets.top.to_pylist()
    of_day = streets.table.filter(pc.is_null(streets.table["shift"]))
    assert top[0]["probability"] == of_day["probability"].to_numpy().max()
    assert "of the alerts of R" in top[0]["why"]
    assert any(row["why"].endswith(": near; often") for row in top)
    lines = street_ranking.top_street_lines(store, city, load_record(store, city.name, DAY))
    assert [line["properties"]["rank"] for line in lines] == [row["rank"] for row in top]
    assert {line["geometry"]["type"] for line in lines} == {"LineString"}


def test_the_record_states_rounded_points_and_the_share_of_shorter_streets(store: Store, city: City) -> None:
    exact = ranked(store, city).record
    assert exact.rounding == ""
    for day in days_between(city.start, DAY):
        table = store.read_table(CLEANED, city.name, day)
        for name in ("longitude", "latitude"):
            at = table.column_names.index(name)
            table = table.set_column(at, table.schema.field(name), pc.round(table[name], 3))
        store.write_table(CLEANED, table, city.name, day)
    streets = ranked(store, city)
    street_ranking.write_streets(store, streets)
    record = street_ranking.StreetRecord.load(store, city.name, DAY)
    of_day = streets.table.filter(pc.is_null(streets.table["shift"]))
    shorter = np.mean(of_day["metres"].to_numpy() < 111.3)
    assert f"0.001 degrees (111 x 87 m). {shorter:.0%} of the ranked segments" in record.rounding


def test_a_ranking_uses_nothing_after_the_last_known_day(store: Store, city: City) -> None:
    before = ranked(store, city)
    more_alerts(store, city, NEXT)
    assert ranked(store, city).version == before.version
    more_alerts(store, city, DAY)
    assert ranked(store, city).version != before.version


def test_ranked_streets_are_scored_on_their_day_and_again_with_late_alerts(store: Store, city: City) -> None:
    streets = ranked(store, city)
    street_ranking.write_streets(store, streets)
    record = score_streets(store, city, NEXT)
    record.write(store)
    p = streets.table.filter(pc.is_null(streets.table["shift"]))["probability"].to_numpy()
    assert (record.note, record.predicted) == ("", pytest.approx(p.sum()))
    assert 0 < record.observed <= len(p)
    assert record.log_loss is not None
    more_alerts(store, city, NEXT)
    later = score_streets(store, city, NEXT)
    assert later.observed > record.observed
    assert later.predicted == record.predicted


def test_the_gain_is_over_the_same_hazard_spread_evenly(store: Store, city: City) -> None:
    street_ranking.write_streets(store, ranked(store, city))
    table = store.read_table(STREETS, city.name, DAY)
    shift = table["shift"].is_null().to_numpy()
    metres = table["metres"].to_numpy()
    even = -np.expm1(-3 * metres / metres[shift].sum())
    column = table.column_names.index("probability")
    store.write_table(STREETS, table.set_column(column, "probability", pa.array(even)), city.name, DAY)
    assert score_streets(store, city, NEXT).gain_over_even == pytest.approx(0, abs=1e-9)
    assert score_streets(store, city, NEXT).log_loss is not None


def test_streets_without_scores_say_why(store: Store, city: City, tmp_path: Path) -> None:
    assert f"No streets were ranked on {DAY}" in score_streets(store, city, NEXT).note
    street_ranking.write_streets(store, ranked(store, city))
    geopandas.read_parquet(tmp_path / "streets.parquet")[1:].to_parquet(tmp_path / "streets.parquet")
    assert "has changed since streets were ranked" in score_streets(store, city, NEXT).note
    (tmp_path / "streets.parquet").write_text("no streets")
    assert "cannot be read" in score_streets(store, city, NEXT).note


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"streets": None}, "names no streets"), ({"grid": Grid(rows=5, columns=5)}, "of another grid")],
)
def test_missing_ranking_has_a_reason(store: Store, city: City, changes: dict[str, object], reason: str) -> None:
    nothing = street_ranking.street_forecast(store, city.model_copy(update=changes), DAY)
    assert reason in nothing.no_streets
    street_ranking.write_streets(store, nothing)
    assert not store.exists(STREETS, city.name, DAY)
