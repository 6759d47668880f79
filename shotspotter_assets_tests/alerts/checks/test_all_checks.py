from datetime import date, timedelta

from shotspotter_assets.alerts.checks.all_checks import keep_findings
from shotspotter_assets.alerts.checks.finding import Finding
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.publication import Acknowledged
from shotspotter_assets.storage.catalogue import CITY_STATE
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.alerts.checks.sound_city import CITY

DAYS = [date(2024, 3, day) for day in range(1, 11)]
WELL = Finding(True, "No silence.")
TOWN = CITY.model_copy(update={"start": DAYS[0]})


def silent(*days: date) -> Finding:
    return Finding(False, f"Silent on {len(days)} days.", {}, dict.fromkeys(days, 0.0))


def test_a_warning_ends_when_its_days_are_found_well(store: Store) -> None:
    keep_findings(store, TOWN, DAYS, {"silent_days": silent(DAYS[1], DAYS[5])})
    partly = keep_findings(store, TOWN, DAYS[:3], {"silent_days": WELL})
    assert not partly["silent_days"].passed
    assert "(2024-03-06)" in partly["silent_days"].message
    assert keep_findings(store, TOWN, DAYS[5:6], {"silent_days": WELL})["silent_days"].passed


def test_a_later_start_ends_warnings_about_the_days_before_it(store: Store) -> None:
    keep_findings(store, TOWN, DAYS, {"silent_days": silent(DAYS[0])})
    later = TOWN.model_copy(update={"start": DAYS[2]})
    assert keep_findings(store, later, DAYS[3:], {"silent_days": WELL})["silent_days"].passed


def test_a_finding_without_days_holds_for_the_last_day(store: Store) -> None:
    keep_findings(store, TOWN, DAYS, {"clock": Finding(False, "Five hours late.")})
    assert not keep_findings(store, TOWN, DAYS[:5], {"clock": WELL})["clock"].passed
    assert keep_findings(store, TOWN, DAYS[-1:], {"clock": WELL})["clock"].passed


def test_many_warnings_are_quoted_by_the_newest(store: Store) -> None:
    for day in DAYS:
        found = keep_findings(store, TOWN, [day], {"silent_days": silent(day)})
    message = found["silent_days"].message
    assert "(2024-03-09)" in message
    assert "(2024-03-01 to" not in message
    assert "And 6 older warnings." in message


def entry(first: date, last: date | None = None, check: str = "silent_days", note: str = "") -> Acknowledged:
    return Acknowledged(check=check, first=first, last=last, by="A. Smith", on=date(2024, 4, 1), note=note)


def accepting(*entries: Acknowledged) -> City:
    return TOWN.model_copy(update={"acknowledged": entries})


def test_acknowledged_warnings_pass_and_stay_visible(store: Store) -> None:
    found = silent(*DAYS[1:4])
    town = accepting(entry(DAYS[0], DAYS[5], note="sensors were down"))
    reported = keep_findings(store, town, DAYS, {"silent_days": found})["silent_days"]
    expected = "Acknowledged by A. Smith on 2024-04-01: sensors were down (3 days, 2024-03-02 to 2024-03-04)."
    assert reported == Finding(True, expected, found.numbers, found.days)
    later = keep_findings(store, town, DAYS[8:], {"silent_days": WELL})["silent_days"]
    assert later == Finding(True, f"No silence. {expected}")
    assert not keep_findings(store, TOWN, DAYS[8:], {"silent_days": WELL})["silent_days"].passed, "entry withdrawn"


def test_days_that_are_not_acknowledged_fail(store: Store) -> None:
    town = accepting(entry(DAYS[1], check="points"), entry(DAYS[2]))
    found = keep_findings(store, town, DAYS, {"silent_days": silent(*DAYS[1:4])})["silent_days"]
    later = keep_findings(store, town, [DAYS[-1] + timedelta(days=1)], {"silent_days": WELL})["silent_days"]
    for reported in (found, later):
        assert not reported.passed
        assert reported.message.endswith("Acknowledged by A. Smith on 2024-04-01 (1 day, 2024-03-03).")
    assert found.message.startswith("Not acknowledged: 2 days (2024-03-02, 2024-03-04). Silent on 3 days.")
    assert later.message.startswith("Open warnings about other days: (2024-03-02 to 2024-03-04) Silent on 3 days.")
    assert "These days: No silence." in later.message


def test_a_finding_without_days_is_acknowledged_by_the_last_day(store: Store) -> None:
    for day, passed in ((DAYS[0], False), (DAYS[-1], True)):
        town = accepting(entry(day, check="clock"))
        finding = {"clock": Finding(False, "Five hours late.")}
        assert keep_findings(store, town, DAYS, finding)["clock"].passed == passed


def test_a_damaged_file_of_warnings_does_not_stop_checks(store: Store) -> None:
    store.write_bytes(CITY_STATE, b"{", TOWN.name)
    assert not keep_findings(store, TOWN, DAYS, {"silent_days": silent(DAYS[0])})["silent_days"].passed
