"""Mark runs of this machine that ended without a message, as in a power cut, as failed: `python -m shotspotter_assets.lost_runs`.

It runs before the code server starts. Without it a lost run keeps its place in the queue, and its city waits, until the
limit of `run_monitoring` in `dagster.yaml`. Dagster starts a run again that failed so (`run_retries`).
"""

import json
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg

CODE_SERVER_TAG: Final = ".dagster/grpc_info"
"""Where the code server that started a run listens: Dagster sends the wish to cancel a run there."""
MESSAGE: Final = "The code server of this run ended, and the run with it."


def fail_lost_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark the started runs as failed whose code server no longer listens, and runs that nobody queued: their ids."""
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
    lost = [
        run
        for run in instance.get_runs(started)
        if CODE_SERVER_TAG in run.tags and not _listens(json.loads(run.tags[CODE_SERVER_TAG]))
    ]
    # A sensor queues the runs that it has made, unless it is stopped in between for longer than Dagster resumes its tick.
    made = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.NOT_STARTED], created_before=datetime.now(UTC) - timedelta(days=1)
    )
    lost += instance.get_runs(made)
    for run in lost:
        instance.report_run_failed(run, MESSAGE)
    return [run.run_id for run in lost]


def _listens(address: Mapping[str, Any]) -> bool:
    try:
        if path := address.get("socket"):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
        else:
            socket.create_connection((address["host"], address["port"]), timeout=5).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    with dg.DagsterInstance.get() as of_home:
        for run_id in fail_lost_runs(of_home):
            print(f"Run {run_id} was lost when its code server ended; it counts as failed and is started again.")
