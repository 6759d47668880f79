"""Processes of this machine are known to run or to be gone; of others nothing is known."""

import subprocess
import sys

from shotspotter_assets.storage.processes import THIS_MACHINE, is_gone, this_process

CHILD = "from shotspotter_assets.storage.processes import this_process; print(this_process()); input()"


def test_a_process_of_this_machine_is_seen_until_it_ends() -> None:
    assert is_gone(this_process()) is False
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    name = child.stdout.readline().strip()
    assert (name.startswith(f"{THIS_MACHINE}:"), name != this_process(), is_gone(name)) == (True, True, False)
    child.kill()
    child.communicate()
    assert is_gone(name) is True


def test_of_other_machines_nothing_is_known() -> None:
    host = THIS_MACHINE.rpartition("-")[0]
    for name in (f"{host}:999999999", f"{host}-00000000:999999999", "", "1", f"{THIS_MACHINE}:x"):
        assert is_gone(name) is None, name
