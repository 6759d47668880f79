"""A Dagster process that a script started in the background ends on SIGTERM; elsewhere nothing is changed."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN if sys.argv[1] == "background" else signal.default_int_handler)
from dagster._utils.interrupts import setup_interrupt_handlers
setup_interrupt_handlers()
from shotspotter_assets.dagster_patches import termination
if sys.argv[2] == "patched":
    termination.apply()
print("ready", flush=True)
time.sleep(2 if sys.argv[2] == "stock" else 60)
print("to the end")
"""


@pytest.mark.parametrize(
    ("started", "patched", "ended_by", "ends"),
    [
        ("background", "patched", signal.SIGTERM, True),
        ("background", "patched", signal.SIGINT, True),
        ("foreground", "patched", signal.SIGTERM, True),
        ("background", "stock", signal.SIGTERM, False),
    ],
)
def test_a_process_ends_when_it_is_told_to(started: str, patched: str, ended_by: int, ends: bool) -> None:
    command = [sys.executable, "-c", PROGRAM, started, patched]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(ended_by)
        out, errors = process.communicate(timeout=30)
    assert ("KeyboardInterrupt" in errors, out) == (ends, "" if ends else "to the end\n")
