"""Scores of a day and of the weeks to it, as they are stored."""

from dataclasses import dataclass, field
from datetime import date
from typing import Final

from pydantic import Field

from shotspotter_assets.evaluation.count_scores import NumberScores
from shotspotter_assets.evaluation.estimates import Gain, Level
from shotspotter_assets.evaluation.gate import PREDICTED_OVER_OBSERVED, Verdict
from shotspotter_assets.storage.catalogue import FORECAST_SCORES
from shotspotter_assets.storage.stored_record import StoredRecord
from shotspotter_assets.storage.wording import number_of

POSITIVES: Final = "positives"  # number of cells with an alert, among the sums of a day
MIN_DAYS_OF_LEVEL: Final = 28  # minimum of scored days for a verdict on predicted / observed


@dataclass(frozen=True)
class DayScores:
    """Scores of one day; None if undefined."""

    log_loss: float  # mean over the cells, nats
    gain_over_historical_mean: float | None  # nats per positive
    hit_rate_5: float | None  # share of the positives in the 5% of cells with the highest risk
    expected_alerts: float
    observed_alerts: int
    numbers: NumberScores
    sums: dict[str, float] = field(default_factory=dict)
    """Sums over the cells of an issued forecast: `positives`, and the log loss by `SERVED` and baseline, nats; empty for a
    replayed one."""


@dataclass(frozen=True)
class RollingScores:
    """Scores of the served forecasts of the last `SCORED_FORECASTS_DAYS`; units as in `DayScores`."""

    days: int  # number of scored days
    replayed: int  # number of these days whose forecast is replayed
    log_loss: float
    promised_log_loss: float  # mean entropy of the forecasts, their expected log loss if they are calibrated
    predicted_over_observed: float | None  # ratio of the sums of probabilities and positives
    gain_over: dict[str, Gain]  # gain by baseline
    numbers: NumberScores

    @property
    def drift(self) -> float:
        """Excess of the log loss over the promised one, as a share of the latter."""
        return self.log_loss / self.promised_log_loss - 1

    @property
    def is_off(self) -> bool:
        """True if predicted / observed leaves the gate's range on enough days."""
        lowest, highest = PREDICTED_OVER_OBSERVED
        level = self.predicted_over_observed
        return self.days >= MIN_DAYS_OF_LEVEL and level is not None and not lowest <= level <= highest


@dataclass(frozen=True)
class ShadowScores:
    """Scores of the shadow on the known days of a window with its forecast."""

    name: str
    first: date  # first one of these days; the shadow may have run before the window
    days: int
    replayed: int  # number of these days whose forecast is replayed
    gain: Gain  # over what served

    def text(self) -> str:
        """Return the scores in words."""
        start = f"In the shadow: {self.name}, on {number_of(self.days, 'scored day')} since {self.first}"
        replayed = f" ({self.replayed:,} replayed)" if self.replayed else ""
        return f"{start}{replayed}. Gain over what served, nats per positive: {self.gain.text()}."


class ScoreRecord(StoredRecord):
    """Scores of a day and of the weeks to it."""

    stored_as = FORECAST_SCORES

    scored_date: date = Field(description="Last day of the scored days.")
    lead: int = Field(description="Lead of the last scored forecast, days.")
    last_known: date = Field(description="Last day whose alerts are known.")
    note: str | None = Field(description="Reason for no score of the day.")
    scores: DayScores | None = Field(description="Scores of the day; null with a note.")
    rolling: RollingScores | None = Field(description="Scores of the last 91 days; null for fewer than 14 scored days.")
    rolling_gate: Verdict | None = Field(description="Verdict on the candidate, served or not; null for too few weeks.")
    flip_flop: float | None = Field(
        None,
        description="Flip-flop index of the week of plans to the day, or of flagged cells; null if one is missing.",
    )

    level: Level | None = Field(
        None, description="Level of the served forecasts of the last 365 days; null without any."
    )

    shadow: ShadowScores | None = Field(None, description="Scores of the shadow in the last 91 days; null without one.")

    def warnings(self) -> list[str]:
        """Return the problems of the last weeks' forecasts in words."""
        reasons = []
        if self.rolling_gate is not None and not self.rolling_gate.passed:
            reasons.append(f"The rolling gate fails: {' '.join(self.rolling_gate.reasons)}")
        if self.rolling is not None and self.rolling.is_off:
            reasons.append(f"Predicted / observed of the last weeks is {self.rolling.predicted_over_observed:.2f}.")
        return reasons
