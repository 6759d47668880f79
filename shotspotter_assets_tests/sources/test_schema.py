from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from shotspotter_assets.sources.alert_source import AlertSource, NoFilesError
from shotspotter_assets.sources.schema import RAW_SCHEMA, keep_first_seen, read_sources

DAY = date(2024, 3, 1)
FIRST_READ = datetime(2024, 3, 2, tzinfo=UTC)
SECOND_READ = datetime(2024, 3, 3, tzinfo=UTC)


def table(*source_ids: str, at: datetime = FIRST_READ, file: str = "a.csv") -> pa.Table:
    rows = [
        {"date": DAY, "time_utc": datetime(2024, 3, 1, 12, tzinfo=UTC), "source_id": source_id, "received_from": file,
         "received_row": row, "received_at": at}
        for row, source_id in enumerate(source_ids)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, RAW_SCHEMA)


class Files(AlertSource):
    """A landing folder; without rows, one that is missing."""

    def __init__(self, rows: pa.Table | None = None) -> None:
        self.rows = rows

    def read(self, first: date, last: date) -> pa.Table:
        if self.rows is None:
            raise NoFilesError("the folder is missing")
        return self.rows


def seen(rows: pa.Table) -> list[tuple[Any, Any]]:
    return list(zip(rows["source_id"].to_pylist(), rows["received_at"].to_pylist(), strict=True))


def test_rows_keep_the_time_at_which_they_were_first_received() -> None:
    rows = keep_first_seen(table("x", "y", at=SECOND_READ), table("y", "z"))
    assert seen(rows) == [("x", SECOND_READ), ("y", FIRST_READ)]


def test_equal_rows_are_matched_one_by_one() -> None:
    rows = keep_first_seen(table("x", "x", "x", at=SECOND_READ), table("x", "x"))
    assert rows["received_at"].to_pylist() == [FIRST_READ, FIRST_READ, SECOND_READ]
    assert seen(keep_first_seen(table("x", at=SECOND_READ), table("x", "x"))) == [("x", FIRST_READ)]


def test_the_rows_of_several_sources_are_read_in_order(caplog: pytest.LogCaptureFixture) -> None:
    rows = read_sources([Files(table("x", "y", file="b.csv")), Files(table("z"))], DAY, DAY)
    assert rows["source_id"].to_pylist() == ["z", "x", "y"]
    assert not caplog.records


def test_a_folder_without_files_is_left_out_beside_another_source(caplog: pytest.LogCaptureFixture) -> None:
    assert read_sources([Files(table("x")), Files()], DAY, DAY)["source_id"].to_pylist() == ["x"]
    assert "the folder is missing" in caplog.text
    with pytest.raises(NoFilesError, match="the folder is missing"):
        read_sources([Files(), Files()], DAY, DAY)
