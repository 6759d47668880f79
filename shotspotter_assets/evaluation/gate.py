"""The quality gate: the verdict on a candidate forecast, and which forecast is served.

The best baseline is chosen on the scored days, which flatters it and makes the gate stricter. The candidate must be named
beforehand: the best of several, chosen on those days, would be flattered too.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyarrow as pa

from shotspotter_assets.evaluation.estimates import CONFIDENCE, MIN_WEEKS, Gain, weekly_gain, weekly_losses
from shotspotter_assets.evaluation.forecasts_table import model_names, observed_of
from shotspotter_assets.evaluation.score_rows import TYPES, ScoreTable, type_rows
from shotspotter_assets.evaluation.scores import ratio
from shotspotter_assets.models.forecaster import clip_probability
from shotspotter_assets.models.forecaster_registry import FORECASTERS
from shotspotter_assets.models.gunshot_types import TRAILING_DAYS, TRAILING_MIX
from shotspotter_assets.storage.wording import number_of

NEVER: Final = "never"  # baseline without alerts, which is never served

MIN_POSITIVES: Final = 100
PREDICTED_OVER_OBSERVED: Final = (0.8, 1.25)  # range within which a forecast is calibrated in the large

_CONSTANT: Final = "constant"
_NOT_SHOWN: Final = ("not worse", ", and not shown to be better")

Outcome = Literal["better", "not worse, not shown to be better", "worse"]
NOT_TESTED: Final = "not tested yet"  # instead of an outcome before the first fold has a report


@dataclass(frozen=True)
class Verdict:
    """The verdict on a candidate (`verdict_on`), and the forecast that is served."""

    served: str  # the candidate or the best baseline
    candidate: str
    best_baseline: str  # the servable baseline with the least log loss
    gain: Gain  # gain of the candidate over the best baseline
    predicted_over_observed: float | None  # None without positives
    positives: int  # cell-days with an alert
    reasons: tuple[str, ...]  # sentences: verdict, failed conditions, and the rule by which a combination is served
    outcome: Outcome
    overruled: str = ""  # sentence if the candidate serves without passing (`gate: alarm` in the city's file)
    withheld: str = ""  # sentences if its level withholds the candidate (`level: withhold` in the city's file)

    @property
    def passed(self) -> bool:
        """True if the candidate serves by its own merit."""
        return self.served == self.candidate and not self.overruled


def baselines_in(forecasts: pa.Table) -> list[str]:
    """Return the models of a forecasts table that the registry of forecasters marks as baselines."""
    return [name for name in model_names(forecasts) if name in FORECASTERS and FORECASTERS[name].is_baseline]


def _failed_conditions(gain: Gain, over_constant: Gain, level: float | None, positives: int) -> list[str]:
    """Return a sentence for each condition, besides the gain over the best baseline, that does not hold."""
    shown_level = "unknown" if level is None else f"{level:.2f}"
    lowest, highest = PREDICTED_OVER_OBSERVED
    constant = f"one constant probability for every cell and day ({_percent(over_constant)})"
    holds_by_sentence = {
        f"Weeks tested: {gain.weeks}; at least {MIN_WEEKS} are needed.": gain.weeks >= MIN_WEEKS,
        f"Cell-days with an event: {positives:,}; at least {MIN_POSITIVES} are needed.": positives >= MIN_POSITIVES,
        f"Not shown to be better than {constant}.": over_constant.is_shown,
        f"Predicted / observed is {shown_level}; {lowest} to {highest} is allowed.": (
            level is not None and lowest <= level <= highest
        ),
    }
    return [sentence for sentence, holds in holds_by_sentence.items() if not holds]


def verdict_on(forecasts: pa.Table, candidate: str, gate: str = "enforce", withheld: str = "") -> Verdict:
    """Return the verdict on a candidate column; a baseline is compared with the other baselines.

    A candidate is worse if the interval of its gain over the best baseline (90%, weekly block bootstrap) lies below zero. It
    is better, and serves, if the interval lies above zero and all conditions hold: the gain over a constant is above zero
    too; predicted / observed lies within `PREDICTED_OVER_OBSERVED`; and there are `MIN_WEEKS` weeks and `MIN_POSITIVES`
    positives. One that combines simple methods (`forecaster_registry.Entry.combines`) serves unless it is worse.

    With the gate `alarm` any candidate is served, and `overruled` states that it did not pass.
    A candidate that is `withheld` for its level (`evaluation.estimates.Level`) is not served in any case.
    Raises ValueError if the table lacks the candidate or a servable baseline.
    """
    compared = [name for name in baselines_in(forecasts) if name not in (NEVER, candidate)]
    if candidate not in model_names(forecasts) or not compared:
        raise ValueError(
            f"The gate compares a candidate with baselines; the forecasts have {', '.join(model_names(forecasts)) or 'no model'}, "
            f"the candidate is {candidate!r}. Name a candidate among them, beside a baseline other than {NEVER}."
        )
    observed = observed_of(forecasts)
    positives = int(observed.sum())
    weekly = weekly_losses(
        forecasts.append_column(_CONSTANT, pa.array(np.full(len(observed), observed.mean() if len(observed) else 0.0))),
        (candidate, *compared, _CONSTANT),
    )
    best = weekly.best(compared)
    gain = weekly_gain(weekly, candidate, best)
    level = ratio(clip_probability(forecasts[candidate].to_numpy()).sum(), positives)
    failed = _failed_conditions(gain, weekly_gain(weekly, candidate, _CONSTANT), level, positives)
    is_worse = gain.high is not None and gain.high < 0
    is_better = gain.is_shown and not failed
    outcome: Outcome = "worse" if is_worse else "better" if is_better else "not worse, not shown to be better"
    combines = candidate in FORECASTERS and FORECASTERS[candidate].combines
    passed = not is_worse if combines else is_better
    method = f"the best simple method, {best} ({_percent(gain)})"
    start, end = ("better", "") if gain.is_shown else ("worse", "") if is_worse else _NOT_SHOWN
    reasons = [f"{candidate} is {start} than {method}{end}.", *failed]
    if passed and not is_better:
        reasons.append(f"{candidate} combines the simple methods and is served unless it is worse.")
    overruled = ""
    if gate == "alarm" and not passed and not withheld:
        shortfall = "is worse" if is_worse else "is not shown to be better"
        overruled = f"{candidate} serves although it {shortfall} than {best} (gate: alarm in the city's file)."
        reasons.append(overruled)
    if withheld:
        reasons.append(f"{withheld} Until then these models serve {best}.")
    return Verdict(
        served=candidate if (passed or overruled) and not withheld else best,
        candidate=candidate,
        best_baseline=best,
        gain=gain,
        predicted_over_observed=level,
        positives=positives,
        reasons=tuple(reasons),
        outcome=outcome,
        overruled=overruled,
        withheld=withheld,
    )


def shown_types(validated: pa.Table) -> tuple[str | None, str]:
    """Return the best forecaster of types on validation if it is shown to be better than the trailing mix, and the reason.

    Better: the 90% interval of its gain in nats per alert lies above zero, from at least `MIN_WEEKS` weeks. It is chosen on the
    same window, which flatters it a little; unlike for `verdict_on`, no candidate is named beforehand.
    """
    scores = ScoreTable(type_rows([validated]))
    best = next(name for name in scores.models(TYPES) if name != TRAILING_MIX)
    gain = scores.gain(TRAILING_MIX, best, TYPES)
    over = f"the mix of the last {TRAILING_DAYS} days"
    text = f"{gain.text()} nats per alert over {over}, from {number_of(gain.weeks, 'week')} of validation"
    if gain.is_shown and gain.weeks >= MIN_WEEKS:
        return best, f"Kinds of gunfire are forecast by {best}: {text}."
    return None, f"No kinds of gunfire are shown, because the best forecast, {best}, is not shown to be better: {text}."


def _percent(gain: Gain) -> str:
    """Return a gain as a change of the observed outcome's probability: "+0.5%, 90% interval -1.4% to +2.3%"."""
    if gain.value is None:
        return "no event to compare on"
    ends = gain.map(np.expm1).interval("+.1%")
    interval = f"{CONFIDENCE:.0%} interval {ends}" if ends else "too few weeks for an interval"
    return f"{np.expm1(gain.value):+.1%}, {interval}"
