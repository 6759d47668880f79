"""Keeps a run that is over from writing: given up and made again elsewhere, while its process goes on."""

from time import monotonic
from typing import Final

import dagster as dg

LOOK_S: Final = 5.0
"""Between two looks at the run; it is given up, and made again, half a minute or more after it was last heard of."""


class RunIsOverError(RuntimeError):
    """What the run was to write has been, or is being, made by another one."""


class RunFence:
    """Called before each write of a run (`Store.before_write`)."""

    def __init__(self, instance: dg.DagsterInstance, run_id: str) -> None:
        self._instance, self._run_id = instance, run_id
        self._looked = float("-inf")

    def __call__(self) -> None:
        """Look at the run, if the last look was a while ago.

        Raises:
            RunIsOverError: it has failed, was canceled or has ended.
        """
        now = monotonic()
        if now - self._looked < LOOK_S:
            return
        run = self._instance.get_run_by_id(self._run_id)
        if run is not None and run.is_finished:
            raise RunIsOverError(
                f"Run {self._run_id} writes nothing any more, as it counts as {run.status.value.lower()}: it was given up, and "
                "what it was to make is made by another run. Its machine may have been cut off from the database for a while."
            )
        self._looked = now
