"""What lands in which step of a rehearsal."""

from datetime import date, timedelta

import pytest

from shotspotter_assets.rehearsal.drops import steps_of

FIRST = date(2026, 3, 2)


@pytest.mark.parametrize("count", [4, 7, 8, 11, 14])
def test_every_day_lands_readable_and_everything_happens(count: int) -> None:
    days = [FIRST + timedelta(days=at) for at in range(count)]
    drops = [drop for step in steps_of(days) for drop in step]
    assert {drop.day for drop in drops if drop.is_readable} == set(days)
    kinds = [drop.kind for drop in drops]
    once = ["out of order", "corrected", "empty", "corrupt", "mended", *(["late"] if count >= 8 else [])]
    assert [kinds.count(kind) for kind in once] == [1] * len(once)
    # A day is corrected or mended after it has landed, and no day lands twice otherwise.
    for drop in drops:
        landed = [other.kind for other in drops if other.day == drop.day]
        assert landed in (
            ["daily"],
            ["daily", "corrected"],
            ["out of order"],
            ["late"],
            ["empty"],
            ["corrupt", "mended"],
        )


def test_fewer_days_than_can_go_wrong_are_refused() -> None:
    with pytest.raises(SystemExit, match="needs 4"):
        steps_of([FIRST])
