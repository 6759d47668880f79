"""The default candidate: a combination of other forecasters, whose weights are learned from their earlier forecasts.

Each member is fitted on the training window and forecasts the validation window, from which the weights are learned
week by week (see `stacking`). Then every member is fitted on both windows. Later weeks move the weights once their
outcomes are known. Firework days do not, as members differ there in other things than on ordinary days.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final, Self

import numpy as np
from scipy.special import logit

from shotspotter_assets.arrays import Array
from shotspotter_assets.calendar.dates import is_holiday_fireworks
from shotspotter_assets.models.forecaster import NO_CONTEXT, FitContext, Fitted, Forecaster, require_both_labels
from shotspotter_assets.models.forecaster_registry import StackSettings, city_settings, forecaster
from shotspotter_assets.models.history import History
from shotspotter_assets.models.model_files import Unstored, files_of_member, files_of_members
from shotspotter_assets.models.next_day.daily_inputs import ordinary_days
from shotspotter_assets.models.stacking import WeightPosterior, combine, logits_of

WEEK: Final = 7
PRIOR_WEIGHTS: Final = {"residual_boosting": 0.49, "gradient_boosting": 0.29, "ew_kde": 0.32}
"""Weights that five cities learned before their test years (`benchmarks/stack_prior.py`, with five further members, whose
weights these three share in proportion); a mean of forecasts is too timid, so that they sum to more than one."""
NETWORK: Final = "residual_conv_lstm"
"""The member that starts at boosting's regression, with half of boosting's weight."""
FIREWORK_MEMBERS: Final = ("residual_boosting", "regime_regression", NETWORK)
"""Members that have a regime for firework days; the first of them is used there, see `stacking.combine`."""


@dataclass(frozen=True)
class FittedStack(Fitted):
    """A combination; its members are fitted on training and validation days."""

    posterior: WeightPosterior  # of the weights, after the days to `learned_to`
    learned_to: date  # last day of the validation window
    members: Unstored = None  # by name

    def predict(self, history: History, days: range) -> Array:
        """Return the forecast; the weights move on with the weeks that are known before each day."""
        start = (self.learned_to - history.first_day).days + 1
        weeks = _weeks_known(history, range(days.stop - 1, days.stop), start)[0]
        wanted = range(min(days.start, start) if weeks else days.start, days.stop)
        logits = logits_of({name: member.predict(history, wanted) for name, member in self.members.items()})
        learned = range(start, start + WEEK * weeks)
        past = logits[start - wanted.start :][: len(learned)] if weeks else logits[:0]
        return _forecast(_learned(self.posterior, past, history, learned), logits[-len(days) :], history, days, start)

    def drivers(self, history: History, day: int) -> list[tuple[str, ...]] | None:
        """Return those of the first member that gives reasons."""
        of_members = (member.drivers(history, day) for member in self.members.values())
        return next((drivers for drivers in of_members if drivers is not None), None)

    def files(self) -> dict[str, bytes]:
        """Return the files; those of a member start with its name."""
        return super().files() | files_of_members(self.members)

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Self:
        stack = super().load(files)
        names = stack.posterior.members
        return replace(stack, members={name: forecaster(name).load(files_of_member(name, files)) for name in names})


class StackForecaster(Forecaster):
    """A combination of members with the settings of the city's file."""

    name = "stack"
    fitted = FittedStack

    settings: StackSettings

    def fit(self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT) -> FittedStack:
        history = history.through(validation.stop)
        members: dict[str, Fitted] = {}
        for name in self.settings.members:
            settings = city_settings(history.city, name, context.changes.get(name))
            members[name] = forecaster(name, settings).fit(history, train, validation, context)
        logits = logits_of({name: member.validation_probability for name, member in members.items()})
        return combined(members, logits, history, train, validation)


def prior_weights(members: Collection[str]) -> Mapping[str, float]:
    """Return weights that other cities learned, by member."""
    if NETWORK not in members:
        return PRIOR_WEIGHTS
    half = PRIOR_WEIGHTS["residual_boosting"] / 2
    return {**PRIOR_WEIGHTS, "residual_boosting": half, NETWORK: half}


def combined(
    members: Mapping[str, Fitted], logits: Array, history: History, train: range, validation: range
) -> FittedStack:
    """Return the stack of members, given log odds of validation by their fit on `train`, shape (days, cells, members)."""
    before = history.observed[train.start : train.stop][history.known_in(train)]
    require_both_labels(history, train, before)
    prior = WeightPosterior.prior(list(members), float(logit(before.mean())), prior_weights(members))
    by_week = _learned(prior, logits, history, validation)
    probability = _forecast(by_week, logits, history, validation, validation.start)
    chosen = by_week[-1].summary | {
        "learned_from_days": len(probability[history.known_in(validation)]),
        "members": {name: member.chosen for name, member in members.items()},
    }
    if origin := next((member.chosen["shared"] for member in members.values() if "shared" in member.chosen), None):
        chosen["shared"] = origin
    learned_to = history.first_day + timedelta(days=validation.stop - 1)
    return FittedStack(by_week[-1], learned_to, members, chosen=chosen, validation_probability=probability)


def _weeks_known(history: History, days: range, start: int) -> list[int]:
    return (np.maximum(history.known_before(days) - start, 0) // WEEK).tolist()


def _learned(posterior: WeightPosterior, logits: Array, history: History, days: range) -> list[WeightPosterior]:
    """Return the posterior before `days` and after each of their weeks, the last of which may be shorter."""
    ordinary, observed = (of_days[days.start : days.stop] for of_days in (ordinary_days(history), history.observed))
    return posterior.by_week(logits, observed, np.arange(len(days)) // WEEK, -(-len(days) // WEEK), ordinary)


def _forecast(by_week: list[WeightPosterior], logits: Array, history: History, days: range, start: int) -> Array:
    fireworks = is_holiday_fireworks(history.days_to_forecast()[days.start : days.stop])
    return combine(by_week, _weeks_known(history, days, start), logits, fireworks, FIREWORK_MEMBERS)
