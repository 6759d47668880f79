"""The gate: a forecast is served only if it is shown to be better than the best baseline; else that baseline is served.

For a stack it is an alarm: the best baseline is a member of it, and replaces it where the stack is worse beyond chance.

The best baseline is chosen by the very days that the candidate is judged on. That flatters the baseline, so it can only
make the gate stricter. The candidate must be named beforehand: the best of several candidates, chosen on the same days,
would flatter itself.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from shotspotter_assets.evaluation.forecasts_table import model_names, observed_of
from shotspotter_assets.evaluation.gains import Gain, weekly_gain, weekly_losses
from shotspotter_assets.models.next_hours.registry import HOURLY_FORECASTERS
from shotspotter_assets.models.probability import clip_probability
from shotspotter_assets.models.registry import FORECASTERS

NEVER: Final = "never"
"""The baseline that is never served: it forecasts no alert anywhere."""
TRUTH: Final = "true_intensity"
"""What only a simulated city has: the process itself, which is neither served nor a baseline."""

MIN_WEEKS: Final = 12
"""With fewer calendar weeks, an interval drawn from whole weeks is too narrow; a quarter has 13 or 14."""
MIN_POSITIVES: Final = 100
PREDICTED_OVER_OBSERVED: Final = (0.8, 1.25)
"""Between these the forecast is calibrated in the large."""

_CONSTANT: Final = "constant"


class GateError(ValueError):
    """The forecasts table lacks what the gate compares."""


@dataclass(frozen=True)
class Verdict:
    """Which forecast to serve, and why.

    Attributes:
        passed: whether the candidate is served.
        served: name of the candidate, or of the best baseline.
        candidate: name.
        best_baseline: the servable baseline with the least log loss.
        gain: of the candidate over the best baseline; see `evaluation.gains.Gain`.
        gain_over_constant: the same over the observed frequency of these very days as the forecast of every cell and
            day, which a forecast that knows anything beats.
        predicted_over_observed: None without positives.
        positives: cell-days with an alert.
        reasons: in words; those against the candidate, or else those for it.
    """

    passed: bool
    served: str
    candidate: str
    best_baseline: str
    gain: Gain
    gain_over_constant: Gain
    predicted_over_observed: float | None
    positives: int
    reasons: tuple[str, ...]


def baselines_in(forecasts: pa.Table) -> list[str]:
    """The baselines in a forecasts table, as the registries of forecasters mark them; all others are candidates."""
    entries = {name: FORECASTERS.get(name) or HOURLY_FORECASTERS.get(name) for name in model_names(forecasts)}
    return [name for name, entry in entries.items() if entry is not None and entry.is_baseline]


def judge(forecasts: pa.Table, candidate: str) -> Verdict:
    """The verdict on a candidate forecast; a candidate that is a baseline itself has to beat the others.

    It passes if the lower end of the 90% interval (weekly block bootstrap) of its gain over the best baseline is above
    zero, and so is that over a constant; if predicted / observed lies within `PREDICTED_OVER_OBSERVED`; and if there
    are weeks and positives enough to tell. A candidate that combines others (`registry.Entry.combines`) passes unless the
    upper end of the interval of its gain over the best baseline is below zero.

    Args:
        forecasts: the candidate and the baselines on the same cell-days (see `evaluation.forecasts_table`).
        candidate: its column.

    Raises:
        GateError: the table lacks the candidate, or a baseline that could be served.
    """
    compared = [name for name in baselines_in(forecasts) if name not in (NEVER, candidate)]
    if candidate not in model_names(forecasts) or not compared:
        raise GateError(
            f"The gate compares a candidate with baselines; the forecasts have {', '.join(model_names(forecasts)) or 'no model'}, "
            f"the candidate is {candidate!r}. Name a candidate among them, beside a baseline other than {NEVER}."
        )
    observed = observed_of(forecasts)
    positives = int(observed.sum())
    table = forecasts.select(["date", "observed", candidate, *compared]).append_column(
        _CONSTANT, pa.array(np.full(len(observed), observed.mean() if len(observed) else 0.0))
    )
    weekly = weekly_losses(table, (candidate, *compared, _CONSTANT))
    best = min(compared, key=lambda name: weekly.losses[name].sum())
    gain = weekly_gain(weekly, candidate, best)
    over_constant = weekly_gain(weekly, candidate, _CONSTANT)
    ratio = float(clip_probability(forecasts[candidate].to_numpy()).sum() / positives) if positives else None

    lowest, highest = PREDICTED_OVER_OBSERVED
    conditions: tuple[tuple[bool, str], ...] = (
        (gain.weeks >= MIN_WEEKS, f"{gain.weeks} weeks were tested; at least {MIN_WEEKS} are needed."),
        (positives >= MIN_POSITIVES, f"{positives:,} cell-days had an alert; at least {MIN_POSITIVES} are needed."),
        (gain.is_shown, _in_words(gain, f"{best} (the best baseline)")),
        (over_constant.is_shown, _in_words(over_constant, "one constant probability for every cell and day")),
        (
            ratio is not None and lowest <= ratio <= highest,
            f"Predicted / observed is {_number(ratio, '.2f')}; between {lowest} and {highest} is allowed.",
        ),
    )
    entry = FORECASTERS.get(candidate)
    if entry is not None and entry.combines:
        is_worse = gain.high is not None and gain.high < 0
        conditions = (
            (not is_worse, _in_words(gain, f"{best} (the best baseline)", "upper end must not be below zero")),
        )
    failed = tuple(reason for holds, reason in conditions if not holds)
    return Verdict(
        passed=not failed,
        served=best if failed else candidate,
        candidate=candidate,
        best_baseline=best,
        gain=gain,
        gain_over_constant=over_constant,
        predicted_over_observed=ratio,
        positives=positives,
        reasons=failed or tuple(reason for _, reason in conditions),
    )


def _in_words(gain: Gain, over: str, needed: str = "lower end must be above zero") -> str:
    if gain.gain is not None and gain.low is None:
        return f"The gain over {over} is {gain.text()} nats per positive; its {needed}."
    middle, low, high = (_number(value, "+.4f") for value in (gain.gain, gain.low, gain.high))
    return (
        f"The gain over {over} is {middle} nats per positive, {gain.level:.0%} interval {low} to {high}; its {needed}."
    )


def _number(value: float | None, form: str) -> str:
    return "unknown" if value is None else format(value, form)
