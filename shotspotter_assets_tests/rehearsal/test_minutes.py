"""The rehearsal of nowcasts: its account, and a short one with the real daemon."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shotspotter_assets.rehearsal.gateway import Answer, Emitted, Gateway
from shotspotter_assets.rehearsal.minutes_account import Made, account, in_words
from shotspotter_assets_tests.models.next_minutes.simulated_incidents import CITY

ROOT = Path(__file__).parents[2]
NOON = 1_612_371_600.0
"""Of 3 February 2021, on the city's clock."""
DAY = "2021-02-03"
TYPED_AFTER = 25.0
LIVE = [Emitted(f"live-{number}", NOON + 40 * number, -77.0, 38.9, "", NOON + 40 * number) for number in range(3)]


def gateway(**changes: Any) -> Gateway:
    answers = [Answer(NOON + 30 * at, min(at * 30 // 40 + 1, 3), 3) for at in range(5)]
    return Gateway(LIVE, **{"answers": answers} | changes)


def nowcasts(*alerts: int, late: float = 1.0) -> list[Made]:
    """Of the answers 0, 2 and 3, each a second after it."""
    return [
        Made(NOON + 30 * at + late, NOON + 30 * at + 0.5, DAY, number, number)
        for at, number in zip((0, 2, 3), alerts, strict=False)
    ]


def test_alerts_that_are_there_once_and_soon_are_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert account(nowcasts(1, 2, 3), LIVE, gateway(), CITY) == []
    assert "3 alerts, from the source to the page: median 11.0 s, 99% 20.8 s, longest 21.0 s" in capsys.readouterr().out


def test_an_alert_that_is_lost_or_twice_in_a_nowcast_is_wrong() -> None:
    for number in (2, 4):
        problem, _ = account(nowcasts(1, 2, number), LIVE, gateway(), CITY)
        assert f"has {number} alerts, not 3" in problem


def test_an_alert_without_a_nowcast_is_wrong() -> None:
    assert account(nowcasts(1, 2), LIVE, gateway(), CITY) == ["the alert live-2 is in no nowcast"]


def test_nowcasts_that_take_more_than_a_minute_are_wrong() -> None:
    [problem] = account(nowcasts(1, 2, 3, late=80.0), LIVE, gateway(), CITY)
    assert "took more than" in problem


def test_alerts_of_a_gateway_that_is_down_are_not_counted_as_late(capsys: pytest.CaptureFixture[str]) -> None:
    away = gateway(down=(NOON + 10, NOON + 85))
    assert account([nowcasts(1)[0], nowcasts(1, 2, 3, late=50.0)[2]], LIVE, away, CITY) == []
    assert "3 alerts, from the outage's end to the page: median 55.0 s" in capsys.readouterr().out


def test_alerts_that_come_late_after_an_outage_are_wrong() -> None:
    away = gateway(down=(NOON - 10, NOON + 85), answers=[Answer(NOON + 90, 3, 3)])
    seen = Made(NOON + 150, NOON + 90.5, DAY, 3, 3)
    [problem] = account([seen], LIVE, away, CITY)
    assert "1 alert of 100 took more than 65 s to the page" in problem


def with_correction(*typed: int) -> list[str]:
    """The account of an alert that is typed after 25 s, and of the nowcasts of the answers at 0, 20, and 30 s."""
    late = [Emitted("live-0", NOON, -77.0, 38.9, "", NOON + TYPED_AFTER)]
    answers = [Answer(NOON, 1, 0), Answer(NOON + 20, 1, 0), Answer(NOON + 30, 1, 1)]
    made = [Made(answer.at + 2, answer.at + 1, DAY, 1, number) for answer, number in zip(answers, typed, strict=False)]
    return account(made, late, Gateway(late, answers=answers), CITY)


def test_a_correction_that_is_taken_over_is_well_and_timed(capsys: pytest.CaptureFixture[str]) -> None:
    assert with_correction(0, 0, 1) == []
    assert "1 corrections, from the source to the page: median 7.0 s" in capsys.readouterr().out


def test_a_correction_that_is_not_taken_over_or_in_no_nowcast_is_wrong() -> None:
    [problem] = with_correction(0, 0, 0)
    assert "has 0 types, not 1" in problem
    assert with_correction(0, 0) == ["the correction live-0 is in no nowcast"]
    assert "has 1 types, not 0" in with_correction(1, 0, 1)[0]


def test_alerts_are_told_with_their_bursts_and_silences() -> None:
    times = [0, 10, 20, 200, 1_000]
    alerts = [
        Emitted(f"live-{number}", NOON + at, -77.0, 38.9, "", NOON + at + number % 2, number == 4)
        for number, at in enumerate(times)
    ]
    assert in_words(alerts) == (
        "5 alerts in 17 min, at most 3 within one, the longest silence 800 s; 2 get their type as a correction, 1 come twice"
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_short_rehearsal_loses_nothing_and_is_in_time() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shotspotter_assets.rehearsal.minutes", "--minutes", "5"],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for since in ("alerts, from the source", "alerts, from the outage's end", "corrections, from the"):
        assert since in done.stdout, done.stdout
