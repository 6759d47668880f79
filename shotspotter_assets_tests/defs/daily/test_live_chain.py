"""The live chain on a small simulated city: models in force, forecasts, plans and scores as runs, and when they are made."""

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely

from shotspotter_assets.cities.patrol_rules import PatrolRules, Shift
from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.cities.streets import Streets
from shotspotter_assets.models.forecaster import OtherInputsError
from shotspotter_assets.models.next_day.settings import StackSettings
from shotspotter_assets.models.registry import BASELINES
from shotspotter_assets.partitions import BeforeStartError
from shotspotter_assets.serving.forecast_scores import ScoreRecord
from shotspotter_assets.serving.forecast_views import HOURLY_SCHEMA
from shotspotter_assets.serving.issued_forecasts import NoForecast, load_record
from shotspotter_assets.serving.nowcast_poller import NowcastPoller, Snapshot
from shotspotter_assets.serving.nowcast_scores import NowcastScoreRecord
from shotspotter_assets.serving.nowcasts import MINUTES_SCHEMA, days_to_read, history_until, nowcast, record_in_force
from shotspotter_assets.serving.record import ServingRecord
from shotspotter_assets.serving.risk_tables import RISK_SCHEMA
from shotspotter_assets.serving.stored_streets import STREET_SCHEMA, StreetRecord
from shotspotter_assets.serving.street_scores import StreetScoreRecord
from shotspotter_assets.serving.training import input_names
from shotspotter_assets.sources.simulated.source import SimulatedSource
from shotspotter_assets.storage.errors import MissingPartitionsError
from shotspotter_assets.storage.store import Partition, Store
from shotspotter_assets_tests.defs.chain import (
    CITIES,
    DEFINITIONS,
    copy_days,
    materialize,
    resources,
    run_days,
    with_city,
)

CITY = "tiny_city"
DAY = date(2024, 1, 20)
NEXT = DAY + timedelta(days=1)
LIVE = ("live_models", "risk_forecasts", "street_risk", "patrol_plans", "forecast_scores")
QUICK = {"validation_days": 28}
STRICTLY_JUDGED = "residual_boosting"
"""A candidate that has to be shown to be better than the best baseline; the stack, which serves by default, need not."""
RULES = PatrolRules(
    shifts=(Shift(name="evening", start=16, end=0, units=2), Shift(name="night", start=20, end=4, units=2))
)


def day_partition(asset: str, city: str, day: date) -> Partition:
    return Partition(asset, city, "date", day)


