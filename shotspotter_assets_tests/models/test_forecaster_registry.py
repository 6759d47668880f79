import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.city_files import CityFile, CityFileError
from shotspotter_assets.evaluation import gate
from shotspotter_assets.models import forecaster_registry
from shotspotter_assets.models import forecaster_registry as registry
from shotspotter_assets.models.forecaster import FitContext, log_losses
from shotspotter_assets.models.forecaster_registry import forecaster
from shotspotter_assets.models.history import History
from shotspotter_assets.models.tuning.search import TuningTask, open_study, search
from shotspotter_assets_tests.models.histories import (
    CITY,
    COVERED,
    TEST,
    TRAIN,
    VALIDATION,
    build,
    changed,
    context_of,
    fitted,
    history,
    mark_networks,
    silent,
)

DOCS = Path(__file__).parents[2] / "docs"
SAME_EVERY_DAY = ("never", "city_mean", "historical_mean")  # forecasters that the latest days do not move


@pytest.mark.parametrize("name", mark_networks(registry.NEXT_DAY))
def test_keeps_the_protocol(name):
    days = range(TEST.start, len(history().counts) + 1)
    model = fitted(name)
    assert registry.forecaster(name).name == name
    probability = model.predict(history(), days)
    assert (probability.shape, probability.dtype) == ((len(days), COVERED.sum()), np.float64)
    assert ((probability > 0) & (probability < 1)).all()
    assert model.validation_probability.shape == (len(VALIDATION), COVERED.sum())

    # From the days before each day alone, whichever days are asked for.
    other = model.predict(changed(history(), 275), days)
    np.testing.assert_allclose(other[:16], probability[:16], rtol=1e-5)
    if name not in SAME_EVERY_DAY:
        assert np.abs(other[16:] / probability[16:] - 1).max() > 1e-3, f"{name}: see SAME_EVERY_DAY"
    np.testing.assert_allclose(model.predict(history(), range(276, 277)), probability[16:17], rtol=1e-5)
    # Tomorrow is forecast as it would be with tomorrow counted already.
    short = history().through(276)
    np.testing.assert_allclose(model.predict(short, range(276, 277)), probability[16:17], rtol=1e-5)


def of_events(*forecast: str) -> History:
    """Robberies in the north and assaults in the south beside the alerts; forecast are some of them."""
    past = history()
    random = np.random.default_rng(1)
    rate = np.zeros((2, *COVERED.shape))
    rate[0, 3:] = 0.3
    rate[1, :3] = 0.2
    events = random.poisson(rate * COVERED, (len(past.counts), *rate.shape)).astype(np.uint16)
    kinds = {"robbery": ("ROBBERY",), "assault": ("ASSAULT",)}
    changes = {"event_types": kinds, "targets": {"target": forecast or ("gunshots",)}}
    city = CityFile.model_validate(CITY.model_dump() | changes)
    return History(city, past.first_day, np.concatenate([past.counts, events], axis=1), COVERED)


@pytest.mark.parametrize("name", ["ewma", "gradient_boosting", "residual_boosting"])
def test_forecasts_other_events(name):
    robberies = of_events("robbery")
    probability = build(name).fit(robberies, TRAIN, VALIDATION).predict(robberies, TEST)
    assert probability.shape == (len(TEST), COVERED.sum())
    north = np.nonzero(COVERED)[0] >= 3
    assert probability[:, north].mean() > 2 * probability[:, ~north].mean()
    assert probability.mean() == pytest.approx(robberies.observed[TRAIN].mean(), rel=0.6)


@pytest.mark.parametrize("name", mark_networks(registry.NEXT_DAY))
def test_at_a_longer_lead_the_days_between_are_not_used(name):
    lead = 4
    target = 280
    ahead = replace(history(), lead=lead)
    model = build(name).fit(ahead, TRAIN, VALIDATION, context_of(name))
    day = range(target, target + 1)
    probability = model.predict(ahead, day)
    unknown = changed(ahead, target - lead + 1)
    np.testing.assert_allclose(model.predict(unknown, day), probability, rtol=1e-5)
    if name not in SAME_EVERY_DAY:
        other = model.predict(changed(ahead, target - lead), day)
        assert np.abs(other / probability - 1).max() > 1e-4, f"{name}: see SAME_EVERY_DAY"
    # The forecast is of the day `lead` days after the last counted one.
    short = ahead.through(target - lead + 1)
    assert short.next_day == target
    np.testing.assert_allclose(model.predict(short, day), probability, rtol=1e-5)


@pytest.mark.parametrize("name", mark_networks(registry.NEXT_DAY))
def test_a_forecaster_is_loaded_from_its_files(name):
    model = fitted(name)
    days = range(TEST.start, TEST.stop + 1)
    files = model.files()
    assert all(isinstance(content, bytes) for content in files.values())
    again = registry.forecaster(name).load(files)
    np.testing.assert_allclose(again.predict(history(), days), model.predict(history(), days), rtol=1e-5)
    assert again.chosen == model.chosen


@pytest.mark.parametrize("name", mark_networks(name for name in registry.NEXT_DAY if name != "conv_lstm"))
def test_a_fit_sees_nothing_after_its_windows(name):
    again = build(name).fit(changed(history(), VALIDATION.stop), TRAIN, VALIDATION, context_of(name))
    np.testing.assert_array_equal(again.predict(history(), TEST), fitted(name).predict(history(), TEST))


