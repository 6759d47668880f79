"""What serves: a combination of all other forecasters, whose weights are learned from what they forecast before.

Each member is fitted on the training window and forecasts the validation window, which it has not seen; from these forecasts
the weights are learned, week by week, starting at what other cities learned (see `trust`). Then every member is fitted on both
windows. Later weeks move the weights on, as soon as is known what came: the weights of a day rest on earlier days alone.
Firework days teach nothing, as members differ there in other things than on ordinary days.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import ClassVar, Final

import numpy as np
from scipy.special import expit, logit

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
from shotspotter_assets.models.next_day.trust import WEEK, Trust
from shotspotter_assets.models.probability import clip_probability
from shotspotter_assets.models.registry import city_settings, find, forecaster

FILE: Final = "stack.json"
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
WEIGHT_PRECISION: Final = 300.0
"""Of each prior weight: how strongly it holds against what the city's own forecasts say."""
STRANGER_PRECISION: Final = 3000.0
"""The same of a member that other cities did not have: it starts at no weight, and has to show more to get some."""
OFFSET_PRECISION: Final = 50.0
FIREWORK_MEMBERS: Final = ("residual_boosting", "regime_regression", "residual_conv_lstm")
"""On firework days the mean of the stack's probability and of the first of these, which have a regime for them.

Days to learn weights from are too few, and the regime of a city that has seen few of them may be far off.
"""
SHARES: Final = (
    (0.9, "nearly all"),
    (0.55, "mostly"),
    (0.45, "half"),
    (0.36, "two fifths"),
    (0.29, "a third"),
    (0.225, "a quarter"),
    (0.15, "a fifth"),
    (0.075, "a tenth"),
)
"""Words for shares of the weights from these on."""


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
        logits = _logits({name: member.predict(history, wanted) for name, member in self.members.items()})
        learned = range(start, start + WEEK * weeks)
        by_week = [self.trust]
        if weeks:
            past = logits[start - wanted.start :][: len(learned)]
            by_week += _learn(self.trust, past, history, learned, self.centre)
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
            files |= {f"{name}.{file}": data for file, data in member.files().items()}
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
        logits = _logits({name: validation_of(member) for name, member in members.items()})
        return combined(members, logits, history, train, validation)

    def load(self, files: Mapping[str, bytes]) -> FittedStack:
        content = json.loads(files[FILE])
        members = {}
        for name in content["members"]:
            start = f"{name}."
            own = {file.removeprefix(start): data for file, data in files.items() if file.startswith(start)}
            members[name] = forecaster(name).load(own)
        trust = Trust(np.array(content["mean"]), np.array(content["precision"]))
        learned_to = date.fromisoformat(content["learned_to"])
        return FittedStack(members, trust, content["centre"], learned_to, content["settings"])


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
    prior = prior_trust(list(members))
    by_week = [prior, *_learn(prior, logits, history, validation, centre)]
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


def prior_trust(members: Sequence[str]) -> Trust:
    """What other cities learned of these members."""
    mean = np.array([*(PRIOR_WEIGHTS.get(name, 0.0) for name in members), 0.0])
    # Members that are left out leave their weight to the others.
    if mean.any():
        mean *= sum(PRIOR_WEIGHTS.values()) / mean.sum()
    else:
        mean[:-1] = 1 / len(members)
    precision = [WEIGHT_PRECISION if name in PRIOR_WEIGHTS else STRANGER_PRECISION for name in members]
    return Trust(mean, np.diag([*precision, OFFSET_PRECISION]))


def _weeks_known(history: History, day: int, start: int) -> int:
    """Whole weeks from day `start` on that are known before a day is forecast."""
    return max(int(history.known_before(range(day, day + 1))[0]) - start, 0) // WEEK


def _logits(probabilities: Mapping[str, Array]) -> Array:
    """Log odds of the members' forecasts, shape (days, cells, members)."""
    return np.stack([logit(clip_probability(probability)) for probability in probabilities.values()], axis=-1)


def _learn(trust: Trust, logits: Array, history: History, days: range, centre: float) -> Iterator[Trust]:
    """The trust after each week of `days`, the last of which may be shorter; `logits` are of these days."""
    ordinary = ordinary_days(history)
    for first in range(0, len(days), WEEK):
        week = [at for at in range(first, min(first + WEEK, len(days))) if ordinary[days[at]]]
        if week:
            rows = logits[week].reshape(-1, logits.shape[-1])
            trust = trust.after(rows, history.observed[[days[at] for at in week]].ravel(), centre)
        yield trust


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
    log_odds = [by_week[week].log_odds(one, centre) for week, one in zip(weeks, logits, strict=True)]
    probability = expit(np.array(log_odds))
    regime = next((list(members).index(name) for name in FIREWORK_MEMBERS if name in members), None)
    if regime is not None:
        fireworks = is_holiday_fireworks(history.days_to_forecast()[days.start : days.stop])
        probability[fireworks] = (probability[fireworks] + expit(logits[fireworks, :, regime])) / 2
    return clip_probability(probability)


def in_words(weights: Mapping[str, float]) -> str:
    """Weights as people say them, as "mostly residual_boosting, a fifth ewma"."""
    total = sum(abs(weight) for weight in weights.values())
    shares = {name: weight / total for name, weight in sorted(weights.items(), key=lambda item: -abs(item[1]))}
    parts = []
    for name, share in shares.items():
        words = next((words for least, words in SHARES if abs(share) >= least), "")
        if words:
            parts.append(f"{'less ' if share < 0 else ''}{words} {name}")
    return ", ".join(parts) or "a little of every member"
