"""A real RabbitMQ server on free loopback ports, one per test session; conftest imports the fixture."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import kombu
import pytest

from shotspotter_assets.rehearsal.processes import free_port

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The one in the PATH becomes another user where it is started by root."""
STARTS_WITHIN_S = 90


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[str]:
    """The address of the running server; skips where RabbitMQ is not installed."""
    if not PROGRAM.is_file() or shutil.which("erl") is None:
        pytest.skip("needs RabbitMQ's server (Debian: apt-get install rabbitmq-server)")
    settings = Path(__file__).parents[1] / "deploy" / "own_machines" / "rabbitmq.conf"
    with tempfile.TemporaryDirectory(prefix="rabbitmq_", ignore_cleanup_errors=True) as name:
        folder, port = Path(name), free_port()
        (folder / "rabbitmq.conf").write_text(f"{settings.read_text()}\nlisteners.tcp.1 = 127.0.0.1:{port}\n")
        (folder / "enabled_plugins").write_text("[].")
        environment = {
            **os.environ, "HOME": name, "RABBITMQ_NODENAME": f"test{port}@localhost", "RABBITMQ_MNESIA_BASE": f"{name}/data",
            "RABBITMQ_LOG_BASE": f"{name}/log", "RABBITMQ_CONFIG_FILE": f"{name}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{name}/enabled_plugins", "RABBITMQ_PID_FILE": f"{name}/pid",
            "RABBITMQ_DIST_PORT": str(free_port()), "ERL_EPMD_PORT": str(free_port()), "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
        }  # fmt: skip
        with (folder / "output").open("wb") as output:
            server = subprocess.Popen(
                [str(PROGRAM)], env=environment, stdout=output, stderr=output, cwd=folder, start_new_session=True
            )
        url = f"amqp://guest:guest@127.0.0.1:{port}//"
        try:
            _wait_for(url, server, folder)
            yield url
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            subprocess.run(["epmd", "-kill"], env=environment, capture_output=True, check=False, timeout=30)


def _wait_for(url: str, server: "subprocess.Popen[bytes]", folder: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN_S
    while True:
        try:
            with kombu.Connection(url, connect_timeout=2) as connection:
                connection.connect()
        except OSError as error:
            if server.poll() is not None or time.monotonic() > until:
                said = (folder / "output").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"RabbitMQ did not start ({error}):\n{said}") from error
            time.sleep(0.3)
        else:
            return
