import json
import shutil
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shotspotter_assets.alerts.days.days_in_words import long_day
from shotspotter_assets.cities.layers import Streets
from shotspotter_assets.cities.patrol_rules import PatrolRules, Shift
from shotspotter_assets.cities.publication import NowcastRules, Publication
from shotspotter_assets.city_files import Cities
from shotspotter_assets.forecasts.issued_forecasts import load_record
from shotspotter_assets.forecasts.issued_scores import ScoreRecord
from shotspotter_assets.forecasts.nowcast_scores import NowcastScoreRecord
from shotspotter_assets.forecasts.nowcasting import Nowcaster, RefittedHours
from shotspotter_assets.forecasts.serving_record import ServingRecord
from shotspotter_assets.forecasts.street_ranking import StreetScoreRecord
from shotspotter_assets.models.forecaster import OtherInputsError
from shotspotter_assets.models.forecaster_registry import BASELINES, StackSettings
from shotspotter_assets.storage import catalogue
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.errors import MissingPartitionsError
from shotspotter_assets.storage.lineage import Origin, read_lineage, record_lineage
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import StoredTable
from shotspotter_assets_tests.defs.chain import copy_days, materialize, resources, with_city
from shotspotter_assets_tests.forecasts.street_town import lattice
from shotspotter_assets_tests.instances import instance_in_memory

CITY = "tiny_city"
DAY = date(2024, 1, 20)
NEXT = DAY + timedelta(days=1)
LIVE = ("live_models", "risk_forecasts", "street_risk", "patrol_plans", "forecast_scores")
CANDIDATE = "residual_boosting"
"""A candidate that has to be shown to be better than the best baseline; the stack, which serves by default, need not."""
RULES = PatrolRules(
    shifts=(Shift(name="evening", start=16, end=0, units=2), Shift(name="night", start=20, end=4, units=2))
)


class Chain:
    def __init__(self, root: Path, instance: dg.DagsterInstance, **changes: Any) -> None:
        self.root = root
        self.instance = instance
        self.store = Store(str(root))
        self.change_city(**changes)

    def change_city(self, **changes: Any) -> None:
        usual = {"serves": CANDIDATE, "retraining": "weekly", "patrol": RULES}
        self.cities: Cities = with_city(CITY, **usual | changes)

    def run(self, day: date, assets: Sequence[str] = LIVE, **config: Any) -> dg.ExecuteInProcessResult:
        on = resources(str(self.root), cities=self.cities)
        ops = {"live_models": config} if "live_models" in assets else {}
        return materialize(CITY, assets, on, checks=(), instance=self.instance, partition_key=str(day), config=ops)

    def nowcast(self, now: str, **refit: bool) -> pa.Table:
        on = resources(str(self.root), cities=self.cities)
        config = {"nowcasts": {"now": now, **refit}}
        materialize(CITY, ["nowcasts"], on, instance=self.instance, config=config)
        return self.store.read_table(catalogue.NOWCAST_HOURS, CITY)

    def read(self, file: StoredTable, day: date) -> pa.Table:
        return self.store.read_table(file, CITY, day)

    def forecast(self, day: date) -> pa.Table:
        return self.read(catalogue.FORECAST, day)

    def models(self, day: date) -> ServingRecord:
        return ServingRecord.load(self.store, CITY, day)

    def swap_grids(self, one: date, other: date) -> None:
        folder = self.root / "grid_tensors" / f"city={CITY}"
        content = (folder / f"date={other}" / "grid.parquet").read_bytes()
        (folder / f"date={one}" / "grid.parquet").write_bytes(content)
        record_lineage(self.store, "grid_tensors", CITY, {one: Origin(f"the counts of {other}")})


