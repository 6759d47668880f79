"""The task of a search: one forecaster, its settings and search space, and the days before a fold's cutoff."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from shotspotter_assets.arrays import Booleans
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import forecaster
from shotspotter_assets.models.forecaster_settings import ForecasterSettings
from shotspotter_assets.models.history import History
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.storage.fingerprints import sha256

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


@dataclass(frozen=True)
class TuningTask:
    """A forecaster on the windows before a fold's cutoff; `history` ends with `validation`.

    Raises ValueError if no covered cell has an alert in the validation window.
    """

    forecaster: str
    settings: ForecasterSettings  # those of the city's file, which trials change
    history: History
    train: range
    validation: range
    context: FitContext

    def __post_init__(self) -> None:
        if not self.observed.any():
            first, last = (self.history.days()[day] for day in (self.validation.start, self.validation.stop - 1))
            raise ValueError(
                f"City {self.history.city.name}: no covered cell has an alert from {first} to {last}, the validation window, so "
                "settings cannot be compared on it. Choose a later fold or a longer folds.validation."
            )

    @property
    def observed(self) -> Booleans:
        """True for each covered cell with an alert in the validation window, shape (known days, cells)."""
        window = slice(self.validation.start, self.validation.stop)
        return self.history.observed[window][self.history.known_in(self.validation)]

    @cached_property
    def space(self) -> "dict[str, BaseDistribution]":
        """The searched settings."""
        return self.settings.search_space()

    @cached_property
    def key(self) -> str:
        """A hash of everything that determines a trial's loss except its values: trials with another key do not compare."""
        shared = self.context.shared
        parts: list[Any] = [self.forecaster, self.settings.model_dump(), repr(self.space), repr(self.train)]
        parts += [repr(self.validation), self.history.lead, shared and shared.origin, self.history.data_sha256()]
        return sha256(json.dumps(parts, sort_keys=True), self.history.in_coverage.tobytes())[:16]

    def loss(self, values: Mapping[str, Any], after_epoch: Callable[[int, float], None] | None = None) -> float:
        """Return the validation log loss in nats per cell-day of a training fit with some values of the search space.

        `after_epoch` takes the number of each epoch of a network, from 1, and its validation loss; it may raise to
        stop. Raises FloatingPointError if a network diverges.
        """
        settings = type(self.settings).model_validate(self.settings.model_dump() | dict(values))
        context = replace(self.context, after_epoch=after_epoch)
        fitted = forecaster(self.forecaster, settings).fit(self.history, self.train, self.validation, context)
        probability = fitted.validation_probability[self.history.known_in(self.validation)]
        return float(log_losses(probability, self.observed).mean())
