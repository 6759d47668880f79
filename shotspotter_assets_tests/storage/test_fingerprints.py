from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from shotspotter_assets.storage import fingerprints


def test_a_rows_hash_does_not_depend_on_the_rows_beside_it() -> None:
    table = pa.table(
        {
            "time_utc": pa.array([datetime(2024, 3, 2, tzinfo=UTC), None] * 5, pa.timestamp("us", "UTC")),
            "longitude": pa.array([None, -76.5] * 5, pa.float64()),
            "rounds": pa.array([1, 2, None, None, 3, 4, 5, None, 1, 1], pa.int32()),
            "kind": pa.array([None, None, None, None, "SG", "MG", "SG", "", None, "x"], pa.string()),
            "user_id": pa.array([2**60 + at for at in range(10)], pa.int64()),
        }
    )
    whole = fingerprints.row_hashes(table)
    parts = [fingerprints.row_hashes(table.slice(start, 2)) for start in range(0, 10, 2)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert whole.dtype == np.uint64
    assert len(set(whole)) == 10