@pytest.fixture(scope="module")
def three_days(tiny_city_days: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_days(tiny_city_days, tmp_path_factory.mktemp("made") / "store", str(DAY + timedelta(days=2)))


@pytest.fixture(scope="module")
def issued(three_days: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with models, forecasts, plans and scores of `DAY` and of the day after it."""
    root = tmp_path_factory.mktemp("issued") / "store"
    shutil.copytree(three_days, root)
    with instance_in_memory(root.parent) as instance:
        for day in (DAY, NEXT):
            assert Chain(root, instance).run(day).success
    return root


@pytest.fixture
def chain(issued: Path, tmp_path: Path, instance: dg.DagsterInstance) -> Chain:
    shutil.copytree(issued, tmp_path / "store")
    return Chain(tmp_path / "store", instance)


@pytest.fixture
def bare(three_days: Path, tmp_path: Path, instance: dg.DagsterInstance) -> Chain:
    shutil.copytree(three_days, tmp_path / "bare")
    return Chain(tmp_path / "bare", instance)


def at_horizon(forecast: pa.Table, horizon: str) -> pa.Table:
    return forecast.filter(pc.equal(forecast["horizon"], horizon))


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    return {
        event.asset_key.path[-1]: {
            name: value.records if isinstance(value, dg.TableMetadataValue) else value.value
            for name, value in event.step_materialization_data.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
    }


def test_a_day_trains_models_and_says_which_of_them_serves(chain: Chain) -> None:
    record = chain.models(DAY)
    assert record.trained
    assert record.validation == (DAY - timedelta(days=67), DAY)  # a third of the days
    # Ten weeks are too few for the gate, so the best baseline serves and the record says why.
    assert record.served == record.gate.best_baseline != CANDIDATE
    assert "at least 12 are needed" in " ".join(record.reasons)


def test_a_forecast_has_a_row_for_each_horizon_and_covered_cell(chain: Chain) -> None:
    record = chain.models(DAY)
    forecast = chain.forecast(DAY)
    cells = len(record.covered)
    assert set(catalogue.FORECAST.schema.names) | {"candidate", "model_historical_mean"} <= set(forecast.column_names)
    horizons = {name: at_horizon(forecast, name) for name in ("day", "1h", "2h", "4h")}
    assert {name: table.num_rows for name, table in horizons.items()} == dict.fromkeys(horizons, cells)
    day = horizons["day"]
    assert day["starts_utc"][0].as_py() == datetime(2024, 1, 21, 5, tzinfo=UTC)
    low, p, high = (day[name].to_numpy() for name in ("low", "probability", "high"))
    assert ((low <= p) & (p <= high)).all()
    np.testing.assert_array_equal(p, day[f"model_{record.served}"].to_numpy())
    # Four weeks are too few to show types.
    assert "No kinds of gunfire are shown" in record.without["gunshot_types"]
    assert day["type_0"].null_count == cells
    assert (horizons["4h"]["probability"].to_numpy() >= horizons["1h"]["probability"].to_numpy()).all()


def test_hours_and_top_locations_follow_from_the_forecast(chain: Chain) -> None:
    forecast = chain.forecast(DAY)
    day = at_horizon(forecast, "day")
    hourly = chain.read(catalogue.HOURLY, DAY)
    assert hourly.schema.remove_metadata() == catalogue.HOURLY.schema
    of_day = hourly.filter(pa.array(hourly["starts_utc"].to_numpy() < np.datetime64("2024-01-22T05")))
    assert of_day["expected"].to_numpy().sum() == pytest.approx(day["expected"].to_numpy().sum())
    top = chain.read(catalogue.TOP_LOCATIONS, DAY).to_pylist()
    assert [row["rank"] for row in top] == list(range(1, 21))
    assert top[0]["probability"] == day["probability"].to_numpy().max()
    assert all(pc.all(pc.greater_equal(one["expected"], one["probability"])).as_py() for one in (forecast, hourly))
    assert "odds x" in top[0]["why"]


def test_a_plan_places_the_units_of_each_shift_in_covered_cells(chain: Chain) -> None:
    plan = chain.read(catalogue.PLAN, DAY).to_pylist()
    assert sum(row["units"] for row in plan) == 4
    assert {row["forecast_date"] for row in plan} == {NEXT}
    assert {(row["row"], row["column"]) for row in plan} <= set(chain.models(DAY).covered)


def test_the_first_day_has_no_score_but_the_reason(chain: Chain) -> None:
    scores = ScoreRecord.load(chain.store, CITY, DAY)
    assert scores.scores is None
    assert scores.note == "No forecast was issued on 2024-01-19, so 2024-01-20 has no score."


def test_the_next_day_is_scored_and_keeps_its_models(chain: Chain) -> None:
    day = at_horizon(chain.forecast(DAY), "day")
    came = {(row["row"], row["column"]) for row in chain.read(catalogue.TENSORS, NEXT).to_pylist()}
    observed = np.array([cell in came for cell in zip(day["row"].to_pylist(), day["column"].to_pylist(), strict=True)])
    p = day["probability"].to_numpy()
    record = ScoreRecord.load(chain.store, CITY, NEXT)
    assert record.scores.log_loss == pytest.approx(-np.mean(np.log(np.where(observed, p, 1 - p))))
    assert record.scores.sums == {}, "the forecast is replayed"
    assert record.flip_flop is None
    # One day decides nothing.
    assert (record.rolling, record.rolling_gate) == (None, None)
    models = chain.models(NEXT)
    assert (models.trained, models.last_trained, models.models_from) == (False, DAY, DAY)
    assert models.reasons == (f"Models of {long_day(DAY)}; retrains weekly.",)


def test_the_panel_has_scores_to_plot_short_tables_and_files(chain: Chain) -> None:
    on = resources(str(chain.root), cities=chain.cities)
    result = materialize(CITY, LIVE[1:], on, checks=["rolling_gate"], instance=chain.instance, partition_key=str(NEXT))
    shown = metadata_of(result)
    record = ScoreRecord.load(chain.store, CITY, NEXT)
    scores = shown["forecast_scores"]
    assert scores["alerts"] == record.scores.observed_alerts
    assert scores["log loss"] == pytest.approx(record.scores.log_loss, rel=1e-3)
    for asset, table in (("risk_forecasts", "top_locations"), ("patrol_plans", "placements")):
        assert shown[asset][table]
    for asset, files in (("risk_forecasts", ["geojson"]), ("patrol_plans", ["csv", "geojson"])):
        assert all(Path(shown[asset][file]).is_file() for file in files)
    [check] = result.get_asset_check_evaluations()
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert check.passed == (not record.warnings())


def test_a_city_without_rules_has_an_empty_plan(chain: Chain) -> None:
    chain.change_city(patrol=None)
    shown = metadata_of(chain.run(DAY, ["patrol_plans"]))
    assert "no patrol rules" in shown["patrol_plans"]["note"]
    assert chain.read(catalogue.PLAN, DAY).num_rows == 0


def test_streets_are_ranked_and_scored_on_their_day(chain: Chain, tmp_path: Path) -> None:
    chain.change_city(streets=lattice(tmp_path / "streets.parquet", chain.cities[CITY].box, 8, 10))
    shown = metadata_of(chain.run(DAY, ["street_risk"]))["street_risk"]
    table = chain.read(catalogue.STREETS, DAY)
    assert table.schema.remove_metadata() == catalogue.STREETS.schema
    assert set(table["shift"].to_pylist()) == {None, "evening", "night"}
    assert len(shown["top_streets"]) == 50
    shown = metadata_of(chain.run(NEXT, ["street_scores"]))["street_scores"]
    record = StreetScoreRecord.load(chain.store, CITY, NEXT)
    of_day = table.filter(pc.is_null(table["shift"]))
    assert (record.note, record.predicted) == ("", pytest.approx(of_day["probability"].to_numpy().sum()))
    assert 0 < record.observed <= chain.read(catalogue.CLEANED, NEXT).num_rows
    assert shown["log loss"] == pytest.approx(record.log_loss, rel=1e-3)


def test_an_unusable_file_of_streets_fails_its_check_and_plans_go_on(chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "streets.gpkg").write_text("no streets")
    chain.change_city(streets=Streets(path=tmp_path / "streets.gpkg", name="name"))
    on = resources(str(chain.root), cities=chain.cities)
    assets = ["street_risk", "patrol_plans"]
    result = materialize(CITY, assets, on, instance=chain.instance, partition_key=str(DAY))
    [check] = [one for one in result.get_asset_check_evaluations() if one.check_name == "streets_are_usable"]
    assert not check.passed
    assert f"City {CITY}, streets: {tmp_path / 'streets.gpkg'} cannot be read" in check.description
    assert chain.read(catalogue.PLAN, DAY)["units"].to_numpy().sum() == 4


def test_a_city_that_publishes_days_only_has_no_horizons(bare: Chain) -> None:
    day = date(2023, 11, 5)
    bare.change_city(time_precision="day")
    bare.run(day)
    assert set(bare.models(day).without) == {"hourly_stack", "next_minutes", "gunshot_types"}
    forecast = bare.forecast(day)
    assert set(forecast["horizon"].to_pylist()) == {"day"}
    assert forecast["type_0"].null_count == forecast.num_rows
    hourly = bare.read(catalogue.HOURLY, day)["expected"].to_numpy().reshape(36, -1)
    np.testing.assert_allclose(hourly, [forecast["expected"].to_numpy() / 24] * 36)
    assert bare.read(catalogue.PLAN, day)["units"].to_numpy().sum() == 4


def test_nothing_after_the_issue_date_is_used(chain: Chain) -> None:
    expected = chain.forecast(DAY)
    for later in (NEXT, DAY + timedelta(days=2)):
        chain.swap_grids(later, date(2023, 7, 4))
    chain.run(DAY, ["risk_forecasts"])
    assert chain.forecast(DAY).equals(expected)
    chain.swap_grids(DAY, date(2023, 7, 4))
    chain.run(DAY, ["risk_forecasts"])
    assert not chain.forecast(DAY).equals(expected)


def test_an_issued_forecast_stays_and_its_scores_take_corrections(chain: Chain) -> None:
    issued = load_record(chain.store, CITY, DAY)
    forecast = chain.forecast(DAY)
    in_time = issued.model_copy(update={"replayed": False, "issued_at": "2024-01-21T07:00:00+00:00"})
    content = in_time.model_dump_json().encode()
    chain.store.write_bytes(catalogue.FORECAST_RECORD, content, CITY, DAY)
    models = chain.models(DAY)
    scores = ScoreRecord.load(chain.store, CITY, NEXT)
    for day in (DAY, NEXT):
        chain.swap_grids(day, date(2023, 7, 4))
    assert read_lineage(chain.store, Asset.FORECAST_SCORES, CITY)[str(NEXT)].version, (
        "the walk-forward report follows it"
    )
    shown = metadata_of(chain.run(DAY, LIVE[:2]))
    note = shown["risk_forecasts"]["note"]
    assert note == "Left as issued at 2024-01-21T07:00:00+00:00, because 2024-01-21 has begun."
    assert shown["live_models"]["note"].startswith("Left as it is")
    assert (chain.models(DAY), chain.forecast(DAY)) == (models, forecast)
    chain.run(NEXT, ["forecast_scores"])
    assert ScoreRecord.load(chain.store, CITY, NEXT).scores.observed_alerts > scores.scores.observed_alerts


def test_models_of_other_inputs_are_refused_and_retrained(chain: Chain) -> None:
    chain.change_city(time_precision="day")
    with pytest.raises(OtherInputsError, match=f"{DAY}.*`retrain`"):
        chain.run(DAY, ["risk_forecasts"])
    chain.run(NEXT, ["live_models", "risk_forecasts"])
    record = chain.models(NEXT)
    assert record.reasons[0] == "Retrained because the inputs differ from those that the live models were fitted on."
    assert record.models_from == NEXT


def test_by_default_a_stack_serves_and_shows_its_weights(chain: Chain) -> None:
    chain.change_city(serves=None)
    chain.run(NEXT, ["live_models", "risk_forecasts", "forecast_scores"])
    record = chain.models(NEXT)
    assert record.reasons[0] == f"Retrained because stack is to serve instead of {CANDIDATE}."
    assert (record.served, record.candidate) == ("stack", "stack")
    settings = record.models["stack"].chosen
    assert set(settings["weights"]) == {*StackSettings().members} - {"network"}
    assert f"Weights: {settings['in_words']}." in record.reasons
    # Members are stored once, within the stack.
    beside = set(record.models) - {"stack", "alert_counts", "hourly_stack", "next_minutes", "gunshot_types"}
    assert not beside & set(settings["weights"])
    day = at_horizon(chain.forecast(NEXT), "day")
    np.testing.assert_array_equal(day["probability"].to_numpy(), day["candidate"].to_numpy())
    shown = {name.removeprefix("model_") for name in day.column_names if name.startswith("model_")}
    assert shown == {name for name in {*settings["weights"], *beside} if name in BASELINES}
    assert "odds x" in chain.read(catalogue.TOP_LOCATIONS, NEXT)["why"][0].as_py()

    [file] = chain.root.glob(f"live_models/*/*/date={NEXT}/stack-*.gradient_boosting.trees.txt")
    file.unlink()
    with pytest.raises(ValueError, match=r"stack-.*2024-01-21"):
        chain.run(NEXT, ["risk_forecasts"])


def test_nowcasts_use_the_day_so_far_and_are_scored(chain: Chain) -> None:
    day = date(2024, 1, 22)
    chain.change_city(nowcasts=NowcastRules(every_seconds=60), publication=Publication(days_late=0))
    early = chain.nowcast(f"{day}T02:30:00-05:00")
    late = chain.nowcast(f"{day}T22:30:00-05:00")
    assert early.schema == catalogue.NOWCAST_HOURS.schema
    assert early["starts_utc"][0].as_py() == datetime(2024, 1, 22, 8, tzinfo=UTC)
    assert late["starts_utc"][0].as_py() == datetime(2024, 1, 23, 4, tzinfo=UTC)
    assert not np.allclose(early["probability"].to_numpy(), late["probability"].to_numpy())
    assert pc.all(pc.greater_equal(late["expected"], late["probability"])).as_py()
    facts = json.loads(chain.store.read_bytes(catalogue.NOWCAST_RECORD, CITY))
    assert facts["alerts_since_midnight"] > 0
    minutes = chain.store.read_table(catalogue.NOWCAST_MINUTES, CITY)
    assert minutes.schema == catalogue.NOWCAST_MINUTES.schema
    assert set(minutes["starts_utc"].to_pylist()) == {datetime(2024, 1, 23, 3, 30, tzinfo=UTC)}
    expected = [pc.sum(at_horizon(minutes, horizon)["probability"]).as_py() for horizon in ("15m", "30m", "60m")]
    assert expected == sorted(expected)

    chain.nowcast(f"{day}T08:30:00-05:00")
    chain.run(day, ["nowcast_scores"])
    record = NowcastScoreRecord.load(chain.store, CITY, day)
    cleaned = chain.read(catalogue.CLEANED, day)
    begun = pc.sum(pc.equal(cleaned["incident_id"], cleaned["user_id"])).as_py()
    assert (record.nowcasts, record.incidents) == (3, begun)
    assert {length: scores.nowcasts for length, scores in record.scores.items()} == dict.fromkeys(record.scores, 3)
    assert 0 < record.scores["15m"].expected < record.scores["60m"].expected


def test_refitted_models_of_hours_serve_later_nowcasts_until_others_serve(chain: Chain) -> None:
    def refitted_to() -> str:
        return json.loads(chain.store.read_bytes(catalogue.NOWCAST_RECORD, CITY))["refitted_to"]

    live = {"nowcasts": NowcastRules(every_seconds=60), "publication": Publication(days_late=0)}
    chain.change_city(**live, retraining="hourly")
    late = "2024-01-22T22:30:00-05:00"
    before = chain.nowcast(late)
    assert refitted_to() == ""
    fitted = chain.nowcast(late, refit=True)
    assert refitted_to() == "2024-01-23T03:00:00+00:00"  # its running hour is not over
    assert 0 < np.abs(fitted["probability"].to_numpy() - before["probability"].to_numpy()).max() < 0.1
    assert chain.nowcast(late).equals(fitted)
    chain.nowcast("2024-01-22T21:30:00-05:00")
    assert refitted_to() == ""  # the refit has seen later alerts
    refitted = RefittedHours.load(chain.store, CITY)
    refitted.model_copy(update={"models": "of another training"}).write(chain.store)
    assert chain.nowcast(late).equals(before)
    refitted.write(chain.store)
    chain.change_city(**live)
    assert chain.nowcast(late).equals(before)


def test_a_nowcaster_issues_on_changed_rows_and_every_hour(chain: Chain) -> None:
    city = chain.cities[CITY]
    at = [datetime.fromisoformat("2024-01-23T22:30:00-05:00")]
    nowcaster = Nowcaster(city, lambda: chain.store, lambda: [city.source.open(city.site, None)], lambda: at[0])
    nowcast, inputs = nowcaster.issue("")
    assert nowcast.hours.equals(chain.nowcast(at[0].isoformat()))
    assert nowcaster.issue(inputs) == (None, inputs)
    at[0] += timedelta(minutes=45)
    later, next_inputs = nowcaster.issue(inputs)
    assert next_inputs.split()[0] == inputs.split()[0]
    assert later.minutes["starts_utc"][0].as_py() == at[0]


def test_missing_days_and_models_are_named(bare: Chain, chain: Chain) -> None:
    bare.run(DAY, ["risk_forecasts"])
    nothing = load_record(bare.store, CITY, DAY)
    assert f"{DAY} has no live models" in nothing.no_forecast
    with pytest.raises(MissingPartitionsError, match=r"grid_tensors.*tiny_city.*2024-01-23"):
        bare.run(date(2024, 1, 23), ["live_models"])
    [file] = chain.root.glob(f"live_models/*/*/date={DAY}/historical_mean-*.json")
    file.write_bytes(b"{}")
    with pytest.raises(ValueError, match=r"live_models.*2024-01-20"):
        chain.run(DAY, ["risk_forecasts"])
