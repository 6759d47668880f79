"""The quality gate: the verdict on a candidate forecast, and which forecast is served.

The best baseline is chosen on the scored days, which flatters it and makes the gate stricter. The candidate must be named
beforehand: the best of several, chosen on those days, would be flattered too.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyarrow as pa

from shotspotter_assets.evaluation.forecasts_table import model_names, observed_of
from shotspotter_assets.evaluation.gains import LEVEL, Gain, weekly_gain, weekly_losses
from shotspotter_assets.evaluation.score_rows import TYPES, ScoreTable, type_rows
from shotspotter_assets.models.forecaster_registry import FORECASTERS
from shotspotter_assets.models.gunshot_types import TRAILING_DAYS, TRAILING_MIX
from shotspotter_assets.models.probability import clip_probability
from shotspotter_assets.wording import number_of

NEVER: Final = "never"  # baseline without alerts, which is never served

MIN_WEEKS: Final = 12  # intervals drawn from fewer calendar weeks are too narrow; a quarter has 13 or 14
MIN_POSITIVES: Final = 100
PREDICTED_OVER_OBSERVED: Final = (0.8, 1.25)  # range within which a forecast is calibrated in the large

_CONSTANT: Final = "constant"

Outcome = Literal["better", "not worse, not shown to be better", "worse"]
NOT_TESTED: Final = "not tested yet"  # in place of an outcome before the first fold has a report


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

    @property
    def passed(self) -> bool:
        return self.served == self.candidate and not self.overruled


def baselines_in(forecasts: pa.Table) -> list[str]:
    """Return the models of a forecasts table that the registry of forecasters marks as baselines."""
    return [name for name in model_names(forecasts) if name in FORECASTERS and FORECASTERS[name].is_baseline]


def verdict_on(forecasts: pa.Table, candidate: str, gate: str = "enforce") -> Verdict:
    """Return the verdict on a candidate column by one rule for all; a baseline is compared with the other baselines.

    - "better": the lower end of the 90% interval (weekly block bootstrap) of the gain over the best baseline is above
      zero, and so is that over a constant; predicted / observed lies within `PREDICTED_OVER_OBSERVED`; and there are
      `MIN_WEEKS` weeks and `MIN_POSITIVES` positives.
    - "worse": the upper end of the interval of the gain over the best baseline is below zero.
    - "not worse, not shown to be better": everything else.

    A candidate is served if it is better. A combination (`forecaster_registry.Entry.combines`) is served unless it is
    worse, whatever its members. With the gate `alarm` any candidate is served, and `overruled` says if it did not pass.
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
    constant = pa.array(np.full(len(observed), observed.mean() if len(observed) else 0.0))
    weekly = weekly_losses(forecasts.append_column(_CONSTANT, constant), (candidate, *compared, _CONSTANT))
    best = min(compared, key=lambda name: weekly.losses[name].sum())
    gain, over_constant = (weekly_gain(weekly, candidate, over) for over in (best, _CONSTANT))
    ratio = float(clip_probability(forecasts[candidate].to_numpy()).sum() / positives) if positives else None
    lowest, highest = PREDICTED_OVER_OBSERVED
    is_calibrated = ratio is not None and lowest <= ratio <= highest
    shown = "unknown" if ratio is None else f"{ratio:.2f}"
    constant_in_words = "one constant probability for every cell and day"
    conditions = (
        (gain.weeks >= MIN_WEEKS, f"Weeks tested: {gain.weeks}; at least {MIN_WEEKS} are needed."),
        (positives >= MIN_POSITIVES, f"Cell-days with an alert: {positives:,}; at least {MIN_POSITIVES} are needed."),
        (over_constant.is_shown, f"Not shown to be better than {constant_in_words} ({_percent(over_constant)})."),
        (is_calibrated, f"Predicted / observed is {shown}; {lowest} to {highest} is allowed."),
    )
    failed = [reason for holds, reason in conditions if not holds]
    simple = f"the best simple method, {best} ({_percent(gain)})"
    outcome: Outcome = "not worse, not shown to be better"
    verdict = f"Not worse than {simple}, and not shown to be better."
    if gain.high is not None and gain.high < 0:
        outcome, verdict = "worse", f"Worse than {simple}."
    elif gain.is_shown:
        outcome, verdict = outcome if failed else "better", f"Better than {simple}."
    reasons, passed, overruled = [verdict, *failed], outcome == "better", ""
    if outcome == "not worse, not shown to be better" and candidate in FORECASTERS and FORECASTERS[candidate].combines:
        passed = True
        reasons.append(f"{candidate} combines the simple methods and is served unless it is worse.")
    if gate == "alarm" and not passed:
        shown_as = "is worse" if outcome == "worse" else "is not shown to be better"
        overruled = f"{candidate} serves although it {shown_as} than {best} (gate: alarm in the city's file)."
        reasons.append(overruled)
    served = candidate if passed or overruled else best
    return Verdict(served, candidate, best, gain, ratio, positives, tuple(reasons), outcome, overruled)


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
    return None, f"No kinds of gunfire are shown, as the best forecast, {best}, is not shown to be better: {text}."


def _percent(gain: Gain) -> str:
    """Return a gain as a change of the observed outcome's probability: "+0.5%, 90% interval -1.4% to +2.3%"."""
    if gain.gain is None:
        return "no alert to compare on"
    if gain.low is None or gain.high is None:
        return f"{np.expm1(gain.gain):+.1%}, too few weeks for an interval"
    middle, low, high = (f"{np.expm1(value):+.1%}" for value in gain.ends().values())
    return f"{middle}, {LEVEL:.0%} interval {low} to {high}"
