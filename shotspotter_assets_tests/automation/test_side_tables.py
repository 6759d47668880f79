"""Whatever files of a side table arrive, its asset ends as a rebuild from scratch would, and alerts never wait for it."""

import os
from datetime import date
from pathlib import Path
from random import Random

import pytest

from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.storage.catalogue import ALERT_OUTCOMES
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity, assets_of, noon, row
from shotspotter_assets_tests.automation.statements import Said

START = date(2026, 3, 2)
TODAY = date(2026, 3, 8)
DAYS = days_between(START, date(2026, 3, 7))
OUTCOMES = """
outcomes:
  source:
    kind: landing
    settle_seconds: 0
    columns: {time: called, longitude: x, latitude: y, source_id: number}
  columns: {alert_id: alert, code: disposition, cleared: cleared}
  codes: {GOA: unconfirmed, RPT: confirmed}
"""
HEADER = "number,called,x,y,alert,disposition,cleared\n"


def call(day: date, number: int, code: str) -> str:
    """A call about an alert of `row`, a minute later."""
    when = f"{day}T17:{number + 1:02}:00Z"
    return f"c{day}-{number},{when},,,{day}-{number},{code},{day}T18:00:00Z\n"


@pytest.fixture
def town(tmp_path: Path) -> LivingCity:
    """A city with three alerts a day on six days, and outcomes in `landing/town_outcomes`."""
    living = LivingCity(tmp_path / "living", START, noon(TODAY))
    living.write_city_file(more=OUTCOMES)
    living.land("alerts.csv", *(row(day, number) for day in DAYS for number in range(3)))
    return living


def land(town: LivingCity, name: str, *lines: str) -> None:
    path = town.folder / "landing" / f"{NAME}_outcomes" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEADER + "".join(lines))
    town.now = town.now.replace(microsecond=0)
    os.utime(path, (town.now.timestamp(), town.now.timestamp()))


def settle(town: LivingCity) -> list[str]:
    """Run what is requested of alerts and outcomes until nothing is; return the runs of outcomes as `first...last`."""
    made: list[str] = []
    for _ in range(12):
        wanted = [one for one in town.tick() if assets_of(one) & {"raw_alerts", "alert_outcomes"}]
        if not wanted:
            return made
        for request in wanted:
            keys = [key for key in request.asset_selection or () if key.path[-1] in DAILY]
            assert town.run(request._replace(asset_selection=keys), checks=False), assets_of(request)
            if "alert_outcomes" in assets_of(request):
                made.append(request.tags["shotspotter/target"].split()[-1])
    raise AssertionError(f"not settled: {made}")


DAILY = ("raw_alerts", "cleaned_alerts", "grid_tensors", "alert_outcomes")


def contents(town: LivingCity) -> dict[date, list[dict[str, object]]]:
    return {day: town.store.read_table(ALERT_OUTCOMES, NAME, day).to_pylist() for day in DAYS}


def rebuilt(town: LivingCity, folder: Path) -> dict[date, list[dict[str, object]]]:
    """The outcomes of a fresh installation over the present files."""
    fresh = LivingCity(folder, START, town.now)
    for name in (NAME, f"{NAME}_outcomes"):
        source = town.folder / "landing" / name
        target = fresh.folder / "landing" / name
        target.mkdir(exist_ok=True)
        for file in sorted(source.iterdir()):
            (target / file.name).write_bytes(file.read_bytes())
            os.utime(target / file.name, (file.stat().st_mtime, file.stat().st_mtime))
    fresh.write_city_file(more=OUTCOMES)
    settle(fresh)
    return contents(fresh)


def outcomes_of(town: LivingCity, day: date) -> list[str]:
    return town.store.read_table(ALERT_OUTCOMES, NAME, day)["outcome"].to_pylist()


def test_changed_files_rebuild_exactly_the_days_concerned(town: LivingCity) -> None:
    settle(town)
    assert outcomes_of(town, DAYS[2]) == []
    land(town, "week.csv", *(call(day, number, "GOA") for day in DAYS for number in (0, 1)))
    assert settle(town) == [f"{DAYS[0]}...{DAYS[-1]}"]
    assert outcomes_of(town, DAYS[2]) == ["unconfirmed"] * 2
    town.now = noon(TODAY).replace(hour=18)
    land(town, "late.csv", call(DAYS[2], 1, "RPT"), call(DAYS[2], 2, "RPT"))
    assert settle(town) == [f"{DAYS[1]}...{DAYS[3]}"], "the days around it read its rows"
    assert outcomes_of(town, DAYS[2]) == ["unconfirmed", "confirmed", "confirmed"], "the later version counts"
    folder = town.folder / "landing" / f"{NAME}_outcomes"
    (folder / "late.csv").rename(folder / "a.csv")
    assert settle(town) == []
    (folder / "a.csv").unlink()
    assert settle(town) == [f"{DAYS[1]}...{DAYS[3]}"]
    assert outcomes_of(town, DAYS[2]) == ["unconfirmed"] * 2


def test_a_broken_table_is_named_and_stops_no_alert(town: LivingCity) -> None:
    land(town, "broken.csv", "")
    (town.folder / "landing" / f"{NAME}_outcomes" / "broken.csv").write_text("no,such,columns\n1,2,3\n")
    settle(town)
    assert len(town.table.days) == len(DAYS)
    assert "broken.csv" in " ".join(Said(town).status["waits"])
    (town.folder / "landing" / f"{NAME}_outcomes" / "broken.csv").unlink()
    settle(town)
    assert "broken.csv" not in " ".join(Said(town).status["waits"])


@pytest.mark.parametrize("seed", range(2))
def test_sequences_of_files_end_as_a_rebuild(town: LivingCity, tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    folder = town.folder / "landing" / f"{NAME}_outcomes"
    land(town, "base.csv", *(call(day, number, "GOA") for day in DAYS for number in range(3)))
    for step in range(5):
        town.now = noon(TODAY).replace(hour=18 + step)
        files = sorted(file.name for file in folder.iterdir() if file.name != "base.csv")
        kind = random.choice(["land", "land", "rename", "remove", "replace", "copy"])
        lines = [call(random.choice(DAYS), random.randrange(4), random.choice(["RPT", "GOA", "?"])) for _ in range(4)]
        if kind == "land" or not files:
            land(town, f"f{step}.csv", *lines)
        elif kind == "replace":
            land(town, random.choice(files), *lines)
        elif kind == "rename":
            (folder / files[0]).rename(folder / f"{random.choice('az')}{step}.csv")
        elif kind == "remove":
            (folder / files[-1]).unlink()
        else:
            land(town, f"copy{step}.csv", *(folder / files[0]).read_text().splitlines(keepends=True)[1:])
        if random.random() < 0.5:
            settle(town)
    settle(town)
    assert contents(town) == rebuilt(town, tmp_path / "fresh")
