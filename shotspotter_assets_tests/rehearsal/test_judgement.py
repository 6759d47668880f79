"""What a rehearsal finds wrong: on a story whose materialisations are as they should be, and spoiled one by one."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from shotspotter_assets.partitions import key_of
from shotspotter_assets.rehearsal.account import DAILY_CHAIN, LIVE_CHAIN, Made, Runs
from shotspotter_assets.rehearsal.drops import Drop, Kind
from shotspotter_assets.rehearsal.judgement import problems
from shotspotter_assets.rehearsal.story import Landing, Notice, Publication, Story

CITY = "simulated_city"
EVE = date(2026, 3, 1)
DAYS = [EVE + timedelta(days=number) for number in range(1, 5)]
LANDED: list[tuple[int, Kind]] = [
    (0, "daily"),
    (1, "daily"),
    (2, "corrupt"),
    (2, "mended"),
    (3, "daily"),
    (0, "corrected"),
]
Times = dict[tuple[str, date], int]


def story_of(landed: list[tuple[int, Kind]], *notices: str) -> Story:
    story = Story(DAYS, [Notice(0.0, text) for text in notices])
    for second, (number, kind) in enumerate(landed):
        story.add(Landing(float(second), CITY, Drop(DAYS[number], kind), f"{DAYS[number]}.csv"))
    return story


def sound_times() -> Times:
    times = {(asset, day): 1 for asset in (*DAILY_CHAIN, *LIVE_CHAIN) for day in DAYS}
    times |= {(asset, EVE): 1 for asset in DAILY_CHAIN} | {(asset, DAYS[0]): 2 for asset in DAILY_CHAIN}
    return times | {("forecast_scores", DAYS[0]): 0}


def made_of(asset: str, day: date) -> Made:
    is_forecast = asset == "risk_forecasts"
    return Made(0.0, "run", trained=True, lead=1 if is_forecast else None, last_known=day if is_forecast else None)


def found(times: Times, notice: str = f"Corrupt file: {CITY}, {DAYS[2]}.csv", failed: int = 0) -> list[str]:
    materialized = {
        (asset, key_of(CITY, day)): [made_of(asset, day)] * number for (asset, day), number in times.items() if number
    }
    runs = Runs({"FAILURE": failed} if failed else {}, [])
    return list(problems(story_of(LANDED, notice), [CITY], [EVE], materialized, runs))


def test_nothing_is_wrong_with_a_sound_account() -> None:
    assert found(sound_times()) == []


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda times: times | {("grid_tensors", EVE): 0}, f"grid_tensors of {CITY}|{EVE} was made 0 times of 1"),
        (lambda times: times | {("raw_alerts", DAYS[0]): 1}, f"raw_alerts of {CITY}|{DAYS[0]} was made 1 times of 2"),
        (lambda times: times | {("raw_alerts", DAYS[1]): 2}, f"raw_alerts of {CITY}|{DAYS[1]} was made 2 times of 1"),
        (lambda times: times | {("patrol_plans", DAYS[3]): 0}, f"patrol_plans of {CITY}|{DAYS[3]} was made 0 times"),
        # The last day is looked at again once, for the correction of the first one.
        (lambda times: times | {("live_models", DAYS[3]): 3}, f"live_models of {CITY}|{DAYS[3]} was made 3 times"),
        (
            lambda times: times | {("forecast_scores", DAYS[1]): 0},
            f"forecast_scores of {CITY}|{DAYS[1]} was made 0 times",
        ),
    ],
)
def test_what_is_missing_or_made_too_often_is_named(spoil: Callable[[Times], Times], message: str) -> None:
    (problem,) = found(spoil(sound_times()))
    assert problem.startswith(message)


def test_a_day_may_be_forecast_again_for_each_later_landing_that_it_looks_at() -> None:
    story = story_of(LANDED)
    assert [story.max_forecasts(CITY, day) for day in DAYS] == [2, 2, 2, 2]
    assert found(sound_times() | {("live_models", DAYS[3]): 2}) == []


def test_a_corrupt_file_without_a_notice_and_failed_runs_are_named() -> None:
    assert found(sound_times(), notice="Corrupt file: other_city") == [
        f"{DAYS[2]}.csv of {CITY} cannot be read, and no notice names it"
    ]
    (problem,) = found(sound_times(), failed=2)
    assert problem.startswith("2 runs failed")


def test_a_day_is_forecast_from_once_all_days_before_it_can_be_read() -> None:
    story = story_of([(0, "daily"), (2, "daily"), (1, "corrupt")])
    assert story.forecast_days(CITY) == DAYS[:1]
    story.add(Landing(9.0, CITY, Drop(DAYS[1], "mended"), "a.csv"))
    assert story.forecast_days(CITY) == DAYS[:3]


LATE = "three_days_late"
PUBLISHED = {10.0: EVE, 20.0: DAYS[0], 30.0: DAYS[1]}
"""The last day that a layer shows from some seconds on."""


def late_story() -> Story:
    story = Story(DAYS)
    for at, through in PUBLISHED.items():
        story.publish(LATE, through)
        story.published[LATE][-1] = Publication(at, through)
    return story


def sound_late() -> dict[tuple[str, str], list[Made]]:
    """What a layer's days become: asked for once at 11 seconds, and each published day again."""
    made = {}
    for number, day in enumerate(DAYS):
        known_at = [11.0, *([20.0 + 10 * number] if number < 2 else [])]
        for asset in DAILY_CHAIN:
            made[asset, key_of(LATE, day)] = [Made(at + 1, f"{asset} {at}", False, known=at > 11) for at in known_at]
        for asset in LIVE_CHAIN:
            forecast = Made(12.0, "first", False, lead=number + 2, last_known=EVE)
            made[asset, key_of(LATE, day)] = [forecast if asset == "risk_forecasts" else Made(12.0, "first", False)]
    return made | {(asset, key_of(LATE, EVE)): [Made(12.0, "first", False)] for asset in DAILY_CHAIN}


