"""Tells processes apart that share a store or a database: those of this machine, running or gone, and those of others."""

import os
import socket
from hashlib import sha256
from pathlib import Path
from typing import Final


def _this_machine() -> str:
    """The host's name, and a hash of what tells its containers and its starts apart (on Linux)."""
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text()
        container = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        start = container = ""
    return f"{socket.gethostname()}-{sha256(f'{start} {container}'.encode()).hexdigest()[:8]}"


THIS_MACHINE: Final = _this_machine()
"""Two containers may have one host name; process ids mean the same only within one container, until it starts anew."""


def this_process() -> str:
    """This process as other machines may know it."""
    return f"{THIS_MACHINE}:{os.getpid()}"


def is_gone(process: str) -> bool | None:
    """Whether a process, as `this_process` names it, has ended; None for one of another machine, which cannot be seen."""
    machine, _, number = process.rpartition(":")
    return not is_running(int(number)) if machine == THIS_MACHINE and number.isdecimal() else None


def is_running(process: int) -> bool:
    """Whether this machine has a process of that id."""
    if os.name != "posix":  # elsewhere signal 0 would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs, under another user
        return True
    return True
