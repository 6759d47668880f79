"""Tuned settings come into force by what later folds say, and by nothing that was not known by then."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from shotspotter_assets.evaluation.fold_report import fold_report
from shotspotter_assets.evaluation.report_files import fold_partition
from shotspotter_assets.evaluation.tuned_gain import beside, settings_in_force, tuned_uses
from shotspotter_assets.models.records import TunedUse
from shotspotter_assets.models.tuning.tuned_settings import TunedSettings, tuned_file, tuned_partition
from shotspotter_assets.storage.file_names import FOLD_FORECASTS_FILE, REPORT_FILE
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.evaluation import test_fold_report
from shotspotter_assets_tests.evaluation.cities import made_up_city
from shotspotter_assets_tests.evaluation.forecasts import forecasts_table

CITY = made_up_city()
BOOSTING = "residual_boosting"
FIRST, SECOND, THIRD, FOURTH = (date(2021, month, 1) for month in (1, 4, 7, 10))
LEAVES = {"leaves": 20}
REPORT = fold_report(**test_fold_report.arguments())[0]


def searched(store: Store, fold: date, settings: dict[str, Any], name: str = BOOSTING, city: str = CITY.name) -> None:
    """A search of that fold that found these settings."""
    day = fold - timedelta(days=1)
    found = TunedSettings(
        city=city, fold=fold, forecaster=name, settings=settings, loss=0.1, start_loss=0.11, gain=0.1, trials=9,
        stopped=0, failed=0, seconds=1.0, train_first=day, train_last=day, validation_first=day, validation_last=day,
        data_sha256="", key="", config={}, versions={},
    )  # fmt: skip
    store.write_bytes(tuned_partition(city, fold), tuned_file(name), found.model_dump_json().encode())


def use_of(fold: date, settings: dict[str, Any], in_force: bool = False) -> dict[str, TunedUse]:
    return {BOOSTING: TunedUse(fold=fold, settings=settings, in_force=in_force, judged_on=[], words="")}


def reported(store: Store, fold: date, tuned: dict[str, TunedUse], days: int = 90, **forecasts: float) -> None:
    """A report of that fold with forecasts that go so far of the way to the truth."""
    last = fold + timedelta(days=days - 1)
    report = REPORT.model_copy(update={"fold": fold, "test_first": fold, "test_last": last, "tuned": tuned})
    table = forecasts_table(fold, days, seed=fold.month, **forecasts)
    store.write_table(fold_partition(CITY.name, fold), FOLD_FORECASTS_FILE, table)
    store.write_bytes(fold_partition(CITY.name, fold), REPORT_FILE, report.content())


def use_before(store: Store, before: date, **more: Any) -> TunedUse | None:
    return tuned_uses(store, CITY, [BOOSTING], before, **more).get(BOOSTING)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A city whose boosting was tuned before January, and forecast with that in the next two quarters."""
    store = Store(str(tmp_path))
    searched(store, FIRST, LEAVES)
    for fold in (FIRST, SECOND):
        reported(store, fold, use_of(FIRST, LEAVES), residual_boosting=0.3, residual_boosting_tuned=0.8)
    return store


def test_settings_come_into_force_once_a_later_window_that_is_over_has_shown_that_they_are_better(store: Store) -> None:
    assert use_before(store, FIRST - timedelta(days=1)) is None
    first = use_before(store, FIRST)
    assert first is not None
    assert (first.in_force, first.judged_on, first.gain) == (False, [], None)
    assert first.words.endswith("are not in force: no later fold has been forecast with them yet.")
    # A day before the test window is over, it is not known.
    assert use_before(store, FIRST + timedelta(days=89)).judged_on == []
    second = use_before(store, SECOND)
    assert (second.in_force, second.judged_on, second.settings) == (True, [FIRST], LEAVES)
    assert 0 < second.low < second.gain < second.high
    assert f"before {FIRST} are in force: on 1 later fold they gained +" in second.words
    assert use_before(store, THIRD).judged_on == [FIRST, SECOND]
    assert settings_in_force({BOOSTING: first}) == {}
    assert settings_in_force({BOOSTING: second}) == {BOOSTING: LEAVES}


def test_what_is_fitted_beside_a_forecaster_has_the_other_settings(store: Store) -> None:
    name, settings = beside(CITY, BOOSTING, use_before(store, FIRST))
    assert (name, settings.leaves) == ("residual_boosting_tuned", 20)
    name, settings = beside(CITY, BOOSTING, use_before(store, SECOND))
    assert (name, settings.leaves) == ("residual_boosting_as_set", 7)


def test_once_in_force_they_are_judged_on_beside_those_that_are_not(store: Store) -> None:
    # In the third quarter they are in force, and worse.
    reported(store, THIRD, use_of(FIRST, LEAVES, True), residual_boosting=-2.0, residual_boosting_as_set=0.3)
    fourth = use_before(store, FOURTH)
    assert (fourth.in_force, fourth.judged_on) == (False, [FIRST, SECOND, THIRD])
    assert "the lower end must be above zero" in fourth.words


def test_settings_within_chance_or_of_too_short_a_test_are_not_in_force(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    searched(store, FIRST, LEAVES)
    reported(store, FIRST, use_of(FIRST, LEAVES), residual_boosting=0.5, residual_boosting_tuned=0.5)
    assert not use_before(store, SECOND).in_force
    reported(store, FIRST, use_of(FIRST, LEAVES), 60, residual_boosting=0.3, residual_boosting_tuned=0.8)
    short = use_before(store, SECOND)
    assert short.low > 0
    assert not short.in_force
    assert "at least 12 and 100 are needed" in short.words


def test_forecasts_with_other_settings_are_no_evidence(store: Store) -> None:
    searched(store, FIRST, {"leaves": 30})
    assert use_before(store, THIRD).judged_on == []


def test_a_later_search_replaces_an_earlier_one_only_when_it_is_shown_to_be_better(store: Store) -> None:
    searched(store, THIRD, {"leaves": 40})
    assert (use_before(store, THIRD).fold, use_before(store, THIRD).in_force) == (FIRST, True)
    reported(store, THIRD, use_of(THIRD, {"leaves": 40}), residual_boosting=0.3, residual_boosting_tuned=0.8)
    assert (use_before(store, FOURTH).fold, use_before(store, FOURTH).in_force) == (THIRD, True)
    # A search that found nothing better has nothing to be tried.
    searched(store, FOURTH, {})
    assert use_before(store, FOURTH).fold == THIRD


def test_members_of_a_stack_are_asked_for_and_what_is_set_by_hand_is_left_alone(store: Store) -> None:
    searched(store, FIRST, {"shared_variance": 1e-3}, "regime_regression")
    assert set(tuned_uses(store, CITY, ["stack"], SECOND)) == {BOOSTING, "regime_regression"}
    assert set(tuned_uses(store, CITY, ["stack"], SECOND, {BOOSTING})) == {"regime_regression"}
    assert tuned_uses(store, CITY, ["ewma"], SECOND) == {}
