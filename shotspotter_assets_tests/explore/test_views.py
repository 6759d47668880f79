"""The widgets, without a browser: the choice decides what is shown."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest
from plotly import graph_objects as go
from pydantic import BaseModel

from shotspotter_assets.explore.explorer import Explorer
from shotspotter_assets.explore.stored import (
    ALL_ALERTS,
    NEXT_DAY,
    NothingStoredError,
    alerts_between,
    fold_table,
    stored_alerts,
    targets_of,
    with_target,
)
from shotspotter_assets.explore.widgets import setting_widget, widget_value
from shotspotter_assets.models.next_day.settings import ResidualBoostingSettings
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import CITIES
from shotspotter_assets_tests.explore.conftest import CITY, FOLD, HORIZON, ISSUED, MODEL

TINY = CITIES[CITY]


def choose_target(explorer: Explorer, target: str) -> None:
    explorer.target_list.value = dict(explorer.target_list.options)[target]


def came(explored: Store, first: np.datetime64, hours: int) -> pd.DataFrame:
    return alerts_between(stored_alerts(explored, TINY), TINY.forecast_codes, first, hours)


def shown_alerts(explorer: Explorer) -> go.FigureWidget:
    [figure] = explorer.alerts_box.children
    return figure


def shown_forecast(explorer: Explorer) -> go.FigureWidget:
    [figure] = explorer.forecast_box.children
    return figure


def shown_percent(explorer: Explorer) -> np.ndarray:
    return np.array(shown_forecast(explorer).data[0].z, dtype=float)


def test_targets_are_the_files_own_then_all_alerts_and_each_type() -> None:
    assert targets_of(TINY) == {
        ALL_ALERTS: (0, 1, 2, 3),
        "single gunshot": (0,),
        "multiple gunshots": (1,),
        "gunshot or firecracker": (2,),
    }
    city = TINY.model_copy(update={"event_types": {"robbery": ("Robbery",)}, "forecast": ("robbery",)})
    targets = targets_of(city)
    assert [*targets][:2] == ["robbery", ALL_ALERTS]
    assert with_target(city, targets["robbery"]) is city
    changed = with_target(city, targets[ALL_ALERTS])
    assert (changed.forecast_codes, changed.name, changed.grid) == ((0, 1, 2, 3), city.name, city.grid)


def test_alerts_between_two_days_are_on_the_map(explorer: Explorer, explored: Store) -> None:
    assert explorer.last_day.value - explorer.first_day.value == timedelta(days=89)
    explorer.first_day.value = explorer.last_day.value
    of_day = came(explored, np.datetime64("2024-03-31"), 24)
    assert sum(len(trace.x) for trace in shown_alerts(explorer).data) == len(of_day) > 0
    assert shown_alerts(explorer).layout.title.text == f"{len(of_day)} alerts"
    before = shown_alerts(explorer)
    choose_target(explorer, "multiple gunshots")
    # A widget that is shown keeps the axes of its first figure in the browser.
    assert shown_alerts(explorer) is not before
    [trace] = shown_alerts(explorer).data
    assert sorted(trace.x) == sorted(of_day["longitude"][of_day["code"] == 1])


def test_the_forecast_of_the_chosen_day_and_model_is_on_the_map(explorer: Explorer, explored: Store) -> None:
    table = fold_table(explored, TINY, FOLD, NEXT_DAY)
    assert table is not None
    assert explorer.source_list.value == f"report of fold {FOLD}"
    for day, model in (("2024-01-01", MODEL), ("2024-02-10", MODEL), ("2024-02-10", "ewma")):
        explorer.day_slider.value, explorer.model_list.value = day, model
        rows = table.filter(pc.equal(table["date"], date.fromisoformat(day)))
        percent = shown_percent(explorer)
        np.testing.assert_allclose(percent[rows["row"], rows["column"]], 100 * rows[model].to_numpy())
        assert np.isfinite(percent).sum() == len(rows)
        np.testing.assert_array_equal(
            shown_forecast(explorer).data[-1].x, came(explored, np.datetime64(day), 24)["longitude"]
        )
        assert shown_forecast(explorer).layout.title.text == day
    assert f"<td>{MODEL}</td>" in explorer.scores.value


def test_hours_have_a_slider_of_their_own(explorer: Explorer, explored: Store) -> None:
    assert explorer.hour_slider.layout.display == "none"
    explorer.horizon_list.value = HORIZON
    assert explorer.hour_slider.layout.display == ""
    explorer.day_slider.value, explorer.hour_slider.value = "2024-01-05", 18
    start = np.datetime64("2024-01-05T18:00")
    np.testing.assert_array_equal(shown_forecast(explorer).data[-1].y, came(explored, start, HORIZON)["latitude"])
    assert "climatology" in explorer.scores.value


def test_issued_forecasts_are_shown_beside_their_alerts(explorer: Explorer) -> None:
    explorer.source_list.value = "issued day by day"
    assert explorer.day_slider.options == (str(ISSUED + timedelta(days=1)),)
    assert "served" in explorer.model_list.options
    assert np.isfinite(shown_percent(explorer)).any()


def test_missing_forecasts_are_explained(explorer: Explorer) -> None:
    explorer.horizon_list.value = 4
    assert "next 4 h, are stored of tiny_city: train a small fold below, or materialise evaluation_reports with " in (
        explorer.note.value
    )
    explorer.horizon_list.value = NEXT_DAY
    assert explorer.note.value == ""
    choose_target(explorer, "single gunshot")
    assert "No forecasts of single gunshot, next day" in explorer.note.value
    assert "materialise" not in explorer.note.value


def test_a_small_fold_is_trained_compared_and_shown(explorer: Explorer) -> None:
    training = explorer.train
    training.model_list.value = MODEL
    training.days_box.value, training.test_days_box.value = 120, 7
    training.button.click()
    assert "Trained and scored" in training.status.value
    assert f"<td>stored {MODEL}</td>" in training.scores.value
    assert explorer.source_list.value == f"small fold {FOLD}, {MODEL}"
    assert len(explorer.day_slider.options) == 7
    explorer.source_list.value = f"report of fold {FOLD}"
    assert len(explorer.day_slider.options) == 91


def test_a_wrong_setting_is_explained(explorer: Explorer) -> None:
    training = explorer.train
    training.model_list.value = "residual_boosting"
    names = [widget.description for widget in training.setting_box.children]
    assert names == list(ResidualBoostingSettings.model_fields)
    training.setting_box.children[names.index("max_trees")].value = 5
    training.button.click()
    assert "max_trees" in training.status.value
    assert training.scores.value == ""
    assert not training.button.disabled


def test_a_setting_keeps_its_value_in_its_widget() -> None:
    class Settings(BaseModel):
        flag: bool = True
        number: int = 3
        rate: float = 0.5
        names: list[str] = ["ewma", "kde"]

    for name, value in Settings():
        assert widget_value(setting_widget(Settings(), name)) == value


def test_an_empty_store_is_explained_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(NothingStoredError, match=r"Nothing to explore is stored in .* Run `make demo`"):
        Explorer.open({"SHOTSPOTTER_STORE": str(tmp_path)})
