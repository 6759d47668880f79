"""What one reading of a city's sources keeps of the readings before."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shotspotter_assets.sources.protocol import AlertSource, NoFilesError
from shotspotter_assets.sources.receive import Received, all_withdrawn, keep_first_seen, receive
from shotspotter_assets.sources.schema import RAW_SCHEMA, WITHDRAWN_SCHEMA

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


class Files:
    """A source of two files, of which one cannot be read."""

    def __init__(self, readable: pa.Table) -> None:
        self.readable = readable

    def read(self, first: date, last: date) -> pa.Table:
        return self.readable

    def unread(self, paths: Iterable[str]) -> set[str]:
        return set(paths) - {"a.csv"}


class Portal:
    """A source that counts its rows itself."""

    counts_by_day = True

    def __init__(self) -> None:
        self.calls: list[str] = []

    def read(self, first: date, last: date) -> pa.Table:
        self.calls.append("read")
        return table("x")

    def changed_days(self, first: date, last: date) -> dict[date, str]:
        self.calls.append("changed_days")
        return {first: "1 row"}


def received_of(readers: list[AlertSource], days: list[date], before: pa.Table) -> Received:
    (received,) = receive(readers, [days], lambda _: before)
    return received


def seen(rows: pa.Table) -> list[tuple[Any, Any]]:
    return list(zip(rows["source_id"].to_pylist(), rows["received_at"].to_pylist(), strict=True))


def test_rows_keep_when_they_were_first_seen_and_gone_ones_are_withdrawn() -> None:
    rows, withdrawn = keep_first_seen(table("x", "y", at=SECOND_READ), table("y", "z"), SECOND_READ)
    assert seen(rows) == [("x", SECOND_READ), ("y", FIRST_READ)]
    assert withdrawn.schema == WITHDRAWN_SCHEMA
    assert seen(withdrawn) == [("z", FIRST_READ)]
    assert withdrawn["withdrawn_at"].to_pylist() == [SECOND_READ]


def test_of_equal_rows_as_many_are_kept_as_both_readings_have() -> None:
    rows, withdrawn = keep_first_seen(table("x", "x", "x", at=SECOND_READ), table("x", "x"), SECOND_READ)
    assert rows["received_at"].to_pylist() == [FIRST_READ, FIRST_READ, SECOND_READ]
    assert withdrawn.num_rows == 0
    rows, withdrawn = keep_first_seen(table("x", at=SECOND_READ), table("x", "x"), SECOND_READ)
    assert (seen(rows), seen(withdrawn)) == ([("x", FIRST_READ)], [("x", FIRST_READ)])


def test_what_was_withdrawn_is_not_withdrawn_again_by_a_run_that_was_cut_off_and_is_made_again() -> None:
    def withdrawn(*rows: str, received: datetime, at: datetime) -> pa.Table:
        return keep_first_seen(table(), table(*rows, at=received), at)[1].drop_columns(["date"])

    first = withdrawn("x", "x", "y", received=FIRST_READ, at=SECOND_READ)
    again = withdrawn("x", "x", "y", "z", received=FIRST_READ, at=SECOND_READ + timedelta(hours=1))
    kept = all_withdrawn(first, again)
    assert kept["source_id"].to_pylist() == ["x", "x", "y", "z"]
    assert kept["withdrawn_at"].to_pylist() == [SECOND_READ] * 3 + [SECOND_READ + timedelta(hours=1)]
    # The same row, published again and withdrawn again, is another one.
    later = withdrawn("y", received=SECOND_READ, at=SECOND_READ + timedelta(days=1))
    assert all_withdrawn(kept, later)["source_id"].to_pylist() == ["x", "x", "y", "z", "y"]


def test_a_file_that_cannot_be_read_keeps_its_rows() -> None:
    before = pa.concat_tables([table("x"), table("y", file="b.csv")])
    received = received_of([Files(table("z", at=SECOND_READ))], [DAY], before)
    assert sorted(received.rows["source_id"].to_pylist()) == ["y", "z"]
    assert received.withdrawn["source_id"].to_pylist() == ["x"]
    assert received.unread_files == ["b.csv"]
    assert received.source_versions is None


def test_a_source_is_asked_for_its_versions_before_its_rows() -> None:
    portal = Portal()
    received = received_of([portal], [DAY, DAY + timedelta(days=1)], RAW_SCHEMA.empty_table())
    assert portal.calls == ["changed_days", "read"]
    assert received.source_versions == {DAY: "1 row"}


def test_a_source_that_cannot_count_has_the_versions_of_its_rows() -> None:
    portal = Portal()
    portal.counts_by_day = False
    received = received_of([portal], [DAY], RAW_SCHEMA.empty_table())
    assert portal.calls == ["read"]
    assert received.source_versions is not None
    assert list(received.source_versions) == [DAY]
    assert received_of([portal, portal], [DAY], RAW_SCHEMA.empty_table()).source_versions is None


class PartwiseFiles(Files):
    def __init__(self, rows: pa.Table) -> None:
        super().__init__(rows)
        self.scans = 0

    def read_parts(self, parts: Sequence[tuple[date, date]]) -> Iterator[pa.Table]:
        self.scans += 1
        dates = self.readable["date"]
        return (
            self.readable.filter(pc.and_(pc.greater_equal(dates, first), pc.less_equal(dates, last)))
            for first, last in parts
        )


class NoFiles(Files):
    """A landing folder that is missing."""

    def read(self, first: date, last: date) -> pa.Table:
        raise NoFilesError("the folder is missing")


def test_a_folder_without_files_is_left_out_beside_another_source(caplog: pytest.LogCaptureFixture) -> None:
    before = table("kept", file="gone.csv")
    received = received_of([Files(table("x")), NoFiles(table())], [DAY], before)
    assert sorted(received.rows["source_id"].to_pylist()) == ["kept", "x"]
    assert "the folder is missing" in caplog.text
    with pytest.raises(NoFilesError, match="the folder is missing"):
        received_of([NoFiles(table()), NoFiles(table())], [DAY], before)


def test_parts_of_days_are_compared_with_what_is_stored_of_them_with_one_scan() -> None:
    files = PartwiseFiles(table("x", at=SECOND_READ))
    asked: list[Sequence[date]] = []

    def stored(days: Sequence[date]) -> pa.Table:
        asked.append(days)
        return table("x", "y") if DAY in days else RAW_SCHEMA.empty_table()

    parts = [[DAY], [DAY + timedelta(days=1)]]
    first, second = receive([files], parts, stored)
    assert (seen(first.rows), seen(first.withdrawn)) == ([("x", FIRST_READ)], [("y", FIRST_READ)])
    assert (second.rows.num_rows, second.withdrawn.num_rows) == (0, 0)
    assert (files.scans, asked) == (1, parts)
