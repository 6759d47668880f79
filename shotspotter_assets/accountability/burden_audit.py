"""The record of a burden audit: who is flagged more than others, by how much, and what cannot be concluded."""

from datetime import date
from typing import Final, Self

import numpy as np
from pydantic import BaseModel, Field

from shotspotter_assets.evaluation.gains import LEVEL
from shotspotter_assets.storage.arrays import Array
from shotspotter_assets.storage.catalogue import BURDEN_AUDIT
from shotspotter_assets.storage.stored_record import StoredRecord

MIN_RESIDENTS: Final = 1_000  # of a population
# Flagged cell-days of either population, for a ratio: 20 events have a relative error of 22%, and the US National Center
# for Health Statistics marks rates of fewer as unreliable.
MIN_FLAGGED_DAYS: Final = 20
TOO_FEW_FLAGS: Final = f"either of the two has fewer than {MIN_FLAGGED_DAYS} flagged days"
MIN_SHOWN_RATIO: Final = 1.1  # smaller ratios are not reported: residents are spread over cells by area


class Estimate(BaseModel, frozen=True, extra="forbid"):
    """A value with its 90% interval, whose ends are null if it cannot be given."""

    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, values: Array) -> Self | None:
        """Return the first value with the percentile interval of the others, its draws; None if it is undefined (NaN).

        With so many undefined draws that the interval's end may be one of them, there is no interval.
        """
        value = float(values[0])
        defined = values[1:][np.isfinite(values[1:])]
        if not np.isfinite(value):
            return None
        if len(defined) <= len(values[1:]) * (1 + LEVEL) / 2:
            return cls(value=value)
        low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
        return cls(value=value, low=low, high=high)

    def nearest_to(self, level: float) -> float:
        """Return the point of the interval that is nearest to a level: the most careful statement of a difference."""
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        return min(max(level, low), high)

    def text(self, form: str = ",.1f") -> str:
        """Return the value and its interval, as "33.6 (33.1 to 34.2)"."""
        if self.low is None or self.high is None:
            return f"{self.value:{form}} (no interval)"
        return f"{self.value:{form}} ({self.low:{form}} to {self.high:{form}})"


class Comparison(BaseModel, frozen=True, extra="forbid"):
    """Exposure of one population beside another one, by one policy."""

    kind: str = Field(description="area, group or income.")
    policy: str = Field(description="Forecast that flags cells, or `observed` for days with an alert.")
    first: str = Field(description="Name of the population that the served forecast flags more.")
    second: str = Field(description="Name of the population that it is compared with.")
    exposure: tuple[float, float] = Field(description="Flagged days a year of both.")
    difference: Estimate = Field(description="Flagged days a year of the first, less those of the second.")
    ratio: Estimate | None = Field(
        None, description="Flagged days of the first over those of the second; null if either has too few."
    )

    @property
    def name(self) -> str:
        """Both populations, as tables name them."""
        return f"{self.first} and {self.second}"

    @property
    def is_shown(self) -> bool:
        """True if the interval of the difference excludes zero, and that of the ratio, if there is one, small ratios."""
        is_large = self.ratio is None or self.ratio.nearest_to(1.0) >= MIN_SHOWN_RATIO
        return self.difference.low is not None and self.difference.nearest_to(0.0) != 0 and is_large


class BurdenAudit(StoredRecord):
    """Facts of a city's burden audit in sentences; all numbers are in `burden.parquet` and `frontier.parquet`."""

    stored_as = BURDEN_AUDIT

    note: str = Field("", description="Why there is no audit; empty if there is one.")
    first: date | None = Field(None, description="First audited day.")
    last: date | None = Field(None, description="Last audited day.")
    days: int = Field(0, description="Number of audited days.")
    cells: int = Field(0, description="Number of cells that were covered on any of them.")
    flags_per_day: float = Field(0.0, description="Mean number of flagged cells a day.")
    unit: str = Field("resident", description="resident with an audit layer; else cell: all cells count alike.")
    figures_of: int | None = Field(None, description="Year of the audit layer's figures.")
    comparisons: tuple[Comparison, ...] = Field((), description="Populations compared, the served forecast first.")
    sentences: tuple[str, ...] = Field((), description="Findings, the most careful end of each interval first.")
    conclusion: str = Field("", description="One sentence about what can and what cannot be concluded.")
    frontier: tuple[str, ...] = Field((), description="Sentences about policies on the same days.")
    visits: tuple[str, ...] = Field((), description="Effect of a visit on alerts, or why it is not known yet.")
    left_out: tuple[str, ...] = Field((), description="Cells, areas, groups and polygons left out, with reasons.")
    measures: dict[str, str] = Field(default_factory=dict, description="Meaning and unit of each measure by name.")


MEASURES: Final = {
    "residents": "Residents in covered cells; without an audit layer, covered cells.",
    "flagged_days": "Flagged days a year of a resident's cell; for `observed`, days with an alert.",
    "unit_hours": "Hours of units a year in a resident's cell, by plans.",
    "difference": "Flagged days a year of the first population, less those of the second.",
    "ratio": f"Flagged days of the first population over those of the second; none if {TOO_FEW_FLAGS}.",
    "share": "Share of the flags, which residents of a cell divide among them; for `observed`, of days with an alert.",
    "calibration": "Predicted over observed days with an alert, by quarter of the cells by a group's share.",
}
