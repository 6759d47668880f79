"""Fold models, by city and cutoff."""

import shutil
import time
from pathlib import Path

import dagster as dg
from pydantic import Field

from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.models.fold_windows import split_days
from shotspotter_assets.models.networks.config import NetworkConfig
from shotspotter_assets.partitions import DAYS_BEFORE_CUTOFF, Partitions, fold_days, single_fold
from shotspotter_assets.storage.file_names import RECORD_FILE

REFERENCE = "conv_lstm"


class FoldModelConfig(dg.Config, NetworkConfig):
    """Which models are trained. The other settings but for `validation_share` are those of the reference network."""

    models: list[str] = Field(
        default=["residual_boosting"],
        description="Names of forecasters (models/registry.py). residual_boosting is what is served; "
        "residual_conv_lstm is a network on the same start; conv_lstm is the reference network, which takes hours in its "
        "default size.",
    )


def definitions(partitions: Partitions) -> dg.Definitions:
    """The asset."""
    asset = dg.asset(
        partitions_def=partitions.city_fold,
        group_name="models",
        kinds={"keras", "lightgbm"},
        code_version="3",
        pool="training",
        deps=[dg.AssetDep("grid_tensors", partition_mapping=DAYS_BEFORE_CUTOFF)],
    )
    return dg.Definitions(assets=[asset(fold_models)])


def fold_models(
    context: dg.AssetExecutionContext, config: FoldModelConfig, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.MaterializeResult:
    """The forecasters, fitted on the days before the fold's cutoff; the last of them are for validation and calibration.

    The reference network of a run that was killed goes on after its last finished epoch when it is started again with
    the same settings.
    """
    from shotspotter_assets.models.city_history import CityHistory, covered_cells
    from shotspotter_assets.models.forecaster import FitContext
    from shotspotter_assets.models.records import (
        FoldRecord,
        TrainedModel,
        counts_sha256,
        files_sha256,
        installed_versions,
    )
    from shotspotter_assets.models.registry import city_settings, forecaster, storable
    from shotspotter_assets.models.stored_models import (
        model_partition,
        read_pretrained,
        write_models,
    )

    city, cutoff = single_fold(context, cities)
    before, _ = fold_days(city, cutoff)
    train, validation = split_days(len(before), config.validation_share, config.days)
    opened = store.open()
    stored = CityHistory.load(opened, city, before[-1]).complete()
    in_coverage = stored.in_coverage(cutoff)
    context.log.info(
        f"{city.name}|{cutoff}: {len(train):,} days to train and {len(validation):,} to validate on, "
        f"{int(in_coverage.sum())} of {in_coverage.size} cells covered, {int(stored.alerts.sum()):,} alerts"
    )
    network = NetworkConfig(**config.model_dump(exclude={"models"}))
    checkpoint = Path(context.instance.storage_directory()) / "training_checkpoints" / city.name / cutoff.isoformat()
    history = stored.daily(in_coverage)
    files, trained = {}, {}
    fit_context = FitContext(read_pretrained(opened, city, cutoff), checkpoint=checkpoint, log=context.log.info)
    for name in storable(config.models):
        started = time.monotonic()
        settings = network if name == REFERENCE else city_settings(city, name)
        fitted = forecaster(name, settings).fit(history, train, validation, fit_context)
        files[name] = fitted.files()
        trained[name] = TrainedModel(
            settings=fitted.settings, files=files_sha256(files[name]), seconds_to_train=time.monotonic() - started
        )
        context.log.info(f"{city.name}|{cutoff}: {name} fitted in {trained[name].seconds_to_train:.0f} s")
    record = FoldRecord(
        city=city.name,
        fold=cutoff,
        train_first=before[0],
        train_last=before[train[-1]],
        train_days=len(train),
        validation_first=before[validation[0]],
        validation_last=before[-1],
        validation_days=len(validation),
        covered=covered_cells(in_coverage),
        config=config.model_dump(),
        versions=installed_versions(),
        data_sha256=counts_sha256(history.counts),
        models=trained,
    )
    partition = model_partition(city.name, cutoff)
    write_models(opened, partition, files, record.model_dump_json(indent=2))
    shutil.rmtree(checkpoint, ignore_errors=True)
    return dg.MaterializeResult(
        metadata={
            "covered_cells": int(in_coverage.sum()),
            "train_days": len(train),
            "validation_days": len(validation),
            **panel.rounded({f"{name}_seconds": of.seconds_to_train for name, of in trained.items()}),
            **{name: dg.MetadataValue.json(of.settings) for name, of in trained.items()},
            "path": opened.uri(partition, RECORD_FILE),
        }
    )
