from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow.compute as pc
import pytest

from shotspotter_assets.calendar.local_time import ONE_DAY, days_between
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.daily_inputs import names_of_inputs, next_day_inputs
from shotspotter_assets.models.next_minutes.incident_points import Incidents
from shotspotter_assets.models.records import TrainingRecord
from shotspotter_assets.models.trained_models import TrainedModels
from shotspotter_assets.serving.daily_forecast import forecast_day
from shotspotter_assets.serving.issued_forecasts import Forecast
from shotspotter_assets.serving.serving_record import ServingRecord
from shotspotter_assets.serving.stored_alerts import NO_ALERTS
from shotspotter_assets.serving.training import live_windows, train_fold, train_live
from shotspotter_assets_tests.models.hours import VALIDATION, counts, stored
from shotspotter_assets_tests.serving.town import TOWN

FAST = {"stack": {"members": ["regime_regression", "ew_kde"]}}


def test_the_last_days_validate() -> None:
    def windows(days: int) -> tuple[range, range]:
        return live_windows(days_between(TOWN.start, TOWN.start + timedelta(days=days - 1)), 91)

    assert windows(1000) == (range(909), range(909, 1000))
    assert windows(150) == (range(100), range(100, 150))


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("forecast", [(), ("robbery",)])
def test_names_of_inputs_follow_from_the_city_alone(late: bool, forecast: tuple[str, ...]) -> None:
    kinds = {"robbery": ("robbery",), "calls": ("shots fired",)}
    changes = {"event_types": kinds, "forecast": forecast, "time_precision": "second" if late else "day"}
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
    windows = live_windows(town.days, 60)
    nobody = Incidents.of_alerts(NO_ALERTS, town.city)
    live, of_live = train_live(town, windows, "by hand", incidents=nobody, context=FitContext())
    fold, of_fold = train_fold(town, town.days[-1] + ONE_DAY, windows, ["stack"], context=FitContext(), config={})
    shared = live.model_dump(include=set(TrainingRecord.model_fields) - {"models", "without"})
    assert shared == fold.model_dump(include=set(shared))
    assert list(live.models) == ["stack", "historical_mean", "ewma", "alert_counts", "hourly_stack", "gunshot_types"]
    for name in live.models:
        assert of_live[f"{name}-{live.version}"] == of_fold[name]
    assert "climatology" in fold.models
    assert "50 are needed" in live.without["next_minutes"]


def test_other_crimes_have_no_gunshot_type() -> None:
    changes = {"event_types": {"robbery": ["robbery"]}, "forecast": ["robbery"]}
    robberies = np.concatenate([counts(), counts(seed=1).sum(axis=1, keepdims=True)], axis=1)[: VALIDATION.stop]
    town = stored(robberies.astype(np.uint16), **changes)
    fold, _ = train_fold(
        town, town.days[-1] + ONE_DAY, live_windows(town.days, 60), ["ewma"], context=FitContext(), config={}
    )
    assert fold.without == {"gunshot_types": "Forecasts are of robbery, which have no gunshot type."}


def served(town: CityHistory) -> tuple[ServingRecord, Forecast]:
    nobody = Incidents.of_alerts(NO_ALERTS, town.city)
    windows = live_windows(town.days, 91)
    record, files = train_live(town, windows, "by hand", incidents=nobody, context=FitContext(changes=FAST))
    models = TrainedModels.load({name.removesuffix(record.suffix): content for name, content in files.items()})
    return record, forecast_day(record, models, town)


def test_types_that_beat_the_recent_mix_are_shown_and_others_are_not() -> None:
    record, forecast = served(stored(counts()))
    assert record.types_by == "type_regression"
    assert "gunshot_types" not in record.without
    assert record.reasons[-1].startswith("Kinds of gunfire are forecast by type_regression: +0.")
    assert forecast.record.types == "Kinds of gunfire are forecast by type_regression."
    shares = [forecast.table[f"type_{code}"].to_numpy() for code in range(3)]
    np.testing.assert_allclose(sum(shares), 1)
    assert shares[0].std() > 0.05

    shuffled, random = counts(), np.random.default_rng(0)
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
    day, four = horizons["day"]["probability"].to_numpy(), horizons["4h"]["probability"].to_numpy()
    assert horizons["4h"]["starts_utc"][0] == horizons["day"]["starts_utc"][0]
    hourly = forecast.hourly["probability"].to_numpy().reshape(-1, len(day))
    np.testing.assert_allclose(1 - np.prod(1 - hourly[:4], axis=0), four)
    np.testing.assert_allclose(sum(forecast.table[f"type_{code}"].to_numpy() for code in range(3)), 1)
    assert f"so are the next hours, as the days after {town.last_known} are not known" in forecast.record.hours
