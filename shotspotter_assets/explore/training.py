"""The widgets that train a small fold with a chosen model, and compare it with the stored report of the fold."""

from datetime import date, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import ipywidgets as ipw

from shotspotter_assets.explore.small_fold import STORED, SmallFold, beside_stored, train_small_fold
from shotspotter_assets.explore.stored import fold_cutoffs
from shotspotter_assets.explore.widgets import (
    WIDE,
    score_table_html,
    sentence,
    set_options,
    setting_widget,
    widget_value,
)
from shotspotter_assets.models.next_hours.registry import HOURLY_FORECASTERS
from shotspotter_assets.models.registry import SERVABLE, city_settings
from shotspotter_assets.storage.errors import StoreError
from shotspotter_assets.storage.store import Store

if TYPE_CHECKING:
    from shotspotter_assets.explore.explorer import Explorer


QUICK_MODEL: Final = "residual_boosting"
"""The model chosen at first: the stack fits seven others."""
DAYS, TEST_DAYS, MIN_DAYS, MIN_TEST_DAYS = 240, 28, 60, 7


class Training:
    """Model, settings and days of a small fold, a button, messages of progress, and scores."""

    def __init__(self, store: Store, explorer: "Explorer") -> None:
        self._store, self._explorer = store, explorer
        self._before: dict[str, Any] = {}
        self.cutoff_list = ipw.Dropdown(options=["-"], description="First test day", **WIDE)
        self.model_list = ipw.Dropdown(options=["-"], description="Model", **WIDE)
        self.days_box = ipw.BoundedIntText(DAYS, min=MIN_DAYS, max=10_000, description="Days before it", **WIDE)
        self.test_days_box = ipw.BoundedIntText(TEST_DAYS, min=MIN_TEST_DAYS, max=92, description="Test days", **WIDE)
        self.setting_box = ipw.VBox()
        self.button = ipw.Button(description="Train", button_style="primary", icon="play")
        self.status, self.scores = ipw.HTML(), ipw.HTML()
        of_fold = ipw.VBox([self.cutoff_list, self.days_box, self.test_days_box])
        of_model = ipw.VBox([self.model_list, self.setting_box])
        self.box = ipw.VBox([ipw.HBox([of_fold, of_model]), self.button, self.status, self.scores])
        self.model_list.observe(lambda _: self._offer_settings(), "value")
        self.button.on_click(lambda _: self.train())

    def offer(self) -> None:
        """Offer the folds and models of the current choice."""
        hourly = list(HOURLY_FORECASTERS)
        set_options(self.cutoff_list, self._cutoffs())
        set_options(
            self.model_list, hourly if self._explorer.horizon else sorted(SERVABLE, key=lambda m: m != QUICK_MODEL)
        )
        self.button.disabled = self.cutoff_list.disabled
        self.status.value = self.scores.value = ""
        if self.button.disabled:
            self.status.value = sentence(f"{MIN_DAYS + MIN_TEST_DAYS} stored days are needed to train a small fold.")
        self._offer_settings()

    def train(self) -> None:
        """Train the chosen fold and show its scores; an error is shown as a sentence."""
        started, fold = monotonic(), self._fold()
        self.button.disabled = True

        def report(message: str) -> None:
            self.status.value = sentence(f"{monotonic() - started:.0f} s: {message}")

        try:
            table = train_small_fold(self._store, self._explorer.city, fold, report)
        except (ValueError, StoreError) as error:
            self.status.value = sentence(str(error), "#c00")
            return
        finally:
            self.button.disabled = False
        self.status.value = sentence(f"Trained and scored in {monotonic() - started:.0f} s.")
        joined = None
        if self._explorer.is_target_of_file:
            joined = beside_stored(self._store, self._explorer.city, fold, table)
        note = f"; no report of fold {fold.cutoff} of this target is stored to compare with"
        if joined is not None:
            note = f"; names of the models in the stored report of fold {fold.cutoff} begin with {STORED}"
        self.scores.value = score_table_html("Scores", table if joined is None else joined, note)
        self._explorer.show(f"small fold {fold.cutoff}, {fold.model}", table)

    def _cutoffs(self) -> list[date]:
        """List the cutoffs of reported folds whose days are stored, the last first, and one that tests the last days."""
        first, last = self._explorer.days
        latest = last - timedelta(days=TEST_DAYS - 1)
        cutoffs = [
            cutoff
            for cutoff in reversed(fold_cutoffs(self._store, self._explorer.city))
            if (last - cutoff).days >= MIN_TEST_DAYS - 1
        ]
        return [cutoff for cutoff in dict.fromkeys([*cutoffs, latest]) if (cutoff - first).days >= MIN_DAYS]

    def _offer_settings(self) -> None:
        self.setting_box.children = []
        if not self._explorer.horizon:  # forecasters of hours have no settings
            settings = city_settings(self._explorer.city, self.model_list.value)
            self.setting_box.children = [setting_widget(settings, name) for name in type(settings).model_fields]
        self._before = self._values()

    def _values(self) -> dict[str, Any]:
        return {widget.description: widget_value(widget) for widget in self.setting_box.children}

    def _fold(self) -> SmallFold:
        return SmallFold(
            cutoff=self.cutoff_list.value,
            days=self.days_box.value,
            test_days=self.test_days_box.value,
            horizon=self._explorer.horizon,
            model=self.model_list.value,
            changes={name: value for name, value in self._values().items() if value != self._before[name]},
        )
