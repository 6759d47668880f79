"""The task of a search as one file, the input of a training job: arrays, and everything else as JSON."""

import io
import json
from datetime import date
from typing import Any, Final

import numpy as np

from shotspotter_assets.city_files import CityFile
from shotspotter_assets.factors.city_factors import CellInput, CityFactors, SeriesInput
from shotspotter_assets.models.forecaster import FitContext, SharedStart
from shotspotter_assets.models.forecaster_registry import find
from shotspotter_assets.models.history import History
from shotspotter_assets.models.tuning.search import TuningTask

TASK_FILE: Final = "task.npz"
TASK_CHANNEL: Final = "task"  # channel by which SageMaker hands the file to a training job
OBJECTIVE: Final = "validation_loss"  # name by which a training job prints the loss of its trial


def packed(task: TuningTask) -> bytes:
    """Return the file of a task, without its context's functions."""
    history, shared = task.history, task.context.shared
    given = {name: getattr(history, name) for name in ("counts", "in_coverage", "evening", "is_known")}
    arrays: dict[str, Any] = {name: array for name, array in given.items() if array is not None}
    arrays |= {f"cells_{at}": of_cells.by_cell for at, of_cells in enumerate(history.factors.of_cells)}
    for at, of_days in enumerate(history.factors.of_days):
        arrays[f"days_{at}"], arrays[f"by_day_{at}"] = of_days.days, of_days.by_day
    about = {
        "forecaster": task.forecaster,
        "settings": task.settings.model_dump(mode="json"),
        "city": history.city.model_dump_json(),
        "first_day": history.first_day.isoformat(),
        "lead": history.lead,
        "windows": [[window.start, window.stop] for window in (task.train, task.validation)],
        "shared": None if shared is None else shared.model_dump(),
        "of_cells": [[one.name, one.known_from.isoformat()] for one in history.factors.of_cells],
        "of_days": [[one.name, one.known_from.isoformat(), one.days_late] for one in history.factors.of_days],
        "key": task.key,
    }
    file = io.BytesIO()
    np.savez_compressed(file, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)
    return file.getvalue()


def unpacked(content: bytes) -> TuningTask:
    """Return the task of a file. Raises ValueError if another version of the package made it."""
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays = dict(stored)
    about = json.loads(arrays["about"].tobytes())
    cells = enumerate(about["of_cells"])
    of_cells = [CellInput(name, date.fromisoformat(start), arrays[f"cells_{at}"]) for at, (name, start) in cells]
    of_days = [
        SeriesInput(name, date.fromisoformat(known_from), arrays[f"days_{at}"], arrays[f"by_day_{at}"], days_late)
        for at, (name, known_from, days_late) in enumerate(about["of_days"])
    ]
    history = History(
        CityFile.model_validate_json(about["city"]),
        date.fromisoformat(about["first_day"]),
        arrays["counts"],
        arrays["in_coverage"],
        arrays.get("evening"),
        about["lead"],
        CityFactors(tuple(of_cells), tuple(of_days)),
        arrays.get("is_known"),
    )
    train, validation = (range(*window) for window in about["windows"])
    shared = None if about["shared"] is None else SharedStart(**about["shared"])
    settings = find(about["forecaster"]).settings.model_validate(about["settings"])
    task = TuningTask(about["forecaster"], settings, history, train, validation, FitContext(shared))
    if task.key != about["key"]:
        remedy = "Push an image of the version that runs beside Dagster, and set SHOTSPOTTER_SAGEMAKER_IMAGE to it."
        raise ValueError(f"Another version made the task. {remedy}")
    return task
