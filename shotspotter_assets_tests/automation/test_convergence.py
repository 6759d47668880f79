"""Whatever arrives, in whatever order, the store ends as a rebuild from scratch would."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from shotspotter_assets.alerts.days.city_now import lateness
from shotspotter_assets.alerts.sources.schema import PUBLISHED
from shotspotter_assets.automation.due_days import MAX_NAMED
from shotspotter_assets.automation.stored import Stored
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.defs.partitions import range_tags
from shotspotter_assets.forecasts.issued_forecasts import ForecastRecord, load_record
from shotspotter_assets.forecasts.serving_record import ServingRecord
from shotspotter_assets.forecasts.training import MIN_HISTORY_DAYS, train_live
from shotspotter_assets.models.trained_models import ModelFiles
from shotspotter_assets.storage.catalogue import (
    ALERTS,
    CLEANED,
    FORECAST,
    FORECAST_RECORD,
    PAGE,
    PRODUCTS,
    RAW_ROWS,
    STATUS,
    TENSORS,
    Asset,
)
from shotspotter_assets.storage.objects import LocalFiles
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.automation.conftest import START, TODAY
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity, assets_of, noon, row
from shotspotter_assets_tests.automation.statements import ALWAYS, IDLE, SHOWN, Said, untrue

EVENTS = "event_types: {robbery: [Robbery]}\n"
OFFSETS = st.integers(0, 20)
NUMBERS = st.integers(1, 6)


class Converging(RuleBasedStateMachine):
    """A living city, the truth of its sources, and what must hold once it is idle."""

    start = START
    more = EVENTS

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="shotspotter-converge-"))
        self.town = LivingCity(self.folder / "living", self.start, noon(TODAY))
        self.good: dict[str, list[str]] = {}
        self.kept: dict[str, list[str]] = {}
        """Rows of the last good version of files that are broken now."""
        self.issued: dict[date, bytes] = {}
        self.quiet: dict[date, Path] = {}
        """Files of a person's words about days without alerts."""
        self.number = 0
        self.foreign: set[str] = set()
        """Files of another city."""
        self.town.write_city_file(more=self.more)

    def teardown(self) -> None:
        try:
            if self.good:
                self.settle()
        finally:
            shutil.rmtree(self.folder)

    def land(self, name: str, rows: list[str]) -> None:
        self.town.land(name, *rows)
        self.good[name] = rows
        self.kept.pop(name, None)

    def day(self, offset: int) -> date:
        return self.town.yesterday - timedelta(days=offset)

    def rows(self, day: date, number: int) -> list[str]:
        self.number += number
        return [row(day, self.number - at, place=self.number * 2 + at, hour=14 + at % 5) for at in range(number)]

    @initialize()
    def begin(self) -> None:
        self.history()

    def history(self) -> None:
        self.land(
            "history.csv", [line for day in days_between(self.start, date(2026, 3, 12)) for line in self.rows(day, 3)]
        )

    @rule(offset=OFFSETS, number=NUMBERS)
    def new_file(self, offset: int, number: int) -> None:
        self.land(f"file{self.number}.csv", self.rows(self.day(offset % 6), number))

    @rule(number=NUMBERS)
    def early_file(self, number: int) -> None:
        self.land(f"early{self.number}.csv", self.rows(self.day(-1), number) + self.rows(self.day(0), number))

    @rule(which=OFFSETS, number=NUMBERS)
    def replace(self, which: int, number: int) -> None:
        names = sorted(name for name in self.good if "correction" not in name)
        name = names[which % len(names)]
        lines = self.good[name]
        self.land(name, [*lines[: max(len(lines) - number, 1)], *self.rows(self.day(which % 5), number)])

    @rule(which=OFFSETS)
    def withdraw(self, which: int) -> None:
        self.town.tick()  # what was removed before is withdrawn
        everything = {line for lines in self.good.values() for line in lines}
        names = [name for name in sorted(self.good) if len(self.only_in(name)) * 2 < len(everything)]
        if names:
            self.remove(names[which % len(names)])

    def only_in(self, name: str) -> set[str]:
        others = {line for other, lines in self.good.items() if other != name for line in lines}
        return set(self.good[name]) - others

    def remove(self, name: str) -> None:
        self.town.remove(name)
        del self.good[name]
        self.kept.pop(name, None)

    def plain_names(self) -> list[str]:
        """Return the names of files whose name has no meaning."""
        return [name for name in sorted(self.good) if not name.startswith(("correction", "daily"))]

    @rule(which=OFFSETS)
    def rename(self, which: int) -> None:
        names = [name for name in self.plain_names() if name not in self.kept]
        if names:
            self.move(names[which % len(names)])

    def move(self, name: str) -> None:
        self.number += 1
        new_name = f"a{self.number}.csv" if self.number % 2 else f"z{self.number}.csv"
        self.town.rename(name, new_name)
        self.good[new_name] = self.good.pop(name)

    @rule(which=OFFSETS)
    def export_again(self, which: int) -> None:
        names = self.plain_names()
        self.number += 1
        if names:
            self.land(f"again{self.number}.csv", self.good[names[which % len(names)]][::-1])

    @rule(which=OFFSETS)
    def split(self, which: int) -> None:
        names = self.plain_names()
        self.number += 1
        if names:
            name = names[which % len(names)]
            lines = self.good[name]
            for part in range(2):
                self.land(f"part{self.number}_{part}.csv", lines[part::2])
            self.remove(name)

    @rule(which=OFFSETS)
    def merge(self, which: int) -> None:
        names = self.plain_names()
        self.number += 1
        if len(names) > 1:
            some = {names[which % len(names)], names[0], names[-1]}
            self.land(
                f"merged{self.number}.csv", list(dict.fromkeys(line for name in some for line in self.good[name]))
            )
            for name in some:
                self.remove(name)

    @rule(offset=OFFSETS, number=st.integers(3, 6))
    def foreign_file(self, offset: int, number: int) -> None:
        name = f"foreign{self.number}.csv"
        lines = [
            ",".join([line.split(",")[0], "-90.1", "29.9", *line.split(",")[3:]])
            for line in self.rows(self.day(offset), number)
        ]
        self.town.land(name, *lines)
        self.foreign.add(name)

    @rule(offset=OFFSETS, number=NUMBERS)
    def offence_without_a_name(self, offset: int, number: int) -> None:
        lines = [line.replace("Single_Gunshot", "THEFT") for line in self.rows(self.day(offset % 6), number)]
        self.land(f"thefts{self.number}.csv", lines)

    @rule(offset=OFFSETS, number=NUMBERS)
    def correct(self, offset: int, number: int) -> None:
        day = self.day(offset % 8)
        self.land(f"correction_{day}.csv", self.rows(day, number))

    @rule(offset=OFFSETS)
    def empty_daily_file(self, offset: int) -> None:
        self.land(f"daily_{self.day(offset % 6)}.csv", [])

    @rule(offset=OFFSETS, suffix=st.sampled_from(["", ".txt", ".csv"]))
    def quiet_day(self, offset: int, suffix: str) -> None:
        self.take_back(offset)
        day = self.day(offset % 8)
        self.quiet[day] = self.town.folder / "landing" / NAME / f"quiet_{day}{suffix}"
        self.quiet[day].write_text("anything")

    @rule(offset=OFFSETS)
    def take_back(self, offset: int) -> None:
        if (path := self.quiet.pop(self.day(offset % 8), None)) is not None:
            path.unlink()

    @rule(which=OFFSETS)
    def break_file(self, which: int) -> None:
        self.town.tick()  # the good version is read before it is lost
        name = sorted(self.good)[which % len(self.good)]
        self.town.land(name, "x" * 5)
        (self.town.folder / "landing" / NAME / name).write_text("garbage without the columns\n1\n")
        self.kept[name] = self.good[name]

    @rule()
    def mend_file(self) -> None:
        for name in list(self.kept):
            self.land(name, self.kept[name])

    @rule(offset=OFFSETS, number=NUMBERS)
    def swapped(self, offset: int, number: int) -> None:
        lines = []
        for line in self.rows(self.day(offset % 4), number):
            when, longitude, latitude, *rest = line.split(",")
            lines.append(",".join([when, latitude, longitude, *rest]))
        self.land(f"swapped{self.number}.csv", lines)

    @rule()
    def midnight(self) -> None:
        self.town.now += timedelta(days=1)

    @rule(hour=st.sampled_from([0, 7, 11, 23]))
    def another_hour(self, hour: int) -> None:
        """Move on to the next such hour of the town's clock."""
        local = self.town.now.astimezone(self.town.city.zone)
        later = local.replace(hour=hour, minute=5)
        self.town.now = (later + timedelta(days=later <= local)).astimezone(UTC)

    @rule()
    def restart(self) -> None:
        self.town.restart()
        self.town.load()

    @rule()
    def wrong_city_file(self) -> None:
        self.town.write_city_file(more="boxes: 3\n")
        self.tick()
        self.town.write_city_file(more=self.more)

    @rule()
    def swapped_columns_in_the_city_file(self) -> None:
        self.town.write_city_file(longitude="lat", latitude="lon", more=self.more)
        self.tick()
        self.town.write_city_file(more=self.more)

    @rule()
    def tick(self) -> None:
        requests = self.town.tick()
        for request in requests:
            self.town.run(request, checks=False)
            self.all_say_the_same()
        self.remember()
        if not requests and "tried again at" not in self.town.message:
            self.has_a_present_forecast()

        self.nothing_untrue_is_said()

    @rule()
    def lost_request(self) -> None:
        self.all_say_the_same()

    @rule(number=NUMBERS)
    def half_done_run(self, number: int) -> None:
        """A run has stored its rows and not made its forecast: nothing says that its days have not come."""
        self.new_file(0, number)
        for request in self.town.tick()[:1]:
            if assets_of(request) >= {str(asset) for asset in ALERTS}:
                alerts = {dg.AssetKey([NAME, str(asset)]) for asset in ALERTS}
                self.town.run(dg.RunRequest(asset_selection=list(alerts), tags=request.tags), checks=False)
                left = assets_of(request) - {str(asset) for asset in ALERTS}
                with self.town.under_way(left or {"city_pages"}, request.tags):
                    self.all_say_the_same()

    @rule(offset=OFFSETS, number=NUMBERS)
    def file_during_a_backfill(self, offset: int, number: int) -> None:
        """A person's backfill of forecasts holds no landed day back."""
        with self.town.under_way(("live_models", "risk_forecasts"), range_tags(self.day(10), self.day(3))):
            self.new_file(offset, number)
            for request in self.town.tick():
                self.town.run(request, checks=False)
            self.nothing_untrue_is_said()

    @rule(number=NUMBERS)
    def file_during_a_run(self, number: int) -> None:
        """A file that lands while a run is under way is requested, or named with the run that it waits for."""
        if f"correction_{self.day(0)}.csv" in self.good:
            return  # the correction stands for all rows of its day, so that the file brings nothing
        for request in self.town.tick()[:1]:
            with self.town.under_way(assets_of(request), request.tags):
                self.new_file(0, number)
                name = f"file{self.number - number}.csv"
                reasons = [one.tags["shotspotter/reason"] for one in self.town.tick()]
                status = Said(self.town).status
                self.is_named(name, [*reasons, self.town.message, *status["due"], *status.get("waits", ())])
                if self.town.store.exists(STATUS, NAME):
                    self.is_named(name, Said(self.town).status_file["waits"])
                self.nothing_untrue_is_said()

    def is_named(self, name: str, sentences: Sequence[str]) -> None:
        """Assert that sentences name a file, or count it among those after the first few."""
        text = " ".join(sentences)
        assert name in text or (len(self.good) > MAX_NAMED and re.search(r"and \d+ more\)", text)), text

    def nothing_untrue_is_said(self) -> None:
        assert untrue(self.town, ALWAYS) == []

    def all_say_the_same(self) -> None:
        """Assert that status, status file and pages agree after a tick whose requests have not been run."""
        requests = self.town.tick()
        if self.town.store.exists(STATUS, NAME):
            assert untrue(self.town, ALWAYS + SHOWN) == [], requests

    @rule(writes=st.integers(0, 40))
    def killed_run(self, writes: int) -> None:
        for request in self.town.tick()[:1]:
            with dying(writes):
                assert not self.town.run(request, checks=False) or writes
        self.town.now += timedelta(minutes=2)

    def remember(self) -> None:
        """Remember the forecasts that were issued before their day began, or whose day is over: they must stay."""
        town = self.town
        for day in town.store.days_present(FORECAST, NAME):
            begins = datetime(day.year, day.month, day.day, tzinfo=town.city.zone) + timedelta(days=1)
            ends = begins + timedelta(days=1)
            issued_at = datetime.fromisoformat(ForecastRecord.load(town.store, NAME, day).issued_at)
            if (issued_at < begins <= town.now or ends <= town.now) and day not in self.issued:
                self.issued[day] = town.store.read_bytes(FORECAST, NAME, day)

    def has_a_present_forecast(self) -> None:
        """Assert that the newest forecast, or reason for none, is of today or tomorrow."""
        if self.town.table.last_counted(date.max) is None:
            return  # all days are held back: nothing can be forecast yet
        newest = max(self.town.store.days_present(FORECAST_RECORD, NAME))
        assert newest >= self.town.yesterday, self.town.now

    def settle(self) -> None:
        """Let the daemon become idle, and compare with a rebuild."""
        self.town.now = max(self.town.now, noon(self.town.now.date())) + timedelta(minutes=2)
        self.remember()
        self.town.settle(checks=False)
        self.remember()
        town = self.town
        store = self.town.store
        fresh = self.rebuilt()
        assert contents(store, town) == contents(fresh.store, fresh)
        states = {day: (entry.state, entry.rows, entry.rejected) for day, entry in town.table.days.items()}
        assert states == {day: (entry.state, entry.rows, entry.rejected) for day, entry in fresh.table.days.items()}
        stored = Stored.read(store, town.city)
        today = town.yesterday + timedelta(days=1)
        for asset in PRODUCTS:
            assert stored.is_current(asset, today), asset
        for day in store.days_present(FORECAST, NAME):
            assert day >= town.yesterday or stored.is_current(Asset.FORECAST_SCORES, day + timedelta(days=1)), day
        self.has_a_present_forecast()
        assert stored.is_current(Asset.CITY_PAGES)
        for day, content in self.issued.items():
            assert store.read_bytes(FORECAST, NAME, day) == content, day
        self.silence_is_reported()
        self.last_known_day_is_said()
        held_back = [day for day, entry in town.table.days.items() if entry.state == "held_back"]
        assert ("Held back until" in town.message) == bool(held_back)
        assert ("last good version" in town.message) == bool(self.kept)
        assert ("lie further from the city's box" in town.message) == bool(self.foreign)
        assert town.tick() == []
        assert untrue(town, ALWAYS + IDLE) == []
        if names := [name for name in self.plain_names() if name not in self.kept]:
            self.move(max(names, key=lambda name: len(self.good[name])))
            assert town.tick() == [], "a rename requests no run"

    def silence_is_reported(self) -> None:
        """A day without rows counts only if a word, a file of the day or a row of a later day reports it."""
        days = self.town.table.days
        files = self.good.keys() | self.kept.keys()
        with_rows = [day for day, entry in days.items() if entry.rows and entry.state == "known"]
        for day in (day for day, entry in days.items() if not entry.rows):
            has_file = bool({f"daily_{day}.csv", f"correction_{day}.csv"} & files)
            reported = day in self.quiet or has_file or any(later > day for later in with_rows)
            assert reported or days[day].state == "unknown", day
            assert days[day].is_counted or day not in self.quiet or "implausible" in days[day].why, day

    def last_known_day_is_said(self) -> None:
        """Check, status file and record name the last known day, and each day after it that has not come."""
        town = self.town
        store = self.town.store
        last = max(day for day, entry in town.table.days.items() if entry.is_counted)
        known = f"lerts up to {last.day} {last:%B %Y}"
        not_known = "not known"
        with town.clock():
            said = [lateness(store, town.city).message]
        today = town.yesterday + timedelta(days=1)
        record = load_record(store, NAME, today)
        status = json.loads(store.read_bytes(PAGE.named(file=STATUS.file), NAME))
        assert (record.last_known, record.lead) == (last, (today - last).days + 1)
        assert status["last_known"] == str(last)
        after = [town.table.state(day) for day in days_between(last, town.yesterday)[1:]]
        for text in (*said, record.data, status["data"]):
            assert known in text
            assert not_known in text or "unknown" not in after
            assert "held back" in text or "held_back" not in after

    def rebuilt(self) -> LivingCity:
        """A fresh installation over what the sources hold."""
        fresh = LivingCity(self.folder / f"fresh{self.town.now.timestamp():.0f}", self.start, self.town.now)
        fresh.write_city_file(more=self.more)
        landing = fresh.folder / "landing" / NAME
        shutil.copytree(self.town.folder / "landing" / NAME, landing, dirs_exist_ok=True)
        for name, rows in self.kept.items():
            fresh.land(name, *rows)
        fresh.now = self.town.now
        fresh.settle(checks=False, days_only=True)
        return fresh


