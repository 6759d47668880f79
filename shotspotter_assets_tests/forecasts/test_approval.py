from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.stored_settings import model_settings
from shotspotter_assets.forecasts.approval import WaitingModels, approve, serve_approved, waiting_models
from shotspotter_assets.forecasts.retraining import LiveModels, choose_models, day_records, reusable_record
from shotspotter_assets.forecasts.serving_record import ServingRecord
from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.next_day.daily_inputs import names_of_inputs
from shotspotter_assets.storage.catalogue import APPROVALS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.forecasts.town import DAY, TOWN, VERDICT, history_to, serving_record

CAREFUL = TOWN.model_copy(update={"approval": "person", "retraining": "weekly"})
NOW = datetime(2024, 6, 2, 12, tzinfo=UTC)
"""An instant of the day after `DAY`."""
INPUTS = names_of_inputs(TOWN)


class Office:
    """A city's live models by day, whose trainings are records without files."""

    def __init__(self, root: Path, city: City = CAREFUL) -> None:
        self.store = Store(str(root))
        self.city = city

    def history(self, at: int, lead: int = 1) -> CityHistory:
        return history_to(DAY + timedelta(days=at - lead + 1), lead, self.city)

    def train(self, at: int, version: str, lead: int = 1, **changes: Any) -> tuple[str, str]:
        day = DAY + timedelta(days=at)
        stored = self.history(at, lead)
        facts = {"issue_date": day, "models_from": day, "last_trained": day, "last_known": stored.last_known}
        data = stored.daily(covered_mask([(0, 0)], TOWN.shape)).data_sha256()
        facts |= {"inputs": INPUTS, "data_sha256": data, "gate": replace(VERDICT, reasons=("Better.",))}
        record, waiting = serve_approved(
            self.store, stored, serving_record(version=version, lead=lead, **facts | changes)
        )
        return self.keep(LiveModels(record, waiting=waiting))

    def carry(self, at: int, lead: int = 1, **how: Any) -> tuple[str, str]:
        return self.keep(choose_models(self.store, self.history(at, lead), FitContext(), **how))

    def rebuild(self, at: int) -> tuple[str, str]:
        reuse = reusable_record(self.store, self.history(at), NOW + timedelta(days=at))
        return self.carry(at, reuse=reuse)

    def keep(self, live: LiveModels) -> tuple[str, str]:
        """Write the models of a day, and return the versions that serve and that wait."""
        day = (live.record or live.waiting).issue_date
        live.write(self.store, self.city.name, day, day_records(self.store, self.city.name, day))
        record = self.record(day)
        waiting = WaitingModels.find(self.store, self.city.name, day)
        assert (record, waiting) == (live.record, live.waiting)
        return record.version if record else "", waiting.models.version if waiting else ""

    def approve(self, at: int, version: str) -> None:
        approve(self.store, self.city, DAY + timedelta(days=at), version, "A. Smith", NOW)

    def record(self, day: date) -> ServingRecord | None:
        return ServingRecord.find(self.store, self.city.name, day)

    def waits(self) -> list[str]:
        return [one.models.version for one in waiting_models(self.store, self.city, date.max)]


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_the_first_models_serve_once_they_are_approved(office: Office) -> None:
    assert office.train(0, "aa") == ("", "aa")
    assert office.carry(1) == ("", "aa")
    [waiting] = waiting_models(office.store, office.city, date.max)
    assert waiting.text.startswith("New models"), "what is so that day is no part of the request"
    assert waiting.reason == (
        "No models have been approved yet. "
        "New models of gunfire wait for approval: stack of 1 June 2024, version aa. Better. "
        "To approve them, run: shotspotter approve town aa --by NAME"
    )
    office.approve(1, "aa")
    assert office.waits() == []
    assert office.carry(1) == ("aa", "")
    assert office.record(DAY + timedelta(days=1)).reasons == (
        "Models of 1 June 2024; retrains weekly.",
        "Approved by A. Smith at 2024-06-02T12:00:00+00:00.",
    )
    assert office.carry(2) == ("aa", "")


def test_an_approval_needs_a_name(office: Office) -> None:
    office.train(0, "aa")
    with pytest.raises(ValueError, match=r"town\|2024-06-01.*approver.*aa"):
        approve(office.store, office.city, DAY, "aa", " ", NOW)
    assert office.waits() == ["aa"]


def test_approvals_without_names_of_earlier_versions_count(office: Office) -> None:
    office.train(0, "aa")
    office.store.write_bytes(APPROVALS, b'{"city": "town", "approved": {"aa": "2024-06-01T08:00:00+00:00"}}', "town")
    assert office.carry(1) == ("aa", "")
    assert "2024-06-01T08:00:00+00:00" in office.record(DAY + timedelta(days=1)).reasons[-1]


def test_an_approval_is_of_all_targets_with_these_models(tmp_path: Path) -> None:
    city = CAREFUL.model_copy(update={"targets": dict.fromkeys(("gunfire", "again"), ("gunshots",))})
    store = Store(str(tmp_path))
    for of_target, view in city.by_target(store):
        office = Office(tmp_path, view)
        office.store = of_target
        office.train(0, "aa")
    assert len(waiting_models(store, city, date.max)) == 2
    approve(store, city, DAY, "aa", "A. Smith", NOW)
    assert waiting_models(store, city, date.max) == []


def test_models_of_other_events_do_not_serve_while_new_ones_wait(office: Office, tmp_path: Path) -> None:
    office.train(0, "aa")
    office.approve(0, "aa")
    other = Office(tmp_path, office.city.model_copy(update={"targets": {"gunfire": ("multiple gunshots",)}}))
    assert other.train(1, "bb", settings=model_settings(other.city)) == ("", "bb")


