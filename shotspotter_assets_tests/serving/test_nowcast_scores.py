from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.serving.nowcast_scores import score_nowcasts
from shotspotter_assets.storage.catalogue import ISSUED_MINUTES
from shotspotter_assets_tests.models.next_minutes.simulated_incidents import CELLS, CITY, NOON, incidents

DAY = date(2021, 2, 3)


def issued(start: datetime, probability: list[float], minutes: int = 15, even: float = 0.1) -> pa.Table:
    values = {
        "starts_utc": [start] * 3, "minutes": [minutes] * 3, "row": [row for row, _ in CELLS],
        "column": [column for _, column in CELLS], "probability": probability, "even": [even] * 3,
    }  # fmt: skip
    return pa.table([values[name] for name in ISSUED_MINUTES.schema.names], schema=ISSUED_MINUTES.schema)


def test_only_incidents_within_the_minutes_are_observed() -> None:
    begun = incidents((NOON, 0), (NOON + timedelta(minutes=15), 1), (NOON + timedelta(minutes=15, seconds=1), 2))
    record = score_nowcasts(CITY, DAY, issued(NOON, [0.1, 0.4, 0.2]), begun)
    scores = record.scores["15m"]
    assert (record.nowcasts, record.incidents, scores.nowcasts, scores.observed) == (1, 3, 1, 1)
    assert scores.expected == pytest.approx(0.7)
    gain = np.log(0.4 / 0.1) + np.log(0.9 / 0.9) + np.log(0.8 / 0.9)
    assert scores.gain_over_even == pytest.approx(gain, rel=1e-5)


def test_minutes_that_end_after_midnight_are_not_scored() -> None:
    late = datetime(2021, 2, 4, 4, 30, tzinfo=UTC)
    table = pa.concat_tables([issued(late, [0.1] * 3, minutes) for minutes in (30, 60)])
    record = score_nowcasts(CITY, DAY, table, incidents((late + timedelta(minutes=20), 1)))
    assert (record.scores["30m"].observed, record.scores["60m"].nowcasts) == (1, 0)


def test_a_day_without_nowcasts_has_no_scores() -> None:
    record = score_nowcasts(CITY, DAY, None, incidents((NOON, 0)))
    assert (record.nowcasts, record.scores, record.incidents) == (0, {}, 1)
