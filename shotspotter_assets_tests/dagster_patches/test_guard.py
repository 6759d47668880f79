"""A Dagster that differs from the known one where it is patched is refused, by a message that helps."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from shotspotter_assets.dagster_patches.guard import DagsterChangedError, known, source_hash

PATCHES = [
    "abandoned_steps", "backfill_looks", "celery_launcher", "check_history", "code_server", "ecs_launcher", "evaluations",
    "finished_runs", "key_ranges", "partition_pages", "partition_versions", "planned_checks", "remembered_keys", "run_launcher",
    "sqlite_event_log", "status_cache", "termination", "unknown_keys", "window_memory",
]  # fmt: skip
WRITTEN_FOR = "def plan(run, days):\n    return [(run, day) for day in days]\n"


@pytest.fixture
def function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Hash of a function `plan` of a module `guarded`, whose file is in `tmp_path`."""
    (tmp_path / "guarded.py").write_text(WRITTEN_FOR)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "guarded", raising=False)
    return source_hash(import_module("guarded").plan)


def test_the_known_function_is_handed_out(function: str) -> None:
    found = known("guarded:plan", parameters="run, days", sources=("another", function), purpose="plans")
    assert found("run", [1]) == [("run", 1)]


@pytest.mark.parametrize(
    ("source", "change"),
    [
        (WRITTEN_FOR.replace("(run, day)", "(day, run)"), "its source has the hash [0-9a-f]{12}"),
        (WRITTEN_FOR.replace("(run, days)", "(run, days, zone)"), r"its parameters are \(run, days, zone\)"),
        (WRITTEN_FOR.replace("plan", "plan_all"), "it is gone"),
    ],
)
def test_another_one_is_refused(
    function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, change: str
) -> None:
    (tmp_path / "guarded.py").write_text(source)
    monkeypatch.delitem(sys.modules, "guarded")
    with pytest.raises(DagsterChangedError, match=f"guarded:plan: {change}.*quick plans.*Install a Dagster"):
        known("guarded:plan", parameters="run, days", sources=(function,), purpose="quick plans")


def test_every_patch_refuses_a_changed_dagster() -> None:
    code = """
import inspect, sys
from importlib import import_module
from shotspotter_assets.dagster_patches.guard import DagsterChangedError
source = inspect.getsource
inspect.getsource = lambda function: source(function) + "# changed"
for patch in sys.argv[1:]:
    try:
        import_module(f"shotspotter_assets.dagster_patches.{patch}")
    except DagsterChangedError as error:
        print(patch, error)
"""
    run = subprocess.run([sys.executable, "-c", code, *PATCHES], capture_output=True, text=True, check=True)
    refused = {line.split()[0]: line for line in run.stdout.splitlines()}
    assert refused.keys() == set(PATCHES)
    changed = "has changed dagster._core.execution.plan.execute_step:_get_output_asset_events"
    assert changed in refused["partition_versions"]
