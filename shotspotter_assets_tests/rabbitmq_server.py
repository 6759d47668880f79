"""A real RabbitMQ server on free loopback ports, one per test session; conftest imports the fixture."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import kombu
import pytest

from shotspotter_assets_tests.ports import lasting_ports
from shotspotter_assets_tests.waiting import wait_until

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The one in the PATH becomes another user where it is started by root."""


class RabbitmqServer:
    def __init__(self, folder: Path) -> None:
        """Write the shipped configuration with a port, a password and a heartbeat of its own."""
        self._folder = folder
        port, distribution, mapper = lasting_ports(3)
        self.password = uuid.uuid4().hex
        self.url = f"amqp://dagster:{self.password}@127.0.0.1:{port}//"
        shipped = Path(__file__).parents[1] / "deploy" / "own_machines" / "rabbitmq.conf"
        ours = {  # who is silent for two heartbeats is cut off; by default one takes a minute
            "listeners.tcp.1": f"127.0.0.1:{port}", "heartbeat": 5, "default_user": "dagster",
            "default_pass": self.password,
        }  # fmt: skip
        lines = [f"{name} = {value}" for name, value in ours.items()]
        (folder / "rabbitmq.conf").write_text("\n".join([shipped.read_text(), *lines, ""]))
        (folder / "enabled_plugins").write_text("[].")
        name = str(folder)
        self._environment = {
            **os.environ, "HOME": name, "RABBITMQ_NODENAME": f"test{port}@localhost", "RABBITMQ_MNESIA_BASE": f"{name}/data",
            "RABBITMQ_LOG_BASE": f"{name}/log", "RABBITMQ_CONFIG_FILE": f"{name}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{name}/enabled_plugins", "RABBITMQ_PID_FILE": f"{name}/pid",
            "RABBITMQ_DIST_PORT": str(distribution), "ERL_EPMD_PORT": str(mapper), "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
        }  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [str(PROGRAM)], env=self._environment, stdout=output, stderr=output, cwd=self._folder, start_new_session=True
            )  # fmt: skip
        wait_until(
            self.answers, 600, ignored=OSError, process=self._process,
            details=lambda: (self._folder / "output").read_text(errors="replace")[-2000:],
        )  # fmt: skip

    def answers(self) -> bool:
        with kombu.Connection(self.url, connect_timeout=2) as connection:
            connection.connect()
        return True

    def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def tidy_up(self) -> None:
        """Kill what it has started beside itself, too."""
        self.kill()
        subprocess.run(["epmd", "-kill"], env=self._environment, capture_output=True, check=False, timeout=300)


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitmqServer]:
    if not PROGRAM.is_file() or shutil.which("erl") is None:
        pytest.skip("needs RabbitMQ's server (Debian: apt-get install rabbitmq-server)")
    with tempfile.TemporaryDirectory(prefix="rabbitmq_", ignore_cleanup_errors=True) as name:
        server = RabbitmqServer(Path(name))
        try:
            server.start()
            yield server
        finally:
            server.tidy_up()
