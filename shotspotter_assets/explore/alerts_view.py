"""Existing events on a map."""

from datetime import date, timedelta
from typing import Final

import ipywidgets as ipw
import numpy as np
from plotly import graph_objects as go

from shotspotter_assets.explore.choice import Choice
from shotspotter_assets.explore.figures import alerts_map
from shotspotter_assets.explore.opened import OpenedCities
from shotspotter_assets.explore.widgets import WIDE, View, redraw

SHOWN_DAYS: Final = 90
"""At first."""


class AlertsView(View):
    """The alerts of the target between two days."""

    def __init__(self, choice: Choice, opened: OpenedCities) -> None:
        self._choice, self._opened = choice, opened
        self.first_day = ipw.DatePicker(description="From", style=WIDE)
        self.last_day = ipw.DatePicker(description="To", style=WIDE)
        self.figure = go.FigureWidget()
        super().__init__([ipw.HBox([self.first_day, self.last_day]), self.figure])
        self._city = ""
        self.refresh()
        choice.on_change(self.refresh)
        self.hear(self.first_day, self._draw)
        self.hear(self.last_day, self._draw)

    def refresh(self) -> None:
        """Show what is chosen; of another city, its last days."""
        if self._city != self._choice.city.name:
            self._city = self._choice.city.name
            first, last = self._opened.days(self._choice.city)
            with self.quietly():
                self.first_day.value = max(first, last - timedelta(days=SHOWN_DAYS - 1))
                self.last_day.value = last
        self._draw()

    def _draw(self) -> None:
        city = self._choice.city
        first, last = self._opened.days(city)
        shown_first: date = self.first_day.value or first
        shown_last: date = self.last_day.value or last
        alerts = self._opened.alerts(city).of_types(city.forecast_codes)
        shown = alerts.between(np.datetime64(shown_first), np.datetime64(shown_last) + np.timedelta64(1, "D"))
        redraw(self.figure, alerts_map(self._opened.ground(city), shown))
