"""The rehearsal of nowcasts: its account, and a short one with the real daemon."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shotspotter_assets.rehearsal.gateway import Answer, Emitted, Gateway
from shotspotter_assets.rehearsal.minutes import Made, account
from shotspotter_assets_tests.models.next_minutes.simulated_incidents import CITY

ROOT = Path(__file__).parents[2]
NOON = 1_612_371_600.0
"""Of 3 February 2021, on the city's clock."""
DAY = "2021-02-03"
LIVE = [Emitted(f"live-{number}", NOON + 40 * number, -77.0, 38.9, "", NOON + 40 * number) for number in range(3)]


def gateway(**changes: Any) -> Gateway:
    answers = [Answer(NOON + 30 * at, min(at * 30 // 40 + 1, 3), 3) for at in range(5)]
    return Gateway(LIVE, **{"answers": answers} | changes)


def nowcasts(*alerts: int, late: float = 1.0) -> list[Made]:
    """Of the answers 0, 2 and 3, each a second after it."""
    return [
        Made(NOON + 30 * at + late, NOON + 30 * at + 0.5, DAY, number)
        for at, number in zip((0, 2, 3), alerts, strict=False)
    ]


def test_alerts_that_are_there_once_and_soon_are_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert account(nowcasts(1, 2, 3), LIVE, gateway(), CITY) == []
    assert "median 11.0 s, 99% 20.8 s, longest 21.0 s (3)" in capsys.readouterr().out


def test_an_alert_that_is_lost_or_twice_in_a_nowcast_is_wrong() -> None:
    for number in (2, 4):
        [problem] = account(nowcasts(1, 2, number), LIVE, gateway(), CITY)
        assert f"has {number} alerts, not 3" in problem


def test_an_alert_without_a_nowcast_is_wrong() -> None:
    assert account(nowcasts(1, 2), LIVE, gateway(), CITY) == ["live-2 is in no nowcast"]


def test_nowcasts_that_take_more_than_a_minute_are_wrong() -> None:
    [problem] = account(nowcasts(1, 2, 3, late=80.0), LIVE, gateway(), CITY)
    assert "took more than" in problem


def test_alerts_of_a_gateway_that_is_down_are_not_counted_as_late(capsys: pytest.CaptureFixture[str]) -> None:
    away = gateway(down=(NOON + 10, NOON + 85))
    assert account([nowcasts(1)[0], nowcasts(1, 2, 3, late=70.0)[2]], LIVE, away, CITY) == []
    assert "3 alerts came while the gateway was down" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_short_rehearsal_loses_nothing_and_is_in_time() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shotspotter_assets.rehearsal.minutes", "--minutes", "5"],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "From an alert at the source to the page: median" in done.stdout