def found_late(made: dict[tuple[str, str], list[Made]], runs: Runs | None = None) -> list[str]:
    return list(problems(late_story(), [LATE], [EVE], made, runs or Runs({}, [])))


def test_nothing_is_wrong_with_days_that_heal_as_they_are_published() -> None:
    assert found_late(sound_late()) == []


def test_a_day_that_was_stored_as_known_before_it_was_published_is_named() -> None:
    made, key = sound_late(), ("grid_tensors", key_of(LATE, DAYS[1]))
    made[key] = [made[key][0]._replace(known=True), made[key][1]]
    assert found_late(made) == [f"grid_tensors of {LATE}|{DAYS[1]} said known while the layer had rows up to {EVE}"]


def test_a_published_day_that_does_not_heal_is_named() -> None:
    made, key = sound_late(), ("cleaned_alerts", key_of(LATE, DAYS[1]))
    made[key] = made[key][:1]
    assert found_late(made) == [f"cleaned_alerts of {LATE}|{DAYS[1]} was made 1 times of 2 landed versions"]


def test_a_forecast_that_does_not_say_its_lead_or_reaches_too_far_is_named() -> None:
    made, key = sound_late(), ("risk_forecasts", key_of(LATE, DAYS[3]))
    forecast = made[key][0]
    made[key] = [forecast._replace(lead=1)]
    [problem] = found_late(made)
    assert problem == f"risk_forecasts of {key[1]} says lead 1, known to {EVE}, in place of 5, {EVE}"
    made[key] = [forecast._replace(issued=False)]
    assert found_late(made) == [f"risk_forecasts of {key[1]} was not issued at a lead of 5 days (longest 14)"]


def test_two_runs_of_one_partition_at_the_same_time_are_named() -> None:
    key = key_of(LATE, DAYS[0])
    spans = {f"{asset} {at}": (at, at + 1) for asset in DAILY_CHAIN for at in (11.0, 20.0)}
    assert found_late(sound_late(), Runs({}, [], spans)) == []
    spans["raw_alerts 11.0"] = (11.0, 20.5)
    assert found_late(sound_late(), Runs({}, [], spans)) == [
        f"raw_alerts of {key} was made by two runs at the same time"
    ]
