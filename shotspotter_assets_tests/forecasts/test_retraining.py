from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shotspotter_assets.alerts.days.days_in_words import long_day
from shotspotter_assets.cities.box import Grid
from shotspotter_assets.cities.folds import Folds
from shotspotter_assets.cities.local_time import ONE_DAY, days_between
from shotspotter_assets.cities.publication import Publication
from shotspotter_assets.cities.stored_settings import model_settings
from shotspotter_assets.forecasts import retraining
from shotspotter_assets.forecasts.daily_forecast import forecast_day
from shotspotter_assets.forecasts.issued_forecasts import Forecast, next_day_rows, total_of
from shotspotter_assets.forecasts.serving_record import ForecastWindow, ServingRecord
from shotspotter_assets.forecasts.training import live_windows, train_fold, train_live
from shotspotter_assets.grid.tensors import grid_schema
from shotspotter_assets.models.alert_counts import CountDistribution, short_interval
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.daily_inputs import names_of_inputs, next_day_inputs
from shotspotter_assets.models.next_hours.incident_points import NO_ALERTS, Incidents
from shotspotter_assets.models.trained_models import TrainedModel, TrainedModels, TrainingRecord
from shotspotter_assets.storage.catalogue import TENSORS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.forecasts.town import DAY, TOWN, history_to, serving_record, store_days
from shotspotter_assets_tests.models.hours import VALIDATION, counts, stored

IN_FORCE = serving_record(inputs=names_of_inputs(TOWN))
NEXT = DAY + timedelta(days=1)
BEFORE_ITS_END = datetime(2024, 6, 3, 3, 59, tzinfo=UTC)
"""A minute before the local end of the day after `DAY`."""
AFTER_ITS_END = BEFORE_ITS_END + timedelta(minutes=1)


def with_record(store: Store, record: ServingRecord) -> Store:
    record.write(store)
    return store


@pytest.mark.parametrize(
    ("cadence", "days", "reason"),
    [
        ("daily", 1, "retrained daily"),
        ("weekly", 6, ""),
        ("weekly", 7, f"retrained, a week after the models of {long_day(DAY)}"),
    ],
)
def test_models_are_trained_by_the_cadence_of_the_city(cadence: str, days: int, reason: str) -> None:
    city = TOWN.model_copy(update={"retraining": cadence})
    assert retraining.training_reason(city, DAY + timedelta(days=days), IN_FORCE) == reason


def test_new_inputs_candidates_leads_and_requests_retrain_at_any_cadence() -> None:
    assert retraining.training_reason(TOWN, NEXT, None) == "trained because no earlier day has models"
    assert retraining.training_reason(TOWN, NEXT, IN_FORCE) == ""
    assert retraining.training_reason(TOWN, NEXT, IN_FORCE, by_hand=True) == "retrained by hand"
    assert "the inputs differ" in retraining.training_reason(TOWN, NEXT, serving_record())
    other = serving_record(inputs=names_of_inputs(TOWN), gate=replace(IN_FORCE.gate, candidate="regime_regression"))
    assert retraining.outdated(TOWN, other) == "stack is to serve instead of regime_regression"
    finer = TOWN.model_copy(update={"grid": Grid(rows=8, columns=8), "forecasters": {"stack": {"members": ["ewma"]}}})
    assert retraining.outdated(finer, IN_FORCE) == "the city's file has another value of grid, forecasters"
    reason = retraining.training_reason(TOWN, NEXT, IN_FORCE, lead=3)
    assert reason == "retrained for a lead of 3 days because the live models were fitted for 1"
    assert retraining.training_reason(TOWN, NEXT, IN_FORCE.model_copy(update={"lead": 3}), lead=3) == ""


def test_models_are_retrained_if_the_rule_of_the_gate_chooses_others() -> None:
    alarm = TOWN.model_copy(update={"gate": "alarm"})
    fails = replace(IN_FORCE.gate, served="ewma")
    assert retraining.outdated(alarm, IN_FORCE) == ""
    baseline = serving_record(inputs=names_of_inputs(TOWN), served="ewma", gate=fails)
    assert retraining.outdated(TOWN, baseline) == ""
    assert retraining.outdated(alarm, baseline) == "the city's file has gate: alarm"
    anyway = serving_record(inputs=names_of_inputs(TOWN), gate=replace(IN_FORCE.gate, overruled="It serves although."))
    assert retraining.outdated(alarm, anyway) == ""
    assert retraining.outdated(TOWN, anyway) == "the city's file has gate: enforce"
    assert retraining.carried_over(anyway, history_to(NEXT)).reasons[-1] == "It serves although."