@pytest.fixture(scope="module")
def made_days(tiny_city_days: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the tiny city's days to `DAY` and two more."""
    return copy_days(tiny_city_days, tmp_path_factory.mktemp("made") / "store", str(DAY + timedelta(days=2)))


@pytest.fixture(scope="module")
def issued(made_days: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with models, forecasts, plans and scores of `DAY` and of the day after it."""
    root = tmp_path_factory.mktemp("issued") / "store"
    shutil.copytree(made_days, root)
    with dg.DagsterInstance.ephemeral(tempdir=str(root.parent)) as instance:
        for day in (DAY, NEXT):
            result = Chain(root, instance, patrol=RULES).run(day)
            [check] = result.get_asset_check_evaluations()
            assert check.severity == dg.AssetCheckSeverity.WARN
            assert check.passed != ScoreRecord.load(Store(str(root)), CITY, day).drift.drifted
    return root


class Chain:
    """Runs of the live chain on one store."""

    def __init__(self, root: Path, instance: dg.DagsterInstance, **changes: Any) -> None:
        self.root, self.instance = root, instance
        self.store = Store(str(root))
        self.change_city(**changes)

    def change_city(self, **changes: Any) -> None:
        """What its file would say."""
        self.cities: Cities = with_city(CITY, **{"serves": STRICTLY_JUDGED} | changes)

    def run(self, day: date, assets: Sequence[str] = LIVE, **config: Any) -> dg.ExecuteInProcessResult:
        ops = {"live_models": {"config": QUICK | config}} if "live_models" in assets else {}
        return materialize(
            assets,
            resources(str(self.root), cities=self.cities),
            checks=["rolling_gate"] if assets is LIVE else (),
            instance=self.instance,
            partition_key=f"{CITY}|{day}",
            run_config={"ops": ops},
        )

    def forecast(self, day: date) -> pa.Table:
        return self.store.read_table(day_partition("risk_forecasts", CITY, day), "forecast.parquet")

    def swap_grids(self, one: date, other: date) -> None:
        """Another content for a day, as a correction would bring."""
        folder = self.root / "grid_tensors" / f"city={CITY}"
        content = (folder / f"date={other}" / "grid.parquet").read_bytes()
        (folder / f"date={one}" / "grid.parquet").write_bytes(content)


def at_horizon(forecast: pa.Table, horizon: str) -> pa.Table:
    """The rows of one horizon."""
    return forecast.filter(pc.equal(forecast["horizon"], horizon))


@pytest.fixture
def chain(issued: Path, tmp_path: Path, instance: dg.DagsterInstance) -> Chain:
    shutil.copytree(issued, tmp_path / "store")
    return Chain(tmp_path / "store", instance)


@pytest.fixture
def bare(made_days: Path, tmp_path: Path, instance: dg.DagsterInstance) -> Chain:
    shutil.copytree(made_days, tmp_path / "bare")
    return Chain(tmp_path / "bare", instance)


def test_a_day_gives_models_a_forecast_a_plan_and_a_score(chain: Chain) -> None:
    record = ServingRecord.load(chain.store, CITY, DAY)
    assert record.trained
    assert record.validation == (DAY - timedelta(days=27), DAY)
    # Four weeks are too few for the gate, so the best baseline serves and the record says why.
    assert record.served == record.gate.best_baseline != STRICTLY_JUDGED
    assert "at least 12 are needed" in " ".join(record.reasons)

    forecast, cells = chain.forecast(DAY), len(record.covered)
    assert set(RISK_SCHEMA.names) | {"candidate", "baseline_historical_mean"} <= set(forecast.column_names)
    horizons = {name: at_horizon(forecast, name) for name in ("day", "1h", "2h", "4h", "6h", "12h")}
    assert {name: table.num_rows for name, table in horizons.items()} == dict.fromkeys(horizons, cells)
    day = horizons["day"]
    assert day["starts_utc"][0].as_py() == datetime(2024, 1, 21, 5, tzinfo=UTC)
    low, p, high, expected = (day[name].to_numpy() for name in ("low", "probability", "high", "expected"))
    assert ((low <= p) & (p <= high) & (expected >= p - 1e-12)).all()
    np.testing.assert_array_equal(p, day[f"baseline_{record.served}"].to_numpy())
    np.testing.assert_allclose(sum(day[f"type_{code}"].to_numpy() for code in range(3)), 1)
    assert (horizons["12h"]["probability"].to_numpy() >= horizons["1h"]["probability"].to_numpy()).all()

    partition = day_partition("risk_forecasts", CITY, DAY)
    hourly = chain.store.read_table(partition, "hourly.parquet")
    assert hourly.schema.remove_metadata() == HOURLY_SCHEMA
    assert hourly.num_rows == 36 * cells
    of_day = hourly.filter(pa.array(hourly["starts_utc"].to_numpy() < np.datetime64("2024-01-22T05")))
    assert of_day["expected"].to_numpy().sum() == pytest.approx(expected.sum())
    top = chain.store.read_table(partition, "top_locations.parquet").to_pylist()
    assert [row["rank"] for row in top] == list(range(1, 21))
    assert top[0]["probability"] == p.max()
    assert "odds x" in top[0]["why"]
    geojson = json.loads(chain.store.read_bytes(partition, "risk.geojson"))
    assert len(geojson["features"]) == cells

    plan = chain.store.read_table(day_partition("patrol_plans", CITY, DAY), "plan.parquet").to_pylist()
    assert sum(row["units"] for row in plan) == 4
    assert {row["day"] for row in plan} == {date(2024, 1, 21)}
    assert {(row["row"], row["column"]) for row in plan} <= set(record.covered)
    assert chain.store.read_bytes(day_partition("patrol_plans", CITY, DAY), "dispatch.csv").startswith(b"day,shift")

    scores = ScoreRecord.load(chain.store, CITY, DAY)
    assert scores.scores is None
    assert scores.note == "No forecast was issued on 2024-01-19, so 2024-01-20 has no score."


def test_the_next_day_is_scored_and_retrained(chain: Chain) -> None:
    day = chain.forecast(DAY)
    day = at_horizon(day, "day")
    grid = chain.store.read_table(day_partition("grid_tensors", CITY, NEXT), "grid.parquet").to_pylist()
    seen = {(row["row"], row["column"]) for row in grid}
    observed = np.array([cell in seen for cell in zip(day["row"].to_pylist(), day["column"].to_pylist(), strict=True)])
    p = day["probability"].to_numpy()
    scores = ScoreRecord.load(chain.store, CITY, NEXT)
    assert scores.scores.log_loss == pytest.approx(-np.mean(np.log(np.where(observed, p, 1 - p))))
    assert scores.scores.brier == pytest.approx(np.mean((p - observed) ** 2))
    assert scores.scores.observed_cells == observed.sum()
    assert not scores.rolling
    # One day decides nothing.
    assert not scores.rolling_gate.decided

    record = ServingRecord.load(chain.store, CITY, NEXT)
    assert record.trained
    assert record.hours.fitted_on == DAY  # a week has not gone by


def test_the_ui_plots_scores_by_day_and_lists_what_fits_on_a_line(chain: Chain) -> None:
    chain.change_city(patrol=RULES)
    result = chain.run(NEXT, ["risk_forecasts", "street_risk", "patrol_plans", "forecast_scores"])
    shown = {
        event.asset_key.to_user_string(): event.step_materialization_data.materialization
        for event in result.get_asset_materialization_events()
    }
    scores = shown["forecast_scores"].metadata
    stored = ScoreRecord.load(chain.store, CITY, NEXT)
    for name, expected in (
        ("alerts", stored.scores.observed_alerts),
        ("gain over historical_mean (nats per alert)", stored.scores.gain_over_historical_mean),
        ("log loss", stored.scores.log_loss),
    ):
        assert isinstance(scores[name], dg.FloatMetadataValue | dg.IntMetadataValue)
        assert scores[name].value == pytest.approx(expected, rel=1e-3)
    assert len([value for value in scores.values() if isinstance(value.value, float)]) <= 14
    # The UI itself plots the last 120 partition keys, which are days of the last city in the alphabet.
    assert scores["scores by day"].value.startswith("![scores_by_day](data:image/png;base64,iVBOR")
    for asset, table in (("risk_forecasts", "top_locations"), ("patrol_plans", "placements")):
        rows = shown[asset].metadata[table].records
        assert rows
        for row in rows:
            assert len(" ".join(map(str, row.data.values()))) <= 60
    for asset, files in (("risk_forecasts", ["geojson"]), ("patrol_plans", ["csv", "geojson"])):
        for file in files:
            assert Path(shown[asset].metadata[file].value).is_file()


def test_a_city_without_rules_has_an_empty_plan(chain: Chain) -> None:
    result = chain.run(DAY, ["patrol_plans"])
    [event] = result.get_asset_materialization_events()
    assert "no patrol rules" in event.step_materialization_data.materialization.metadata["note"].value
    partition = day_partition("patrol_plans", CITY, DAY)
    assert chain.store.read_table(partition, "plan.parquet").num_rows == 0
    assert not chain.store.exists(partition, "dispatch.csv")


def with_streets(folder: Path) -> Streets:
    """Streets of the tiny city: every other edge between two cells, and some in between."""
    across = [shapely.LineString([(-77.06, y), (-77.0, y)]) for y in np.linspace(38.883, 38.927, 8)]
    along = [shapely.LineString([(x, 38.88), (x, 38.93)]) for x in np.linspace(-77.056, -77.004, 10)]
    names = [f"{number}th St" for number in range(8)] + [f"{letter} Ave" for letter in "ABCDEFGHIJ"]
    geopandas.GeoDataFrame({"name": names}, geometry=across + along, crs=4326).to_parquet(folder / "streets.parquet")
    return Streets(path=folder / "streets.parquet", name="name")


def test_streets_are_ranked_by_day_and_shift_and_add_up_to_the_cells(chain: Chain, tmp_path: Path) -> None:
    chain.change_city(patrol=RULES, streets=with_streets(tmp_path))
    result = chain.run(DAY, ["street_risk"])
    partition = day_partition("street_risk", CITY, DAY)
    table = chain.store.read_table(partition, "street_risk.parquet")
    assert table.schema.remove_metadata() == STREET_SCHEMA
    by_shift = {
        shift: table.filter(pc.is_null(table["shift"]) if shift is None else pc.equal(table["shift"], shift))
        for shift in (None, "evening", "night")
    }
    assert sum(rows.num_rows for rows in by_shift.values()) == table.num_rows
    low, p, high, expected = (table[name].to_numpy() for name in ("low", "probability", "high", "expected"))
    assert ((low <= p) & (p <= high) & (p <= expected + 1e-12) & (p > 0)).all()
    record = StreetRecord.model_validate_json(chain.store.read_bytes(partition, "record.json"))
    of_cells = at_horizon(chain.forecast(DAY), "day")["expected"].to_numpy().sum()
    assert record.expected_alerts + record.expected_on_no_street == pytest.approx(of_cells)
    assert by_shift[None]["expected"].to_numpy().sum() == pytest.approx(record.expected_alerts)
    hourly = chain.store.read_table(day_partition("risk_forecasts", CITY, DAY), "hourly.parquet")
    evening = hourly.filter(
        pc.and_(
            pc.greater_equal(hourly["starts_utc"], pa.scalar(datetime(2024, 1, 21, 21, tzinfo=UTC))),
            pc.less(hourly["starts_utc"], pa.scalar(datetime(2024, 1, 22, 5, tzinfo=UTC))),
        )
    )
    share_on_streets = record.expected_alerts / of_cells
    assert by_shift["evening"]["expected"].to_numpy().sum() == pytest.approx(
        evening["expected"].to_numpy().sum() * share_on_streets, rel=0.02
    )
    top = chain.store.read_table(partition, "top_streets.parquet").to_pylist()
    assert [row["rank"] for row in top] == list(range(1, 51))
    assert top[0]["probability"] == by_shift[None]["probability"].to_numpy().max()
    assert "between" in top[0]["name"] or " at " in top[0]["name"]
    assert "of the alerts of R" in top[0]["why"]
    lines = json.loads(chain.store.read_bytes(partition, "top_streets.geojson"))["features"]
    assert [line["properties"]["name"] for line in lines] == [row["name"] for row in top]
    assert {line["geometry"]["type"] for line in lines} == {"LineString"}
    assert -77.06 <= lines[0]["geometry"]["coordinates"][0][0] <= -77.0
    [event] = result.get_asset_materialization_events()
    shown = event.step_materialization_data.materialization.metadata
    assert shown["map"].value.startswith("![map](data:image/png;base64,iVBOR")
    assert len(shown["top_streets"].records) == 50


def test_ranked_streets_are_scored_on_their_day(chain: Chain, tmp_path: Path) -> None:
    chain.change_city(patrol=RULES, streets=with_streets(tmp_path))
    for day in (DAY, NEXT):
        chain.run(day, ["street_risk"])
    last = NEXT + timedelta(days=1)
    result = chain.run(last, ["street_scores"])
    record = StreetScoreRecord.load(chain.store, CITY, last)
    assert (record.note, record.lead) == ("", 1)
    table = chain.store.read_table(day_partition("street_risk", CITY, NEXT), "street_risk.parquet")
    of_day = table.filter(pc.is_null(table["shift"]))
    p, mean = (of_day[name].to_numpy() for name in ("probability", "historical_mean"))
    assert record.scores.segments == len(p)
    assert record.scores.predicted == pytest.approx(p.sum())
    assert ((mean > 0) & (mean < 1)).all()
    assert table.filter(pc.is_valid(table["shift"]))["historical_mean"].null_count == len(table) - len(p)
    # Each alert near a street counts for one together; two on one street are one.
    cleaned = chain.store.read_table(day_partition("cleaned_alerts", CITY, last), "alerts.parquet")
    assert 0 < record.scores.observed <= len(cleaned)
    hits = record.scores.hit_rate
    assert 0 <= hits[1] <= hits[2] <= hits[5] <= 1
    assert record.scores.pai[5] == pytest.approx(20 * hits[5])
    [event] = result.get_asset_materialization_events()
    shown = event.step_materialization_data.materialization.metadata
    assert shown["hit rate in 5% of the length"].value == pytest.approx(hits[5], rel=1e-3, abs=1e-3)
    assert not record.note


def test_a_file_of_streets_that_cannot_be_used_is_told_and_holds_nothing_up(chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "streets.gpkg").write_text("no streets")
    chain.change_city(patrol=RULES, streets=Streets(path=tmp_path / "streets.gpkg", name="name"))
    result = materialize(
        ["street_risk", "patrol_plans"],
        resources(str(chain.root), cities=chain.cities),
        instance=chain.instance,
        partition_key=f"{CITY}|{DAY}",
    )
    assert result.success
    [check] = result.get_asset_check_evaluations()
    assert not check.passed
    assert f"City {CITY}, streets: {tmp_path / 'streets.gpkg'} cannot be read" in check.description
    plan = chain.store.read_table(day_partition("patrol_plans", CITY, DAY), "plan.parquet")
    assert plan["units"].to_numpy().sum() == 4


def test_a_city_that_publishes_days_only_has_no_horizons(bare: Chain) -> None:
    bare.change_city(time_precision="day", patrol=RULES)
    # Fewer days, as it is trained once more.
    assert bare.run(date(2023, 11, 5)).success
    record = ServingRecord.load(bare.store, CITY, date(2023, 11, 5))
    assert set(record.hours.without) == {"hourly_stack", "next_minutes", "gunshot_types"}
    forecast = bare.forecast(date(2023, 11, 5))
    assert set(forecast["horizon"].to_pylist()) == {"day"}
    assert forecast["type_0"].null_count == forecast.num_rows
    hourly = bare.store.read_table(day_partition("risk_forecasts", CITY, date(2023, 11, 5)), "hourly.parquet")
    np.testing.assert_allclose(
        hourly["expected"].to_numpy().reshape(36, -1), [forecast["expected"].to_numpy() / 24] * 36
    )
    plan = bare.store.read_table(day_partition("patrol_plans", CITY, date(2023, 11, 5)), "plan.parquet")
    assert plan["units"].to_numpy().sum() == 4


def test_nothing_after_the_issue_date_is_used(bare: Chain, chain: Chain) -> None:
    expected = chain.forecast(DAY)
    for later in (NEXT, DAY + timedelta(days=2)):
        chain.swap_grids(later, date(2023, 7, 4))
    chain.run(DAY, ["risk_forecasts"])
    assert chain.forecast(DAY).equals(expected)
    chain.swap_grids(DAY, date(2023, 7, 4))
    chain.run(DAY, ["risk_forecasts"])
    assert not chain.forecast(DAY).equals(expected)


def test_an_earlier_day_made_again_knows_nothing_of_later_ones(chain: Chain) -> None:
    before, later = (ServingRecord.load(chain.store, CITY, day) for day in (DAY, NEXT))
    chain.run(DAY, ["live_models"])
    again = ServingRecord.load(chain.store, CITY, DAY)
    for name in ("served", "validation", "covered", "data_sha256", "gate", "level"):
        assert getattr(again, name) == getattr(before, name), name
    # What later days point to is still whole.
    assert later.next_day.fitted_on == NEXT
    assert later.hours.fitted_on == DAY
    chain.run(NEXT, ["risk_forecasts"])


def test_retraining_by_cadence(chain: Chain) -> None:
    chain.change_city(retraining="weekly")
    chain.run(NEXT, ["live_models", "risk_forecasts"])
    record = ServingRecord.load(chain.store, CITY, NEXT)
    assert (record.trained, record.last_trained, record.next_day.fitted_on) == (False, DAY, DAY)
    assert record.reasons == (f"Not retrained (weekly): last on {DAY}.",)


def test_models_of_other_inputs_are_not_kept_in_force(chain: Chain) -> None:
    [file] = chain.root.glob(f"live_models/*/date={DAY}/residual_boosting-*.model.json")
    record = ServingRecord.load(chain.store, CITY, DAY)
    names = json.loads(file.read_bytes())["regression"]["names"]
    assert list(record.inputs[: len(names)]) == names

    chain.change_city(retraining="weekly", time_precision="day")
    chain.run(NEXT, ["live_models", "risk_forecasts"])
    record = ServingRecord.load(chain.store, CITY, NEXT)
    assert record.reasons[0] == "Retrained, as the inputs differ from those that the models in force were fitted on."
    assert (record.next_day.fitted_on, record.hours.fitted_on) == (NEXT, NEXT)
    assert set(record.hours.without) == {"hourly_stack", "next_minutes", "gunshot_types"}
    assert record.inputs == input_names(chain.cities[CITY]) != input_names(CITIES[CITY])
    chain.run(NEXT + timedelta(days=1), ["live_models"])
    assert not ServingRecord.load(chain.store, CITY, NEXT + timedelta(days=1)).trained


def test_a_forecast_by_models_of_other_inputs_says_what_to_do(chain: Chain) -> None:
    chain.change_city(time_precision="day")
    says = (
        rf"{CITY}\|{DAY}, models of {DAY}: .*other inputs.* Materialise live_models for {CITY}\|{DAY} with `retrain` on"
    )
    with pytest.raises(OtherInputsError, match=says):
        chain.run(DAY, ["risk_forecasts"])
    chain.run(DAY, ["live_models"], retrain=True)
    chain.run(DAY, ["risk_forecasts"])


def test_weekly_trains_once_in_seven_days(chain: Chain) -> None:
    chain.change_city(retraining="weekly")
    week = [DAY + timedelta(days=at) for at in range(1, 8)]
    assert run_days(CITY, str(week[2]), str(week[-1]), resources(str(chain.root)), chain.instance).success
    for day in week:
        chain.run(day, ["live_models"])
    records = [ServingRecord.load(chain.store, CITY, day) for day in week]
    assert [record.trained for record in records] == [False] * 6 + [True]
    assert {(record.next_day.fitted_on, record.reasons) for record in records[:-1]} == {
        (DAY, (f"Not retrained (weekly): last on {DAY}.",))
    }
    assert (records[-1].next_day.fitted_on, records[-1].hours.fitted_on) == (week[-1], week[-1])
    assert records[-1].reasons[0] == f"Retrained, a week after {DAY}."


def test_rolled_back_by_hand(chain: Chain) -> None:
    assert ServingRecord.load(chain.store, CITY, NEXT).next_day.fitted_on == NEXT
    chain.run(NEXT, ["live_models", "risk_forecasts"], serve_from=str(DAY))
    record = ServingRecord.load(chain.store, CITY, NEXT)
    assert (record.next_day.fitted_on, record.next_day.version) == (
        DAY,
        ServingRecord.load(chain.store, CITY, DAY).next_day.version,
    )
    assert record.reasons == (f"Rolled back by hand to the models in force after {DAY}.",)
    with pytest.raises(ValueError, match=rf"{CITY}\|{DAY}: serve_from is {NEXT}; name a day before {DAY}"):
        chain.run(DAY, ["live_models"], serve_from=str(NEXT))


def test_by_default_a_stack_serves_and_says_whom_it_trusts(chain: Chain) -> None:
    chain.change_city(serves=None, retraining="weekly")
    chain.run(NEXT, ["live_models", "risk_forecasts", "forecast_scores"])
    record = ServingRecord.load(chain.store, CITY, NEXT)
    # What another candidate left in the store is read, and replaced.
    assert record.reasons[0] == f"Retrained, as stack is to serve instead of {STRICTLY_JUDGED}."
    assert (record.served, record.candidate) == ("stack", "stack")
    trust = record.next_day.models["stack"].settings
    assert set(trust["weights"]) == set(StackSettings().members)
    assert f"Weights: {trust['in_words']}." in record.reasons
    # Members are stored once, within the stack.
    assert set(record.next_day.models) == {"stack", "alert_counts"}

    day = at_horizon(chain.forecast(NEXT), "day")
    np.testing.assert_array_equal(day["probability"].to_numpy(), day["candidate"].to_numpy())
    shown = {name.removeprefix("baseline_") for name in day.column_names if name.startswith("baseline_")}
    assert shown == {name for name in trust["weights"] if name in BASELINES}
    top = chain.store.read_table(day_partition("risk_forecasts", CITY, NEXT), "top_locations.parquet").to_pylist()
    assert "odds x" in top[0]["why"]


def test_a_stack_whose_files_are_not_whole_does_not_serve(chain: Chain) -> None:
    chain.change_city(serves=None)
    chain.run(NEXT, ["live_models"])
    [file] = chain.root.glob(f"live_models/*/date={NEXT}/stack-*.gradient_boosting.trees.txt")
    file.unlink()
    with pytest.raises(ValueError, match=rf"files of stack-.* of {CITY}\|{NEXT} are not those"):
        chain.run(NEXT, ["risk_forecasts"])


def test_a_late_day_changes_the_scores_that_saw_it(chain: Chain) -> None:
    before = ScoreRecord.load(chain.store, CITY, NEXT)
    chain.swap_grids(NEXT, date(2023, 7, 4))
    chain.run(NEXT, ["forecast_scores"])
    after = ScoreRecord.load(chain.store, CITY, NEXT)
    assert after.scores.observed_alerts > before.scores.observed_alerts


def test_a_nowcast_uses_what_today_has_had_so_far(chain: Chain) -> None:
    def cast(now: str) -> pa.Table:
        materialize(
            ["nowcasts"],
            resources(str(chain.root)),
            instance=chain.instance,
            partition_key=CITY,
            run_config={"ops": {"nowcasts": {"config": {"now": now}}}},
        )
        return chain.store.read_table(Partition("nowcasts", CITY), "forecast.parquet")

    # The city's stored days end on the 22nd, so the source is asked for the 23rd.
    early, late = cast("2024-01-23T02:30:00-05:00"), cast("2024-01-23T22:30:00-05:00")
    assert early.schema == RISK_SCHEMA
    assert early["starts_utc"][0].as_py() == datetime(2024, 1, 23, 8, tzinfo=UTC)
    assert late["starts_utc"][0].as_py() == datetime(2024, 1, 24, 4, tzinfo=UTC)
    assert not np.allclose(early["probability"].to_numpy(), late["probability"].to_numpy())
    nowcast = json.loads(chain.store.read_bytes(Partition("nowcasts", CITY), "record.json"))
    assert nowcast["alerts_since_midnight"] > 0
    record = ServingRecord.load(chain.store, CITY, date.fromisoformat(nowcast["models_from"]))
    trusted = {horizon: own["in_words"] for horizon, own in record.hours.models["hourly_stack"].settings.items()}
    assert nowcast["weights"] == trusted
    minutes = chain.store.read_table(Partition("nowcasts", CITY), "minutes.parquet")
    assert minutes.schema == MINUTES_SCHEMA
    assert set(minutes["horizon"].to_pylist()) == {"15m", "30m", "60m"}
    assert set(minutes["starts_utc"].to_pylist()) == {datetime(2024, 1, 24, 3, 30, tzinfo=UTC)}
    by_horizon = (
        minutes.group_by("horizon", use_threads=False)
        .aggregate([("probability", "sum")])["probability_sum"]
        .to_pylist()
    )
    assert by_horizon == sorted(by_horizon)
    assert nowcast["without_minutes"] == ""
    assert "next_hours" in trusted["4h"]


def test_the_nowcasts_of_a_day_are_scored_by_what_came(chain: Chain) -> None:
    day = date(2024, 1, 22)
    for hour in (8, 19):
        materialize(
            ["nowcasts"],
            resources(str(chain.root)),
            instance=chain.instance,
            partition_key=CITY,
            run_config={"ops": {"nowcasts": {"config": {"now": f"{day}T{hour:02}:30:00-05:00"}}}},
        )
    chain.run(day, ["nowcast_scores"])
    record = NowcastScoreRecord.load(chain.store, CITY, day)
    cleaned = chain.store.read_table(Partition("cleaned_alerts", CITY, "date", day), "alerts.parquet")
    begun = pc.sum(pc.equal(cleaned["incident_id"], cleaned["user_id"])).as_py()
    assert (record.nowcasts, record.incidents) == (2, begun)
    assert {length: scores.nowcasts for length, scores in record.scores.items()} == {"15m": 2, "30m": 2, "60m": 2}
    assert 0 < record.scores["15m"].expected < record.scores["60m"].expected


def test_a_poller_makes_a_nowcast_of_new_alerts_and_one_on_the_hour(chain: Chain) -> None:
    city, at = CITIES[CITY], [datetime.fromisoformat("2024-01-23T22:30:00-05:00")]
    poller = NowcastPoller(city, lambda: chain.store, lambda: [SimulatedSource(city)], lambda: at[0])
    cast, seen = poller.poll(Snapshot())
    assert cast is not None
    days = days_to_read(chain.store, city, at[0])
    until_now = history_until(chain.store, [SimulatedSource(city)], city, at[0])
    record = record_in_force(chain.store, city, at[0])
    by_hand = nowcast(record, record.loaded(chain.store), until_now, at[0])
    assert days[-1] == date(2024, 1, 23)
    assert cast.minutes.equals(by_hand.minutes)
    assert cast.table.equals(by_hand.table)
    assert poller.poll(seen) == (None, seen)
    at[0] += timedelta(minutes=45)
    later, seen_later = poller.poll(seen)
    assert later is not None
    assert seen_later.rows == seen.rows
    assert later.minutes["starts_utc"][0].as_py() == at[0]


def test_what_is_missing_is_named(bare: Chain, chain: Chain) -> None:
    bare.run(DAY, ["risk_forecasts"])
    nothing = load_record(bare.store, CITY, DAY)
    assert isinstance(nothing, NoForecast)
    assert f"{CITY}|{DAY} has no live models" in nothing.no_forecast
    with pytest.raises(MissingPartitionsError, match=r"grid_tensors of tiny_city lacks .*2024-01-23"):
        bare.run(date(2024, 1, 23), ["live_models"])
    with pytest.raises(BeforeStartError, match=r"landing_city\|2024-02-01 is before"):
        materialize(["live_models"], resources(str(bare.root)), partition_key="landing_city|2024-02-01")
    [file] = chain.root.glob(f"live_models/*/date={DAY}/historical_mean-*.json")
    file.write_bytes(b"{}")
    with pytest.raises(ValueError, match=rf"materialise live_models for {CITY}\|{DAY} again"):
        chain.run(DAY, ["risk_forecasts"])


class Ticks:
    """Automation of the live chain, tick by tick; materialisations are reported, not run."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: Any = None

    def report(self, asset: str, day: str, version: str) -> None:
        tags = {"dagster/data_version": version}
        event = dg.AssetMaterialization(asset, partition=f"{CITY}|{day}", tags=tags)
        self.instance.report_runless_asset_event(event)

    def tick(self, now: datetime) -> set[tuple[str, str]]:
        """(asset, day) of what is asked for, which is then reported as made."""
        result = dg.evaluate_automation_conditions(
            DEFINITIONS, self.instance, cursor=self.cursor, evaluation_time=now,
            asset_selection=dg.AssetSelection.assets(*LIVE),
        )  # fmt: skip
        self.cursor = result.cursor
        asked = {
            (asset.key.to_user_string(), key.split("|")[1])
            for asset in result.results
            for key in result.get_requested_partitions(asset.key)
            if key is not None and key.startswith(f"{CITY}|")
        }
        for asset, day in sorted(asked):
            self.report(asset, day, f"{asset} at {now}")
        return asked


def test_automation_issues_once_and_scores_again(instance: dg.DagsterInstance) -> None:
    ticks, now = Ticks(instance), datetime(2024, 1, 21, 12, tzinfo=UTC)
    for back in range(28):
        ticks.report("grid_tensors", str(DAY - timedelta(days=back + 1)), "first")
    for asset in ("live_models", "risk_forecasts", "street_risk", "patrol_plans"):
        ticks.report(asset, "2024-01-19", "first")
    assert ticks.tick(now) == set()
    # The day lands: everything of it is asked for in one tick, so that one run makes it.
    ticks.report("grid_tensors", "2024-01-20", "first")
    everything = ("live_models", "risk_forecasts", "street_risk", "patrol_plans", "forecast_scores")
    assert ticks.tick(now + timedelta(minutes=1)) == {(asset, "2024-01-20") for asset in everything}
    assert ticks.tick(now + timedelta(minutes=2)) == set()
    # A correction of the day before: what was issued on past days stays. The latest forecast, whose outcome is not known
    # yet, is issued anew, and the scores that saw the day are made again.
    ticks.report("grid_tensors", "2024-01-19", "corrected")
    asked = ticks.tick(now + timedelta(minutes=3))
    assert {day for asset, day in asked if asset in ("live_models", "risk_forecasts")} == {"2024-01-20"}
    assert ("forecast_scores", "2024-01-20") in asked
    # The next day it is past, and a correction of it issues nothing for it.
    ticks.report("grid_tensors", "2024-01-21", "first")
    ticks.tick(now + timedelta(days=1))
    ticks.tick(now + timedelta(days=1, minutes=1))
    ticks.report("grid_tensors", "2024-01-20", "corrected")
    asked = ticks.tick(now + timedelta(days=1, minutes=2))
    assert {day for asset, day in asked if asset in ("live_models", "risk_forecasts")} == {"2024-01-21"}
    assert {day for asset, day in asked if asset == "forecast_scores"} == {"2024-01-20", "2024-01-21"}
