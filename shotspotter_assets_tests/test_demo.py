import os
import subprocess
import sys
from pathlib import Path

import pytest

from shotspotter_assets.settings import CHECKOUT


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_demo_runs_on_a_fresh_instance(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text((CHECKOUT / ".dagster_home" / "dagster.yaml").read_text())
    environ = os.environ | {"DAGSTER_HOME": str(home), "SHOTSPOTTER_STORE": str(tmp_path / "store")}
    done = subprocess.run(
        [sys.executable, "-m", "shotspotter_assets", "demo"], capture_output=True, text=True, check=False, cwd=CHECKOUT,
        env=environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for shown in ("Fold 2025-01-01", "Fold 2025-04-01", "conv_lstm", "Forecast of 2025-07-01", "patrol units by shift"):
        assert shown in done.stdout
    [pages] = [line for line in done.stdout.splitlines() if line.startswith("The pages for analysts")]
    assert Path(pages.partition(": ")[2]).is_file()
