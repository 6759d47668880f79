"""What serves: a combination of all other forecasters, whose weights are learned from what they forecast before.

Each member is fitted on the training window and forecasts the validation window, which it has not seen; from these forecasts
the weights are learned, week by week, starting at what other cities learned (see `trust`). Then every member is fitted on both
windows. Later weeks move the weights on, as soon as is known what came: the weights of a day rest on earlier days alone.
Firework days teach nothing, as members differ there in other things than on ordinary days.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import ClassVar, Final

import numpy as np
from scipy.special import logit

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.models.forecaster import (
    NO_CONTEXT,
    Array,
    ChosenSettings,
    FitContext,
    Fitted,
    HasDrivers,
    require_both_labels,
    validation_of,
)
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.features import ordinary_days
from shotspotter_assets.models.next_day.settings import StackSettings
from shotspotter_assets.models.registry import city_settings, find, forecaster
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
WEEK: Final = 7
PRIOR_WEIGHTS: Final = {
    "residual_boosting": 0.42,
    "regime_regression": 0.03,
    "shared_regression": 0.02,
    "gradient_boosting": 0.25,
    "logistic_regression": 0.02,
    "ewma": 0.07,
    "ew_kde": 0.28,
    "historical_mean": 0.01,
}
"""What five cities learned before their test years (`benchmarks/stack_prior.py`); a mean of forecasts is too timid, so that the
weights sum to more than one."""
NETWORK: Final = "residual_conv_lstm"
"""Starts at the same regression as boosting: where it is a member, it starts with half of boosting's weight."""
FIREWORK_MEMBERS: Final = ("residual_boosting", "regime_regression", "residual_conv_lstm")
"""Those that have a regime for firework days; the first of them is used there, see `trust.combine`."""


@dataclass(frozen=True)
class FittedStack:
    """See `Fitted`.

    Attributes:
        members: fitted on training and validation days, by name.
        trust: after the days to `learned_to`.
        centre: see `trust`.
        learned_to: the last day of the validation window.
        settings: what the weights are, in numbers and in words, and the settings of each member.
    """

    members: Mapping[str, Fitted]
    trust: Trust
    centre: float
    learned_to: date
    settings: ChosenSettings
    validation_probability: Array | None = None

    @property
    def in_words(self) -> str:
        """See `HasMembers.in_words`."""
        return in_words(dict(zip(self.members, self.trust.mean, strict=False)))

    @property
    def most_trusted(self) -> str:
        """The member that weighs most."""
        return list(self.members)[int(np.argmax(self.trust.mean[:-1]))]

    def predict(self, history: History, days: range) -> Array:
        start = (self.learned_to - history.first_day).days + 1
        weeks = _weeks_known(history, days.stop - 1, start)
        wanted = range(min(days.start, start) if weeks else days.start, days.stop)
        logits = logits_of({name: member.predict(history, wanted) for name, member in self.members.items()})
        learned = range(start, start + WEEK * weeks)
        past = logits[start - wanted.start :][: len(learned)] if weeks else logits[:0]
        by_week = _learn(self.trust, past, history, learned, self.centre)
        at = [_weeks_known(history, day, start) for day in days]
        return _forecast(by_week, at, logits[days.start - wanted.start :], history, days, self.members, self.centre)

    def drivers(self, history: History, day: int) -> list[tuple[str, ...]]:
        """See `HasDrivers.drivers`; those of the first member that gives reasons."""
        reasoned = next((member for member in self.members.values() if isinstance(member, HasDrivers)), None)
        return [()] * int(history.in_coverage.sum()) if reasoned is None else reasoned.drivers(history, day)

    def spread(self, history: History, day: int) -> tuple[Array, Array]:
        """See `HasSpread.spread`; the other forecast is that of the member that weighs most."""
        one = range(day, day + 1)
        distance = (logit(self.members[self.most_trusted].predict(history, one)) - logit(self.predict(history, one)))[0]
        return np.minimum(distance, 0), np.maximum(distance, 0)

    def files(self) -> dict[str, bytes]:
        """See `Fitted.files`; those of a member start with its name."""
        content = {
            "members": list(self.members),
            "mean": self.trust.mean.tolist(),
            "precision": self.trust.precision.tolist(),
            "centre": self.centre,
            "learned_to": self.learned_to.isoformat(),
            "settings": self.settings,
        }
        files = {FILE: json.dumps(content, indent=1).encode()}
        for name, member in self.members.items():
            files |= files_within(name, member.files())
        return files


