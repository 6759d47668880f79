import json
import socket
from pathlib import Path

import dagster as dg

from shotspotter_assets.lost_runs import CODE_SERVER_TAG, fail_lost_runs
from shotspotter_assets_tests.ports import free_port

JOB = dg.JobDefinition(name="job", graph_def=dg.GraphDefinition(name="job"))


def test_a_started_run_fails_when_its_code_server_no_longer_listens(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance, socket.create_server(("127.0.0.1", 0)) as server:
        addresses = {
            "lost": {"host": "127.0.0.1", "port": free_port()},
            "lost_socket": {"host": "localhost", "socket": str(tmp_path / "gone")},
            "alive": {"host": "127.0.0.1", "port": server.getsockname()[1]},
        }

        def started(**tags: str) -> str:
            return instance.create_run_for_job(JOB, tags=tags, status=dg.DagsterRunStatus.STARTED).run_id

        runs = {name: started(**{CODE_SERVER_TAG: json.dumps(address)}) for name, address in addresses.items()}
        by_hand = started()
        assert set(fail_lost_runs(instance)) == {runs["lost"], runs["lost_socket"]}
        status = {run.run_id: run.status for run in instance.get_runs()}
        assert status[runs["alive"]] is status[by_hand] is dg.DagsterRunStatus.STARTED
        assert status[runs["lost"]] is dg.DagsterRunStatus.FAILURE
        assert fail_lost_runs(instance) == []
