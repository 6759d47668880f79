"""Fold models, by city and cutoff."""

import hashlib
import shutil
from pathlib import Path

import dagster as dg
import numpy as np

from shotspotter_assets.defs.environment import PARTITIONS
from shotspotter_assets.defs.grids.assets import GRID_FILE, grid_tensors
from shotspotter_assets.defs.models.files import MODEL_FILE, model_partition, write_model
from shotspotter_assets.defs.partition_keys import city_and_cutoff
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.gridding.coverage import estimate_coverage
from shotspotter_assets.gridding.tensors import dense_window
from shotspotter_assets.partitions import DAYS_BEFORE_CUTOFF, fold_days
from shotspotter_assets.training.config import NetworkConfig
from shotspotter_assets.training.folds import split_days
from shotspotter_assets.training.record import FoldRecord, counts_sha256, installed_versions


class FoldModelConfig(dg.Config, NetworkConfig):
    """The network's settings, as the launchpad shows them."""


@dg.asset(
    partitions_def=PARTITIONS.city_fold,
    group_name="models",
    kinds={"keras"},
    code_version="1",
    pool="training",
    deps=[dg.AssetDep(grid_tensors, partition_mapping=DAYS_BEFORE_CUTOFF)],
)
def fold_models(
    context: dg.AssetExecutionContext, config: FoldModelConfig, store: StoreResource
) -> dg.MaterializeResult:
    """The reference network, trained on the days before the fold's cutoff; the last of them are for validation.

    A run that was killed goes on after its last finished epoch when it is started again with the same settings.
    """
    from shotspotter_assets.training.fit import fit_network, save_model

    city, cutoff = city_and_cutoff(context)
    before, _ = fold_days(city, cutoff)
    train, validation = split_days(len(before), config.validation_share, config.days)
    opened = store.open()
    frames = opened.read_window("grid_tensors", city.name, GRID_FILE, before[0], before[-1])
    counts = dense_window(frames, before, city)
    covered = estimate_coverage(counts.sum(axis=1, dtype=np.int64))
    context.log.info(
        f"{city.name}|{cutoff}: {len(train):,} days to train and {len(validation):,} to validate on, "
        f"{int(covered.sum())} of {covered.size} cells covered, {int(counts.sum()):,} alerts"
    )
    settings = NetworkConfig(**config.model_dump())
    checkpoint = Path(context.instance.storage_directory()) / "training_checkpoints" / city.name / cutoff.isoformat()
    trained = fit_network(counts, covered, train, validation, settings, checkpoint, context.log.info)

    model = save_model(trained.model)
    record = FoldRecord(
        city=city.name,
        fold=cutoff,
        train_first=before[0],
        train_last=before[train[-1]],
        train_days=len(train),
        validation_first=before[validation[0]],
        validation_last=before[-1],
        validation_days=len(validation),
        covered=[(int(row), int(column)) for row, column in np.argwhere(covered)],
        config=settings,
        versions=installed_versions(),
        data_sha256=counts_sha256(counts),
        model_sha256=hashlib.sha256(model).hexdigest(),
        history=trained.history,
        best_epoch=trained.best_epoch,
        resumed_from_epoch=trained.resumed_from_epoch,
        seconds_to_train=trained.seconds,
    )
    write_model(opened, model, record)
    shutil.rmtree(checkpoint, ignore_errors=True)
    best = trained.history[trained.best_epoch - 1]
    return dg.MaterializeResult(
        metadata={
            "path": opened.uri(model_partition(city.name, cutoff), MODEL_FILE),
            "covered_cells": int(covered.sum()),
            "train_days": len(train),
            "validation_days": len(validation),
            "best_epoch": trained.best_epoch,
            "loss": best["loss"],
            "validation_loss": best["validation_loss"],
            "seconds_to_train": trained.seconds,
            "config": dg.MetadataValue.json(settings.model_dump()),
            "history": dg.MetadataValue.json(trained.history),
        }
    )
