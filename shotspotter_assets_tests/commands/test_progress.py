import json
import logging
import os
import pty
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from shotspotter_assets.alerts.days.city_now import stored_now
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.settings import prepare_home
from shotspotter_assets.storage import progress
from shotspotter_assets.storage.catalogue import PAGE, STATUS
from shotspotter_assets.storage.progress import Report, Steps, steps
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity, rows
from shotspotter_assets_tests.waiting import wait_until

DAYS = 100
PATIENCE_SECONDS = 300
RUN = [sys.executable, "-m", "shotspotter_assets", "run", "town"]
OFTEN = """
from shotspotter_assets.commands import progress as shown
from shotspotter_assets.__main__ import main
shown.LOG_SECONDS = 0.5
main(["run", "town"])
"""
LOGGED = """
from datetime import date
from shotspotter_assets.commands.runs import Launch, run_launch
from shotspotter_assets.defs.partitions import range_tags
from shotspotter_assets.storage import progress
from shotspotter_assets.storage.catalogue import ALERTS
progress.LOG_SECONDS = 0.5
run_launch(Launch("days", "town", ALERTS, range_tags(date.fromisoformat("{first}"), date.fromisoformat("{last}"))))
"""


@pytest.fixture
def town(tmp_path: Path) -> LivingCity:
    """A city with landed alerts of a hundred days to yesterday."""
    today = datetime.now(UTC).replace(hour=12)
    city = LivingCity(tmp_path, (today - timedelta(days=DAYS)).date(), today)
    city.land("days.csv", *rows(city.start, city.yesterday))
    prepare_home(city.environment())
    return city


def test_a_terminal_shows_steps_and_an_interrupted_command_goes_on(town: LivingCity) -> None:
    environ = {**os.environ, **town.environment(), "TERM": "xterm", "COLUMNS": "120"}
    shown = bytearray()

    def read() -> bytes:
        """Read what the command has written since; nothing once its end of the terminal is closed."""
        try:
            shown.extend(os.read(terminal, 65536))
        except OSError:
            return b""
        return bytes(shown)

    terminal, end = pty.openpty()
    with subprocess.Popen(RUN, stdin=end, stdout=end, stderr=end, env=environ, start_new_session=True) as command:
        os.close(end)
        wait_until(lambda: re.search(rb"asset \d of 3", read()), every=0)
        os.killpg(command.pid, 2)
        while read():
            pass
    os.close(terminal)
    text = shown.decode()
    assert command.returncode == 130, text
    assert "Interrupted. Stored partitions of town: " in text
    assert "Traceback" not in text
    ran = subprocess.run(RUN, env=environ, capture_output=True, text=True, check=True)
    assert "raw_alerts" in ran.stdout
    assert "city_pages" in ran.stdout


def test_the_processes_of_a_killed_command_end(town: LivingCity) -> None:
    environ = {**os.environ, **town.environment()}
    started = [sys.executable, "-c", OFTEN]
    with subprocess.Popen(started, stderr=subprocess.PIPE, env=environ, text=True) as command:
        assert command.stderr is not None
        next(line for line in command.stderr if "asset 1 of 3" in line)
        command.kill()
        command.communicate(timeout=PATIENCE_SECONDS)  # to the end of what each of them may write


def test_pages_name_what_an_interrupted_command_has_stored(town: LivingCity) -> None:
    environ = {**os.environ, **town.environment()}
    town.land("days.csv", *rows(town.start, town.yesterday - ONE_DAY))
    subprocess.run(RUN, env=environ, capture_output=True, check=True)
    town.land("newest.csv", *rows(town.yesterday, town.yesterday))
    with subprocess.Popen(RUN, stdout=subprocess.PIPE, env=environ, text=True, start_new_session=True) as command:
        assert command.stdout is not None
        next(line for line in command.stdout if "CPU seconds" in line)
        os.killpg(command.pid, signal.SIGINT)
        command.communicate()
    assert command.returncode == 130
    assert town.yesterday in town.table.days
    status = town.store.read_json(PAGE.named(file=STATUS.file), json.loads, NAME)
    assert status["data"] == stored_now(town.city, town.table).data


def test_without_a_terminal_plain_lines_name_the_steps(town: LivingCity) -> None:
    environ = {**os.environ, **town.environment()}
    ran = subprocess.run([sys.executable, "-c", OFTEN], env=environ, capture_output=True, text=True, check=True)
    lines = [line for line in ran.stderr.splitlines() if line.startswith("raw_alerts, ")]
    assert any(re.search(r", asset \d of 3", line) for line in lines), ran.stderr
    assert "\x1b" not in ran.stderr + ran.stdout
    assert " of 3" not in ran.stdout


def test_the_log_of_a_run_names_its_steps(town: LivingCity, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {**os.environ, **town.environment()}
    code = LOGGED.format(first=town.start, last=town.yesterday)
    subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, check=True)
    monkeypatch.setenv("DAGSTER_HOME", str(town.folder / "home"))
    with dg.DagsterInstance.get() as instance:
        logged = [entry.user_message for run in instance.get_runs() for entry in instance.all_logs(run.run_id)]
    assert any(re.search(r", asset \d of 3, .*\d%", line) for line in logged)


def test_nested_loops_are_one_place_with_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "MIN_SECONDS", 0)
    reports: list[Report] = []
    monkeypatch.setattr(progress, "listeners", [reports.append])
    for _ in steps("fold", range(4), "report"):
        with Steps("epoch", 5) as epochs:
            for _ in range(5):
                epochs.advance()
    places = ["report, fold 1 of 4", "report, fold 1 of 4, epoch 1 of 5", "report, fold 1 of 4, epoch 2 of 5, 5%"]
    assert [str(report) for report in reports[:3]] == places
    shares = [report.share for report in reports[:-1]]
    assert shares == sorted(shares)
    assert str(reports[-2]) == "report, fold 4 of 4, 100%"
    assert not reports[-1].place


def test_a_long_step_has_its_usual_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "MIN_SECONDS", 0)
    reports: list[Report] = []
    monkeypatch.setattr(progress, "listeners", [reports.append])
    with Steps("model", 3, seconds=[8, 1, 1]) as models:
        list(steps("member", range(2)))
        models.advance()
        models.advance()
    assert [report.share for report in reports if report.place] == pytest.approx([0, 0, 0.4, 0.8, 0.8, 0.9])


def test_the_remaining_time_is_shown_once_it_is_known() -> None:
    now = datetime.now(UTC).timestamp()
    assert str(Report(1, "fold_models", 0.5, now + 45.5)) == "fold_models, 50%, about 46 s left"
    assert str(Report(1, "fold_models", 0.5, now + 700)) == "fold_models, 50%, about 12 min left"
    assert str(Report(1, "fold_models", 0.5, now - 1)) == "fold_models, 50%"


def test_a_failed_loop_ends(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "MIN_SECONDS", 0)
    monkeypatch.setattr(progress, "LOG_SECONDS", 0)

    def divide() -> None:
        for divisor in steps("day", [1, 0], "raw_alerts"):
            1 / divisor

    with caplog.at_level(logging.INFO):
        with pytest.raises(ZeroDivisionError):
            divide()
        next(steps("day", [1, 2], "grid_tensors"))
    assert caplog.messages == ["raw_alerts, day 1 of 2", "raw_alerts, day 2 of 2, 50%", "grid_tensors, day 1 of 2"]
