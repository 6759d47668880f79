"""The record of what serves: since when, read from files of earlier versions too."""

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from shotspotter_assets.serving.record import ServingRecord, models_partition
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.serving.town import DAY, TOWN, serving_record

NEXT = DAY + timedelta(days=1)


def test_since_counts_from_the_first_day_of_an_unbroken_run() -> None:
    first = serving_record().after(None)
    assert first.since == DAY
    second = serving_record(day=NEXT).after(first)
    assert second.since == DAY
    baseline = serving_record(day=NEXT, served="ewma").after(first)
    assert baseline.since == NEXT
    assert serving_record(day=NEXT + timedelta(days=1)).after(baseline).since == NEXT + timedelta(days=1)


def test_a_candidate_counts_from_the_day_on_which_it_replaced_another_one() -> None:
    first = serving_record().after(None)
    assert first.candidate_since is None
    other = serving_record(day=NEXT, gate=replace(first.gate, candidate="conv_lstm")).after(first)
    assert other.candidate_since == NEXT
    later = NEXT + timedelta(days=1)
    assert serving_record(day=later, gate=other.gate).after(other).candidate_since == NEXT


def test_a_record_without_the_new_keys_starts_a_run_on_its_day() -> None:
    stored = json.loads(serving_record().model_dump_json())
    for key in ("since", "candidate_since", "inputs"):
        del stored[key]
    record = ServingRecord.model_validate_json(json.dumps(stored))
    assert (record.since, record.candidate_since, record.inputs) == (DAY, None, ())


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    store, record = Store(str(tmp_path)), serving_record().after(None)
    store.write_bytes(models_partition(TOWN.name, DAY), "record.json", record.model_dump_json().encode())
    assert ServingRecord.load(store, TOWN.name, DAY) == record
    assert ServingRecord.latest_before(store, TOWN.name, NEXT) == record
    assert ServingRecord.latest_before(store, TOWN.name, DAY) is None
    with pytest.raises(MissingObjectError):
        ServingRecord.load(store, TOWN.name, date(2024, 1, 1))


def test_the_data_version_changes_with_what_serves_only() -> None:
    record = serving_record()
    assert record.data_version == serving_record(day=NEXT, reasons=("Other.",)).data_version
    assert (
        len(
            {
                record.data_version,
                *(serving_record(**{name: "x"}).data_version for name in ("served", "models_version", "hours_version")),
            }
        )
        == 4
    )
