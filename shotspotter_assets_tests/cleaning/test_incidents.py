import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shotspotter_assets.cleaning.incidents import MAX_METRES, MAX_MINUTES, incident_numbers


def by_double_loop(day: np.ndarray, seconds: np.ndarray, metres: np.ndarray) -> list[int]:
    """Each day's alerts joined with those of their day and the day before, by spreading the first until it rests."""
    found = np.arange(len(seconds))
    for today in set(day.tolist()):
        among = np.flatnonzero((day == today) | (day == today - 1))
        first = {int(at): int(at) for at in among}
        for _ in among:
            for a in among:
                for b in among:
                    near = np.hypot(*(metres[a] - metres[b])) <= MAX_METRES
                    if near and abs(seconds[a] - seconds[b]) <= 60 * MAX_MINUTES:
                        first[a] = first[b] = min(first[a], first[b])
        for at in np.flatnonzero(day == today):
            found[at] = first[at]
    return found.tolist()


alerts_of_three_days = st.lists(
    st.tuples(st.integers(0, 1500), st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=9
)


@settings(max_examples=50, deadline=None)
@given(alerts=alerts_of_three_days)
@example(alerts=[(1199, 0, 0), (1499, 0, 0)])
@example(alerts=[(400, 0, 0), (600, 0, 0), (800, 0, 0), (999, 0, 0), (1100, 0, 0)])  # reaches back one day
@example(alerts=[(450, 0, 0), (450, 4, 0), (510, 2, 0)])  # apart before midnight
def test_components_agree_with_a_double_loop(alerts: list[tuple[int, int, int]]) -> None:
    seconds, x, y = np.array(sorted(alerts), dtype=float).T
    day = (seconds // 500).astype(np.int64)
    metres = np.column_stack([60 * x, 77 * y])
    assert incident_numbers(day, seconds, metres).tolist() == by_double_loop(day, seconds, metres)


def test_many_alerts_of_one_hour_at_few_points_need_little_memory() -> None:
    # All pairs of 60,000 alerts at 3 points would be 600 million.
    seconds = np.zeros(60_000)
    metres = np.column_stack([np.repeat([0.0, 110.0, 11_000.0], 20_000), np.zeros(60_000)])
    found = incident_numbers(np.zeros(60_000, dtype=int), seconds, metres)
    assert np.unique(found).tolist() == [0, 40_000]
