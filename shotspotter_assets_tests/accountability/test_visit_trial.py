from dataclasses import replace

import numpy as np
import pytest

from shotspotter_assets.accountability.visit_trial import EXPOSURES, changes
from shotspotter_assets_tests.accountability.trials import Shares, simulated_trial

EFFECTS = Shares(cell=-0.4, cell_next=-0.1, around=0.04, around_next=0.0)


def held(seeds: range, shares: Shares, days: int) -> list[int]:
    """Number of seeds in which the interval of each exposure holds its share, and in which all do."""
    counts = np.zeros(len(EXPOSURES) + 1, int)
    for seed in seeds:
        found = changes(simulated_trial(seed, shares, days))
        holds = [one.low <= share * one.expected <= one.high for one, share in zip(found, shares, strict=True)]
        counts += [*holds, all(holds)]
    return counts.tolist()


@pytest.mark.parametrize("shares", [EFFECTS, Shares()])
def test_intervals_hold_the_known_change(shares: Shares) -> None:
    *each, _ = held(range(8), shares, 80)
    assert min(each) >= 7


@pytest.mark.slow
@pytest.mark.parametrize("shares", [EFFECTS, Shares()])
def test_intervals_hold_the_known_change_in_90_of_100_cities(shares: Shares) -> None:
    *each, together = held(range(100), shares, 150)
    assert min(each) >= 90
    assert together >= 84  # 90 in the mean; fewer than 84 have a chance of 4%


def test_a_large_effect_is_found_where_and_when_it_is() -> None:
    found = {(one.where, one.when): one for one in changes(simulated_trial(3, EFFECTS, 400))}
    assert found["cell", "shift"].high < 0
    assert found["cell", "next days"].high < 0
    assert found["around", "next days"].low < 0 < found["around", "next days"].high
    assert found["cell", "shift"].estimate == pytest.approx(-0.4 * found["cell", "shift"].expected, rel=0.25)


def test_visits_made_show_more_change_than_draws() -> None:
    trial = simulated_trial(1, EFFECTS, 300)
    as_drawn = changes(trial)[0]
    made = np.random.default_rng(0).random(trial.drawn.shape) < 0.5
    # Half of the visits stayed away, and with them their effect.
    alerts = np.where(trial.drawn & ~made, np.random.default_rng(1).poisson(trial.expected), trial.alerts)
    half = replace(trial, alerts=alerts.astype(float))
    of_draws = changes(half)[0]
    of_visits = changes(replace(half, visited=(trial.drawn & made).astype(float)))[0]
    assert as_drawn.estimate < of_draws.estimate < 0
    assert of_visits.estimate == pytest.approx(as_drawn.estimate, abs=0.15)
    assert of_visits.low < of_draws.low


def test_unknown_shifts_count_neither_as_quiet_nor_as_busy() -> None:
    trial = simulated_trial(2, Shares(), 120)
    known = np.arange(120) % 5 > 0
    blank = replace(trial, is_known=known, alerts=np.where(known[:, None], trial.alerts, 1_000.0))
    silent = replace(trial, is_known=known, alerts=np.where(known[:, None], trial.alerts, 0.0))
    assert changes(blank) == changes(silent)


def test_results_are_reproduced() -> None:
    trial = simulated_trial(2, Shares(), 60)
    assert changes(trial) == changes(trial)


def test_lots_that_decide_nothing_teach_nothing() -> None:
    trial = simulated_trial(2, Shares(), 20)
    certain = replace(trial, expected_units=trial.drawn.astype(float))
    assert changes(certain) == []
