"""The benchmarks are scripts that no test runs to their end: each can be imported and describes itself."""

import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
WITHOUT_ARGUMENTS = {
    "benchmark_cities", "definitions_load", "hours_members", "reliability_plot", "socrata_range", "stack_members",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(file.stem for file in BENCHMARKS.glob("*.py")))
def test_a_benchmark_can_be_imported_and_says_how_it_is_called(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    script = importlib.import_module(name)
    if name not in WITHOUT_ARGUMENTS:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
        with pytest.raises(SystemExit, match="0"):
            script.main()
        assert f"usage: {name}.py" in capsys.readouterr().out
