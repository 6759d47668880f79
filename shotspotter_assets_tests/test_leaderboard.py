"""The leaderboard: the how-to's own example is taken, and what uses the future is not."""

import importlib
import re
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parents[1]
[EXAMPLE] = re.findall(r"```python\n(.*?)```", (CHECKOUT / "docs" / "how-to" / "leaderboard.md").read_text(), re.DOTALL)


@pytest.fixture
def leaderboard(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, with two quarters of a simulated city."""
    monkeypatch.setattr(sys, "path", [str(CHECKOUT / "benchmarks"), *sys.path])
    script, cities = importlib.import_module("leaderboard"), importlib.import_module("benchmark_cities")
    small = cities.Benchmark(
        "", cities.EAST, date(2022, 7, 1), cities.BENCHMARKS["simulated"].box, cities.quarters(2023, 1, 2)
    )
    monkeypatch.setitem(cities.BENCHMARKS, "simulated", small)
    monkeypatch.setattr(script, "CITIES", ("simulated",))
    return script


def call(script: Any, monkeypatch: pytest.MonkeyPatch, cache: Path, *arguments: str) -> None:
    """The command as a user calls it."""
    monkeypatch.setattr(
        sys,
        "argv",
        ["leaderboard.py", *arguments, "--data", str(cache), "--cache", str(cache), "--cities", "simulated"],
    )
    script.main()


def test_the_example_of_the_how_to_is_in_the_table(
    leaderboard: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(EXAMPLE)
    call(leaderboard, monkeypatch, tmp_path, "prepare")
    [fingerprints] = re.findall(r"simulated: [\d,]+ alerts, 2 folds, data (\w+ \w+)", capsys.readouterr().out)
    assert len(set(fingerprints.split())) == 2
    with pytest.raises(SystemExit, match="not entered yet: run historical_mean"):
        call(leaderboard, monkeypatch, tmp_path, "table")
    for entry in ("historical_mean", "never", str(file)):
        call(leaderboard, monkeypatch, tmp_path, "run", entry)
    assert capsys.readouterr().out.count("half_year simulated_2023-") == 2
    call(leaderboard, monkeypatch, tmp_path, "run", str(file))
    assert "s of CPU" not in capsys.readouterr().out  # its folds are done
    call(leaderboard, monkeypatch, tmp_path, "table")
    rows = [row.split(" | ") for row in capsys.readouterr().out.strip().splitlines()[2:]]
    gains = {row[0].removeprefix("| "): float(row[3].split()[0]) for row in rows if row[3] != "-"}
    assert list(gains) == sorted(gains, key=lambda name: -gains[name])
    assert gains["historical_mean"] == 0
    assert gains["never"] < -1
    assert -0.5 < gains["half_year"] < 0.5


CHEATS = {
    "yesterday is today": ("history.observed", "np.roll(history.observed, -1, axis=0)"),
    "the whole window is known": ("[max(0, day - DAYS) : day]", "[day - 3 : day + 1]"),
}


@pytest.mark.parametrize(("honest", "dishonest"), CHEATS.values(), ids=CHEATS)
def test_a_forecast_that_uses_the_future_is_refused(
    leaderboard: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, honest: str, dishonest: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(EXAMPLE.replace(honest, dishonest))
    with pytest.raises(
        SystemExit, match=r"half_year, simulated_2023-01-01: the forecast of 2023-.* uses what is not known"
    ):
        call(leaderboard, monkeypatch, tmp_path, "run", str(file))
    assert not list(tmp_path.rglob("half_year/*.npz"))


def test_fit_has_no_way_to_the_test_window(leaderboard: Any) -> None:
    from shotspotter_assets_tests.models.histories import history

    seen = leaderboard.before(history(), 200)
    assert len(seen.counts) == len(seen.evening) == 200
    assert seen.counts.base is None
    assert seen.evening.base is None


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("", r"has no function forecaster\(\)"),
        (EXAMPLE.replace("half_year", "stack"), "is taken"),
        (EXAMPLE.replace("def fit", "def fits"), "has no fit"),
        (EXAMPLE.replace("/ (len(seen) + 30)", ""), "no probabilities of the shape"),
    ],
)
def test_what_is_no_forecaster_is_refused(
    leaderboard: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, refusal: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(SystemExit, match=refusal):
        call(leaderboard, monkeypatch, tmp_path, "run", str(file))


def test_what_rests_on_other_cities_is_refused(
    leaderboard: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="new_city rests on what other cities know"):
        call(leaderboard, monkeypatch, tmp_path, "run", "new_city")