def test_beyond_the_longest_lead_nothing_is_fitted_and_the_record_says_why() -> None:
    stored = history_to(DAY, lead=15)
    assert retraining.training_reason(TOWN, stored.issue_date, IN_FORCE, lead=15) == ""
    kept = retraining.carried_over(IN_FORCE, stored)
    assert (kept.issue_date, kept.last_known, kept.lead, kept.trained) == (DAY + timedelta(days=14), DAY, 1, False)
    assert kept.reasons == (
        "Not retrained because no forecast is issued. The last known day is 2024-06-01, 15 days before 2024-06-16, and "
        "publication.longest_lead of town is 14.",
    )
    assert retraining.training_reason(TOWN, stored.issue_date, IN_FORCE, lead=14).startswith(
        "retrained for a lead of 14"
    )


def test_a_rollback_serves_models_of_an_earlier_day_and_the_same_lead(tmp_path: Path) -> None:
    store = with_record(Store(str(tmp_path)), IN_FORCE)
    later = DAY + timedelta(days=5)
    made = retraining.choose_models(store, history_to(later), FitContext(), serve_from=DAY)
    assert (made.record.issue_date, made.record.last_trained, made.record.models_from) == (later, later, DAY)
    with pytest.raises(ValueError, match=r"lead of 1 day.*lead of 3"):
        retraining.rolled_back(store, history_to(later - timedelta(days=2), 3), DAY)
    with pytest.raises(ValueError, match=r"serve_from.*2024-06-06"):
        retraining.rolled_back(store, history_to(later), later)
    for changes in ({"targets": {"gunfire": ("single gunshot",)}}, {"grid": Grid(rows=5, columns=5), "network": False}):
        with pytest.raises(ValueError, match="box, grid, targets"):
            retraining.rolled_back(store, history_to(later, 1, TOWN.model_copy(update=changes)), DAY)


def test_a_rollback_to_a_withheld_candidate_is_refused(tmp_path: Path) -> None:
    store = with_record(Store(str(tmp_path)), IN_FORCE)
    later = history_to(DAY + timedelta(days=5))
    with pytest.raises(ValueError, match=r"serve_from: Its level is off\. .*level: alarm"):
        retraining.choose_models(store, later, FitContext(), serve_from=DAY, withheld="Its level is off.")
    serving_record(inputs=names_of_inputs(TOWN), served="ewma").write(store)
    made = retraining.choose_models(store, later, FitContext(), serve_from=DAY, withheld="Its level is off.")
    assert made.record.served == "ewma"


def test_few_days_without_a_shared_model_give_no_models_and_a_reason(tmp_path: Path) -> None:
    made = retraining.choose_models(Store(str(tmp_path)), history_to(date(2024, 2, 1)), FitContext())
    assert made.record is None
    assert "32 days of history, and live models need 120" in made.why_none
    assert "from 2024-04-29 on" in made.why_none


def test_a_day_keeps_its_models_while_its_data_are_the_same(tmp_path: Path) -> None:
    stored = history_to(DAY)
    data = stored.daily(np.eye(4, dtype=bool)).data_sha256()
    same = IN_FORCE.model_copy(update={"data_sha256": data})
    store = with_record(Store(str(tmp_path)), same)
    assert retraining.reusable_record(store, stored, BEFORE_ITS_END) == same
    assert retraining.reusable_record(store, stored, AFTER_ITS_END) is None
    assert retraining.reusable_record(store, history_to(NEXT), BEFORE_ITS_END) is None
    assert retraining.reusable_record(with_record(store, IN_FORCE), stored, BEFORE_ITS_END) is None
    lost = {"stack": TrainedModel(chosen={}, files={"model.json": "aa"}, seconds_to_train=1.0)}
    with_record(store, same.model_copy(update={"models": lost}))
    assert retraining.reusable_record(store, stored, BEFORE_ITS_END) is None
    with pytest.raises(ValueError, match=r"2024-06-01.*`retrain`"):
        retraining.rolled_back(store, history_to(NEXT), DAY)
    asks_for_others = serving_record(data_sha256=data)
    assert retraining.reusable_record(with_record(store, asks_for_others), stored, BEFORE_ITS_END) is None


