from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shotspotter_assets.alerts.days.days_in_words import days_in_words, long_day

FIRST = date(2026, 11, 26)
ANY_DAYS = st.sets(st.integers(0, 400), min_size=1).map(
    lambda after: [FIRST + timedelta(days) for days in sorted(after)]
)


def test_stretches_of_days_are_named() -> None:
    assert days_in_words([FIRST, *(FIRST + timedelta(days) for days in (1, 2, 4))]) == (
        "26 to 28 November 2026 and 30 November 2026"
    )


@given(ANY_DAYS)
def test_scattered_days_are_named_in_a_line_by_their_number_and_their_ends(days: list[date]) -> None:
    text = days_in_words(days)
    assert len(text) < 220
    assert long_day(days[-1]) in text
    if text.startswith(f"{len(days)} days from "):
        assert f"{long_day(days[0])} to {long_day(days[-1])}" in text
