import os
from multiprocessing import get_context

import pytest

from shotspotter_assets.defs.requested_runs import BACKFILL_TAG, LONG_TAG, give_way


def _niceness_of_run(tag: str) -> int:
    """Return the niceness of a process whose run has a tag."""
    give_way({tag: "true"})
    return os.getpriority(os.PRIO_PROCESS, 0)


@pytest.mark.parametrize(("tag", "gives_way"), [(LONG_TAG, True), (BACKFILL_TAG, True), ("shotspotter/city", False)])
def test_only_long_runs_and_backfills_give_way_to_the_newest_day(tag: str, *, gives_way: bool) -> None:
    with get_context("spawn").Pool(1) as process:
        niceness = process.apply(_niceness_of_run, (tag,))

    assert niceness == (10 if gives_way else os.getpriority(os.PRIO_PROCESS, 0))
