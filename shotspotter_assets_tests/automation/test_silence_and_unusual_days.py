"""A folder's silence, and a day far from the usual, as people see them: status, pages, checks and the forecast's record."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from shotspotter_assets.alerts.days.city_now import lateness
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity, noon, rows
from shotspotter_assets_tests.automation.statements import Said

START = date(2026, 9, 1)
TODAY = date(2026, 11, 30)
SILENT = [date(2026, 11, 28), date(2026, 11, 29)]
USUAL = 5  # alerts a day


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> LivingCity:
    """The city with all that has landed stored, forecast and shown; not to be changed."""
    town = LivingCity(tmp_path_factory.mktemp("silent") / "town", START, noon(TODAY))
    town.land("history.csv", *rows(START, SILENT[0] - timedelta(days=2), USUAL))
    town.land("daily_2026-11-27.csv", *rows(SILENT[0] - timedelta(days=1), SILENT[0] - timedelta(days=1), USUAL))
    town.settle(checks=False)
    return town


@pytest.fixture
def town(silent: LivingCity, tmp_path: Path) -> LivingCity:
    return silent.copy(tmp_path / "town")


def states(town: LivingCity, days: list[date] = SILENT) -> list[str]:
    return [town.table.state(day) for day in days]


def test_nothing_that_came_is_no_day_without_alerts(town: LivingCity) -> None:
    assert states(town) == ["unknown", "unknown"]
    said = "lerts up to 27 November 2026; the 28th and 29th are not known"
    record = town.forecast(TODAY)
    assert (record.lead, record.last_known) == (4, date(2026, 11, 27))
    with town.clock():
        late = lateness(town.store, town.city)
    assert not late.passed
    status = Said(town).status_file
    assert (status["lead"], status["last_known"]) == (4, "2026-11-27")
    remedy = f"shotspotter quiet {NAME} 2026-11-28 2026-11-29"
    told = town.command("status", NAME)
    for text in (record.data, Said(town).page, late.message, str(status["data"]), told):
        assert said in text
    for text in (late.message, *status["warnings"], told):
        assert remedy in text
    town.tick()
    assert remedy not in town.message, "a tick repeats no advice"


def test_a_word_makes_quiet_days_known_and_is_taken_back(town: LivingCity) -> None:
    expected = town.forecast(TODAY)
    said = town.command("quiet", NAME, "2026-11-27", "2026-11-29")
    assert "2026-11-27 stays known. It has rows." in said
    assert "2026-11-28 is known. A person reports no alerts." in said
    files = sorted(file.name for file in (town.folder / "landing" / NAME).glob("quiet_*"))
    assert files == ["quiet_2026-11-28", "quiet_2026-11-29"]
    town.settle(checks=False)
    assert states(town) == ["known", "known"]
    record = town.forecast(TODAY)
    assert (record.lead, record.data) == (2, "alerts up to 29 November 2026")
    assert record.expected_alerts < expected.expected_alerts
    assert Said(town).status_file["warnings"] == []
    assert "is unknown" in town.command("quiet", NAME, "2026-11-28", "2026-11-29", "--undo")
    town.settle(checks=False)
    assert states(town) == ["unknown", "unknown"]
    assert town.forecast(TODAY).expected_alerts == expected.expected_alerts


def test_a_file_of_the_vendor_is_such_a_word_and_no_file_of_alerts(town: LivingCity) -> None:
    (town.folder / "landing" / NAME / "quiet_2026-11-29.txt").write_text("nothing today\n")
    town.settle(checks=False)
    assert states(town) == ["unknown", "known"]
    assert "quiet_" not in town.message
    assert "the 28th is not known" in town.command("status", NAME)


def test_a_missing_daily_file_is_a_gap_although_a_later_one_has_come(town: LivingCity) -> None:
    town.land("daily_2026-11-29.csv", *rows(SILENT[-1], SILENT[-1], USUAL))
    town.settle(checks=False)
    assert states(town) == ["unknown", "known"]
    town.land("daily_2026-11-28.csv")
    town.settle(checks=False)
    assert states(town) == ["known", "known"], "an empty file of the day reports it"


def test_a_day_far_from_the_usual_waits_for_a_persons_word(town: LivingCity) -> None:
    loud = SILENT[0]
    town.land("daily_2026-11-28.csv", *rows(loud, loud, 1_750))
    town.land("daily_2026-11-29.csv", *rows(SILENT[-1], SILENT[-1], USUAL))
    town.settle(checks=False)
    usual = town.forecast(TODAY)
    assert states(town) == ["held_back", "known"]
    assert "28th is held back" in usual.data
    accept = f"shotspotter accept {NAME} {loud}"
    for text in (town.message, town.command("status", NAME)):
        assert f"{loud}" in text
        assert "1,750 alerts are far above the usual 5.0" in text
        assert accept in text
    assert "is known" in town.command(*accept.split()[1:])
    waits = town.command("status", NAME)
    assert f"{loud} was stored as held back and is decided again (A person accepts its number of alerts.)" in waits
    assert accept not in waits
    town.settle(checks=False)
    accepted = town.forecast(TODAY)
    assert states(town) == ["known", "known"]
    assert accepted.expected_alerts > usual.expected_alerts
    assert "Far more alerts than usual: 28 November 2026 (1,750, usually 5.0)." in Said(town).page
    town.command(*accept.split()[1:], "--undo")
    town.settle(checks=False)
    assert states(town) == ["held_back", "known"]


def test_the_usual_is_learned_whatever_lands_first(tmp_path: Path) -> None:
    town = LivingCity(tmp_path / "town", START, noon(TODAY))
    loud = SILENT[0]
    town.land("daily_2026-11-28.csv", *rows(loud, loud, 1_750))
    town.settle(checks=False, days_only=True)
    assert states(town)[0] == "known", "nothing is usual yet"
    town.land("history.csv", *rows(START, loud - timedelta(days=1), USUAL))
    town.settle(checks=False, days_only=True)
    assert states(town)[0] == "held_back"


def test_a_city_may_show_such_a_day_above_the_forecast(town: LivingCity) -> None:
    town.write_city_file(more="unusual_days: show\n")
    town.land("daily_2026-11-28.csv", *rows(SILENT[0], SILENT[0], 1_750))
    town.settle(checks=False)
    text = Said(town).page
    assert states(town)[0] == "known"
    assert text.index("1,750 alerts are far above the usual 5.0") < text.index("are expected")
    assert "1,750 alerts are far above the usual 5.0" in town.command("status", NAME)


@pytest.mark.parametrize("setting", ["hold", "show"])
def test_a_loud_day_that_passes_is_named_above_the_forecast(town: LivingCity, setting: str) -> None:
    town.write_city_file(more=f"unusual_days: {setting}\n")
    town.land("daily_2026-11-28.csv", *rows(SILENT[0], SILENT[0], 60))
    town.settle(checks=False)
    noted = "Far more alerts than usual: 28 November 2026 (60, usually 5.0)."
    text = Said(town).page
    assert states(town)[0] == "known"
    assert text.index(noted) < text.index("are expected")
    assert noted in town.command("status", NAME)
