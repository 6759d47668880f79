"""Starts another code server in place of one that was killed or has aborted, under `dg dev` and `dagster dev`.

They start a proxy, and the proxy starts the process that holds the code: sensors, schedules and the start of runs. Stock, the
proxy alone is looked after. Without the process behind it the UI answers, the daemon goes on, and nothing is done any more.
"""

import contextlib
import logging
import threading
from typing import Any, Final

from dagster._cli.proxy_server_manager import ProxyServerManager
from dagster._core.errors import DagsterUserCodeUnreachableError

from shotspotter_assets.dagster_patches.guard import known

LOOK_SECONDS: Final = 5.0
MAX_LOOK_SECONDS: Final = 300.0
"""Between two attempts where the process does not even start, as in a broken environment."""
GONE_LOOKS: Final = 2
"""Looks in a row that do not find the process: the UI's reload replaces it too."""
START_SECONDS: Final = 180

WITHOUT_PROCESS: Final = "UNAVAILABLE"
"""What the proxy's error says where nobody listens; a busy process exceeds its deadline instead."""

_log = logging.getLogger("dagster.code_server")


STOCK = known(
    "dagster._cli.proxy_server_manager:ProxyServerManager._process_monitoring_thread",
    parameters="self, process_entry",
    sources=("6dd6d2c10a15",),
    purpose="a code server that was killed comes back",
)


def apply() -> None:
    """Let what looks after the proxy in this process look after the process behind it too."""
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


def _is_gone(client: Any) -> bool:
    try:
        client.ping("")
    except DagsterUserCodeUnreachableError as error:
        return WITHOUT_PROCESS in str(getattr(error.__cause__, "details", lambda: "")())
    return False
