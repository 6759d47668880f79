"""What serves for minutes: the hour's forecast spread evenly and the self-exciting process, combined by learned weights.

As the stacks of the next day and of the next hours (`models/stacking.py`): the process, fitted on the hours before the validation
window on top of the forecasts of hours that know these hours alone, forecasts the validation window, and from these forecasts the
weights are learned, starting at the process alone. Learned from are forecasts of the instants at which nowcasts are made: as
an hour begins, and soon after each incident. There is no offset: the level is that of the hour's forecast, which moves week by
week, and an offset of half a validation window was wrong for the other half in Cincinnati.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from shotspotter_assets.models.forecaster import ChosenSettings
from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.model_files import prefixed, without_prefix
from shotspotter_assets.models.next_minutes.even import MINUTES, EvenForecast
from shotspotter_assets.models.next_minutes.incidents import Array, Incidents, seconds_of
from shotspotter_assets.models.next_minutes.self_exciting import FittedMinutes, Triggered, fit_minutes
from shotspotter_assets.models.probability import clip_probability
from shotspotter_assets.models.stacking import WeightPosterior, in_words, logits_of

FILE: Final = "stack.json"
EVEN: Final = "even_hours"
PROCESS: Final = FittedMinutes.name
MEMBERS: Final = (EVEN, PROCESS)
PRIOR_WEIGHTS: Final = {minutes: {EVEN: 0.0, PROCESS: 1.0} for minutes in MINUTES}
"""By minutes: the process alone. What three cities learned together (`benchmarks/next_minutes.py --before`) trusts it less, and
lost more in the second half of their validation windows."""
Weights = Mapping[int, Mapping[str, float]]
"""By minutes and member."""
NO_OFFSET: Final = 1e9
"""Precision of an offset that stays at zero."""
AFTER_SECONDS: Final = 60
"""From an incident to the nowcast that learns of it."""


class HourForecasts(NamedTuple):
    """Expected incidents of contiguous hours by the hour's forecast, shape (hours, cells)."""

    hours: range
    expected: npt.NDArray[np.floating]


@dataclass(frozen=True)
class Issues:
    """Instants to forecast from: seconds since 1970, hour of the history and minutes past it, each of shape (issues,)."""

    seconds: Array
    hour: npt.NDArray[np.int64]
    minute: Array

    @classmethod
    def within(cls, history: HourlyHistory, hours: range, seconds: Array) -> "Issues":
        """Those of some instants, by time, that lie in the hours, but for the last two, so that the minutes ahead lie there too."""
        starts = seconds_of(history.starts)
        chosen = seconds[(seconds >= starts[hours.start]) & (seconds < starts[hours.stop - 2])]
        hour = np.searchsorted(starts, chosen, "right") - 1
        return cls(chosen, hour, (chosen - starts[hour]) / 60)

    @classmethod
    def of_nowcasts(cls, history: HourlyHistory, hours: range, incidents: Incidents) -> "Issues":
        """When nowcasts are made: as an hour begins, and soon after each incident."""
        starts = seconds_of(history.starts)[hours.start : hours.stop]
        return cls.within(history, hours, np.union1d(starts, incidents.seconds + AFTER_SECONDS))

    def where(self, chosen: npt.NDArray[np.bool_]) -> "Issues":
        """Some of them."""
        return Issues(self.seconds[chosen], self.hour[chosen], self.minute[chosen])

    def triggered(self, process: FittedMinutes, incidents: Incidents, history: HourlyHistory) -> list[Triggered]:
        """What `process` has triggered within each of `MINUTES`, whose rows are the issues."""
        periods = np.array(MINUTES, np.float64)
        found = [process.triggered(incidents, history, at, periods) for at in self.seconds]
        return [
            Triggered(np.array([one.near[number] for one in found]), np.array([one.city_wide[number] for one in found]))
            for number in range(len(MINUTES))
        ]

    def observed(self, incidents: Incidents, history: HourlyHistory, minutes: float) -> npt.NDArray[np.bool_]:
        """Whether an incident begins in each cell within some minutes, shape (issues, cells)."""
        cell = incidents.covered_cells(history.in_coverage)
        observed = np.zeros((len(self.seconds), int(history.in_coverage.sum())), bool)
        first = np.searchsorted(incidents.seconds, self.seconds, "right")
        stop = np.searchsorted(incidents.seconds, self.seconds + 60 * minutes, "right")
        for issue in np.flatnonzero(stop > first):
            of_issue = cell[first[issue] : stop[issue]]
            observed[issue, of_issue[of_issue >= 0]] = True
        return observed


