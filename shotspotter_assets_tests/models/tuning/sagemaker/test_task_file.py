"""What is tuned, as a file and back: the same losses on another machine, or a refusal."""

import io
import json
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from shotspotter_assets.cities.city import City
from shotspotter_assets.factors.city_factors import CityFactors, OfCells, OfDays
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.history import History
from shotspotter_assets.models.tuning.sagemaker.task_file import packed, unpacked
from shotspotter_assets.models.tuning.task import TuningTask
from shotspotter_assets_tests.models.histories import CITY, FIRST_DAY, TRAIN, VALIDATION, shared_start
from shotspotter_assets_tests.models.tuning.tasks import past, task_of

REGRESSION = "regime_regression"


def loss(task: TuningTask) -> float | None:
    return task.loss({})


@pytest.mark.parametrize("has_shared", [False, True])
def test_a_task_is_the_same_after_its_travel(has_shared: bool) -> None:
    task = task_of(REGRESSION)
    if has_shared:
        task = replace(task, context=FitContext(shared_start()))
    there = unpacked(packed(task))
    assert there.key == task.key
    assert there.space == task.space
    assert there.history.city == CITY
    assert loss(there) == loss(task)


def test_contributing_factors_travel_with_their_days() -> None:
    random = np.random.default_rng(0)
    places = {"kind": "points", "path": "places.csv", "known_from": date(2021, 5, 1)}
    weather = {"kind": "series", "path": "weather.csv", "column": "warmth", "known_from": date(2021, 6, 1)}
    city = City.model_validate(CITY.model_dump(mode="json") | {"factors": {"places": places, "warmth": weather}})
    names = city.factors["places"].input_name("places"), city.factors["warmth"].input_name("warmth")
    axis = np.arange(np.datetime64("2021-04-01"), np.datetime64("2021-12-01"))
    factors = CityFactors(
        (OfCells(names[0], date(2021, 5, 1), np.where(random.random((6, 5)) < 0.2, np.nan, random.random((6, 5)))),),
        (OfDays(names[1], date(2021, 6, 1), axis, random.random(len(axis)), 1),),
    )
    history = History(city, FIRST_DAY, past().counts, past().in_coverage, past().evening, 1, factors)
    task = TuningTask(REGRESSION, task_of(REGRESSION).settings, history, TRAIN, VALIDATION, FitContext())
    assert unpacked(packed(task)).history.city == city
    assert loss(unpacked(packed(task))) == loss(task)
    assert loss(task) != loss(task_of(REGRESSION))


def test_a_task_of_another_version_is_refused_with_the_remedy() -> None:
    with np.load(io.BytesIO(packed(task_of(REGRESSION)))) as stored:
        arrays = dict(stored)
    about = json.loads(arrays["about"].tobytes())

    def changed(**changes: object) -> bytes:
        file = io.BytesIO()
        np.savez(file, **arrays | {"about": np.frombuffer(json.dumps(about | changes).encode(), np.uint8)})
        return file.getvalue()

    assert unpacked(changed()).key == about["key"]
    for others in ({"key": "0" * 16}, {"settings": {"unknown": 1}}, {"forecaster": "of_tomorrow"}):
        with pytest.raises(ValueError, match="Push an image of the version that runs beside Dagster"):
            unpacked(changed(**others))
