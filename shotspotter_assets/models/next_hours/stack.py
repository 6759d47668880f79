"""The default forecaster of the next hours: a regression combined with baselines, by weights learned from earlier forecasts.

As the stack of the next day: for each horizon the members, fitted on the training window, forecast the validation window, and
from these forecasts the weights are learned week by week, starting at those of other cities (see `stacking`). The offset
corrects the level, which the regression gets wrong where a city's rate has moved away from that of its training years.
The number of alerts is forecast from the stack's own forecasts of the validation window.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Final

import numpy as np
from pydantic import PlainSerializer, PlainValidator
from scipy.special import logit

from shotspotter_assets.calendar.dates import WEEK_HOURS
from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.forecaster import ChosenSettings
from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.model_files import StoredModel, Unstored, prefixed, without_prefix
from shotspotter_assets.models.next_hours.baseline import ClimatologyHourOfWeek, EwmaHourOfWeek
from shotspotter_assets.models.next_hours.features import fireworks_ahead
from shotspotter_assets.models.next_hours.forecaster import HORIZONS, Array, FittedHourly, Indexes
from shotspotter_assets.models.next_hours.next_hours import FittedNextHours, NextHours
from shotspotter_assets.models.next_hours.self_exciting import SelfExciting
from shotspotter_assets.models.probability import clip_probability
from shotspotter_assets.models.stacking import WeightPosterior, combine, logits_of

MEMBERS: Final = {member.name: member for member in (NextHours, SelfExciting, EwmaHourOfWeek, ClimatologyHourOfWeek)}
FIREWORK_MEMBERS: Final = (NextHours.name,)
"""Members with inputs for firework nights, see `stacking.combine`. Such hours teach the weights nothing."""
PRIOR_WEIGHTS: Final = {
    1: {"next_hours": 0.52, "self_exciting": 0.41, "ewma_hour_of_week": 0.04, "climatology_hour_of_week": 0.10},
    2: {"next_hours": 0.50, "self_exciting": 0.43, "ewma_hour_of_week": 0.03, "climatology_hour_of_week": 0.11},
    4: {"next_hours": 0.48, "self_exciting": 0.36, "ewma_hour_of_week": 0.12, "climatology_hour_of_week": 0.12},
    6: {"next_hours": 0.50, "ewma_hour_of_week": 0.46, "climatology_hour_of_week": 0.14},
    12: {"next_hours": 0.52, "ewma_hour_of_week": 0.49, "climatology_hour_of_week": 0.15},
}
"""By horizon, weights that six cities learned before their test years (`benchmarks/stack_prior.py --hours`)."""
Instant = Annotated[np.datetime64, PlainValidator(np.datetime64), PlainSerializer(str)]


@dataclass(frozen=True)
class HorizonStack:
    """The combination for one horizon.

    Attributes:
        posterior: of the weights of its members, after the hours to `FittedHourlyStack.learned_until`.
        counts: of alerts, given the probability of the combination.
    """

    posterior: WeightPosterior
    counts: AlertCounts


@dataclass(frozen=True)
class FittedHourlyStack(StoredModel):
    """See `FittedHourly`.

    Attributes:
        models: by horizon.
        learned_until: the instant (UTC) at which the validation window ends.
        members: fitted on training and validation hours, by name.
        on_train: the members that were fitted on the training hours alone, combined by the weights of other cities, which the weeks
            of the validation window move on; None for one that was loaded.
    """

    models: Mapping[int, HorizonStack]
    learned_until: Instant
    members: Unstored = None
    on_train: Unstored = None
    name: ClassVar[str] = "hourly_stack"

    @property
    def in_words(self) -> dict[str, str]:
        """The weights in words, by horizon."""
        return {f"{horizon}h": model.posterior.in_words for horizon, model in self.models.items()}

    @property
    def settings(self) -> ChosenSettings:
        """The weights in numbers and in words, by horizon."""
        return {f"{horizon}h": model.posterior.settings for horizon, model in self.models.items()}

    @property
    def profile(self) -> Array:
        """Alerts of each hour of the week over their mean, shape (168,)."""
        regression = self.members[NextHours.name]
        assert isinstance(regression, FittedNextHours)
        return regression.profile

    def predict(self, history: HourlyHistory, issues: Indexes, horizon: int) -> Array:
        """See `FittedHourly.predict`; the weights move on with the weeks that are over before each issue."""
        posterior, start = self.models[horizon].posterior, int(np.searchsorted(history.starts, self.learned_until))
        weeks = _weeks_known(issues, start)
        past = history.issues(range(start, start + WEEK_HOURS * int(weeks[-1])), horizon)
        hours = np.union1d(past, issues)
        logits = logits_of({name: self.members[name].predict(history, hours, horizon) for name in posterior.members})
        of_past, of_issues = (logits[np.isin(hours, some)] for some in (past, issues))
        by_week = _learned(posterior, of_past, history, past, horizon, start, int(weeks[-1]))
        return combine(by_week, weeks, of_issues, fireworks_ahead(history, horizon)[issues], FIREWORK_MEMBERS)

    def files(self) -> dict[str, bytes]:
        """See `FittedHourly.files`; those of a member start with its name."""
        files = super().files()
        for name, member in self.members.items():
            files |= prefixed(name, member.files())
        return files


@dataclass(frozen=True)
class HourlyStack:
    """See the module."""

    horizons: tuple[int, ...] = HORIZONS
    name: ClassVar[str] = FittedHourlyStack.name

    def fit(self, history: HourlyHistory, train: range, validation: range) -> FittedHourlyStack:
        """See `HourlyForecaster.fit`.

        Raises:
            HourlyHistoryError: as `NextHours.fit`, or no alert lies in the validation hours.
        """
        members = {name: member(self.horizons).fit(history, train, validation) for name, member in MEMBERS.items()}
        return combined(members, history, train, validation, self.horizons)

    @staticmethod
    def load(files: Mapping[str, bytes]) -> FittedHourlyStack:
        """See `HourlyForecaster.load`."""
        members = {name: member.load(without_prefix(name, files)) for name, member in MEMBERS.items()}
        return replace(FittedHourlyStack.load(files), members=members)


def combined(
    members: Mapping[str, FittedHourly],
    history: HourlyHistory,
    train: range,
    validation: range,
    horizons: tuple[int, ...],
) -> FittedHourlyStack:
    """The stack of fitted members; its weights are learned from the forecasts of those fitted on the training hours alone.

    Raises:
        HourlyHistoryError: no alert lies in the validation hours.
    """
    models, models_on_train = {}, {}
    on_train = {name: member.on_train for name, member in members.items() if member.on_train is not None}
    for horizon in horizons:
        issues = history.issues(validation, horizon)
        before = history.alerts_within(history.issues(train, horizon), horizon) > 0
        able = [name for name, member in members.items() if horizon in member.models]
        prior = WeightPosterior.prior(able, float(logit(clip_probability(before.mean()))), PRIOR_WEIGHTS[horizon])
        logits = logits_of({name: on_train[name].predict(history, issues, horizon) for name in able})
        weeks, fireworks = -(-len(validation) // WEEK_HOURS), fireworks_ahead(history, horizon)[issues]
        by_week = _learned(prior, logits, history, issues, horizon, validation.start, weeks)
        probability = combine(by_week, _weeks_known(issues, validation.start), logits, fireworks, FIREWORK_MEMBERS)
        try:
            counts = AlertCounts.fit(history.alerts_within(issues, horizon), probability, fireworks)
        except ValueError as error:
            raise HourlyHistoryError(f"City {history.city.name}, validation hours {validation}: {error}") from error
        models[horizon] = HorizonStack(by_week[-1], counts)
        models_on_train[horizon] = HorizonStack(prior, counts)
    of_train = FittedHourlyStack(models_on_train, history.starts[validation.start], on_train)
    return FittedHourlyStack(models, history.starts[validation.stop], members, of_train)


def _weeks_known(issues: Indexes, start: int) -> Indexes:
    """Whole weeks from hour `start` on before each issue, without the last hour, which may be running."""
    return np.maximum(issues - 1 - start, 0) // WEEK_HOURS


def _learned(
    posterior: WeightPosterior,
    logits: Array,
    history: HourlyHistory,
    issues: Indexes,
    horizon: int,
    start: int,
    weeks: int,
) -> list[WeightPosterior]:
    """See `WeightPosterior.by_week`; `logits` are of `issues`, whose weeks begin at hour `start`."""
    ordinary = ~fireworks_ahead(history, horizon)[issues]
    observed = history.alerts_within(issues[ordinary], horizon) > 0
    return posterior.by_week(logits[ordinary], observed, (issues[ordinary] - start) // WEEK_HOURS, weeks)
