"""The stacks of the next day and hours: combinations of forecasters, with weights learned from their earlier forecasts.

Each member is fitted on the training window and forecasts the validation window, from which the weights are learned
week by week (see `stacking`). Then every member is fitted on both windows. Later weeks move the weights once their
outcomes are known. Periods of fireworks do not, because members differ there in other things than in ordinary periods.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import PlainSerializer, PlainValidator
from scipy.special import logit

from shotspotter_assets.grid.dates import WEEK_HOURS
from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.forecaster import (
    NO_CONTEXT,
    DailyForecaster,
    FitContext,
    Fitted,
    FittedDaily,
    FittedHourly,
    Unstored,
    clip_probability,
    files_of_member,
    files_of_members,
    require_both_labels,
)
from shotspotter_assets.models.forecaster_registry import (
    NETWORK,
    StackSettings,
    city_settings,
    forecaster,
    hourly_forecaster,
)
from shotspotter_assets.models.history import History, HourlyHistory, HourlyHistoryError, firework_days
from shotspotter_assets.models.next_day.daily_inputs import ordinary_days
from shotspotter_assets.models.next_hours.hourly_forecaster import HourlyForecaster
from shotspotter_assets.models.next_hours.hourly_inputs import fireworks_ahead
from shotspotter_assets.models.stacking import WeightPosterior, combine, logits_of
from shotspotter_assets.storage.arrays import Array, Booleans, Integers
from shotspotter_assets.storage.progress import steps

WEEK_DAYS: Final = 7
USUAL_SECONDS: Final = {"residual_boosting": 25, NETWORK: 40, "gradient_boosting": 8}
"""Seconds to train members, for the progress; others need about one."""
HOURLY_MEMBERS: Final = ("next_hours", "self_exciting")
FIREWORK_MEMBERS: Final = ("residual_boosting", "regime_regression", NETWORK, "next_hours")  # those with a regime
PRIOR_WEIGHTS: Final = {"residual_boosting": 0.49, "gradient_boosting": 0.29, "ew_kde": 0.32}
"""Weights that five cities learned before their test years (`0987f5b8:benchmarks/stack_prior.py`, with five further members,
whose weights these three share in proportion); a mean of forecasts is too timid, so that they sum to more than one."""
HOURLY_PRIOR_WEIGHTS: Final = {
    1: {"next_hours": 0.599, "self_exciting": 0.471},
    2: {"next_hours": 0.575, "self_exciting": 0.494},
    4: {"next_hours": 0.617, "self_exciting": 0.463},
}
"""Weights by horizon that six cities learned before their test years (`0987f5b8:benchmarks/stack_prior.py --hours`, with two
further members, whose weight these share in proportion)."""

LONG_LEAD_DAYS: Final = (
    60  # minimum lead at which weights stay those of other cities (`0987f5b8:benchmarks/skill_by_lead.py`)
)

Instant = Annotated[np.datetime64, PlainValidator(np.datetime64), PlainSerializer(str)]


@dataclass(frozen=True)
class Periods:
    """Arrays of a history by forecast period: a day, or the `horizon` hours from an hour on."""

    week: int  # number of periods in a week
    starts: npt.NDArray[np.datetime64]
    before: Integers  # end of the periods that a forecast of each may use
    observed: Booleans  # shape (periods, cells)
    known: Booleans
    fireworks: Booleans
    learned: Booleans  # periods that weights are learned from
    within: Callable[[range], Integers]  # returns the forecast periods of a window

    @classmethod
    def of_days(cls, history: History) -> "Periods":
        """Return the days of a history."""
        starts = history.days_to_forecast()
        return cls(
            week=WEEK_DAYS,
            starts=starts,
            before=history.known_before(range(len(starts))),
            observed=history.observed,
            known=history.known,
            fireworks=firework_days(history.city, starts),
            learned=ordinary_days(history) & (history.lead < LONG_LEAD_DAYS),
            within=partial(np.array, dtype=np.int64),
        )

    @classmethod
    def of_hours(cls, history: HourlyHistory, horizon: int) -> "Periods":
        """Return the hours of a history, from each of which the next `horizon` hours are forecast."""
        observed = history.occupied_within(horizon)
        fireworks = fireworks_ahead(history, horizon)
        return cls(
            week=WEEK_HOURS,
            starts=history.starts,
            before=np.arange(len(history) + 1) - 1,  # the last hour may be running
            observed=observed,
            known=history.are_known(np.arange(len(observed)), horizon),
            fireworks=fireworks,
            learned=~fireworks,
            within=partial(history.issues, horizon=horizon),
        )

    def labels(self, window: range) -> Booleans:
        """Return what was observed in the known periods of a window, shape (periods, cells)."""
        periods = self.within(window)
        return self.observed[periods[self.known[periods]]]

    def weeks_known(self, periods: Integers, begin: int) -> Integers:
        """Return the number of weeks from `begin` on that are known before each period."""
        return np.maximum(self.before[periods] - begin, 0) // self.week

    def by_week(
        self, posterior: WeightPosterior, logits: Array, periods: Integers, begin: int, weeks: int
    ) -> list[WeightPosterior]:
        """Return the posterior before `begin` and after each week from there, the last of which may be shorter."""
        week = (periods - begin) // self.week
        return posterior.by_week(logits, self.observed[periods], week, weeks, self.learned[periods])

    def forecast(self, by_week: list[WeightPosterior], logits: Array, periods: Integers, begin: int) -> Array:
        """Return the stack's probability, (periods, cells), by the weights of the weeks that are known before each period."""
        return combine(by_week, self.weeks_known(periods, begin), logits, self.fireworks[periods], FIREWORK_MEMBERS)


