import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from docs import tutorial
from shotspotter_assets.__main__ import main
from shotspotter_assets.storage.wording import CHECKOUT

PAGE = (CHECKOUT / "docs" / "tutorial.md").read_text()


def test_the_page_has_the_commands_that_its_outputs_are_of() -> None:
    shown = re.findall(r"^    shotspotter (.+)$", PAGE, re.MULTILINE)
    assert {command.partition(" ")[0] for command in shown} <= main.commands.keys()
    ran = [command.removesuffix(" --print") for command in (*tutorial.FIRST_DAY, *tutorial.SECOND_DAY)]
    assert [command for command in shown if command != "ui"] == ran


def test_the_export_has_the_headings_that_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tutorial, "SETTLED_SECONDS", 0)
    day = tutorial.date(2025, 6, 1)
    tutorial.write_export(tmp_path / "alerts.csv", day, day)
    lines = (tmp_path / "alerts.csv").read_text().splitlines()
    assert f"```text\n{lines[0]}\n" in PAGE
    assert len(lines) > 5


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_both_days_run_in_an_empty_folder(tmp_path: Path) -> None:
    # With two months, models of other cities serve: no training.
    days = timedelta(days=60)
    program = f"from datetime import timedelta; from docs import tutorial; tutorial.HISTORY = {days!r}"
    program = program.replace("datetime.timedelta", "timedelta") + "; tutorial.main()"
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "new")], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    first, second = re.findall(r"^\$ shotspotter run riverton_md\n(.*?)^\(", ran.stdout, re.MULTILINE | re.DOTALL)
    for output in (first, second):
        assert re.search(r"^.*risk_forecasts.*city_pages: \d+ s, \d+ CPU seconds$", output, re.MULTILINE)
    # From 7:00 on the first run has stored yesterday, too, as a day without a report.
    said = re.search(r"^raw_alerts: (\S+) \(alerts_\1\.csv\) (is new|has other rows now)\.$", second, re.MULTILINE)
    assert said, second
    [page] = re.findall(r"^\$ shotspotter pages --print\n(.+)$", ran.stdout, re.MULTILINE)
    assert (tmp_path / "new" / "store" / page.rpartition("/store/")[2]).is_file()
    [known] = re.findall(r"^  newest known day +(\S+)$", ran.stdout, re.MULTILINE)
    assert known in second
