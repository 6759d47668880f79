"""A short rehearsal with the real daemon and webserver."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("arguments", [["--kill"]])
def test_a_short_rehearsal_is_complete(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shotspotter_assets.rehearsal", "--short", "--days", "4", "--folder", str(tmp_path),
         *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SIGKILL to the daemon" in done.stdout
