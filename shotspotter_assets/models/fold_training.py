"""Fit the models of a fold and record them."""

from collections.abc import Mapping
from datetime import date
from time import monotonic

from pydantic import BaseModel, JsonValue

from shotspotter_assets.models.city_history import CityHistory, covered_cells
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.records import FoldRecord, TrainedModel, files_sha256, installed_versions
from shotspotter_assets.models.registry import forecaster


def train_fold(
    stored: CityHistory,
    cutoff: date,
    windows: tuple[range, range],
    settings: Mapping[str, BaseModel],
    *,
    context: FitContext,
    config: dict[str, JsonValue],
) -> tuple[FoldRecord, dict[str, dict[str, bytes]]]:
    """(record, content by model and file) of the forecasters fitted for a fold.

    Args:
        stored: all days before the cutoff.
        cutoff: of the fold.
        windows: (training, validation) as indexes of these days.
        settings: of the forecasters that are fitted, by name.
        context: of their fits.
        config: the run's configuration, for the record.
    """
    days, (train, validation) = stored.days, windows
    in_coverage = stored.in_coverage(cutoff)
    context.log(
        f"{stored.city.name} {cutoff}: {len(train):,} days to train and {len(validation):,} to validate on, "
        f"{int(in_coverage.sum())} of {in_coverage.size} cells covered, {int(stored.alerts.sum()):,} alerts"
    )
    history = stored.daily(in_coverage)
    files, models = {}, {}
    for name, chosen in settings.items():
        started = monotonic()
        fitted = forecaster(name, chosen).fit(history, train, validation, context)
        files[name] = fitted.files()
        seconds = monotonic() - started
        models[name] = TrainedModel(settings=fitted.settings, files=files_sha256(files[name]), seconds_to_train=seconds)
        context.log(f"{stored.city.name} {cutoff}: {name} fitted in {seconds:.0f} s")
    record = FoldRecord(
        city=stored.city.name,
        fold=cutoff,
        train_first=days[0],
        train_last=days[train[-1]],
        train_days=len(train),
        validation_first=days[validation[0]],
        validation_last=days[-1],
        validation_days=len(validation),
        covered=covered_cells(in_coverage),
        config=config,
        versions=installed_versions(),
        data_sha256=history.data_sha256(),
        models=models,
    )
    return record, files