def contents(store: Store, town: LivingCity) -> dict[date, object]:
    """The rows of each day of the alert assets, without where and when they were received."""
    found = {}
    for day in days_between(town.start, town.yesterday):
        raw = store.read_table(RAW_ROWS, NAME, day)
        cleaned = store.read_table(CLEANED, NAME, day)
        grid = store.read_table(TENSORS, NAME, day)
        published = sorted(map(str, raw.select([name for name in PUBLISHED if name != "date"]).to_pylist()))
        found[day] = published, cleaned.to_pylist(), grid.to_pylist()
    return found


class Training(Converging):
    """A city with enough days for models of its own, whose trainings take longer than its runs of days."""

    start = TODAY - timedelta(days=MIN_HISTORY_DAYS + 9)
    more = f"{EVENTS}serves: regime_regression\nnetwork: false\nfolds: {{every: year}}\n"

    @initialize(number=NUMBERS, dies=st.booleans())
    def begin(self, number: int, dies: bool) -> None:
        self.history()
        self.file_during_a_training(number, dies)

    @rule(number=NUMBERS, dies=st.booleans())
    def file_during_a_training(self, number: int, dies: bool) -> None:
        """A file that lands while models train is issued before they are trained, and they serve although it outdates them."""
        self.untrained()
        for request in [request for request in self.town.tick() if assets_of(request) == {"live_models"}]:
            with mock.patch("shotspotter_assets.forecasts.retraining.train_live") as train:
                train.side_effect = partial(self.train_and_land, request, number, dies=dies)
                assert self.town.run(request, checks=False) is not dies
            assert train.called
        self.nothing_untrue_is_said()

    def train_and_land(
        self, request: dg.RunRequest, number: int, *stored: Any, dies: bool, **context: Any
    ) -> tuple[ServingRecord, ModelFiles]:
        trained = train_live(*stored, **context)
        with self.town.under_way({"live_models"}, request.tags):
            self.new_file(0, number)
            with mock.patch("shotspotter_assets.forecasts.retraining.train_live", train_live):
                self.untrained()
            self.has_a_present_forecast()
        if dies:
            raise OSError("killed")
        return trained

    def untrained(self) -> None:
        """Run what is due except training, until nothing is."""
        while requests := [request for request in self.town.tick() if assets_of(request) != {"live_models"}]:
            for request in requests:
                self.town.run(request, checks=False)

    def settle(self) -> None:
        super().settle()
        today = self.town.yesterday + timedelta(days=1)
        record = ServingRecord.load(self.town.store, NAME, today)
        assert (record.is_interim, record.training_due) == (False, "")
        assert ForecastRecord.load(self.town.store, NAME, today).models_from == record.models_from


