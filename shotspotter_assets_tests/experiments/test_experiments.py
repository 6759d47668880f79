"""Experiments on a city of landed files under a shifted clock: frozen, forecast by the daily chain, and scored."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from shotspotter_assets.__main__ import main
from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.city_files import read_keys
from shotspotter_assets.experiments.frozen import (
    DEFINITIONS,
    Experiment,
    ExperimentError,
    FrozenExperiment,
    _write_once,
)
from shotspotter_assets.models.alert_counts import CountDistribution
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.serving.approval import WaitingModels
from shotspotter_assets.serving.forecast_facts import next_day_rows, total_of
from shotspotter_assets.serving.issued_forecasts import ForecastRecord
from shotspotter_assets.serving.serving_record import ServingRecord
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets.storage.catalogue import DAYS, FORECAST, FORECAST_RECORD, LIVE_MODEL, SERVING_RECORD, TENSORS
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity, row

ONE_DAY = timedelta(days=1)
START = date(2026, 3, 2)
TODAY = date(2026, 3, 16)
FIRST = TODAY + 2 * ONE_DAY
LAST = TODAY + 4 * ONE_DAY
ISSUE = FIRST  # issue date of the second day
SECOND = FIRST + ONE_DAY
TARGET = "town/gunfire"
PLAN = """
name: spring
cities: {town: [gunfire]}
first_day: 2026-03-18
last_day: 2026-03-20
models: retrained
scores: [log_loss, brier_skill, "counts: log_score", "counts: rps", "counts: wis", "counts: coverage"]
references: [historical_mean, ewma]
"""


def rows(first: date, last: date, number: int = 12) -> list[str]:
    return [row(day, at, place=day.day * (at + 1)) for day in days_between(first, last) for at in range(number)]


def move_to(town: LivingCity, day: date, hour: int) -> None:
    town.now = datetime(day.year, day.month, day.day, hour, tzinfo=town.city.zone).astimezone(UTC)


def settle_at(town: LivingCity, day: date, hour: int) -> None:
    move_to(town, day, hour)
    town.settle(checks=False)


def command(town: LivingCity, *arguments: str | Path, **folders: Path | None) -> Result:
    others = {f"SHOTSPOTTER_{name.upper()}": str(folder) for name, folder in folders.items() if folder}
    with town.clock():
        return CliRunner().invoke(main, ["experiment", *map(str, arguments)], env=town.environment() | others)


def plan_file(folder: Path, old: str = "", new: str = "") -> Path:
    file = folder / "spring.yaml"
    assert old in PLAN
    file.write_text(PLAN.replace(old, new) if old else PLAN)
    return file


@dataclass
class Ran:
    """An experiment that has ended, and the messages of its commands before."""

    town: LivingCity
    frozen: Path
    printed: str
    refused: dict[str, str]

    def score(self, store: Path | None = None, frozen: Path | None = None, cities: Path | None = None) -> Result:
        return command(self.town, "score", frozen or self.frozen, store=store, cities=cities)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("experiment")
    town = LivingCity(folder / "town", START, datetime(2026, 3, 16, 14, tzinfo=UTC))
    town.write_city_file(more="retraining: daily\n")
    town.land("history.csv", *rows(START, TODAY - ONE_DAY))
    refused = {}
    for name, change in REFUSED_AT_THE_FREEZE.items():
        refused[name] = command(town, "freeze", plan_file(folder, *change)).output
    settle_at(town, TODAY, 12)
    issued = plan_file(folder, "first_day: 2026-03-18", "first_day: 2026-03-17")
    refused["issued"] = command(town, "freeze", issued).output
    printed = command(town, "freeze", plan_file(folder)).output
    frozen = folder / "spring.frozen.json"
    refused["frozen"] = command(town, "freeze", plan_file(folder)).output
    for day in days_between(TODAY, LAST - ONE_DAY):
        town.land(f"{day}.csv", *rows(day, day))
        settle_at(town, day + ONE_DAY, 12)
    refused["not over"] = command(town, "score", frozen).output
    move_to(town, LAST + ONE_DAY, 1)
    refused["not known"] = command(town, "score", frozen).output
    town.land(f"{LAST}.csv", *rows(LAST, LAST))
    move_to(town, LAST + ONE_DAY, 11)
    town.settle(checks=False, days_only=True)
    yield Ran(town, frozen, printed, refused)
    town.close()


REFUSED_AT_THE_FREEZE = {
    "no models": (),
    "begun": ("first_day: 2026-03-18", "first_day: 2026-03-16"),
    "order": ("last_day: 2026-03-20", "last_day: 2026-03-17"),
    "city": ("town: [", "city_of_oz: ["),
    "target": ("[gunfire]", "[robbery]"),
    "score": ("brier_skill", "beauty"),
    "reference": ("[historical_mean, ewma]", "[oracle]"),
    "key": ("models: retrained", "model: retrained"),
    "no target": ("[gunfire]", "[]"),
}
WORDS = {
    "no models": ["town/gunfire", "live_models"],
    "begun": ["town/gunfire", "2026-03-16 has begun in America/New_York", "first_day"],
    "order": ["last_day", "2026-03-17"],
    "city": ["city_of_oz"],
    "target": ["robbery", "gunfire"],
    "score": ["scores", "brier_skill"],
    "reference": ["references", "historical_mean"],
    "key": ["unknown key", "models"],
    "no target": ["cities.town"],
    "issued": ["town/gunfire", "2026-03-17 is issued already", "first_day"],
    "frozen": ["spring.frozen.json exists"],
    "not over": ["2026-03-20 is not over in town"],
    "not known": ["town", "2026-03-19", "2026-03-20", "not known yet"],
}


@pytest.mark.parametrize("name", WORDS)
def test_each_refusal_is_one_line_with_its_remedy(ran: Ran, name: str) -> None:
    [line] = ran.refused[name].splitlines()
    assert line.startswith("Error: ")
    assert [word for word in WORDS[name] if word not in line] == []


def test_the_scores_are_those_of_the_issued_tables(ran: Ran) -> None:
    assert sha256(ran.frozen.read_bytes()) in ran.printed
    result = json.loads(ran.score().output)
    assert result["frozen_sha256"] == sha256(ran.frozen.read_bytes())
    target = result["targets"][TARGET]
    assert target["missing"] == {}
    assert [*target["days"]] == [str(day) for day in days_between(FIRST, LAST)]
    losses = []
    log_scores = []
    for day in days_between(FIRST, LAST):
        stored = ran.town.store.read_bytes(FORECAST, NAME, day - ONE_DAY)
        facts = target["days"][str(day)]
        assert facts["table_sha256"] == sha256(stored)
        assert facts["issued_at"] < f"{day}T04"
        table = next_day_rows(ran.town.store.read_table(FORECAST, NAME, day - ONE_DAY))
        variance = total_of(table).factor_variance
        assert variance is not None
        log_scores.append(-CountDistribution.of_forecast(table).total(variance).logpmf(12).item())
        forecast = table.to_pandas()
        counts = ran.town.store.read_table(TENSORS, NAME, day).to_pandas()
        assert facts["observed_alerts"] == counts["count"].sum() == 12
        cells = {*zip(counts["row"], counts["column"], strict=True)}
        observed = np.array([cell in cells for cell in zip(forecast["row"], forecast["column"], strict=True)])
        losses.append(log_losses(forecast["probability"].to_numpy(), observed))
    assert target["scores"]["served"]["log_loss"]["value"] == pytest.approx(np.concatenate(losses).mean(), abs=1e-6)
    assert target["scores"]["served"]["counts: log_score_city"]["value"] == pytest.approx(np.mean(log_scores), abs=1e-6)
    assert target["scores"]["ewma"] == {}  # a new city has no forecasts by it
    shown = {score.split("_city")[0] for score in target["scores"]["year_reference"]}
    assert shown >= {"counts: log_score", "counts: rps", "counts: wis", "counts: coverage_95"}
    assert target["scores"]["served"]["gain_over_historical_mean"]["value"] > 0
    models = {day["made_by"]["models"] for day in target["days"].values()}
    assert len(models) == 3  # retrained daily


def test_a_copy_on_another_machine_gives_the_same_bytes(ran: Ran, tmp_path: Path) -> None:
    shutil.copytree(ran.town.folder / "store", tmp_path / "elsewhere")
    shutil.copytree(ran.town.folder / "cities", tmp_path / "files")
    named = {"STORE": "elsewhere", "CITIES": "files", "LANDING": "nowhere"}
    environ = {f"SHOTSPOTTER_{name}": str(tmp_path / folder) for name, folder in named.items()}
    other = {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "1", "DAGSTER_HOME": str(tmp_path / "home")}
    line = [sys.executable, "-m", "shotspotter_assets", "experiment", "score", str(ran.frozen)]
    scored = subprocess.run(line, env={**os.environ, **environ, **other}, cwd=tmp_path, capture_output=True, check=True)
    assert scored.stdout.decode() == ran.score().output


def change_record(store: Store, **changes: Any) -> None:
    record = ForecastRecord.load(store, NAME, ISSUE)
    if "made_by" in changes:
        changes["made_by"] = record.made_by | changes["made_by"]
    record.model_copy(update=changes).write(store)


def change_training(store: Store, **changes: Any) -> None:
    ServingRecord.load(store, NAME, ISSUE).model_copy(update=changes).write(store)


def change_table(store: Store) -> None:
    table = store.read_table(FORECAST, NAME, ISSUE)
    higher = pa.array(table["probability"].to_numpy() * 1.01)
    at = table.column_names.index("probability")
    store.write_table(FORECAST, table.set_column(at, table.schema.field(at), higher), NAME, ISSUE)


def overwrite_late(store: Store) -> None:
    record = ForecastRecord.load(store, NAME, ISSUE)
    late = "2026-03-19T05:00:00+00:00"
    record.model_copy(update={"earlier": record.versions, "issued_at": late, "written_at": late}).write(store)


def lose_a_model(store: Store) -> None:
    record = ServingRecord.load(store, NAME, ISSUE)
    store.delete(LIVE_MODEL.named(model=f"historical_mean{record.suffix}", file="model.json"), NAME, ISSUE)


CHANGES: dict[str, Callable[[Store], None]] = {
    "is not the one that was issued": change_table,
    "no forecast is stored": lambda store: store.delete(FORECAST, NAME, ISSUE),
    "no forecast": lambda store: store.delete(FORECAST_RECORD, NAME, ISSUE),
    "replayed": lambda store: change_record(store, replayed=True),
    "written at 2026-03-19T04:00:00+00:00, after": lambda store: change_record(
        store, written_at="2026-03-19T04:00:00+00:00"
    ),
    "earlier version": lambda store: change_record(store, written_at="2026-03-18T15:00:00+00:00"),
    "overwritten at 2026-03-19T05": overwrite_late,
    "before the freeze": lambda store: change_record(store, issued_at="2026-03-16T15:00:00+00:00"),
    "files are damaged": lambda store: store.write_bytes(FORECAST_RECORD, b"{", NAME, ISSUE),
    "other settings": lambda store: change_record(store, made_by={"settings": "other"}),
    "other code": lambda store: change_record(store, made_by={"source": "other"}),
    "record of its models": lambda store: store.delete(SERVING_RECORD, NAME, ISSUE),
    "models of 2026-03-18 is missing or changed": lambda store: change_record(store, made_by={"models": "other"}),
    "historical_mean-": lose_a_model,
    "trained by hand": lambda store: change_training(store, reasons=("Retrained by hand.",)),
    "trained by other code": lambda store: change_training(store, versions={}),
    "trained with other settings": lambda store: change_training(store, settings={"grid": "other"}),
    "rolled back by hand": lambda store: change_record(store, made_by={"last_trained": "2026-03-17"}),
}


@pytest.mark.parametrize("words", CHANGES)
def test_what_was_not_frozen_or_came_late_is_missing(ran: Ran, tmp_path: Path, words: str) -> None:
    root = tmp_path / "store"
    shutil.copytree(ran.town.folder / "store", root)
    CHANGES[words](Store(str(root)))
    refused = ran.score(root)
    assert refused.exit_code == 1
    [line, rule] = refused.output.splitlines()
    assert line.startswith(f"Error: {TARGET}: {SECOND} is missing: ")
    assert words in line
    assert "max_missing_days is 0" in rule
    lenient = changed_frozen(ran, tmp_path, ("experiment", "max_missing_days"), 1)
    target = json.loads(ran.score(root, lenient).output)["targets"][TARGET]
    assert [*target["days"]] == [str(FIRST), str(LAST)]
    assert words in target["missing"][str(SECOND)]


def changed_frozen(ran: Ran, folder: Path, keys: tuple[str, ...], value: object) -> Path:
    content = json.loads(ran.frozen.read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    file = folder / "changed.frozen.json"
    file.write_text(json.dumps(content))
    return file


def test_another_code_and_a_freeze_in_the_future_are_refused(ran: Ran, tmp_path: Path) -> None:
    code = changed_frozen(ran, tmp_path, ("versions", "source"), "other")
    assert "other code; install shotspotter_assets" in ran.score(frozen=code).output
    clock = changed_frozen(ran, tmp_path, ("frozen_at",), "2026-04-01T00:00:00Z")
    assert "the clock went back" in ran.score(frozen=clock).output


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (("models",), {}, "changed after the freeze"),
        (("versions",), {}, "other code"),
        (("frozen_at",), "2026-03-16T16:00:00", "frozen_at"),
        (("experiment", "cities"), {"town": []}, "cities.town"),
        (("experiment", "last_day"), "2026-03-01", "before first_day"),
    ],
)
def test_a_frozen_record_that_lost_a_part_is_refused(
    ran: Ran, tmp_path: Path, keys: tuple[str, ...], value: object, words: str
) -> None:
    refused = ran.score(frozen=changed_frozen(ran, tmp_path, keys, value))
    assert refused.exit_code == 1
    assert refused.output.startswith("Error: ")
    assert words in refused.output


def test_each_score_that_may_be_frozen_is_shown(ran: Ran, tmp_path: Path) -> None:
    every = changed_frozen(ran, tmp_path, ("experiment", "scores"), [*DEFINITIONS])
    scores = json.loads(ran.score(frozen=every).output)["targets"][TARGET]["scores"]
    shown = {score for method in scores.values() for score in method}
    assert [name for name in DEFINITIONS if not any(score.startswith(name) for score in shown)] == []


def test_a_frozen_record_is_whole_and_never_replaced(tmp_path: Path) -> None:
    file = tmp_path / "spring.frozen.json"
    with pytest.raises(UnicodeEncodeError):  # fails in the middle
        _write_once(file, "whole\udcff")
    assert [*tmp_path.iterdir()] == []
    _write_once(file, "first")
    with pytest.raises(ExperimentError, match="is frozen"):
        _write_once(file, "second")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["first"]


def test_a_city_with_another_grid_cannot_score(ran: Ran, tmp_path: Path) -> None:
    text = (ran.town.folder / "cities" / "town.yaml").read_text()
    (tmp_path / "town.yaml").write_text(text.replace("rows: 3", "rows: 4"))
    assert ran.score(cities=tmp_path).output.count("another grid") == 3


def test_a_day_whose_alerts_never_came_is_missing(ran: Ran, tmp_path: Path) -> None:
    root = tmp_path / "store"
    shutil.copytree(ran.town.folder / "store", root)
    store = Store(str(root))
    table = store.read_table(DAYS, NAME)
    states = [
        "unknown" if day == SECOND else state
        for day, state in zip(table["date"].to_pylist(), table["state"].to_pylist(), strict=True)
    ]
    at = table.column_names.index("state")
    store.write_table(DAYS, table.set_column(at, table.schema.field(at), pa.array(states)), NAME)
    assert f"{SECOND} is missing: its alerts are not known" in ran.score(root).output


def test_models_that_waited_for_approval_count(ran: Ran, tmp_path: Path) -> None:
    root = tmp_path / "store"
    shutil.copytree(ran.town.folder / "store", root)
    store = Store(str(root))
    trained = ServingRecord.load(store, NAME, ISSUE)
    WaitingModels(city=NAME, issue_date=ISSUE, models=trained, text="They wait.").write(store)
    before = ServingRecord.load(store, NAME, ISSUE - ONE_DAY)
    before.model_copy(update={"issue_date": ISSUE}).write(store)
    assert ran.score(root).output == ran.score().output


def test_frozen_models_exclude_later_trainings(ran: Ran, tmp_path: Path) -> None:
    frozen = changed_frozen(ran, tmp_path, ("experiment", "models"), "frozen")
    lines = ran.score(frozen=frozen).output.splitlines()
    assert [line.split(" is missing")[0] for line in lines[:3]] == [
        f"{'Error: ' * (day == FIRST)}{TARGET}: {day}" for day in days_between(FIRST, LAST)
    ]
    assert all("are not the frozen ones" in line for line in lines[:3])


def test_another_file_is_no_frozen_record(ran: Ran) -> None:
    refused = ran.score(frozen=ran.frozen.with_name("spring.yaml"))
    assert refused.exit_code == 1
    assert refused.output.count("\n") == 1
    assert str(ran.frozen) in refused.output


def test_the_guide_shows_the_experiment_of_the_benchmark() -> None:
    plan = CHECKOUT / "benchmarks" / "experiment.yaml"
    page = (CHECKOUT / "docs" / "how-to" / "experiments.md").read_text()
    assert f"```yaml\n{plan.read_text()}```" in page
    experiment = read_keys(plan, Experiment)
    assert [key for key in Experiment.model_fields if f"`{key}`" not in page] == []
    assert {*experiment.scores} <= {*DEFINITIONS}


def test_the_record_names_all_that_is_fixed(ran: Ran) -> None:
    frozen = FrozenExperiment.model_validate_json(ran.frozen.read_bytes())
    [models] = frozen.models.values()
    serving = ServingRecord.load(ran.town.store, NAME, TODAY)
    assert models.files == {name: model.files for name, model in serving.models.items()}
    assert [*frozen.definitions] == [*frozen.experiment.scores]
    assert frozen.versions.keys() >= {"shotspotter_assets", "source", "numpy"}
    assert str(ran.town.folder) not in ran.frozen.read_text()


@settings(max_examples=10)
@given(share=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_changed_byte_of_a_table_is_found(ran: Ran, share: float, flip: int) -> None:
    content = bytearray(ran.town.store.read_bytes(FORECAST, NAME, ISSUE))
    issued = bytes(content)
    content[int(share * len(content))] ^= flip
    ran.town.store.write_bytes(FORECAST, bytes(content), NAME, ISSUE)
    try:
        assert "is not the one that was issued" in ran.score().output
    finally:
        ran.town.store.write_bytes(FORECAST, issued, NAME, ISSUE)
