from datetime import timedelta

import numpy as np
import pytest

from shotspotter_assets.calendar.local_time import ONE_DAY, days_between
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.daily_inputs import names_of_inputs, next_day_inputs
from shotspotter_assets.models.next_minutes.incident_points import Incidents
from shotspotter_assets.models.records import TrainingRecord
from shotspotter_assets.serving.stored_alerts import NO_ALERTS
from shotspotter_assets.serving.training import live_windows, train_fold, train_live
from shotspotter_assets_tests.models.hours import VALIDATION, counts, stored
from shotspotter_assets_tests.serving.town import TOWN


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