@pytest.mark.parametrize(
    "name", mark_networks(sorted({*registry.NEXT_DAY} - {"never", "city_mean", "persistence", "conv_lstm"}))
)
def test_learns_more_than_the_base_rate(name):
    observed = history().observed
    days = history().days()
    tested = np.array([day for day in TEST if str(days[day]) not in ("2021-12-31", "2022-01-01")])
    loss = log_losses(fitted(name).predict(history(), TEST)[tested - TEST.start], observed[tested]).mean()
    assert loss < log_losses(np.full(observed[tested].shape, observed[:260].mean()), observed[tested]).mean()


@pytest.mark.parametrize("name", ["regime_regression", "residual_boosting", "logistic_regression", "gradient_boosting"])
def test_refuses_a_window_with_nothing_to_learn(name):
    with pytest.raises(ValueError, match=r"targets\.gunfire: 0 of \d+"):
        build(name).fit(silent(), TRAIN, VALIDATION, context_of(name))


def test_the_gate_has_every_baseline_of_days_and_hours_and_nothing_else():
    hourly = [name for name in registry.NEXT_HOURS if registry.FORECASTERS[name].is_baseline]
    assert gate.baselines_in(pa.table({name: [0.1] for name in registry.FORECASTERS})) == [*registry.BASELINES, *hourly]


def test_fallbacks_are_baselines_other_than_the_candidate():
    assert registry.fallbacks(registry.DEFAULT_CANDIDATE) == ("historical_mean", "ewma", "ew_kde")
    assert registry.fallbacks("ewma") == ("historical_mean", "ew_kde")
    assert set(registry.fallbacks(registry.DEFAULT_CANDIDATE)) < set(registry.BASELINES)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"'oracle'.*residual_boosting"):
        registry.forecaster("oracle")


def test_a_citys_file_chooses_what_serves_and_its_settings():
    assert registry.candidate_of(CITY) == registry.DEFAULT_CANDIDATE
    city = CITY.model_copy(update={"serves": "network", "forecasters": {"network": {"epochs": 3}}})
    assert registry.candidate_of(city) == "network"
    settings = registry.FORECASTERS["network"].settings
    assert registry.city_settings(city, "network") == settings(epochs=3)
    assert registry.city_settings(city, "network", {"seed": 5}) == settings(epochs=3, seed=5)
    assert registry.city_settings(city, "residual_boosting") == registry.FORECASTERS["residual_boosting"].settings()


def of(name: str, **settings: object) -> dict[str, object]:
    return {"forecasters": {name: settings}}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"serves": "oracle"}, r"small_city\.yaml: serves: 'oracle' cannot serve \(allowed: city_mean, .*stack\)"),
        ({"serves": "never"}, "serves: 'never' cannot serve"),
        (of("conv_lstm", days=12), "conv_lstm: .*days=12 cannot be pooled down to one frame"),
        (of("oracle"), r"small_city\.yaml: forecasters: there is no 'oracle' \(allowed: never, "),
        (of("residual_boosting", trees=5), r"\.residual_boosting: trees: Extra inputs .*\(allowed: max_trees, leaves"),
        (of("residual_boosting", max_trees=15), r"residual_boosting: max_trees: .* multiple of 10$"),
        (of("stack", members=["stack", "next_hours"]), r"members: .*stack, next_hours cannot be"),
        (of("ewma", half_life=3), r"half_life: .*\(allowed: nothing\)"),
        (of("network", backbone="mamba"), r"network: backbone: .*'conv_lstm', 'convolution' or 'transformer'"),
        ({"serves": "network", "network": False}, "network: false leaves network without a model; name another"),
        ({"network": False} | of("stack", members=["network"]), "network: false leaves stack without a model"),
        (of("network", start="shared"), r"network: start: .*'nothing' or 'regression'"),
        (
            of("network", backbone="transformer"),
            "network: .*transformer reads days and needs counts among its channels",
        ),
    ],
)
def test_wrong_keys_of_a_citys_file_are_named_with_what_is_allowed(keys, message):
    with pytest.raises(CityFileError, match=message):
        registry.check_forecasters(CITY.model_copy(update=keys))


@pytest.mark.parametrize("name", registry.FORECASTERS)
def test_a_forecaster_is_searched_if_its_settings_have_a_space(name):
    entry = registry.FORECASTERS[name]
    assert entry.is_searched == bool(entry.settings.search_space()) == (name in registry.SEARCHED)


def test_documents_list_every_forecaster():
    table = (DOCS / "how-to" / "folds.md").read_text().partition("## The forecasters")[2].partition("##")[0]
    first_cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("|")]
    assert set(re.findall(r"`(\w+)`", "".join(first_cells))) == set(registry.NEXT_DAY)


def searched_settings() -> list[str]:
    rows = ["| forecaster | setting | default | from | to |", "| --- | --- | --- | --- | --- |"]
    for settings in dict.fromkeys(registry.FORECASTERS[name].settings for name in registry.SEARCHED):
        names = ", ".join(f"`{name}`" for name in registry.SEARCHED if registry.FORECASTERS[name].settings is settings)
        for key, space in settings.search_space().items():
            ends = space.choices if hasattr(space, "choices") else (space.low, space.high)
            rows.append(f"| {names} | `{key}` | {settings.model_fields[key].default:g} | {ends[0]:g} | {ends[-1]:g} |")
    return rows


def test_documents_have_the_table_of_searched_settings():
    table = (DOCS / "tuning.md").read_text().partition("## The search space\n\n")[2].partition("\n\n")[0]
    assert table.splitlines() == searched_settings()


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
