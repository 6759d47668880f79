"""Runs that train, for which launchers ask for more than for others."""

from typing import Final

from dagster import DagsterRun

TRAINING_POOL: Final = "training"
"""The pool of assets that fit models."""


def trains(run: DagsterRun) -> bool:
    """Whether a run fits models."""
    pools = run.run_op_concurrency.all_pools if run.run_op_concurrency else None
    return TRAINING_POOL in (pools or ())
