"""The widgets, without a browser: what is chosen is what is shown."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from shotspotter_assets.explore.explorer import Explorer
from shotspotter_assets.explore.small_fold import Parameter
from shotspotter_assets.explore.stored import NEXT_DAY, NothingStoredError, fold_table, stored_alerts
from shotspotter_assets.explore.widgets import parameter_value, parameter_widget
from shotspotter_assets.models.next_day.settings import ResidualBoostingSettings
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import CITIES
from shotspotter_assets_tests.explore.conftest import CITY, FOLD, HORIZON, ISSUED, MODEL

TINY = CITIES[CITY]


def chosen(explorer: Explorer, target: str) -> None:
    explorer.choice.target_list.value = dict(explorer.choice.target_list.options)[target]


def shown_percent(explorer: Explorer) -> np.ndarray:
    return np.array(explorer.forecasts.figure.data[0].z, dtype=float)


def test_alerts_between_two_days_are_on_the_map(explorer: Explorer, explored: Store) -> None:
    view, alerts = explorer.alerts, stored_alerts(explored, TINY)
    assert view.last_day.value - view.first_day.value == timedelta(days=89)
    view.first_day.value = view.last_day.value
    of_day = alerts.between(np.datetime64("2024-03-31"), np.datetime64("2024-04-01"))
    assert sum(len(trace.x) for trace in view.figure.data) == len(of_day) > 0
    assert view.figure.layout.title.text == f"{len(of_day)} alerts"
    chosen(explorer, "multiple gunshots")
    [trace] = view.figure.data
    assert sorted(trace.x) == sorted(of_day.of_types((1,)).longitude)


def test_the_forecast_of_the_chosen_day_and_model_is_on_the_map(explorer: Explorer, explored: Store) -> None:
    view = explorer.forecasts
    table = fold_table(explored, TINY, FOLD, NEXT_DAY)
    assert table is not None
    assert view.source_list.value == f"report of fold {FOLD}"
    for day, model in (("2024-01-01", MODEL), ("2024-02-10", MODEL), ("2024-02-10", "ewma")):
        view.day_slider.value, view.model_list.value = day, model
        rows = table.filter(pc.equal(table["date"], date.fromisoformat(day)))
        percent = shown_percent(explorer)
        np.testing.assert_allclose(percent[rows["row"], rows["column"]], 100 * rows[model].to_numpy())
        assert np.isfinite(percent).sum() == len(rows)
        alerts = stored_alerts(explored, TINY).between(np.datetime64(day), np.datetime64(day) + np.timedelta64(1, "D"))
        np.testing.assert_array_equal(view.figure.data[-1].x, alerts.longitude)
        assert view.figure.layout.title.text == day
    assert f"<td>{MODEL}</td>" in view.scores.value


def test_hours_have_a_slider_of_their_own(explorer: Explorer, explored: Store) -> None:
    view = explorer.forecasts
    assert view.hour_slider.layout.display == "none"
    explorer.choice.horizon_list.value = HORIZON
    assert view.hour_slider.layout.display == ""
    view.day_slider.value, view.hour_slider.value = "2024-01-05", 18
    start = np.datetime64("2024-01-05T18:00")
    came = stored_alerts(explored, TINY).between(start, start + np.timedelta64(HORIZON, "h"))
    np.testing.assert_array_equal(view.figure.data[-1].y, came.latitude)
    assert "climatology" in view.scores.value


def test_issued_forecasts_are_shown_with_what_came(explorer: Explorer) -> None:
    view = explorer.forecasts
    view.source_list.value = "issued day by day"
    assert view.day_slider.options == (str(ISSUED + timedelta(days=1)),)
    assert view.model_list.value == "served" or "served" in view.model_list.options
    assert np.isfinite(shown_percent(explorer)).any()


def test_what_is_not_stored_is_said_with_what_to_do(explorer: Explorer) -> None:
    view = explorer.forecasts
    explorer.choice.horizon_list.value = 4
    assert "next 4 h, are stored of tiny_city: train a small fold below, or materialise evaluation_reports with " in (
        view.note.value
    )
    explorer.choice.horizon_list.value = NEXT_DAY
    assert view.note.value == ""
    chosen(explorer, "single gunshot")
    assert "No forecasts of single gunshot, next day" in view.note.value
    assert "materialise" not in view.note.value


def test_a_small_fold_is_trained_compared_and_shown(explorer: Explorer) -> None:
    training, view = explorer.training, explorer.forecasts
    training.model_list.value = MODEL
    training.days_box.value, training.test_days_box.value = 120, 7
    training.button.click()
    assert training.progress.value == training.progress.max
    assert "Trained and scored" in training.status.value
    assert f"<td>stored {MODEL}</td>" in training.scores.value
    assert view.source_list.value == f"small fold {FOLD}, {MODEL}"
    assert len(view.day_slider.options) == 7
    view.source_list.value = f"report of fold {FOLD}"
    assert len(view.day_slider.options) == 91


def test_settings_are_taken_from_their_widgets_and_wrong_ones_are_said(explorer: Explorer) -> None:
    training = explorer.training
    training.model_list.value = "residual_boosting"
    names = [widget.description for widget in training.parameter_box.children]
    assert names == list(ResidualBoostingSettings.model_fields)
    assert names[0] == "max_trees"
    training.parameter_box.children[0].value = 5
    training.button.click()
    assert "max_trees" in training.status.value
    assert training.scores.value == ""
    assert not training.button.disabled


@pytest.mark.parametrize("value", [True, 3, 0.5, ["ewma", "kde"]])
def test_a_setting_is_what_its_widget_says(value: object) -> None:
    parameter = Parameter("setting", value)
    assert parameter_value(parameter, parameter_widget(parameter)) == value


def test_an_empty_store_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(NothingStoredError, match=r"Nothing to explore is stored in .* Run `make demo`"):
        Explorer.open({"SHOTSPOTTER_STORE": str(tmp_path)})
