"""Keeps a run that is over from writing: given up and made again elsewhere, while its process goes on."""

from time import monotonic
from typing import Final

import dagster as dg

from shotspotter_assets.dagster_patches.finished_runs import require_under_way

LOOK_S: Final = 5.0
"""Between two looks at the run; it is given up, and made again, half a minute or more after it was last heard of."""


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
        require_under_way(self._instance, self._run_id)
        self._looked = now
