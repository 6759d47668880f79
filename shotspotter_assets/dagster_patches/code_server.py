"""Starts another code server in place of one that was killed or has aborted, under `dg dev` and `dagster dev`.

They start a proxy, and the proxy starts the process that holds the code: sensors, schedules and the start of runs. Stock, the
proxy alone is looked after. Without the process behind it the UI answers, the daemon goes on, and nothing is done any more. And if
the process ends while it starts, the command waits for minutes for what cannot come; here it ends, to be started again.
"""

import contextlib
import logging
import threading
from types import SimpleNamespace
from typing import Any, Final

from dagster._cli.proxy_server_manager import ProxyServerManager
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc import server

from shotspotter_assets.dagster_patches.guard import known

LOOK_SECONDS: Final = 5.0
MAX_LOOK_SECONDS: Final = 300.0
"""Between two attempts where the process does not even start, as in a broken environment."""
GONE_LOOKS: Final = 2
"""Looks in a row that do not find the process: the UI's reload replaces it too."""
START_SECONDS: Final = 180

WITHOUT_PROCESS: Final = "UNAVAILABLE"
"""What the proxy's error says where nobody listens; a busy process exceeds its deadline instead."""

NOT_STARTED: Final = "No available client to code server"
"""What it says where the process behind the proxy has not even started."""

_log = logging.getLogger("dagster.code_server")


STOCK = known(
    "dagster._cli.proxy_server_manager:ProxyServerManager._process_monitoring_thread",
    parameters="self, process_entry",
    sources=("6dd6d2c10a15",),
    purpose="a code server that was killed comes back",
)

STOCK_WAIT = known(
    "dagster._grpc.server:wait_for_grpc_server",
    parameters="server_process, client, subprocess_args, timeout, additional_timeout_msg",
    sources=("ef602997d916",),
    purpose="a code server that is killed while it starts is started again at once",
)


class NoCodeServerError(RuntimeError):
    """The process behind the proxy has ended while it started."""


def apply() -> None:
    """Let what starts the proxy, and looks after it, in this process look after the process behind it too."""
    server.wait_for_grpc_server = wait_for_server
    ProxyServerManager._process_monitoring_thread = _looked_after  # type: ignore[method-assign, assignment]


def _looked_after(manager: Any, process_entry: Any) -> None:
    """Both looks, each in a thread of its own."""
    stopped = manager._ProxyServerManager__shutdown_event
    threading.Thread(target=_look_after, args=(process_entry, stopped), daemon=True).start()
    STOCK(manager, process_entry)


def _look_after(process_entry: Any, stopped: threading.Event) -> None:
    gone, wait_s = 0, LOOK_SECONDS
    while not stopped.wait(wait_s):
        client = process_entry.create_client()
        if not _is_gone(client):
            gone, wait_s = 0, LOOK_SECONDS
            continue
        gone += 1
        if gone >= GONE_LOOKS:
            _log.warning("The code server has ended. Another one is started in its place.")
            # It fails in the end, as it bids the old one farewell.
            with contextlib.suppress(DagsterUserCodeUnreachableError):
                client.reload_code(START_SECONDS)
            gone, wait_s = GONE_LOOKS - 1, min(2 * wait_s, MAX_LOOK_SECONDS)


def wait_for_server(server_process: Any, client: Any, *stock: Any, **named: Any) -> None:
    """Stock, but for a proxy that has nothing to wait for.

    Raises:
        NoCodeServerError: the process behind the proxy has ended while it started.
    """

    def ping(echo: str) -> Any:
        try:
            return client.ping(echo)
        except DagsterUserCodeUnreachableError as error:
            if NOT_STARTED in _details(error):
                raise NoCodeServerError(
                    "The code server has ended while it started. Its end is logged above; start dg dev again."
                ) from None
            raise

    STOCK_WAIT(server_process, SimpleNamespace(ping=ping), *stock, **named)


def _is_gone(client: Any) -> bool:
    try:
        client.ping("")
    except DagsterUserCodeUnreachableError as error:
        return WITHOUT_PROCESS in _details(error)
    return False


def _details(error: DagsterUserCodeUnreachableError) -> str:
    return str(getattr(error.__cause__, "details", lambda: "")())
