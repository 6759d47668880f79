"""The stacks of the next day and hours: combinations of forecasters, with weights learned from their earlier forecasts.

Each member is fitted on the training window and forecasts the validation window, from which the weights are learned
week by week (see `stacking`). Then every member is fitted on both windows. Later weeks move the weights once their
outcomes are known. Periods of fireworks do not, as members differ there in other things than in ordinary periods.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Final, Self

import numpy as np
from pydantic import PlainSerializer, PlainValidator
from scipy.special import logit

from shotspotter_assets.arrays import Array, Booleans, Integers
from shotspotter_assets.calendar.dates import WEEK_HOURS, is_holiday_fireworks
from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.forecaster import NO_CONTEXT, FitContext, Fitted, Forecaster, require_both_labels
from shotspotter_assets.models.forecaster_registry import StackSettings, city_settings, forecaster
from shotspotter_assets.models.history import History
from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.model_files import Unstored, files_of_member, files_of_members
from shotspotter_assets.models.next_day.daily_inputs import ordinary_days
from shotspotter_assets.models.next_hours.hourly_forecaster import FittedHourly, HourlyForecaster
from shotspotter_assets.models.next_hours.hourly_inputs import fireworks_ahead
from shotspotter_assets.models.probability import clip_probability
from shotspotter_assets.models.stacking import WeightPosterior, combine, logits_of

NETWORK: Final = "residual_conv_lstm"
"""The member that starts at boosting's regression, with half of boosting's weight."""
HOURLY_MEMBERS: Final = ("next_hours", "self_exciting")
FIREWORK_MEMBERS: Final = ("residual_boosting", "regime_regression", NETWORK, "next_hours")
"""Members that have a regime for fireworks; the first of them is used there, see `stacking.combine`."""
PRIOR_WEIGHTS: Final = {"residual_boosting": 0.49, "gradient_boosting": 0.29, "ew_kde": 0.32}
"""Weights that five cities learned before their test years (`benchmarks/stack_prior.py`, with five further members, whose
weights these three share in proportion); a mean of forecasts is too timid, so that they sum to more than one."""
HOURLY_PRIOR_WEIGHTS: Final = {
    1: {"next_hours": 0.599, "self_exciting": 0.471},
    2: {"next_hours": 0.575, "self_exciting": 0.494},
    4: {"next_hours": 0.617, "self_exciting": 0.463},
}
"""Weights by horizon that six cities learned before their test years (`benchmarks/stack_prior.py --hours`, with two further
members, whose weight these share in proportion)."""

Instant = Annotated[np.datetime64, PlainValidator(np.datetime64), PlainSerializer(str)]


@dataclass(frozen=True)
class Days:
    """A history as a stack sees it: days that are forecast, and their weeks."""

    history: History
    week: ClassVar[int] = 7

    def begin(self, instant: np.datetime64) -> int:
        return int((instant - np.datetime64(self.history.first_day)).astype(int))

    def instant(self, begin: int) -> np.datetime64:
        return np.datetime64(self.history.first_day) + begin

    def within(self, window: range) -> range:
        return window

    def joined(self, past: range, days: range) -> range:
        return range(min(past.start, days.start), days.stop) if past else days

    def weeks_known(self, days: range, begin: int) -> Integers:
        return np.maximum(self.history.known_before(days) - begin, 0) // self.week

    def observed(self, days: range) -> Booleans:
        return self.history.observed[days.start : days.stop]

    def labels(self, window: range) -> Booleans:
        return self.observed(window)[self.history.known_in(window)]

    def are_ordinary(self, days: range) -> Booleans:
        return ordinary_days(self.history)[days.start : days.stop]

    def have_fireworks(self, days: range) -> Booleans:
        return is_holiday_fireworks(self.history.days_to_forecast()[days.start : days.stop])


@dataclass(frozen=True)
class Hours:
    """A history by hour as a stack sees it: issues of `horizon` hours, and their weeks."""

    history: HourlyHistory
    horizon: int
    week: ClassVar[int] = WEEK_HOURS

    def begin(self, instant: np.datetime64) -> int:
        return int(np.searchsorted(self.history.starts, instant))

    def instant(self, begin: int) -> np.datetime64:
        return self.history.starts[begin]

    def within(self, window: range) -> Integers:
        return self.history.issues(window, self.horizon)

    def joined(self, past: Integers, issues: Integers) -> Integers:
        return np.union1d(past, issues)

    def weeks_known(self, issues: Integers, begin: int) -> Integers:
        # The last hour before an issue may be running.
        return np.maximum(issues - 1 - begin, 0) // self.week

    def observed(self, issues: Integers) -> Booleans:
        return self.history.alerts_within(issues, self.horizon) > 0

    def labels(self, window: range) -> Booleans:
        return self.observed(self.within(window))

    def are_ordinary(self, issues: Integers) -> Booleans:
        return ~self.have_fireworks(issues)

    def have_fireworks(self, issues: Integers) -> Booleans:
        return fireworks_ahead(self.history, self.horizon)[issues]


@dataclass(frozen=True)
class FittedStack(Fitted):
    """A combination; its members are fitted on training and validation window."""

    posterior: WeightPosterior  # of the weights, after the outcomes before `learned_until`
    learned_until: Instant  # first day, or hour (UTC), after the validation window
    horizon: int | None = None  # hours that are forecast; None for the next day
    counts: AlertCounts | None = None  # number of alerts given the probability of the combination, for hours
    members: Unstored = None  # by name

    def predict(self, history: Any, periods: Any) -> Array:
        """Return the forecast; the weights move on with the weeks that are known before each period."""
        axis: Any = Days(history) if self.horizon is None else Hours(history, self.horizon)
        begin = axis.begin(self.learned_until)
        weeks = int(axis.weeks_known(periods, begin)[-1])
        past = axis.within(range(begin, begin + axis.week * weeks))
        wanted = axis.joined(past, periods)
        logits = logits_of({name: member.predict(history, wanted) for name, member in self.members.items()})
        of_past, of_periods = (logits[np.isin(wanted, some)] for some in (past, periods))
        return _forecast(_learned(self.posterior, axis, past, of_past, begin, weeks), axis, periods, of_periods, begin)

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
        return replace(
            stack, members={name: forecaster(name).fitted.load(files_of_member(name, files)) for name in names}
        )


class StackForecaster(Forecaster):
    """A combination of members with the settings of the city's file."""

    name = "stack"
    fitted = FittedStack

    settings: StackSettings

    def fit(self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT) -> FittedStack:
        axis = Days(history.through(validation.stop))
        members: dict[str, Fitted] = {}
        for name in self.settings.members:
            settings = city_settings(history.city, name, context.changes.get(name))
            members[name] = forecaster(name, settings).fit(axis.history, train, validation, context)
        require_both_labels(history, train, axis.labels(train))
        stack = combined(members, axis, train, validation, PRIOR_WEIGHTS)
        chosen = stack.chosen | {
            "learned_from_days": len(axis.labels(validation)),
            "members": {name: member.chosen for name, member in members.items()},
        }
        if origin := next((member.chosen["shared"] for member in members.values() if "shared" in member.chosen), None):
            chosen["shared"] = origin
        return replace(stack, chosen=chosen)