@dataclass(frozen=True)
class FittedStack(Fitted[History | HourlyHistory, range | Integers]):
    """A combination; its members are fitted on training and validation window."""

    posterior: WeightPosterior  # weights after the outcomes before `learned_until`
    learned_until: Instant  # first day, or hour (UTC), after the validation window
    horizon: int | None = None  # hours that are forecast; None for the next day
    counts: AlertCounts | None = None  # number of alerts given the probability of the combination, for hours
    members: Unstored = None  # by name

    def predict(self, history: History | HourlyHistory, periods: range | Integers) -> Array:
        """Return the forecast; the weights move on with the weeks that are known before each period."""
        axis = (
            Periods.of_days(history) if isinstance(history, History) else Periods.of_hours(history, self.horizon or 0)
        )
        asked = np.asarray(periods)
        begin = int(np.searchsorted(axis.starts, self.learned_until))
        weeks = int(axis.weeks_known(asked, begin)[-1])
        past = axis.within(range(begin, begin + axis.week * weeks))
        both = np.union1d(past, asked)
        wanted = range(both[0], both[-1] + 1) if self.horizon is None else both
        logits = logits_of({name: member.predict(history, wanted) for name, member in self.members.items()})
        by_week = axis.by_week(self.posterior, logits[np.isin(wanted, past)], past, begin, weeks)
        return axis.forecast(by_week, logits[np.isin(wanted, asked)], asked, begin)

    def drivers(self, history: History, day: int) -> list[tuple[str, ...]] | None:
        """Return those of the first member that gives reasons."""
        by_member = (member.drivers(history, day) for member in self.members.values())
        return next((drivers for drivers in by_member if drivers is not None), None)

    def files(self) -> dict[str, bytes]:
        """Return the files; those of a member start with its name."""
        return super().files() | files_of_members(self.members)

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Self:
        stack = super().load(files)
        kinds = {name: forecaster(name).fitted for name in stack.posterior.members}
        return replace(stack, members={name: kind.load(files_of_member(name, files)) for name, kind in kinds.items()})