def test_a_late_run_uses_only_what_was_published_by_its_day(tmp_path: Path) -> None:
    city = TOWN.model_copy(update={"publication": Publication(days_late=2)})
    store = Store(str(tmp_path))
    days = days_between(city.start, DAY)
    grid = grid_schema(24, city)
    table = pa.table([pa.array([0], field.type) for field in grid], schema=grid)
    store.write_tables(TENSORS, dict.fromkeys(days, table), city.name)
    assert retraining.known_history(store, city, DAY, BEFORE_ITS_END).last_known == DAY
    late = retraining.known_history(store, city, DAY, AFTER_ITS_END)
    assert (late.last_known, late.lead, late.issue_date) == (DAY - timedelta(days=2), 3, DAY)


FAST = {"stack": {"members": ["regime_regression", "ew_kde"]}}


def test_the_last_days_validate() -> None:
    def windows(days: int) -> tuple[range, range]:
        return live_windows(days_between(TOWN.start, TOWN.start + timedelta(days=days - 1)))

    assert windows(1000) == (range(909), range(909, 1000))
    assert windows(150) == (range(100), range(100, 150))


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("forecast", [(), ("robbery",)])
def test_names_of_inputs_follow_from_the_city_alone(late: bool, forecast: tuple[str, ...]) -> None:
    kinds = {"robbery": ("robbery",), "calls": ("shots fired",)}
    changes = {
        "event_types": kinds,
        "targets": {"target": forecast or ("gunshots",)},
        "time_precision": "second" if late else "day",
    }
    town = TOWN.model_copy(update=changes)
    counts = np.random.default_rng(0).poisson(0.1, (30, 6, *town.shape))
    hours = np.ones((30, *town.shape)) if late else None
    history = History(town, town.start, counts, np.eye(4, dtype=bool), hours)
    made = next_day_inputs(history, range(10, 20)).names
    assert names_of_inputs(town) == made
    assert "log_nearby_calls_30_days" in made
    assert made != names_of_inputs(TOWN)


