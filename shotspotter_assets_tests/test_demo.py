"""The demo plans its runs so that none starts before what it needs, two at a time, and tells how long it may take."""

import io
import json
import time
from contextlib import redirect_stdout
from datetime import timedelta

import dagster as dg
import pytest

from shotspotter_assets import demo
from shotspotter_assets.cities.registry import load_cities
from shotspotter_assets.demo import CITY, FOLDS, LAST_DAY, Launch, Progress, launches, ready
from shotspotter_assets.partitions import fold_days

PLANNED = launches(load_cities()[CITY].start)


def test_each_run_comes_after_all_that_it_needs() -> None:
    made: dict[str, set[object]] = {}
    done: set[str] = set()
    for launch in PLANNED:
        assert set(launch.after) <= done
        done.add(launch.title)
        for asset in launch.assets:
            if launch.first is None or launch.last is None:
                made.setdefault(asset, set()).add(CITY)
            else:
                days = (launch.last - launch.first).days + 1
                made.setdefault(asset, set()).update(launch.first + timedelta(days=at) for at in range(days))
    city = load_cities()[CITY]
    for fold in FOLDS:
        before, tested = fold_days(city, fold)
        assert {*before, *tested} <= made["grid_tensors"]
    assert made["fold_models"] == made["evaluation_reports"] == {*FOLDS}
    assert LAST_DAY in made["patrol_plans"] & made["forecast_scores"]
    assert made["city_pages"] == made["walk_forward_reports"] == {CITY}


def test_two_runs_start_at_most_and_those_first_that_most_work_waits_for() -> None:
    assert [launch.title for launch in ready(PLANNED, [], 2)] == [PLANNED[0].title]
    done = [launch.title for launch in PLANNED[:2]]
    waiting = PLANNED[2:]
    started = ready(waiting, done, 2)
    assert [launch.title for launch in started] == [f"models of fold {FOLDS[1]}", PLANNED[-DAILY - 1].title]
    assert ready(waiting, done, 0) == []


DAILY = demo.DAILY_DAYS


def test_the_time_left_falls_with_each_run_and_rises_where_the_machine_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    one = Launch("one", ("raw_alerts",), 30.0)
    two = Launch("two", ("raw_alerts",), 10.0, after=("one",))
    progress = Progress([one, two])
    assert progress.seconds_left() == pytest.approx(40)
    with redirect_stdout(io.StringIO()) as told:
        progress.start(one)
        now += 60
        progress.end(one)
    assert 10 < progress.seconds_left() <= 20
    assert "60 s, about" in told.getvalue()
    assert "done:   one (60 s)" in told.getvalue()


def test_the_commands_that_are_shown_name_partitions_that_there_are() -> None:
    definitions = demo.build_definitions(demo.Settings(load_cities(), "store", "landing"))
    graph = definitions.resolve_asset_graph()
    for launch in PLANNED:
        words = launch.command.split()
        key = words[words.index("--partition" if "--partition" in words else "--partition-range") + 1].strip('"')
        for asset in launch.assets:
            partitions = graph.get(dg.AssetKey(asset)).partitions_def
            assert all(partitions.has_partition_key(end) for end in key.split("...")), launch.command
        if launch.config:
            assert json.loads(launch.command.split("--config-json '")[1].rstrip("'")) == launch.config


def test_the_legend_names_every_column_and_baseline() -> None:
    for column in demo.SHOWN_SCORES.values():
        assert column.split(" [")[0] in demo.LEGEND
    for name in demo.BASELINES:
        assert name in demo.LEGEND
