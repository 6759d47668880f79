"""A store, a record or a table in another format is refused in one line."""

from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shotspotter_assets.forecasts.approval import Approvals
from shotspotter_assets.storage.catalogue import APPROVALS, CITY_STATE, TENSORS
from shotspotter_assets.storage.store import Store, parquet_bytes
from shotspotter_assets.storage.store_format import (
    FORMAT_VERSION,
    MARKER,
    TABLE_ENTRY,
    FormatError,
    StoreFormat,
    present_format,
)

NEWER = FORMAT_VERSION + 1
DAY = date(2024, 1, 1)


def test_the_first_file_of_an_empty_store_comes_after_the_marker(store: Store) -> None:
    store.checked().write_bytes(CITY_STATE, b"{}", "town")
    marker = StoreFormat.model_validate_json(store._objects.read(MARKER))
    assert marker == present_format()
    assert marker.format_version == FORMAT_VERSION
    assert store.checked().read_bytes(CITY_STATE, "town") == b"{}"


def test_a_changed_file_of_an_empty_store_comes_after_the_marker(store: Store) -> None:
    store.update(CITY_STATE, "town", bytes, lambda _: b"{}")
    assert StoreFormat.model_validate_json(store._objects.read(MARKER)) == present_format()


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        (b'{"format_version": 1, "program": "0.2.0"}', "format 1 is older than format 2"),
        (b'{"format_version": %d, "program": "9.0.0", "later": []}' % NEWER, f"format {NEWER} is newer.*Update"),
        (b"{", "format.json is damaged"),
    ],
)
def test_a_store_in_another_format_is_refused_in_one_line(store: Store, marker: bytes, words: str) -> None:
    store._objects.write(MARKER, marker)
    for use in (store.checked, lambda: store.write_bytes(CITY_STATE, b"{}", "town")):
        with pytest.raises(FormatError, match=words) as caught:
            use()
        assert store.root in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_record_begins_with_its_format_and_a_newer_one_is_refused(store: Store) -> None:
    approvals = Approvals(city="town", approved={}, approvers={})
    approvals.write(store)
    content = store.read_bytes(APPROVALS, "town")
    assert content.startswith(b'{\n "format_version": %d,' % FORMAT_VERSION)
    assert Approvals.load(store, "town") == approvals
    newer = content.replace(b'"format_version": %d' % FORMAT_VERSION, b'"later": 1, "format_version": %d' % NEWER)
    store.write_bytes(APPROVALS, newer, "town")
    for read in (Approvals.load, Approvals.find_sound):
        with pytest.raises(FormatError, match=f"format {NEWER} is newer") as caught:
            read(store, "town")
        assert store.uri(APPROVALS, "town") in str(caught.value)


def test_a_table_has_its_format_and_a_newer_one_is_refused(store: Store) -> None:
    content = parquet_bytes(TENSORS, TENSORS.schema.empty_table())
    table = pq.read_table(pa.BufferReader(content))
    assert table.schema.metadata[TABLE_ENTRY] == str(FORMAT_VERSION).encode()
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({TABLE_ENTRY: str(NEWER)}), sink)
    store.write_bytes(TENSORS, sink.getvalue().to_pybytes(), "town", DAY)
    for read in (store.read_table, store.find_sound_table):
        with pytest.raises(FormatError, match=f"format {NEWER} is newer") as caught:
            read(TENSORS, "town", DAY)
        assert store.uri(TENSORS, "town", DAY) in str(caught.value)


def test_a_table_whose_format_is_no_number_is_damaged(store: Store) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(TENSORS.schema.empty_table().replace_schema_metadata({TABLE_ENTRY: "two"}), sink)
    store.write_bytes(TENSORS, sink.getvalue().to_pybytes(), "town", DAY)
    assert store.find_sound_table(TENSORS, "town", DAY) is None
