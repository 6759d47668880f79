"""The order of what happens: the same for the same seed, and nothing is left out."""

from datetime import date, timedelta

import pytest

from shotspotter_assets.rehearsal.chaos.hostile_files import LIBRARY
from shotspotter_assets.rehearsal.chaos.plan import (
    KILLS_IN_10_MINUTES,
    ClockMove,
    Hostility,
    Kill,
    LandedCity,
    Landing,
    Outage,
    Publishing,
    SecondDaemon,
    Spoiling,
    Step,
    plan,
)

CITIES = [LandedCity("daily_files", 1), LandedCity("any_files", 2)]
DAYS = [date(2026, 3, 2) + timedelta(days=number) for number in range(8)]


def planned(seed: int = 1, minutes: float = 10, *, clock: bool = True) -> list[Step]:
    return plan(seed, minutes * 60, CITIES, DAYS, clock=clock)


def test_a_seed_gives_one_order() -> None:
    assert planned(seed=7) == planned(seed=7)
    assert planned(seed=7) != planned(seed=8)


@pytest.mark.parametrize("minutes", [2, 10])
@pytest.mark.parametrize("seed", range(20))
def test_everything_happens_within_its_time_and_after_what_it_changes(seed: int, minutes: float) -> None:
    steps = planned(seed, minutes)
    assert [step.at for step in steps] == sorted(step.at for step in steps)
    assert steps[0].at >= 0
    assert steps[-1].at <= minutes * 60
    landed: set[tuple[str, date, int]] = set()
    for _, action in steps:
        if isinstance(action, Landing) and action.version == 1:
            landed.add(action[:3])
        elif isinstance(action, Landing | Spoiling):
            assert action[:3] in landed
    assert landed == {(city.name, day, part) for city in CITIES for day in DAYS for part in range(city.parts)}
    actions = [step.action for step in steps]
    assert [action.day for action in actions if isinstance(action, Publishing)] == DAYS
    assert {action.what for action in actions if isinstance(action, Kill)} == set(KILLS_IN_10_MINUTES)
    assert {type(action) for action in actions} >= {Outage, ClockMove, Hostility, Spoiling}
    if minutes >= 5:
        assert {action.file for action in actions if isinstance(action, Hostility)} == set(LIBRARY)


def test_no_file_is_both_corrected_and_cut() -> None:
    for seed in range(20):
        changed = [
            step.action[:3]
            for step in planned(seed)
            if isinstance(step.action, Spoiling) or (isinstance(step.action, Landing) and step.action.version > 1)
        ]
        assert len(changed) == len(set(changed))


def test_a_second_daemon_starts_only_if_it_is_asked_for_and_ends_in_time() -> None:
    steps = plan(1, 600, CITIES, DAYS, clock=True, second_daemon=True)
    [(at, daemon)] = [step for step in steps if isinstance(step.action, SecondDaemon)]
    assert isinstance(daemon, SecondDaemon)
    assert at + daemon.seconds <= 600
    assert not any(isinstance(step.action, SecondDaemon) for step in planned())


def test_a_clock_that_cannot_be_moved_is_left_alone() -> None:
    assert not any(isinstance(step.action, ClockMove) for step in planned(clock=False))