class HourlyStackForecaster(HourlyForecaster):
    """A regression combined with a self-exciting process, and the number of alerts given their combination.

    The offset corrects the level, which the regression misses where a city's rate has moved away from that of its
    training years. The number of alerts is forecast from the stack's own forecasts of the validation window.
    """

    name = "hourly_stack"
    fitted = FittedStack

    def fit(
        self, history: HourlyHistory, train: range, validation: range, context: FitContext = NO_CONTEXT
    ) -> FittedHourly:
        """Fit the members and their weights. Raises HourlyHistoryError as members do, or without validation alerts."""
        members = {name: forecaster(name).fit(history, train, validation, context) for name in HOURLY_MEMBERS}
        return combined_hours(members, history, train, validation, context.horizons)


def combined_hours(
    members: Mapping[str, FittedHourly],
    history: HourlyHistory,
    train: range,
    validation: range,
    horizons: Sequence[int],
) -> FittedHourly:
    """Return the stacks of members by horizon. Raises HourlyHistoryError without validation alerts."""
    stacks = {}
    for horizon in horizons:
        axis, own = Hours(history, horizon), {name: member.models[horizon] for name, member in members.items()}
        stack = combined(own, axis, train, validation, HOURLY_PRIOR_WEIGHTS[horizon])
        issues = axis.within(validation)
        alerts, fireworks = history.alerts_within(issues, horizon), axis.have_fireworks(issues)
        try:
            counts = AlertCounts.fit(alerts, stack.validation_probability, fireworks)
        except ValueError as error:
            raise HourlyHistoryError(f"City {history.city.name}, validation hours {validation}: {error}") from error
        # The forecasts of validation hours are large, and no longer needed.
        own = {name: replace(member, validation_probability=None) for name, member in own.items()}
        stacks[horizon] = replace(stack, horizon=horizon, counts=counts, members=own, validation_probability=None)
    return FittedHourly(stacks)


def prior_weights(members: Collection[str], weights: Mapping[str, float]) -> Mapping[str, float]:
    """Return weights that other cities learned, by member; the network takes half of boosting's."""
    if NETWORK not in members:
        return weights
    half = weights["residual_boosting"] / 2
    return {**weights, "residual_boosting": half, NETWORK: half}


def combined(
    members: Mapping[str, Fitted], axis: Days | Hours, train: range, validation: range, weights: Mapping[str, float]
) -> FittedStack:
    """Return the stack of members, weighted by their forecasts of validation, with the prior `weights` of other cities."""
    centre = float(logit(clip_probability(axis.labels(train).mean())))
    prior = WeightPosterior.prior(list(members), centre, prior_weights(members, weights))
    logits = logits_of({name: member.validation_probability for name, member in members.items()})
    periods, begin = axis.within(validation), validation.start
    by_week = _learned(prior, axis, periods, logits, begin, -(-len(validation) // axis.week))
    probability = _forecast(by_week, axis, periods, logits, begin)
    last = by_week[-1]
    until = axis.instant(validation.stop)
    return FittedStack(last, until, members=members, chosen=last.summary, validation_probability=probability)


def _learned(
    posterior: WeightPosterior, axis: Any, periods: Any, logits: Array, begin: int, weeks: int
) -> list[WeightPosterior]:
    """Return the posterior before `begin` and after each week from there, the last of which may be shorter."""
    week = (np.asarray(periods) - begin) // axis.week
    return posterior.by_week(logits, axis.observed(periods), week, weeks, axis.are_ordinary(periods))


def _forecast(by_week: list[WeightPosterior], axis: Any, periods: Any, logits: Array, begin: int) -> Array:
    weeks = axis.weeks_known(periods, begin)
    return combine(by_week, weeks, logits, axis.have_fireworks(periods), FIREWORK_MEMBERS)
