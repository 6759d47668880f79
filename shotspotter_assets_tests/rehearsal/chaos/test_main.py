"""Two minutes of chaos on the running system, with the account that it ends with."""

import subprocess
import sys
from pathlib import Path

import pytest

from shotspotter_assets.settings import CHECKOUT


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nothing_is_lost_or_there_twice_and_everything_bad_is_named(tmp_path: Path) -> None:
    arguments = ["--minutes", "2", "--seed", "1", "--folder", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "shotspotter_assets.rehearsal.chaos", *arguments],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SIGKILL to") >= 4
