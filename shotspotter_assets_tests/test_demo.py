import os
import subprocess
import sys
from pathlib import Path

import pytest

from shotspotter_assets.__main__ import demo
from shotspotter_assets.city_files import load_cities
from shotspotter_assets.demo import DEMONSTRATIONS
from shotspotter_assets.settings import CHECKOUT


def test_the_command_offers_each_demonstration() -> None:
    [city, _] = demo.params
    assert tuple(city.type.choices) == tuple(DEMONSTRATIONS)
    assert city.default == next(iter(DEMONSTRATIONS))


def test_the_city_of_the_demo_is_washington_dc_without_a_live_source() -> None:
    shown, living = (load_cities()[name] for name in ("washington_dc_2018", "washington_dc"))
    assert (shown.box, shown.grid, shown.layers, shown.streets) == (
        living.box,
        living.grid,
        living.layers,
        living.streets,
    )
    assert shown.patrol == living.patrol
    assert shown.arrivals == {"landed"}
    assert not shown.is_automated
    assert shown.last_test_day(DEMONSTRATIONS[shown.name].fold) == shown.end


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
    for shown in (
        "Fold 2018-10-01: 92 test days",
        "conv_lstm",
        "Saturday, 15 December 2018 by",
        "patrol units by shift",
    ):
        assert shown in done.stdout
    likeliest = done.stdout.partition("80% interval)\n")[2].splitlines()[0]
    assert "near " in likeliest
    assert "District" in likeliest
    [pages] = [line for line in done.stdout.splitlines() if line.startswith("The pages for analysts")]
    assert Path(pages.partition(": ")[2]).is_file()