def test_live_models_are_those_of_a_fold_with_today_as_its_cutoff() -> None:
    town = stored(counts()[: VALIDATION.stop])
    windows = live_windows(town.days)
    nobody = Incidents.of_alerts(NO_ALERTS, town.city)
    context = FitContext()
    live, of_live = train_live(town, windows, "by hand", incidents=nobody, context=context)
    fold, of_fold = train_fold(town, town.days[-1] + ONE_DAY, windows, ["stack"], context=context, config={})
    shared = live.model_dump(include=set(TrainingRecord.model_fields) - {"models", "without"})
    assert shared == fold.model_dump(include=set(shared))
    assert list(live.models) == ["stack", "historical_mean", "ewma", "alert_counts", "hourly_stack", "gunshot_types"]
    for name in live.models:
        assert of_live[f"{name}-{live.version}"] == of_fold[name]
    assert "climatology" in fold.models
    assert "50 are needed" in live.without["next_minutes"]


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Twenty months of the town; not to be changed."""
    store = Store(str(tmp_path_factory.mktemp("months")))
    return store_days(store, TOWN.source.open(TOWN.site, None), TOWN, TOWN.start + timedelta(days=600))


@pytest.mark.parametrize(("folds", "first"), [({}, TOWN.start), ({"train": "1y", "validation": "20%"}, None)])
def test_live_models_use_the_days_that_a_fold_uses(months: Store, folds: dict[str, str], first: date | None) -> None:
    city = TOWN.model_copy(update={"folds": Folds(**folds)})
    last = TOWN.start + timedelta(days=600)
    live = retraining.known_history(months, city, last, datetime(2025, 8, 24, 12, tzinfo=UTC))
    assert live.days == CityHistory.before(months, city, last + ONE_DAY).days
    assert live.days[0] == (first or city.folds.first_day(last + ONE_DAY)) >= TOWN.start


def test_another_training_window_retrains() -> None:
    city = TOWN.model_copy(update={"folds": Folds(train="2y")})
    assert "folds" in retraining.outdated(city, IN_FORCE)
    assert retraining.outdated(city, serving_record(inputs=IN_FORCE.inputs, settings=model_settings(city))) == ""
    assert "folds" in retraining.outdated(TOWN, serving_record(inputs=IN_FORCE.inputs, settings=model_settings(city)))


def test_other_crimes_have_no_gunshot_type() -> None:
    changes = {"event_types": {"robbery": ["robbery"]}, "targets": {"robbery": ["robbery"]}}
    robberies = np.concatenate([counts(), counts(seed=1).sum(axis=1, keepdims=True)], axis=1)[: VALIDATION.stop]
    town = stored(robberies.astype(np.uint16), **changes)
    fold, _ = train_fold(
        town, town.days[-1] + ONE_DAY, live_windows(town.days), ["ewma"], context=FitContext(), config={}
    )
    assert fold.without == {"gunshot_types": "Forecasts of robbery have no kinds."}


def served(town: CityHistory) -> tuple[ServingRecord, Forecast]:
    nobody = Incidents.of_alerts(NO_ALERTS, town.city)
    windows = live_windows(town.days)
    record, files = train_live(town, windows, "by hand", incidents=nobody, context=FitContext(changes=FAST))
    models = TrainedModels.load({name.removesuffix(record.suffix): content for name, content in files.items()})
    return record, forecast_day(ForecastWindow.of(record, models, town))


@pytest.fixture(scope="module")
def usual() -> tuple[ServingRecord, Forecast]:
    return served(stored(counts()))


def test_an_issued_forecast_holds_the_distribution_of_its_total(usual: tuple[ServingRecord, Forecast]) -> None:
    town = stored(counts())
    serving, forecast = usual
    facts = total_of(forecast.table)
    total = CountDistribution.of_forecast(next_day_rows(forecast.table)).total(facts.factor_variance)
    record = forecast.record
    assert facts[:2] == (record.expected_alerts_low, record.expected_alerts_high)
    assert facts[:2] == tuple(float(end) for end in short_interval(total))
    year = town.alerts[-365:, *np.transpose(serving.covered)].sum(axis=1)
    assert facts.year_mean == pytest.approx(year.mean())


def test_types_that_beat_the_recent_mix_are_shown_and_others_are_not(usual: tuple[ServingRecord, Forecast]) -> None:
    record, forecast = usual
    assert record.types_by == "type_regression"
    assert "gunshot_types" not in record.without
    assert record.reasons[-1].startswith("Kinds of gunfire are forecast by type_regression: +0.")
    assert forecast.record.types == "Kinds of gunfire are forecast by type_regression."
    shares = [forecast.table[f"type_{code}"].to_numpy() for code in range(3)]
    np.testing.assert_allclose(sum(shares), 1)
    assert shares[0].std() > 0.05

    shuffled = counts()
    random = np.random.default_rng(0)
    typed = shuffled[:, :3].sum(axis=1, dtype=np.int64)
    shuffled[:, :3] = random.multinomial(typed, (0.3, 0.5, 0.2)).transpose(0, 3, 1, 2)
    record, forecast = served(stored(shuffled))
    assert record.types_by is None
    assert record.without["gunshot_types"] == record.reasons[-1] == forecast.record.types
    assert record.reasons[-1].startswith("No kinds of gunfire are shown")
    assert forecast.table["type_0"].null_count == len(forecast.table)


def test_hours_and_types_are_forecast_at_a_lead() -> None:
    town = replace(stored(counts()), lead=3)
    record, forecast = served(town)
    assert (record.lead, record.types_by) == (3, "type_regression")
    horizons = {
        name: forecast.table.filter(pc.equal(forecast.table["horizon"], name)) for name in ("day", "1h", "2h", "4h")
    }
    day = horizons["day"]["probability"].to_numpy()
    four = horizons["4h"]["probability"].to_numpy()
    assert horizons["4h"]["starts_utc"][0] == horizons["day"]["starts_utc"][0]
    hourly = forecast.hourly["probability"].to_numpy().reshape(-1, len(day))
    np.testing.assert_allclose(1 - np.prod(1 - hourly[:4], axis=0), four)
    np.testing.assert_allclose(sum(forecast.table[f"type_{code}"].to_numpy() for code in range(3)), 1)
    assert f"so are the next hours, because the days after {town.last_known} are not known" in forecast.record.hours
