"""The task of a search as one file, the input of a training job: arrays, and everything else as JSON."""

import io
import json
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import numpy as np

from shotspotter_assets.city_files import CityFile
from shotspotter_assets.grid.city_factors import CellInput, CityFactors, SeriesInput
from shotspotter_assets.models.forecaster import FitContext, SharedStart
from shotspotter_assets.models.forecaster_registry import find
from shotspotter_assets.models.history import History
from shotspotter_assets.models.tuning.search import TuningTask

TASK_FILE: Final = "task.npz"
TASK_CHANNEL: Final = "task"  # channel by which SageMaker hands the file to a training job
OBJECTIVE: Final = "validation_loss"  # name by which a training job prints the loss of its trial


def packed(task: TuningTask) -> bytes:
    """Return the file of a task, without its context's functions."""
    history = task.history
    shared = task.context.shared
    about = {
        "forecaster": task.forecaster,
        "settings": task.settings.model_dump(mode="json"),
        "city": history.city.model_dump_json(),
        "first_day": history.first_day.isoformat(),
        "lead": history.lead,
        "windows": [[window.start, window.stop] for window in (task.train, task.validation)],
        "shared": None if shared is None else shared.model_dump(),
        "of_cells": [[factor.name, factor.known_from.isoformat()] for factor in history.factors.of_cells],
        "of_days": [
            [series.name, series.known_from.isoformat(), series.days_late] for series in history.factors.of_days
        ],
        "key": task.key,
    }
    arrays: dict[str, Any] = {name: getattr(history, name) for name in ("counts", "in_coverage", "evening", "is_known")}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    for number, factor in enumerate(history.factors.of_cells):
        arrays[f"cells_{number}"] = factor.by_cell
    for number, series in enumerate(history.factors.of_days):
        arrays |= {f"days_{number}": series.days, f"by_day_{number}": series.by_day}
    file = io.BytesIO()
    np.savez_compressed(file, **{name: array for name, array in arrays.items() if array is not None})
    return file.getvalue()


def unpacked(content: bytes) -> TuningTask:
    """Return the task of a file. Raises ValueError if another version of the package made it."""
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays = dict(stored)
    about = json.loads(arrays["about"].tobytes())
    history = History(
        CityFile.model_validate_json(about["city"]),
        date.fromisoformat(about["first_day"]),
        arrays["counts"],
        arrays["in_coverage"],
        arrays.get("evening"),
        about["lead"],
        _factors(about, arrays),
        arrays.get("is_known"),
    )
    train, validation = (range(first, stop) for first, stop in about["windows"])
    shared = None if about["shared"] is None else SharedStart.model_validate(about["shared"])
    settings = find(about["forecaster"]).settings.model_validate(about["settings"])
    task = TuningTask(about["forecaster"], settings, history, train, validation, FitContext(shared))
    if task.key != about["key"]:
        raise ValueError(
            "Another version made the task. Push an image of the version that runs beside Dagster, and set "
            "SHOTSPOTTER_SAGEMAKER_IMAGE to it."
        )
    return task


def _factors(about: Mapping[str, Any], arrays: Mapping[str, Any]) -> CityFactors:
    """Return the contributing factors of a file's parts."""
    of_cells = [
        CellInput(name, date.fromisoformat(known_from), arrays[f"cells_{number}"])
        for number, (name, known_from) in enumerate(about["of_cells"])
    ]
    of_days = [
        SeriesInput(
            name, date.fromisoformat(known_from), arrays[f"days_{number}"], arrays[f"by_day_{number}"], days_late
        )
        for number, (name, known_from, days_late) in enumerate(about["of_days"])
    ]
    return CityFactors(tuple(of_cells), tuple(of_days))
