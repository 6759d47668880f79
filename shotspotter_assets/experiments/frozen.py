"""Freeze of an experiment: all that its forecasts and scores may depend on, in one file that can be published.

The file of an experiment names days to come, targets of cities, scores and references. The frozen record beside it adds the
models that serve, the settings and the code, before the first day begins.
"""

import os
from datetime import date, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field

from shotspotter_assets.calendar import local_time
from shotspotter_assets.calendar.local_time import ONE_DAY, day_start
from shotspotter_assets.cities.city import City, Day, Name
from shotspotter_assets.cities.stored_settings import model_settings
from shotspotter_assets.cities.strict_model import StrictModel
from shotspotter_assets.city_files import Cities, find_city, read_keys
from shotspotter_assets.evaluation.count_scores import COUNT_DEFINITIONS
from shotspotter_assets.evaluation.distribution_scores import YEAR
from shotspotter_assets.evaluation.score_rows import gain_name
from shotspotter_assets.evaluation.scores import SCORE_DEFINITIONS
from shotspotter_assets.models.forecaster_registry import FALLBACKS
from shotspotter_assets.models.records import installed_versions
from shotspotter_assets.models.trained_models import read_files
from shotspotter_assets.serving.serving_record import ServingRecord
from shotspotter_assets.storage.catalogue import FORECAST, LIVE_MODEL
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store

RULES: Final = {
    "frozen": "A forecast counts only if the frozen models made it.",
    "retrained": (
        "A forecast counts if the frozen models made it, or models that the daily chain trained since with the frozen "
        "settings and code. Models that a person trained or rolled back do not count."
    ),
    "versions": "The last version of a forecast that was written before its day began in the city's time zone counts.",
    "missing": (
        "A day is missing if its forecast is missing, late, replayed, changed afterwards, or made by other settings or "
        "code, or if its alerts are unknown although a later day is known. With more than max_missing_days of a target, "
        "there are no scores."
    ),
}
"""Rules of experiments; the first two are those of the values of `models`."""
DEFINITIONS: Final = {
    name: formula
    for name, formula in (SCORE_DEFINITIONS | COUNT_DEFINITIONS).items()
    if not name.endswith(gain_name(YEAR))  # this gain stands beside the score that it is of
}
"""Formula by name of the scores that an experiment may use; a name also stands for those that begin with it."""


class ExperimentError(ValueError):
    """Reasons why an experiment or a day of it is refused, one a line."""


class Experiment(StrictModel):
    """Content of an experiment's file."""

    name: Name
    cities: dict[Name, Annotated[tuple[Name, ...], Field(min_length=1)]] = Field(min_length=1)  # targets by city
    first_day: Day  # first forecast local day
    last_day: Day
    models: Literal["frozen", "retrained"]  # see `RULES`
    scores: tuple[str, ...] = Field(min_length=1)  # names of `DEFINITIONS`
    references: tuple[str, ...] = Field(min_length=1)  # `FALLBACKS`, whose forecasts are stored with issued ones
    max_missing_days: int = Field(0, ge=0)  # maximum number of missing days of each target


class FrozenModels(StrictModel):
    """Models that serve a target at the freeze, with all that makes its forecasts."""

    served: str  # forecaster
    models_from: date  # issue date of the models
    files: dict[str, dict[str, str]]  # SHA-256 by model and file
    made_by: dict[str, str]  # `ServingRecord.made_by`: SHA-256 of models, settings and code; day of the last training
    settings: dict[str, str]  # hash of each key of the city's file by which later models have to be trained


class FrozenExperiment(StrictModel):
    """Record of a frozen experiment."""

    experiment: Experiment
    frozen_at: AwareDatetime  # UTC
    rules: dict[str, str]
    definitions: dict[str, str]  # formula by score
    versions: dict[str, str]  # versions of Python and packages, and the hash of this package's code
    models: dict[str, FrozenModels]  # by `city/target`