@contextmanager
def dying(writes: int) -> Iterator[None]:
    """End the process after some writes to the store."""
    left = writes
    write = LocalFiles.write

    def write_or_die(self: LocalFiles, path: str, data: bytes) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError("killed")
        write(self, path, data)

    with mock.patch.object(LocalFiles, "write", write_or_die):
        yield


def converge(sequences: int, steps: int, machine: type[Converging] = Converging) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=sequences,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate, Phase.shrink] if steps > 10 else [Phase.explicit, Phase.generate],
        ),
    )


def test_a_few_sequences_end_as_a_rebuild_would() -> None:
    converge(3, 4)


def test_all_say_the_same_while_runs_are_half_done() -> None:
    city = Converging()
    city.history()
    city.town.settle(checks=False)
    for number in (3, 5):
        city.midnight()
        city.half_done_run(number)
        assert "have arrived and are forecast next" in Said(city.town).status_file["made"]
        city.empty_daily_file(0)
        city.lost_request()
        city.break_file(0)
        city.lost_request()
        city.tick()
    city.teardown()


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_many_sequences_end_as_a_rebuild_would() -> None:
    converge(int(os.environ.get("SEQUENCES", "20")), 12)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_many_sequences_with_trainings_end_as_a_rebuild_would() -> None:
    converge(int(os.environ.get("SEQUENCES", "10")), 12, Training)