def test_approved_models_serve_while_newer_ones_replace_waiting_ones(office: Office) -> None:
    office.train(0, "aa")
    office.approve(0, "aa")
    office.carry(1)
    assert office.train(7, "bb") == ("aa", "bb")
    keeps, waits = office.record(DAY + timedelta(days=7)).reasons
    assert keeps == "The approved models of 1 June 2024 keep serving."
    assert "stack of 8 June 2024, version bb." in waits
    assert office.carry(8) == ("aa", "bb")
    assert office.train(14, "cc") == ("aa", "cc")
    for gone in ("bb", "zz"):
        with pytest.raises(ValueError, match=rf"town\|2024-06-15.*{gone}.*cc \(stack\)"):
            office.approve(14, gone)
    assert office.carry(15) == ("aa", "cc")
    office.approve(15, "cc")
    assert office.carry(15) == ("cc", "")


def test_a_rebuilt_day_keeps_its_approval_and_new_data_wait_again(office: Office) -> None:
    office.train(0, "aa")
    office.approve(0, "aa")
    assert [office.train(0, "aa") for _ in range(2)] == [("aa", "")] * 2
    assert office.train(0, "bb") == ("aa", "bb")
    assert office.train(0, "bb") == ("aa", "bb")


def test_models_of_a_lead_are_approved_on_any_day_and_serve_at_it(office: Office) -> None:
    office.train(0, "aa")
    office.approve(0, "aa")
    office.carry(1)
    assert office.train(2, "cc", lead=3) == ("", "cc")
    assert "fitted for a lead of 1 day, not 3." in waiting_models(office.store, office.city, date.max)[0].reason
    assert office.carry(3) == ("aa", "")
    assert office.waits() == ["cc"]
    office.approve(3, "cc")
    assert office.waits() == []
    assert office.carry(3) == ("aa", "")
    assert office.carry(8, lead=3) == ("cc", "")
    # Models of a longer lead may serve at a shorter one.
    assert office.train(8, "bb", lead=2) == ("cc", "bb")


def test_models_of_other_inputs_do_not_serve_while_new_ones_wait(office: Office) -> None:
    office.train(0, "aa", inputs=("others",))
    office.approve(0, "aa")
    assert office.train(0, "aa", inputs=("others",)) == ("aa", "")
    assert office.train(1, "bb") == ("", "bb")
    [waiting] = waiting_models(office.store, office.city, date.max)
    assert waiting.reason.startswith(
        "The approved models of 1 June 2024 cannot serve: they were fitted for another grid, "
    )
    assert office.train(20, "cc", inputs=("others",)) == ("aa", "cc")


def test_a_rollback_needs_no_approval_and_ends_the_wait(office: Office) -> None:
    office.train(0, "aa")
    office.approve(0, "aa")
    office.carry(1)
    office.train(2, "bb")
    office.approve(2, "bb")
    office.carry(3)
    assert office.train(4, "cc") == ("bb", "cc")
    assert office.carry(4, serve_from=DAY + timedelta(days=1)) == ("aa", "")
    assert office.waits() == []
    assert office.rebuild(4) == office.carry(5) == ("aa", "")


def test_a_city_may_begin_and_end_to_ask_for_approval(tmp_path: Path) -> None:
    office = Office(tmp_path, TOWN)
    assert office.train(0, "aa") == ("aa", "")
    with pytest.raises(ValueError, match=r"bb.*none"):
        office.approve(0, "bb")
    office.city = CAREFUL
    assert office.carry(1) == ("aa", "")
    assert office.train(7, "bb") == ("aa", "bb")
    office.city = TOWN
    assert office.waits() == []
    assert office.carry(8) == ("bb", "")


@given(st.lists(st.sampled_from(["day", "train", "approve", "approve a replaced one", "rebuild"]), max_size=20))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_approved_models_serve_and_the_newest_one_waits(tmp_path_factory, events: list[str]) -> None:
    root = tmp_path_factory.mktemp("office")
    at = 0
    trained = ["v0"]
    office = Office(root / "person")
    automatic = Office(root / "automatic", TOWN)
    office.train(0, "v0")
    automatic.train(0, "v0")
    approved = ""
    for event in events:
        at += event in ("day", "train")
        if event == "train" or at - int(trained[-1][1:]) >= 7:
            trained.append(f"v{at}")
            found = office.train(at, trained[-1]), automatic.train(at, trained[-1])
        elif event == "approve a replaced one":
            with pytest.raises(ValueError, match="wait"):
                office.approve(at, trained[-2] if trained[1:] else "zz")
            continue
        else:
            if event == "approve":
                office.approve(at, trained[-1])
                approved = trained[-1]
            found = office.rebuild(at), automatic.rebuild(at)
        waits = "" if approved == trained[-1] else trained[-1]
        assert found == ((approved, waits), (trained[-1], ""))
        assert office.waits() == [waits] * bool(waits)


def test_an_approval_of_a_past_day_trains_nothing(office: Office) -> None:
    assert office.train(0, "aa") == ("", "aa")
    office.approve(0, "aa")
    reuse = reusable_record(office.store, office.history(0), NOW + timedelta(days=90))
    assert office.carry(0, reuse=reuse) == ("aa", "")


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


def test_the_data_version_changes_only_with_the_files_that_serve() -> None:
    record = serving_record()
    assert record.data_version == serving_record(issue_date=NEXT, reasons=("Other.",)).data_version
    others = [serving_record(served="x"), serving_record(version="x")]
    assert len({record.data_version, *(other.data_version for other in others)}) == 3
