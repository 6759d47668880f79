"""A forecast beside what happened, with the scores of all models."""

from collections.abc import Callable
from datetime import date

import ipywidgets as ipw
import numpy as np
import pyarrow as pa
from plotly import graph_objects as go

from shotspotter_assets.evaluation.forecasts_table import days_of, model_names
from shotspotter_assets.explore.choice import Choice
from shotspotter_assets.explore.figures import forecast_beside_observed, rows_of_period
from shotspotter_assets.explore.opened import OpenedCities
from shotspotter_assets.explore.score_rows import reference_of, score_rows, size_of
from shotspotter_assets.explore.stored import forecast_sources
from shotspotter_assets.explore.widgets import WIDE, View, redraw, score_table, sentence, set_options
from shotspotter_assets.models.registry import candidate_of
from shotspotter_assets.serving.forecast_scores import SERVED

Key = tuple[str, tuple[int, ...], int]
Read = Callable[[], pa.Table | None]


class ForecastView(View):
    """Forecasts of one period by one model, from a stored report, as issued, or by a small fold."""

    def __init__(self, choice: Choice, opened: OpenedCities) -> None:
        self._choice, self._opened = choice, opened
        self._trained: dict[Key, dict[str, Read]] = {}
        self._tables: dict[tuple[Key, str], pa.Table | None] = {}
        self._sources: dict[str, Read] = {}
        self.source_list = ipw.Dropdown(options=["-"], description="Forecasts", style=WIDE)
        self.model_list = ipw.Dropdown(options=["-"], description="Model", style=WIDE)
        self.day_slider = ipw.SelectionSlider(
            options=["-"], description="Day", continuous_update=False, layout={"width": "60%"}, style=WIDE
        )
        self.hour_slider = ipw.SelectionSlider(
            options=["-"], description="Issued at hour", continuous_update=False, layout={"width": "60%"}, style=WIDE
        )
        self.note = ipw.HTML()
        self.figure = go.FigureWidget()
        self.scores = ipw.HTML()
        lists = ipw.HBox([self.source_list, self.model_list])
        self._shown = ipw.VBox([self.figure])
        super().__init__([lists, self.day_slider, self.hour_slider, self.note, self._shown, self.scores])
        self.refresh()
        choice.on_change(self.refresh)
        self.hear(self.source_list, self._open_source)
        for widget in (self.model_list, self.day_slider, self.hour_slider):
            self.hear(widget, self._draw)

    def show(self, title: str, table: pa.Table) -> None:
        """Offer the forecasts of a small fold of what is chosen, and show them."""
        self._trained.setdefault(self._key, {})[title] = lambda: table
        self._tables.pop((self._key, title), None)
        self.refresh()
        self.source_list.value = title

    def refresh(self) -> None:
        """Offer what there is of what is chosen."""
        choice = self._choice
        stored = forecast_sources(self._opened.store, choice.city, choice.horizon) if choice.is_target_of_file else {}
        self._sources = stored | self._trained.get(self._key, {})
        with self.quietly():
            set_options(self.source_list, list(self._sources))
        self._open_source()

    @property
    def _key(self) -> Key:
        return self._choice.city.name, self._choice.target.codes, self._choice.horizon

    @property
    def _table(self) -> pa.Table | None:
        title = self.source_list.value
        if title not in self._sources:
            return None
        if (self._key, title) not in self._tables:
            self._tables[self._key, title] = self._sources[title]()
        return self._tables[self._key, title]

    def _open_source(self) -> None:
        table, hours = self._table, self._choice.horizon
        with self.quietly():
            set_options(self.model_list, [] if table is None else self._models(table))
            set_options(self.day_slider, [] if table is None else [str(day) for day in np.unique(days_of(table))])
            issues = [] if table is None or not hours else sorted(set(table["hour"].to_pylist()))
            set_options(self.hour_slider, [(f"{hour}:00", hour) for hour in issues])
        self.hour_slider.layout.display = "" if hours else "none"
        self._shown.layout.display = "none" if table is None else ""
        if table is None:
            self.note.value, self.scores.value = sentence(self._nothing()), ""
            return
        self.note.value = ""
        title = f"Scores of {size_of(table)}; the reference is {reference_of(table)}"
        self.scores.value = score_table(title, score_rows(table))
        self._draw()

    def _models(self, table: pa.Table) -> list[str]:
        """The served forecast first, or the candidate."""
        first = (SERVED, candidate_of(self._choice.city).name)
        return sorted(model_names(table), key=lambda name: name not in first)

    def _nothing(self) -> str:
        choice, hours = self._choice, self._choice.horizon
        horizon = f"next {hours} h" if hours else "next day"
        remedy = "train a small fold below"
        if choice.is_target_of_file:
            remedy += ", or materialise evaluation_reports" + (f" with horizons: [{hours}]" if hours else "")
        return f"No forecasts of {choice.target.name}, {horizon}, are stored of {choice.city.name}: {remedy}."

    def _draw(self) -> None:
        table, city, hours = self._table, self._choice.city, self._choice.horizon
        if table is None:
            return
        day = date.fromisoformat(self.day_slider.value)
        hour = self.hour_slider.value if hours else None
        rows = rows_of_period(table, day, hour)
        first = np.datetime64(day) + np.timedelta64(hour or 0, "h")
        alerts = self._opened.alerts(city).of_types(city.forecast_codes)
        alerts = alerts.between(first, first + np.timedelta64(hours or 24, "h"))
        when = f"{day}" if hour is None else f"{day}, {hour}:00 and the {hours} h from then on"
        if not len(rows):
            self.note.value = sentence(f"Nothing is forecast at {hour}:00 on {day}.")
            return
        self.note.value = ""
        redraw(
            self.figure, forecast_beside_observed(self._opened.ground(city), rows, self.model_list.value, alerts, when)
        )
