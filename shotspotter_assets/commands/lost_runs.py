"""Runs of this machine that ended without a message, as in a power cut, and keep their place in the queue."""

import json
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg

from shotspotter_assets.defs.requested_runs import ACTIVE

CODE_SERVER_TAG: Final = ".dagster/grpc_info"  # address of the server that started a run; it takes cancellations
PROCESS_TAG: Final = "shotspotter/process"  # address on which the process of a command's run listens, and its machine
MESSAGE: Final = "The process of this run ended, and the run with it."


def fail_lost_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark active runs without their process, and runs that nobody queued, as failed; return their ids."""
    lost = [run for run in instance.get_runs(dg.RunsFilter(statuses=ACTIVE)) if _is_lost(run.tags)]
    # A sensor queues the runs that it has made, unless it is stopped in between for longer than Dagster resumes its tick.
    yesterday = datetime.now(UTC) - timedelta(days=1)
    unqueued = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.NOT_STARTED], created_before=yesterday))
    lost += [run for run in unqueued if run not in lost]
    for run in lost:
        instance.report_run_failed(run, MESSAGE)
    return [run.run_id for run in lost]


def process_address(server: socket.socket) -> str:
    """Return the value of `PROCESS_TAG` for a process that listens on a loopback socket."""
    host, port = server.getsockname()
    return json.dumps({"host": host, "port": port, "machine": socket.gethostname()})


def _is_lost(tags: Mapping[str, str]) -> bool:
    """Return True if the tags of a run name a process that has ended; unknown for another machine's command."""
    address = json.loads(tags.get(CODE_SERVER_TAG) or tags.get(PROCESS_TAG) or "{}")
    is_here = address.get("machine", socket.gethostname()) == socket.gethostname()
    return bool(address) and is_here and not _listens(address)


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
