import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from shotspotter_assets.models import forecaster_registry
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import forecaster
from shotspotter_assets.models.tuning.search import TuningTask, open_study, search
from shotspotter_assets_tests.models.histories import TEST, TRAIN, VALIDATION, build, history

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "new_forecaster.md"
FILE, SETTINGS, ROW = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> str:
    names = dict(forecaster_registry.__dict__)
    exec(SETTINGS, names)
    monkeypatch.setattr(forecaster_registry, "MixedMeanSettings", names["MixedMeanSettings"], raising=False)
    monkeypatch.setattr(forecaster_registry, "FORECASTERS", forecaster_registry.FORECASTERS | eval(f"{{{ROW}}}", names))
    module = ModuleType(f"{forecaster_registry.MODELS}.next_day.mixed_mean")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(FILE, module.__dict__)
    return "mixed_mean"


def test_guide_adds_a_forecaster_that_is_fitted_and_stored(name: str) -> None:
    fitted = forecaster(name).fit(history(), TRAIN, VALIDATION)
    forecast = fitted.predict(history(), TEST)
    rate = history().observed[: VALIDATION.stop].mean()
    np.testing.assert_allclose(forecast[0], (history().observed[: VALIDATION.stop].mean(axis=0) + rate) / 2)
    np.testing.assert_array_equal(forecaster(name).load(fitted.files()).predict(history(), TEST), forecast)


def test_guide_adds_a_setting_that_is_searched(name: str) -> None:
    entry = forecaster_registry.find(name)
    task = TuningTask(name, entry.settings(), history().through(VALIDATION.stop), TRAIN, VALIDATION, FitContext())
    study = open_study(task, None, 0)
    search(task, study, 4, 1.0, 1)
    assert entry.is_searched
    assert len({trial.value for trial in study.trials}) == 4


def test_guide_adds_a_member_of_the_stack(name: str) -> None:
    stack = build("stack", members=["residual_boosting", name]).fit(history(), TRAIN, VALIDATION)
    assert list(stack.members) == ["residual_boosting", name]