class StackForecaster(DailyForecaster):
    """A combination of members with the settings of the city's file."""

    fitted = FittedStack

    settings: StackSettings

    def fit(self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT) -> FittedStack:
        """Fit the members and their weights; the network takes no part at a long lead, or where the city leaves it out."""
        history = history.through(validation.stop)
        axis = Periods.of_days(history)
        members: dict[str, FittedDaily] = {}
        seconds = [USUAL_SECONDS.get(name, 1) for name in self.settings.members]
        for name in steps("member", self.settings.members, seconds=seconds):
            if name == NETWORK and (not history.city.network or history.lead >= LONG_LEAD_DAYS):
                continue
            settings = city_settings(history.city, name, context.changes.get(name))
            members[name] = forecaster(name, settings).fit(history, train, validation, context)
        require_both_labels(history, train, axis.labels(train))
        stack = combined(members, axis, train, validation, prior_weights(members))
        chosen = stack.chosen | {"learned_from_days": len(axis.labels(validation))}
        chosen["members"] = {name: member.chosen for name, member in members.items()}
        if origin := next((member.chosen["shared"] for member in members.values() if "shared" in member.chosen), None):
            chosen["shared"] = origin
        return replace(stack, chosen=chosen)


class HourlyStackForecaster(HourlyForecaster):
    """A regression combined with a self-exciting process, and the number of alerts given their combination."""

    fitted = FittedStack

    def fit(
        self, history: HourlyHistory, train: range, validation: range, context: FitContext = NO_CONTEXT
    ) -> FittedHourly:
        """Fit the members and their weights. Raises HourlyHistoryError as members do, or without validation alerts."""
        members = {
            name: hourly_forecaster(name).fit(history, train, validation, context)
            for name in steps("member", HOURLY_MEMBERS)
        }
        return combined_hours(members, history, train, validation, context.horizons)


def combined_hours(
    members: Mapping[str, FittedHourly], past: HourlyHistory, train: range, validation: range, horizons: Sequence[int]
) -> FittedHourly:
    """Return the stacks of members by horizon. Raises HourlyHistoryError without validation alerts."""
    stacks = {}
    for horizon in horizons:
        axis = Periods.of_hours(past, horizon)
        fitted = {name: member.models[horizon] for name, member in members.items()}
        stack = combined(fitted, axis, train, validation, HOURLY_PRIOR_WEIGHTS[horizon])
        issues = axis.within(validation)
        alerts = past.alerts_within(issues, horizon)
        try:
            counts = AlertCounts.fit(alerts, stack.validation_probability, axis.fireworks[issues])
        except ValueError as error:
            raise HourlyHistoryError(f"City {past.city.name}, validation hours {validation}: {error}") from error
        # The forecasts of validation hours are large, and no longer needed.
        fitted = {name: replace(member, validation_probability=None) for name, member in fitted.items()}
        stacks[horizon] = replace(stack, horizon=horizon, counts=counts, members=fitted, validation_probability=None)
    return FittedHourly(stacks)


def prior_weights(members: Collection[str]) -> Mapping[str, float]:
    """Return weights of the next day that other cities learned, by member; the network has half of boosting's."""
    half = PRIOR_WEIGHTS["residual_boosting"] / 2
    return PRIOR_WEIGHTS | ({"residual_boosting": half, NETWORK: half} if NETWORK in members else {})


def combined(
    members: Mapping[str, Fitted], axis: Periods, train: range, validation: range, weights: Mapping[str, float]
) -> FittedStack:
    """Return the stack of members, weighted by their forecasts of validation, with the prior `weights` of other cities."""
    centre = float(logit(clip_probability(axis.labels(train).mean())))
    prior = WeightPosterior.prior(list(members), centre, weights)
    logits = logits_of({name: member.validation_probability for name, member in members.items()})
    periods = axis.within(validation)
    by_week = axis.by_week(prior, logits, periods, validation.start, -(-len(validation) // axis.week))
    last = by_week[-1]
    return FittedStack(
        last,
        axis.starts[validation.stop],
        members=members,
        chosen=last.summary,
        validation_probability=axis.forecast(by_week, logits, periods, validation.start),
    )