@dataclass(frozen=True)
class FittedMinutesStack:
    """The process and, by minutes ahead, the weights.

    Attributes:
        process: fitted on training and validation hours.
        weights: of the members.
        centre: see `models/stacking.py`.
        learned_from: incidents of the validation window that taught the weights; 0 where they are the prior ones.
    """

    process: FittedMinutes
    weights: Weights
    centre: Mapping[int, float]
    learned_from: int
    name: ClassVar[str] = "minutes_stack"

    def expected(self, even: Array, triggered: Triggered, minutes: int) -> Array:
        """Expected incidents within some of `MINUTES`, shape (issues, cells).

        Args:
            even: those by the hour's forecast, shape (issues, cells).
            triggered: see `Issues.triggered`.
            minutes: ahead.
        """
        weights = np.array([*(self.weights[minutes][member] for member in MEMBERS), 0.0])
        posterior = WeightPosterior(MEMBERS, self.centre[minutes], weights, np.eye(len(weights)))
        log_odds = posterior.log_odds(member_logits(even, self.process.expected(even, triggered)))
        return -np.log1p(-clip_probability(expit(log_odds)))

    @property
    def settings(self) -> ChosenSettings:
        """What is triggered, and by minutes what the weights are, in numbers and in words."""
        return {
            **self.process.settings,
            "learned_from_incidents": self.learned_from,
            "weights": {
                f"{minutes}m": {name: round(weight, 4) for name, weight in weights.items()}
                | {"in_words": in_words(weights)}
                for minutes, weights in self.weights.items()
            },
        }

    def files(self) -> dict[str, bytes]:
        """What `load` reads; those of the process start with its name."""
        content = {"weights": self.weights, "centre": self.centre, "learned_from": self.learned_from}
        return {FILE: json.dumps(content, indent=1).encode()} | prefixed(PROCESS, self.process.files())

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> "FittedMinutesStack | None":
        """What was fitted, from its `files`; None from those of an earlier version, which had no weights."""
        if FILE not in files:
            return None
        content = json.loads(files[FILE])
        weights, centre = (
            {int(minutes): one for minutes, one in content[name].items()} for name in ("weights", "centre")
        )
        return cls(FittedMinutes.load(without_prefix(PROCESS, files)), weights, centre, content["learned_from"])


def fit_stack(
    incidents: Incidents,
    history: HourlyHistory,
    *,
    train: HourForecasts,
    validation: range,
    ahead: EvenForecast,
    both: HourForecasts,
    prior: Weights = PRIOR_WEIGHTS,
) -> FittedMinutesStack:
    """The process of all hours, and the weights that the validation hours teach.

    Where the training hours have too few incidents for the process, the weights are the prior ones.

    Args:
        incidents: at least those of all hours.
        history: to the end of the validation hours or later.
        train: forecasts of the training hours that the process is fitted on, by a forecaster that knows training hours alone.
        validation: hours; they follow.
        ahead: of the validation hours, by that forecaster.
        both: forecasts of the hours that the process that serves is fitted on, to the end of the validation hours, by the
            forecaster that serves.
        prior: weights before any forecast.

    Raises:
        HourlyHistoryError: see `fit_minutes`; of `both`.
    """
    process = fit_minutes(incidents, history, both.hours, both.expected)
    rate = process.incidents / both.expected.size
    centre = {minutes: float(logit(clip_probability(np.array(rate * minutes / 60)))) for minutes in MINUTES}
    try:
        on_train = fit_minutes(incidents, history, train.hours, train.expected)
    except HourlyHistoryError:
        return FittedMinutesStack(process, prior, centre, 0)
    issues = Issues.of_nowcasts(history, validation, incidents)
    issues = issues.where(~history.clock.fireworks[issues.hour])
    of_hours = ahead.at(issues.hour - validation.start)
    weights = {}
    for minutes, triggered in zip(MINUTES, issues.triggered(on_train, incidents, history), strict=True):
        even = of_hours.ahead(issues.minute, minutes)
        logits = member_logits(even, on_train.expected(even, triggered)).reshape(-1, len(MEMBERS))
        observed = issues.observed(incidents, history, minutes).ravel()
        learned = WeightPosterior.prior(MEMBERS, centre[minutes], prior[minutes], NO_OFFSET).after(logits, observed)
        weights[minutes] = learned.weights
    return FittedMinutesStack(process, weights, centre, int((issues.minute > 0).sum()))


def member_logits(even: Array, process: Array) -> Array:
    """Of the members, from the incidents that they expect, shape (..., members)."""
    return logits_of({EVEN: -np.expm1(-even), PROCESS: -np.expm1(-process)})
