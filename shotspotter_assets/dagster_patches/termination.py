"""Lets SIGTERM end Dagster's processes where SIGINT is ignored, as in whatever a script starts in the background (POSIX).

Dagster gives SIGTERM the handler that SIGINT has when it starts, and ends its daemon and web server by sending them SIGINT.
`dagster dev &` in a script could therefore not be ended but by SIGKILL, which leaves the others behind.
"""

import signal
import threading

from shotspotter_assets.dagster_patches.guard import known

known(
    "dagster._utils.interrupts:setup_interrupt_handlers",
    parameters="",
    sources=("901c8806cad3",),
    purpose="SIGTERM ends a dagster dev that was started in the background",
)


def apply() -> None:
    """Let SIGINT and SIGTERM interrupt this process, if SIGINT is ignored."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
