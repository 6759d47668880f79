"""The default forecaster of the next hours: a regression combined with a self-exciting process, by learned weights.

The offset corrects the level, which the regression misses where a city's rate has moved away from that of its training
years. The number of alerts is forecast from the stack's own forecasts of the validation window.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final

import numpy as np
from pydantic import PlainSerializer, PlainValidator
from scipy.special import logit

from shotspotter_assets.arrays import Array, Integers
from shotspotter_assets.calendar.dates import WEEK_HOURS
from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.forecaster import Choices
from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.model_files import files_of_member, files_of_members
from shotspotter_assets.models.next_hours.hourly_forecaster import FittedHourly, HourlyForecaster
from shotspotter_assets.models.next_hours.hourly_inputs import fireworks_ahead
from shotspotter_assets.models.next_hours.next_hours import HourRegression, NextHours
from shotspotter_assets.models.next_hours.self_exciting import SelfExciting
from shotspotter_assets.models.probability import clip_probability
from shotspotter_assets.models.stacking import WeightPosterior, combine, logits_of

MEMBERS: Final = {member.name: member for member in (NextHours, SelfExciting)}
FIREWORK_MEMBERS: Final = (NextHours.name,)
"""Members with inputs for firework nights, see `stacking.combine`. Such hours do not move the weights."""
PRIOR_WEIGHTS: Final = {
    1: {"next_hours": 0.599, "self_exciting": 0.471},
    2: {"next_hours": 0.575, "self_exciting": 0.494},
    4: {"next_hours": 0.617, "self_exciting": 0.463},
}
"""Weights by horizon that six cities learned before their test years (`benchmarks/stack_prior.py --hours`, with two further
members, whose weight these share in proportion)."""
Instant = Annotated[np.datetime64, PlainValidator(np.datetime64), PlainSerializer(str)]


@dataclass(frozen=True)
class HorizonStack:
    """The combination for one horizon."""

    posterior: WeightPosterior
    counts: AlertCounts  # number of alerts given the probability of the combination
    learned_until: Instant  # end (UTC) of the hours that the weights were learned from


@dataclass(frozen=True)
class FittedHourlyStack(FittedHourly):
    """A combination; its members, by name, are fitted on training and validation hours."""

    members: Mapping[str, FittedHourly] = field(default_factory=dict)

    @property
    def chosen(self) -> Choices:
        """The weights in numbers and in words, by horizon."""
        return {f"{horizon}h": model.posterior.summary for horizon, model in self.models.items()}

    @property
    def profile(self) -> Array:
        """Alerts of each hour of the week over their mean, shape (168,)."""
        regression: HourRegression = next(iter(self.members[NextHours.name].models.values()))
        return regression.profile

    def predict(self, history: HourlyHistory, issues: Sequence[int] | Integers, horizon: int) -> Array:
        """Return the forecast; the weights of an issue rest on the weeks that are over before it."""
        model: HorizonStack = self.models[horizon]
        at, start = np.asarray(issues, np.int64), int(np.searchsorted(history.starts, model.learned_until))
        weeks = _weeks_known(at, start)
        past = history.issues(range(start, start + WEEK_HOURS * int(weeks[-1])), horizon)
        hours = np.union1d(past, at)
        members = model.posterior.members
        logits = logits_of({name: self.members[name].predict(history, hours, horizon) for name in members})
        of_past, of_issues = (logits[np.isin(hours, some)] for some in (past, at))
        by_week = _by_week(model.posterior, of_past, history, past, horizon, start, int(weeks[-1]))
        return combine(by_week, weeks, of_issues, fireworks_ahead(history, horizon)[at], FIREWORK_MEMBERS)

    def files(self) -> dict[str, bytes]:
        """Return the files; those of a member start with its name."""
        return super().files() | files_of_members(self.members)


class HourlyStack(HourlyForecaster):
    """A combination of `MEMBERS`."""

    name: ClassVar[str] = "hourly_stack"
    model: ClassVar[type[Any]] = HorizonStack

    def fit(self, history: HourlyHistory, train: range, validation: range) -> FittedHourlyStack:
        """Fit the members and their weights. Raises HourlyHistoryError as members do, or without validation alerts."""
        members = {name: member(self.horizons).fit(history, train, validation) for name, member in MEMBERS.items()}
        return combined(members, history, train, validation, self.horizons)

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> FittedHourlyStack:
        members = {name: member.load(files_of_member(name, files)) for name, member in MEMBERS.items()}
        return FittedHourlyStack(cls.name, super().load(files).models, members=members)


def combined(
    members: Mapping[str, FittedHourly],
    history: HourlyHistory,
    train: range,
    validation: range,
    horizons: tuple[int, ...],
) -> FittedHourlyStack:
    """Return the stack of members, weighted by their fits on training. Raises HourlyHistoryError without validation alerts."""
    models = {}
    on_train = {name: member.on_train for name, member in members.items() if member.on_train is not None}
    for horizon in horizons:
        issues = history.issues(validation, horizon)
        before = history.alerts_within(history.issues(train, horizon), horizon) > 0
        centre = float(logit(clip_probability(before.mean())))
        prior = WeightPosterior.prior(list(members), centre, PRIOR_WEIGHTS[horizon])
        logits = logits_of({name: member.predict(history, issues, horizon) for name, member in on_train.items()})
        weeks, fireworks = -(-len(validation) // WEEK_HOURS), fireworks_ahead(history, horizon)[issues]
        by_week = _by_week(prior, logits, history, issues, horizon, validation.start, weeks)
        probability = combine(by_week, _weeks_known(issues, validation.start), logits, fireworks, FIREWORK_MEMBERS)
        try:
            counts = AlertCounts.fit(history.alerts_within(issues, horizon), probability, fireworks)
        except ValueError as error:
            raise HourlyHistoryError(f"City {history.city.name}, validation hours {validation}: {error}") from error
        models[horizon] = HorizonStack(by_week[-1], counts, history.starts[validation.stop])
    return FittedHourlyStack(HourlyStack.name, models, members=members)


def _weeks_known(issues: Integers, start: int) -> Integers:
    """Return whole weeks from hour `start` on before each issue, without the last hour, which may be running."""
    return np.maximum(issues - 1 - start, 0) // WEEK_HOURS


def _by_week(
    posterior: WeightPosterior,
    logits: Array,
    history: HourlyHistory,
    issues: Integers,
    horizon: int,
    start: int,
    weeks: int,
) -> list[WeightPosterior]:
    observed = history.alerts_within(issues, horizon) > 0
    ordinary = ~fireworks_ahead(history, horizon)[issues]
    return posterior.by_week(logits, observed, (issues - start) // WEEK_HOURS, weeks, ordinary)
