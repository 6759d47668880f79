"""One reading of a city's sources keeps first-seen times and rows of files that are gone."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from shotspotter_assets.sources.alert_source import AlertSource, NoFilesError
from shotspotter_assets.sources.receive import Received, keep_first_seen, receive
from shotspotter_assets.sources.schema import RAW_SCHEMA

DAY = date(2024, 3, 1)
FIRST_READ = datetime(2024, 3, 2, tzinfo=UTC)
SECOND_READ = datetime(2024, 3, 3, tzinfo=UTC)
NOTHING = RAW_SCHEMA.empty_table()


def table(*source_ids: str, at: datetime = FIRST_READ, file: str = "a.csv") -> pa.Table:
    rows = [
        {"date": DAY, "time_utc": datetime(2024, 3, 1, 12, tzinfo=UTC), "source_id": source_id, "received_from": file,
         "received_row": row, "received_at": at}
        for row, source_id in enumerate(source_ids)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, RAW_SCHEMA)


class Files(AlertSource):
    """A source of landed files, of which only a.csv can be read."""

    def __init__(self, readable: pa.Table) -> None:
        self.readable = readable

    def read(self, first: date, last: date) -> pa.Table:
        return self.readable

    def unread(self, paths: Iterable[str]) -> set[str]:
        return set(paths) - {"a.csv"}


class NoFiles(Files):
    """A landing folder that is missing."""

    def read(self, first: date, last: date) -> pa.Table:
        raise NoFilesError("the folder is missing")


def received_of(*readers: AlertSource, before: pa.Table = NOTHING) -> Received:
    return receive(readers, DAY, DAY, before)


def seen(rows: pa.Table) -> list[tuple[Any, Any]]:
    return list(zip(rows["source_id"].to_pylist(), rows["received_at"].to_pylist(), strict=True))


def test_rows_keep_the_time_at_which_they_were_first_received() -> None:
    rows = keep_first_seen(table("x", "y", at=SECOND_READ), table("y", "z"))
    assert seen(rows) == [("x", SECOND_READ), ("y", FIRST_READ)]


def test_equal_rows_are_matched_one_by_one() -> None:
    rows = keep_first_seen(table("x", "x", "x", at=SECOND_READ), table("x", "x"))
    assert rows["received_at"].to_pylist() == [FIRST_READ, FIRST_READ, SECOND_READ]
    assert seen(keep_first_seen(table("x", at=SECOND_READ), table("x", "x"))) == [("x", FIRST_READ)]


def test_a_file_that_cannot_be_read_keeps_its_rows() -> None:
    before = pa.concat_tables([table("x"), table("y", file="b.csv")])
    received = received_of(Files(table("z", at=SECOND_READ)), before=before)
    assert sorted(received.rows["source_id"].to_pylist()) == ["y", "z"]
    assert received.unread_files == ["b.csv"]


def test_a_folder_without_files_is_left_out_beside_another_source(caplog: pytest.LogCaptureFixture) -> None:
    received = received_of(Files(table("x")), NoFiles(NOTHING), before=table("kept", file="gone.csv"))
    assert sorted(received.rows["source_id"].to_pylist()) == ["kept", "x"]
    assert "the folder is missing" in caplog.text
    with pytest.raises(NoFilesError, match="the folder is missing"):
        received_of(NoFiles(NOTHING), NoFiles(NOTHING), before=table("kept", file="gone.csv"))
