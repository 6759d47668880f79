from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from shotspotter_assets.serving.serving_record import ServingRecord
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.serving.town import DAY, TOWN, serving_record

NEXT = DAY + timedelta(days=1)


def test_since_counts_from_the_first_day_of_an_unbroken_run() -> None:
    first = serving_record().after(None)
    assert first.since == DAY
    second = serving_record(issue_date=NEXT).after(first)
    assert second.since == DAY
    baseline = serving_record(issue_date=NEXT, served="ewma").after(first)
    assert baseline.since == NEXT
    assert serving_record(issue_date=NEXT + timedelta(days=1)).after(baseline).since == NEXT + timedelta(days=1)


def test_a_candidate_counts_from_the_day_on_which_it_replaced_another_one() -> None:
    first = serving_record().after(None)
    assert first.candidate_since is None
    other = serving_record(issue_date=NEXT, gate=replace(first.gate, candidate="conv_lstm")).after(first)
    assert other.candidate_since == NEXT
    later = NEXT + timedelta(days=1)
    assert serving_record(issue_date=later, gate=other.gate).after(other).candidate_since == NEXT


def test_a_stored_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    store, record = Store(str(tmp_path)), serving_record().after(None)
    record.write(store)
    assert ServingRecord.load(store, TOWN.name, DAY) == ServingRecord.find(store, TOWN.name, DAY) == record
    assert ServingRecord.latest_before(store, TOWN.name, NEXT) == record
    assert ServingRecord.latest_before(store, TOWN.name, DAY) is None
    assert ServingRecord.find(store, TOWN.name, NEXT) is None
    with pytest.raises(MissingObjectError):
        ServingRecord.load(store, TOWN.name, date(2024, 1, 1))


def test_the_data_version_changes_only_with_the_files_that_serve() -> None:
    record = serving_record()
    assert record.data_version == serving_record(issue_date=NEXT, reasons=("Other.",)).data_version
    others = [serving_record(served="x"), serving_record(version="x")]
    assert len({record.data_version, *(other.data_version for other in others)}) == 3
