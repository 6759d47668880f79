import numpy as np
import pytest

from shotspotter_assets.accountability.burden_audit import Comparison, Estimate
from shotspotter_assets.accountability.burden_report import burden_files
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets_tests.accountability.planted import AREAS, CITY, Planted


def found(city: Planted, seed: int) -> Comparison:
    """What an audit finds between both groups of a city, by the served forecast."""
    random = np.random.default_rng(seed)
    files = burden_files(CITY, city.audited(random), AREAS, city.measured(random))
    [comparison] = [one for one in files.audit.comparisons if (one.kind, one.policy) == ("group", SERVED)]
    return comparison


def difference(comparison: Comparison) -> Estimate:
    """Flagged days of group A less those of B, whichever is named first."""
    found = comparison.difference
    if comparison.first == "A":
        return found
    return Estimate(value=-found.value, low=-(found.high or 0.0), high=-(found.low or 0.0))


def test_a_planted_disparity_is_found_with_its_size() -> None:
    city = Planted(gap=0.2)
    true = city.true_difference()
    comparisons = [found(city, seed) for seed in range(8)]
    assert all(one.is_shown and one.first == "A" for one in comparisons)
    assert sum(difference(one).low <= true <= difference(one).high for one in comparisons) >= 6


def test_no_disparity_is_reported_where_there_is_none() -> None:
    assert sum(found(Planted(gap=0.0), seed).is_shown for seed in range(8)) == 0


@pytest.mark.slow
def test_intervals_hold_the_size_and_none_is_reported_in_100_seeds() -> None:
    city = Planted(gap=0.2)
    true = city.true_difference()
    planted = [found(city, seed) for seed in range(100)]
    assert sum(difference(one).low <= true <= difference(one).high for one in planted) >= 85
    assert all(one.is_shown for one in planted)
    assert sum(not found(Planted(gap=0.0), seed).is_shown for seed in range(100)) >= 65
