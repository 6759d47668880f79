"""What serves: the regression of the next hours combined with baselines, by weights that are learned from past forecasts.

As the stack of the next day: of each horizon the members, fitted on the training window, forecast the validation window, and
from these forecasts the weights are learned week by week, starting at those of other cities (`models/trust.py`). The offset
puts right the level, which the regression gets wrong where a city's rate has moved away from that of its training years.
Later weeks move both on. The number of alerts is forecast from the stack's own forecasts of the validation window.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from shotspotter_assets.calendar.weekdays import WEEK_HOURS
from shotspotter_assets.models.alert_counts import AlertCounts, NoAlertsError
from shotspotter_assets.models.forecaster import ChosenSettings
from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.next_hours.climatology_hour_of_week import ClimatologyHourOfWeek
from shotspotter_assets.models.next_hours.ewma_hour_of_week import EwmaHourOfWeek
from shotspotter_assets.models.next_hours.features import fireworks_ahead
from shotspotter_assets.models.next_hours.forecaster import HORIZONS, Array, FittedHourly, Indexes
from shotspotter_assets.models.next_hours.next_hours import FittedNextHours, NextHours
from shotspotter_assets.models.next_hours.self_exciting import SelfExciting
from shotspotter_assets.models.probability import clip_probability
from shotspotter_assets.models.trust import (
    Trust,
    combine,
    files_of,
    files_within,
    in_words,
    learn,
    logits_of,
    prior_trust,
)

FILE: Final = "stack.json"
MEMBERS: Final = {member.name: member for member in (NextHours, SelfExciting, EwmaHourOfWeek, ClimatologyHourOfWeek)}
FIREWORK_MEMBER: Final = NextHours.name
"""It has inputs for firework nights, see `trust.combine`. Such hours teach the weights nothing."""
PRIOR_WEIGHTS: Final = {
    1: {"next_hours": 0.52, "self_exciting": 0.41, "ewma_hour_of_week": 0.04, "climatology_hour_of_week": 0.10},
    2: {"next_hours": 0.50, "self_exciting": 0.43, "ewma_hour_of_week": 0.03, "climatology_hour_of_week": 0.11},
    4: {"next_hours": 0.48, "self_exciting": 0.36, "ewma_hour_of_week": 0.12, "climatology_hour_of_week": 0.12},
    6: {"next_hours": 0.50, "ewma_hour_of_week": 0.46, "climatology_hour_of_week": 0.14},
    12: {"next_hours": 0.52, "ewma_hour_of_week": 0.49, "climatology_hour_of_week": 0.15},
}
"""By horizon, what six cities learned before their test years (`benchmarks/stack_prior.py --hours`)."""


@dataclass(frozen=True)
class HorizonStack:
    """The combination for one horizon.

    Attributes:
        trust: of its members after the hours to `FittedHourlyStack.learned_until`.
        centre: see `models/trust.py`.
        counts: of alerts, given the probability of the combination.
    """

    trust: Trust
    centre: float
    counts: AlertCounts


@dataclass(frozen=True)
class FittedHourlyStack:
    """See `FittedHourly`.

    Attributes:
        members: fitted on training and validation hours, by name.
        models: by horizon.
        learned_until: the instant (UTC) at which the validation window ends.
        on_train: the members that were fitted on the training hours alone, combined by the weights of other cities, which the weeks
            of the validation window move on; None for one that was loaded.
    """

    members: Mapping[str, FittedHourly]
    models: Mapping[int, HorizonStack]
    learned_until: np.datetime64
    on_train: "FittedHourlyStack | None" = None
    name: ClassVar[str] = "hourly_stack"

    @property
    def in_words(self) -> dict[str, str]:
        """Whom it trusts, by horizon."""
        return {f"{horizon}h": in_words(self._weights(horizon)) for horizon in self.models}

    @property
    def settings(self) -> ChosenSettings:
        """By horizon, what the weights are, in numbers and in words."""
        return {
            f"{horizon}h": {
                "weights": {name: round(weight, 4) for name, weight in self._weights(horizon).items()},
                "offset": round(float(model.trust.mean[-1]), 4),
                "in_words": self.in_words[f"{horizon}h"],
            }
            for horizon, model in self.models.items()
        }

    @property
    def profile(self) -> Array:
        """Alerts of each hour of the week over their mean, shape (168,)."""
        regression = self.members[NextHours.name]
        assert isinstance(regression, FittedNextHours)
        return regression.profile

    def predict(self, history: HourlyHistory, issues: Indexes, horizon: int) -> Array:
        model, start = self.models[horizon], int(np.searchsorted(history.starts, self.learned_until))
        weeks = _weeks_known(issues, start)
        past = history.issues(range(start, start + WEEK_HOURS * int(weeks[-1])), horizon)
        hours = np.union1d(past, issues)
        members = {name: member for name, member in self.members.items() if horizon in member.models}
        logits = logits_of({name: member.predict(history, hours, horizon) for name, member in members.items()})
        of_past, of_issues = (logits[np.isin(hours, some)] for some in (past, issues))
        by_week = _learn(model.trust, of_past, history, past, horizon, start, int(weeks[-1]), model.centre)
        return _combine(by_week, weeks, of_issues, history, issues, horizon, model.centre, list(members))

    def files(self) -> dict[str, bytes]:
        """See `FittedHourly.files`; those of a member start with its name, those of counts with their hours."""
        content = {
            "members": list(self.members),
            "models": {
                horizon: {
                    "mean": one.trust.mean.tolist(),
                    "precision": one.trust.precision.tolist(),
                    "centre": one.centre,
                }
                for horizon, one in self.models.items()
            },
            "learned_until": str(self.learned_until),
            "settings": self.settings,
        }
        files = {FILE: json.dumps(content, indent=1).encode()}
        for name, member in self.members.items():
            files |= files_within(name, member.files())
        for horizon, model in self.models.items():
            files |= files_within(f"{horizon}h", model.counts.files())
        return files

    def _weights(self, horizon: int) -> dict[str, float]:
        able = (name for name, member in self.members.items() if horizon in member.models)
        return dict(zip(able, self.models[horizon].trust.mean[:-1].tolist(), strict=True))


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
        content = json.loads(files[FILE])
        members = {name: MEMBERS[name].load(files_of(name, files)) for name in content["members"]}
        models = {
            int(horizon): HorizonStack(
                Trust(np.array(one["mean"]), np.array(one["precision"])),
                one["centre"],
                AlertCounts.load(files_of(f"{horizon}h", files)),
            )
            for horizon, one in content["models"].items()
        }
        return FittedHourlyStack(members, models, np.datetime64(content["learned_until"]))


def combined(
    members: Mapping[str, FittedHourly],
    history: HourlyHistory,
    train: range,
    validation: range,
    horizons: tuple[int, ...],
) -> FittedHourlyStack:
    """The stack of fitted members; its trust is learned from the forecasts of those fitted on the training hours alone.

    Raises:
        HourlyHistoryError: no alert lies in the validation hours.
    """
    models, models_on_train = {}, {}
    for horizon in horizons:
        able = {name: member for name, member in members.items() if horizon in member.models}
        issues = history.issues(validation, horizon)
        centre = float(logit(clip_probability(_occupied(history, history.issues(train, horizon), horizon).mean())))
        forecasts = {
            name: member.on_train.predict(history, issues, horizon)
            for name, member in able.items()
            if member.on_train is not None
        }
        logits, weeks = logits_of(forecasts), -(-len(validation) // WEEK_HOURS)
        prior = prior_trust(list(able), PRIOR_WEIGHTS[horizon])
        by_week = _learn(prior, logits, history, issues, horizon, validation.start, weeks, centre)
        known = _weeks_known(issues, validation.start)
        probability = _combine(by_week, known, logits, history, issues, horizon, centre, list(able))
        try:
            counts = AlertCounts.fit(
                _alerts(history, issues, horizon), probability, fireworks_ahead(history, horizon)[issues]
            )
        except NoAlertsError as error:
            raise HourlyHistoryError(f"City {history.city.name}, validation hours {validation}: {error}") from error
        models[horizon] = HorizonStack(by_week[-1], centre, counts)
        models_on_train[horizon] = HorizonStack(prior, centre, counts)
    members_on_train = {name: member.on_train for name, member in members.items() if member.on_train is not None}
    on_train = FittedHourlyStack(members_on_train, models_on_train, history.starts[validation.start])
    return FittedHourlyStack(members, models, history.starts[validation.stop], on_train)


def _weeks_known(issues: Indexes, start: int) -> Indexes:
    """Whole weeks from hour `start` on before each issue, but for the last hour, which may be running."""
    return np.maximum(issues - 1 - start, 0) // WEEK_HOURS


def _learn(
    trust: Trust,
    logits: Array,
    history: HourlyHistory,
    issues: Indexes,
    horizon: int,
    start: int,
    weeks: int,
    centre: float,
) -> list[Trust]:
    """See `trust.learn`; `logits` are of `issues`, whose weeks begin at hour `start`."""
    ordinary = ~fireworks_ahead(history, horizon)[issues]
    observed = _occupied(history, issues[ordinary], horizon)
    return learn(trust, logits[ordinary], observed, (issues[ordinary] - start) // WEEK_HOURS, weeks, centre)


def _combine(
    by_week: Sequence[Trust],
    weeks: Indexes,
    logits: Array,
    history: HourlyHistory,
    issues: Indexes,
    horizon: int,
    centre: float,
    members: Sequence[str],
) -> Array:
    """See `trust.combine`."""
    regime = members.index(FIREWORK_MEMBER) if FIREWORK_MEMBER in members else None
    return combine(by_week, weeks, logits, centre, fireworks_ahead(history, horizon)[issues], regime)


def _alerts(history: HourlyHistory, issues: Indexes, horizon: int) -> npt.NDArray[np.int64]:
    """Alerts of each cell within the horizon, shape (issues, cells)."""
    alerts = np.zeros((len(issues), history.alerts.shape[1]), np.int64)
    for step in range(horizon):
        alerts += history.alerts[issues + step]
    return alerts


def _occupied(history: HourlyHistory, issues: Indexes, horizon: int) -> npt.NDArray[np.bool_]:
    return _alerts(history, issues, horizon) > 0
