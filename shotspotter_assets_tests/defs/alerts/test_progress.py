"""The log of a run over a long range says how far it is."""

from pathlib import Path

import dagster as dg

from shotspotter_assets_tests.defs.chain import resources, run_days


def test_a_long_range_tells_how_far_it_is(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = run_days("tiny_city", "2024-01-01", "2024-07-09", resources(str(tmp_path)), instance)
        told = [event.user_message for event in instance.all_logs(run.run_id)]
    for done in ("cleaned", "gridded"):
        assert [line for line in told if line.endswith(f"days {done}")] == [
            f"tiny_city: {days} of 191 days {done}" for days in (92, 184, 191)
        ]