def targets_of(store: Store, cities: Cities, experiment: Experiment) -> dict[str, tuple[Store, City]]:
    """Return store and city of each target in an experiment, by `city/target`; raise ExperimentError for an unknown one."""
    try:
        return {
            f"{name}/{target}": (store.of(target), find_city(cities, name).only(target))
            for name, targets in experiment.cities.items()
            for target in targets
        }
    except ValueError as error:
        raise ExperimentError(str(error)) from error


def freeze(store: Store, cities: Cities, file: Path) -> str:
    """Write the frozen record beside an experiment's file, and return its path and SHA-256 in words.

    Raises ExperimentError for a frozen experiment, unknown names, days that have begun, issued forecasts and targets without
    models; CityFileError for an unusable file; ModelFilesError if files of models are missing or changed.
    """
    experiment = read_keys(file, Experiment)
    frozen_file = file.with_suffix(".frozen.json")
    targets = targets_of(store, cities, experiment)
    now = local_time.now()
    problems = {
        f"{frozen_file} exists, so the experiment is frozen. Write another file for another one.": frozen_file.exists(),
        f"last_day: {experiment.last_day} is before first_day.": experiment.last_day < experiment.first_day,
        f"scores: only {', '.join(DEFINITIONS)} are allowed.": not DEFINITIONS.keys() >= {*experiment.scores},
        f"references: only {', '.join(FALLBACKS)} are allowed.": not {*FALLBACKS} >= {*experiment.references},
    }
    if any(problems.values()):
        raise ExperimentError("\n".join(f"{file}: {problem}" for problem, is_one in problems.items() if is_one))
    frozen = FrozenExperiment(
        experiment=experiment,
        frozen_at=now.replace(microsecond=0),
        rules=RULES,
        definitions={name: DEFINITIONS[name] for name in experiment.scores},
        versions=installed_versions(),
        models={
            name: _serving_models(of_target, city, experiment.first_day, now)
            for name, (of_target, city) in targets.items()
        },
    )
    content = frozen.model_dump_json(indent=1)
    _write_once(frozen_file, content)
    return f"{frozen_file}: SHA-256 {sha256(content)}"


def _write_once(file: Path, content: str) -> None:
    """Write a whole new file; raise ExperimentError if another freeze has written it meanwhile."""
    with NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.name}-") as whole:
        whole.write(content)
        whole.flush()
        os.fsync(whole.fileno())
        Path(whole.name).chmod(0o644)
        try:
            # Unlike a rename, a second name never replaces a file; unlike an exclusive file, it is never empty after a kill.
            os.link(whole.name, file)
        except FileExistsError:
            raise ExperimentError(
                f"{file} exists, so the experiment is frozen. Write another file for another one."
            ) from None


def _serving_models(store: Store, city: City, first: date, now: datetime) -> FrozenModels:
    """Return the models that serve a target, from whose forecasts the day `first` is still to come; see `freeze`."""
    record = ServingRecord.latest_before(store, city.name, first)
    name = f"{city.name}/{city.target}"
    if now >= day_start(first, city.zone):
        raise ExperimentError(f"{name}: {first} has begun in {city.time_zone}. Write a later first_day.")
    if store.days_present(FORECAST, city.name, first - ONE_DAY):
        raise ExperimentError(f"{name}: the forecast of {first} is issued already. Write a later first_day.")
    if record is None:
        raise ExperimentError(f"{name}: there are no live models. Materialize live_models of {city.name}.")
    if not record.settings:
        raise ExperimentError(
            f"{name}: the live models are of 0.2.0, and never serve again. Freeze after the next daily run."
        )
    read_files(store, LIVE_MODEL, record, record.models_from, record.suffix)
    return FrozenModels(
        served=record.served,
        models_from=record.models_from,
        files={model: trained.files for model, trained in record.models.items()},
        made_by=record.made_by(city),
        settings=model_settings(city),
    )