class StackForecaster:
    """See the module; its members have the settings of the city's file."""

    name: ClassVar[str] = "stack"

    def __init__(self, settings: StackSettings) -> None:
        self.settings = settings

    def fit(self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT) -> FittedStack:
        history = history.through(validation.stop)
        members: dict[str, Fitted] = {}
        for name in self.settings.members:
            if find(name).needs_shared and context.shared is None:
                continue
            chosen = city_settings(history.city, name, context.changes.get(name))
            members[name] = forecaster(name, chosen).fit(history, train, validation, context)
        logits = logits_of({name: validation_of(member) for name, member in members.items()})
        return combined(members, logits, history, train, validation)

    def load(self, files: Mapping[str, bytes]) -> FittedStack:
        content = json.loads(files[FILE])
        members = {name: forecaster(name).load(files_of(name, files)) for name in content["members"]}
        trust = Trust(np.array(content["mean"]), np.array(content["precision"]))
        learned_to = date.fromisoformat(content["learned_to"])
        return FittedStack(members, trust, content["centre"], learned_to, content["settings"])


def prior_weights(members: Collection[str]) -> Mapping[str, float]:
    """What other cities learned, by member."""
    if NETWORK not in members:
        return PRIOR_WEIGHTS
    half = PRIOR_WEIGHTS["residual_boosting"] / 2
    return {**PRIOR_WEIGHTS, "residual_boosting": half, NETWORK: half}


def combined(
    members: Mapping[str, Fitted], logits: Array, history: History, train: range, validation: range
) -> FittedStack:
    """The stack of fitted members.

    Args:
        members: by name.
        logits: of their forecasts of the validation window, which they were fitted without, shape (days, cells, members).
        history: to the end of the validation window.
        train: indexes of the day axis; `validation` follows.
    """
    before = history.observed[train.start : train.stop]
    require_both_labels(history, train, before)
    centre = float(logit(before.mean()))
    by_week = _learn(prior_trust(list(members), prior_weights(members)), logits, history, validation, centre)
    at = [_weeks_known(history, day, validation.start) for day in validation]
    probability = _forecast(by_week, at, logits, history, validation, members, centre)
    learned_to = history.first_day + timedelta(days=validation.stop - 1)
    settings: dict[str, object] = {
        "weights": dict(zip(members, by_week[-1].mean[:-1].round(4).tolist(), strict=True)),
        "offset": round(float(by_week[-1].mean[-1]), 4),
        "in_words": in_words(dict(zip(members, by_week[-1].mean[:-1], strict=True))),
        "learned_from_days": len(validation),
        "members": {name: dict(member.settings) for name, member in members.items()},
    }
    if origin := next((member.settings["shared"] for member in members.values() if "shared" in member.settings), None):
        settings["shared"] = origin
    return FittedStack(members, by_week[-1], centre, learned_to, settings, probability)


def _weeks_known(history: History, day: int, start: int) -> int:
    """Whole weeks from day `start` on that are known before a day is forecast."""
    return max(int(history.known_before(range(day, day + 1))[0]) - start, 0) // WEEK


def _learn(trust: Trust, logits: Array, history: History, days: range, centre: float) -> list[Trust]:
    """The trust before `days` and after each of their weeks, the last of which may be shorter; `logits` are of these days."""
    ordinary = np.flatnonzero(ordinary_days(history)[days.start : days.stop])
    observed = history.observed[days.start : days.stop][ordinary]
    return learn(trust, logits[ordinary], observed, ordinary // WEEK, -(-len(days) // WEEK), centre)


def _forecast(
    by_week: Sequence[Trust],
    weeks: Sequence[int],
    logits: Array,
    history: History,
    days: range,
    members: Collection[str],
    centre: float,
) -> Array:
    """Probability of `days`, shape (days, cells), each with what is believed after so many `weeks`."""
    regime = next((list(members).index(name) for name in FIREWORK_MEMBERS if name in members), None)
    fireworks = is_holiday_fireworks(history.days_to_forecast()[days.start : days.stop])
    return combine(by_week, np.array(weeks, np.int64), logits, centre, fireworks, regime)
