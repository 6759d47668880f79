"""The whole notebook: choices, alerts, forecasts and training, on one store."""

import os
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from functools import cache
from typing import Final

import ipywidgets as ipw
import numpy as np
import pandas as pd
import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.evaluation.forecasts_table import days_of, model_names
from shotspotter_assets.explore.figures import Ground, alerts_map, forecast_beside_observed, rows_of_period
from shotspotter_assets.explore.stored import (
    NEXT_DAY,
    alerts_between,
    forecast_sources,
    stored_alerts,
    stored_cities,
    stored_days,
    targets_of,
    with_target,
)
from shotspotter_assets.explore.training import Training
from shotspotter_assets.explore.widgets import WIDE, draw, score_table_html, sentence, set_options
from shotspotter_assets.models.next_hours.forecaster import HORIZONS
from shotspotter_assets.models.registry import candidate_of
from shotspotter_assets.pages.words import title_of
from shotspotter_assets.serving.forecast_scores import SERVED
from shotspotter_assets.settings import CHECKOUT, Settings
from shotspotter_assets.storage.store import Store

SHOWN_DAYS: Final = 90
"""Days on the map of alerts at first."""
LONG: Final = {**WIDE, "continuous_update": False, "layout": {"width": "60%"}}


class Explorer:
    """Four boxes of widgets: `choice`, `alerts`, `forecasts` and `training`, each shown by a cell of its own.

    Raises:
        NothingStoredError: no day of any city is stored.
    """

    def __init__(self, store: Store, cities: Cities) -> None:
        self._store, self._cities, self._is_quiet = store, cities, False
        self._days = cache(lambda name: stored_days(store, cities[name]))
        self._alerts = cache(lambda name: stored_alerts(store, cities[name]))
        self._ground = cache(lambda name: Ground(cities[name]))
        self._trained: dict[tuple[str, tuple[int, ...], int], dict[str, Callable[[], pa.Table | None]]] = {}
        self._sources: dict[str, Callable[[], pa.Table | None]] = {}
        self.table: pa.Table | None = None

        names = stored_cities(store, cities)
        options = [(title_of(name), name) for name in names]
        self.city_list = ipw.Dropdown(options=options, description="City", **WIDE)
        self.target_list = ipw.Dropdown(description="Target", **WIDE)
        self.horizon_list = ipw.Dropdown(description="Horizon", **WIDE)
        self.choice = ipw.VBox([self.city_list, self.target_list, self.horizon_list])

        self.first_day = ipw.DatePicker(description="From", **WIDE)
        self.last_day = ipw.DatePicker(description="To", **WIDE)
        self.alerts_box = ipw.Box()
        self.alerts = ipw.VBox([ipw.HBox([self.first_day, self.last_day]), self.alerts_box])

        self.source_list = ipw.Dropdown(options=["-"], description="Forecasts", **WIDE)
        self.model_list = ipw.Dropdown(options=["-"], description="Model", **WIDE)
        self.day_slider = ipw.SelectionSlider(options=["-"], description="Day", **LONG)
        self.hour_slider = ipw.SelectionSlider(options=["-"], description="Issued at hour", **LONG)
        self.note, self.scores, self.forecast_box = ipw.HTML(), ipw.HTML(), ipw.Box()
        lists = ipw.HBox([self.source_list, self.model_list])
        self.forecasts = ipw.VBox([lists, self.day_slider, self.hour_slider, self.note, self.forecast_box, self.scores])
        self.train = Training(store, self)
        self.training = self.train.box
        for widget, react in (
            (self.city_list, self._choose_city),
            (self.target_list, self._choose_target),
            (self.horizon_list, self._choose_target),
            (self.first_day, self._draw_alerts),
            (self.last_day, self._draw_alerts),
            (self.source_list, self._open_source),
            (self.model_list, self._draw_forecast),
            (self.day_slider, self._draw_forecast),
            (self.hour_slider, self._draw_forecast),
        ):
            widget.observe(self._unless_quiet(react), "value")
        self._choose_city()

    @classmethod
    def open(cls, environ: Mapping[str, str] = os.environ) -> "Explorer":
        """Open the store and cities that environment variables name; relative paths start at the checkout."""
        paths = {
            name: str(CHECKOUT / environ[name])
            for name in ("SHOTSPOTTER_STORE", "SHOTSPOTTER_CITIES")
            if environ.get(name) and "://" not in environ[name]
        }
        settings = Settings.from_environment({**environ, **paths})
        return cls(StoreResource(root=settings.store_root).open(), settings.cities)

    @property
    def horizon(self) -> int:
        """The chosen horizon in hours, or `NEXT_DAY`."""
        horizon: int = self.horizon_list.value
        return horizon

    @property
    def city(self) -> City:
        """The chosen city with the chosen target."""
        return with_target(self._cities[self.city_list.value], self.target_list.value)

    @property
    def days(self) -> tuple[date, date]:
        """First and last stored day of the chosen city."""
        return self._days(self.city.name)

    @property
    def is_target_of_file(self) -> bool:
        """Whether the city's file forecasts the target, so that there may be stored forecasts."""
        return self.target_list.value == self._cities[self.city_list.value].forecast_codes

    def show(self, title: str, table: pa.Table) -> None:
        """Offer the forecasts of a small fold of the current choice, and show them."""
        self._trained.setdefault((self.city.name, self.target_list.value, self.horizon), {})[title] = lambda: table
        self._choose_source(title)

    def _unless_quiet(self, react: Callable[[], None]) -> Callable[[object], None]:
        return lambda _: None if self._is_quiet else react()

    def _choose_city(self) -> None:
        city = self._cities[self.city_list.value]
        first, last = self._days(city.name)
        hours = [] if city.time_precision == "day" else [(f"next {hours} h", hours) for hours in HORIZONS]
        self._is_quiet = True
        set_options(self.target_list, [*targets_of(city).items()])
        set_options(self.horizon_list, [("next day", NEXT_DAY), *hours])
        self.first_day.value = max(first, last - timedelta(days=SHOWN_DAYS - 1))
        self.last_day.value = last
        self._is_quiet = False
        self._choose_target()

    def _choose_target(self) -> None:
        self._draw_alerts()
        self._choose_source(self.source_list.value)
        self.train.offer()

    def _choose_source(self, title: str) -> None:
        stored = forecast_sources(self._store, self.city, self.horizon) if self.is_target_of_file else {}
        self._sources = stored | self._trained.get((self.city.name, self.target_list.value, self.horizon), {})
        self._is_quiet = True
        set_options(self.source_list, list(self._sources), title)
        self._is_quiet = False
        self._open_source()

    def _open_source(self) -> None:
        read, hours = self._sources.get(self.source_list.value), self.horizon
        table = self.table = None if read is None else read()
        first = (SERVED, candidate_of(self.city).name)
        models = [] if table is None else sorted(model_names(table), key=lambda name: name not in first)
        issues = [] if table is None or not hours else sorted(set(table["hour"].to_pylist()))
        self._is_quiet = True
        set_options(self.model_list, models)
        set_options(self.day_slider, [] if table is None else [str(day) for day in np.unique(days_of(table))])
        set_options(self.hour_slider, [(f"{hour}:00", hour) for hour in issues])
        self._is_quiet = False
        self.hour_slider.layout.display = "" if hours else "none"
        self.scores.value = "" if table is None else score_table_html("Scores", table)
        self._draw_forecast()

    def _draw_alerts(self) -> None:
        first, last = (one.value or day for one, day in zip((self.first_day, self.last_day), self.days, strict=True))
        shown = self._alerts_from(np.datetime64(first), 24 * ((last - first).days + 1))
        draw(self.alerts_box, alerts_map(self._ground(self.city.name), shown))

    def _draw_forecast(self) -> None:
        if self.table is None:
            self.note.value = sentence(self._remedy())
            draw(self.forecast_box, None)
            return
        day, hours = date.fromisoformat(self.day_slider.value), self.horizon
        hour = self.hour_slider.value if hours else None
        rows = rows_of_period(self.table, day, hour)
        self.note.value = "" if len(rows) else sentence(f"Nothing is forecast at {hour}:00 on {day}.")
        if len(rows):
            first = np.datetime64(day) + np.timedelta64(hour or 0, "h")
            alerts = self._alerts_from(first, hours or 24)
            when = f"{day}" if hour is None else f"{day}, {hour}:00 and the {hours} h from then on"
            ground = self._ground(self.city.name)
            draw(self.forecast_box, forecast_beside_observed(ground, rows, self.model_list.value, alerts, when))

    def _alerts_from(self, first: np.datetime64, hours: int) -> pd.DataFrame:
        return alerts_between(self._alerts(self.city.name), self.city.forecast_codes, first, hours)

    def _remedy(self) -> str:
        hours = self.horizon
        remedy = "train a small fold below"
        if self.is_target_of_file:
            remedy += ", or materialise evaluation_reports" + (f" with horizons: [{hours}]" if hours else "")
        horizon = f"next {hours} h" if hours else "next day"
        return f"No forecasts of {self.target_list.label}, {horizon}, are stored of {self.city.name}: {remedy}."
