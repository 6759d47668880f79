from dataclasses import replace

import numpy as np
import pytest

from shotspotter_assets.accountability.visit_trial import EXPOSURES, Change, Trial, changes
from shotspotter_assets_tests.accountability.trials import Department, Shares, simulated_service, simulated_trial

EFFECTS = Shares(cell=-0.4, cell_next=-0.1, around=0.04, around_next=0.0)
KNOWN = -0.31  # change by a visit as a share of the expected alerts
SEEDS = range(6)
DAYS = 180
TOLERANCE = 0.08  # of the mean over the seeds, whose standard error is 0.03
PAIRED_TOLERANCE = 0.05  # of the difference of two estimates from the same seeds


def of_sending(trial: Trial) -> list[Change]:
    return changes(trial, trial.drawn)


def held(seeds: range, shares: Shares, days: int) -> list[int]:
    """Number of seeds in which the interval of each exposure holds its share, and in which all do."""
    counts = np.zeros(len(EXPOSURES) + 1, int)
    for seed in seeds:
        found = of_sending(simulated_trial(seed, shares, days))
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
    found = {(one.where, one.when): one for one in of_sending(simulated_trial(3, EFFECTS, 400))}
    assert found["cell", "shift"].high < 0
    assert found["cell", "next days"].high < 0
    assert found["around", "next days"].low < 0 < found["around", "next days"].high
    assert found["cell", "shift"].value == pytest.approx(-0.4 * found["cell", "shift"].expected, rel=0.25)


@pytest.mark.parametrize(
    ("change", "department", "sending", "visit_made"),
    [
        pytest.param(0.0, Department(), 0.0, 0.0, id="no effect"),
        pytest.param(KNOWN, Department(), KNOWN, KNOWN, id="known effect"),
        pytest.param(KNOWN, Department(made=0.5), KNOWN / 2, KNOWN, id="half not made"),
        pytest.param(KNOWN, Department(in_log=0.5), KNOWN, 2 * KNOWN, id="half of the rows lost"),
        pytest.param(KNOWN, Department(after_alert=0.5), KNOWN, -0.39, id="unplanned visits after an alert"),
        pytest.param(KNOWN, Department(displaced=1.0), KNOWN, KNOWN, id="displacement two cells away"),
    ],
)
def test_effects_of_sending_and_of_visits_made(
    change: float, department: Department, sending: float, visit_made: float
) -> None:
    services = [simulated_service(seed, Shares(cell=change), DAYS, department) for seed in SEEDS]
    of_sent = mean_share([of_sending(trial) for trial, _ in services])
    of_made = mean_share([changes(trial, logged) for trial, logged in services])
    assert of_sent == pytest.approx(sending, abs=TOLERANCE)
    assert of_made - of_sent == pytest.approx(visit_made - sending, abs=PAIRED_TOLERANCE)


def mean_share(found: list[list[Change]]) -> float:
    """Mean over the seeds of the change in the cell during the shift, as a share of the expected alerts."""
    return float(np.mean([here.value / here.expected for here, *_ in found]))


def test_unknown_shifts_count_neither_as_quiet_nor_as_busy() -> None:
    trial = simulated_trial(2, Shares(), 120)
    known = np.arange(120) % 5 > 0
    blank = replace(trial, is_known=known, alerts=np.where(known[:, None], trial.alerts, 1_000.0))
    silent = replace(trial, is_known=known, alerts=np.where(known[:, None], trial.alerts, 0.0))
    assert of_sending(blank) == of_sending(silent)


def test_results_are_reproduced() -> None:
    trial = simulated_trial(2, Shares(), 60)
    assert of_sending(trial) == of_sending(trial)


def test_lots_that_decide_nothing_teach_nothing() -> None:
    trial = simulated_trial(2, Shares(), 20)
    certain = replace(trial, expected_units=trial.drawn.astype(float))
    assert of_sending(certain) == []
