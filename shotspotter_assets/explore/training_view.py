"""Trains a small fold with a chosen model, and compares it with the stored report of the same fold."""

from datetime import date, timedelta
from time import monotonic
from typing import Any, Final

import ipywidgets as ipw
import pyarrow as pa

from shotspotter_assets.explore.choice import Choice
from shotspotter_assets.explore.forecast_view import ForecastView
from shotspotter_assets.explore.opened import OpenedCities
from shotspotter_assets.explore.score_rows import reference_of, score_rows, size_of
from shotspotter_assets.explore.small_fold import (
    STORED,
    Parameter,
    SmallFold,
    beside_stored,
    parameters_of,
    train_small_fold,
)
from shotspotter_assets.explore.stored import fold_cutoffs
from shotspotter_assets.explore.widgets import (
    WIDE,
    View,
    parameter_value,
    parameter_widget,
    score_table,
    sentence,
    set_options,
)
from shotspotter_assets.models.next_hours.registry import HOURLY_FORECASTERS
from shotspotter_assets.models.registry import BASELINES, SERVABLE
from shotspotter_assets.storage.errors import StoreError

QUICK_MODEL: Final = "residual_boosting"
"""Chosen at first: the stack fits seven others."""

DAYS, TEST_DAYS, MIN_DAYS, MIN_TEST_DAYS = 240, 28, 60, 7

STEPS: Final = 5
"""Messages of a training beside those of baselines and epochs."""


class TrainingView(View):
    """Model, settings and days of a small fold, a button, progress, and scores."""

    def __init__(self, choice: Choice, opened: OpenedCities, forecasts: ForecastView) -> None:
        self._choice, self._opened, self._forecasts = choice, opened, forecasts
        self._parameters: list[Parameter] = []
        self.cutoff_list = ipw.Dropdown(options=["-"], description="First test day", style=WIDE)
        self.model_list = ipw.Dropdown(options=["-"], description="Model", style=WIDE)
        self.days_box = ipw.BoundedIntText(DAYS, min=MIN_DAYS, max=10_000, description="Days before it", style=WIDE)
        self.test_days_box = ipw.BoundedIntText(
            TEST_DAYS, min=MIN_TEST_DAYS, max=92, description="Test days", style=WIDE
        )
        self.parameter_box = ipw.VBox()
        self.button = ipw.Button(description="Train", button_style="primary", icon="play")
        self.progress = ipw.IntProgress(layout={"width": "60%"})
        self.status = ipw.HTML()
        self.scores = ipw.HTML()
        of_fold = ipw.VBox([self.cutoff_list, self.days_box, self.test_days_box])
        of_model = ipw.VBox([self.model_list, self.parameter_box])
        super().__init__([ipw.HBox([of_fold, of_model]), self.button, self.progress, self.status, self.scores])
        self.refresh()
        choice.on_change(self.refresh)
        self.hear(self.model_list, self._offer_parameters)
        self.button.on_click(lambda _: self.train())

    def refresh(self) -> None:
        """Offer the folds and models of what is chosen."""
        models = list(HOURLY_FORECASTERS) if self._choice.horizon else sorted(SERVABLE, key=lambda m: m != QUICK_MODEL)
        with self.quietly():
            set_options(self.cutoff_list, self._cutoffs())
            set_options(self.model_list, models)
        self.button.disabled = self.cutoff_list.disabled
        self.status.value = self.scores.value = ""
        self.progress.value = 0
        if self.button.disabled:
            self.status.value = sentence(f"{MIN_DAYS + MIN_TEST_DAYS} stored days are needed to train a small fold.")
        self._offer_parameters()

    def train(self) -> None:
        """Train what is set, and show how it did; what cannot be trained is said in a sentence."""
        started, fold = monotonic(), self._fold()
        self.button.disabled = True
        self.progress.max = STEPS + len(BASELINES) + int(self._settings().get("epochs", 0))
        self.progress.value = 0

        def tell(message: str) -> None:
            self.progress.value = min(self.progress.value + 1, self.progress.max - 1)
            self.status.value = sentence(f"{monotonic() - started:.0f} s: {message}")

        city = self._choice.city
        try:
            table = train_small_fold(self._opened.store, city, fold, tell)
        except (ValueError, StoreError) as error:
            self.status.value = sentence(str(error), "#c00")
            self.progress.value = 0
            return
        finally:
            self.button.disabled = False
        self.progress.value = self.progress.max
        self.status.value = sentence(f"Trained and scored in {monotonic() - started:.0f} s.")
        self._compare(fold, table)
        self._forecasts.show(f"small fold {fold.cutoff}, {fold.model}", table)

    def _compare(self, fold: SmallFold, table: pa.Table) -> None:
        joined = None
        if self._choice.is_target_of_file:
            joined = beside_stored(self._opened.store, self._choice.city, fold, table)
        if joined is None:
            title = (
                f"Scores of {size_of(table)}; no report of fold {fold.cutoff} of this target is stored to compare with"
            )
        else:
            title = f"Scores of {size_of(joined)}; what the stored report of fold {fold.cutoff} forecast begins with {STORED}"
        shown = table if joined is None else joined
        self.scores.value = score_table(f"{title}; the reference is {reference_of(shown)}", score_rows(shown))

    def _cutoffs(self) -> list[date]:
        """Those of reported folds whose days are stored, the last first; else one that leaves the last days to be tested."""
        first, last = self._opened.days(self._choice.city)
        reported = [
            cutoff
            for cutoff in fold_cutoffs(self._opened.store, self._choice.city)
            if (cutoff - first).days >= MIN_DAYS and (last - cutoff).days >= MIN_TEST_DAYS - 1
        ]
        of_last_days = last - timedelta(days=TEST_DAYS - 1)
        more = [of_last_days] if (of_last_days - first).days >= MIN_DAYS else []
        return list(dict.fromkeys([*reversed(reported), *more]))

    def _offer_parameters(self) -> None:
        self._parameters = parameters_of(self._choice.city, self._choice.horizon, self.model_list.value)
        self.parameter_box.children = [parameter_widget(one) for one in self._parameters]

    def _settings(self) -> dict[str, Any]:
        pairs = zip(self._parameters, self.parameter_box.children, strict=True)
        return {parameter.name: parameter_value(parameter, widget) for parameter, widget in pairs}

    def _fold(self) -> SmallFold:
        values = self._settings()
        default = {parameter.name: parameter.value for parameter in self._parameters}
        return SmallFold(
            cutoff=self.cutoff_list.value,
            days=self.days_box.value,
            test_days=self.test_days_box.value,
            horizon=self._choice.horizon,
            model=self.model_list.value,
            changes={name: value for name, value in values.items() if value != default[name]},
        )
