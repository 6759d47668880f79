"""Made-up cities whose disparity of flags is known, with the measurements that an audit has of them."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from shotspotter_assets.accountability.policies import CELL_MEAN, LAST_YEAR, AuditedDays, flags_per_day, top_flags
from shotspotter_assets.accountability.residents import MARGIN_TO_ERROR, Figures, Residents
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets_tests.evaluation.cities import square_city

CELLS = 100
WEEKS = 39
FIGURES = {"path": "residents.geojson", "name": "name", "year": 2022, "residents": {"column": "all"}}
CITY: City = square_city(size=10, audit=FIGURES)
AREAS = np.where(np.arange(10) < 5, "west", "east")[None].repeat(10, axis=0)
MARGIN = 200.0


@dataclass(frozen=True)
class Planted:
    """A city with hot cells, which move from week to week, and two groups; `gap` is their share's slope over the heat."""

    gap: float

    @property
    def heat(self) -> np.ndarray:
        return np.random.default_rng(1).normal(0, 1, CELLS)

    @property
    def residents(self) -> np.ndarray:
        """True residents of both groups, shape (2, cells)."""
        share = np.clip(0.5 + self.gap * self.heat, 0.02, 0.98)
        total = np.random.default_rng(2).uniform(800, 3_000, CELLS)
        return np.stack([total * share, total * (1 - share)])

    def probability(self, weeks: int, random: np.random.Generator) -> np.ndarray:
        """Probabilities of the days of some weeks, shape (days, cells)."""
        score = self.heat + random.normal(0, 1.5, (weeks, CELLS))
        return np.repeat(1 / (1 + np.exp(4 - score)), 7, axis=0)

    def true_difference(self) -> float:
        """Flagged days a year of the first group, less those of the second, in the long run."""
        probability = self.probability(3_000, np.random.default_rng(3))
        chance = top_flags(probability, flags_per_day(probability)).mean(axis=0)
        first, second = (self.residents @ chance) / self.residents.sum(axis=1)
        return 365.2425 * (first - second)

    def audited(self, random: np.random.Generator) -> AuditedDays:
        """The forecasts and alerts of `WEEKS` weeks."""
        probability = self.probability(WEEKS, random)
        days = np.datetime64("2024-01-01") + np.arange(len(probability))
        names = (SERVED, CELL_MEAN, LAST_YEAR)
        alerts = (random.random(probability.shape) < probability).astype(np.int64)
        return AuditedDays(days, np.arange(CELLS), dict.fromkeys(names, probability), alerts)

    def measured(self, random: np.random.Generator) -> Residents:
        """The residents as a survey finds them."""
        error = MARGIN / MARGIN_TO_ERROR
        found = self.residents + random.normal(0, error, (2, CELLS))
        groups = {name: Figures(values, np.full(CELLS, error)) for name, values in zip("AB", found, strict=True)}
        everyone = Figures(self.residents.sum(axis=0), np.zeros(CELLS))
        return Residents(csr_array(np.eye(CELLS)), np.ones(CELLS), everyone, groups, None, ())
