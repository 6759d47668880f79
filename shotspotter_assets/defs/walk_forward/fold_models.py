"""Fold models of a city by cutoff."""

from collections.abc import Sequence
from datetime import date

import dagster as dg
from pydantic import Field

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.launchpad import SETTINGS_DESCRIPTION, TrainingWindows, changes, sections, with_windows
from shotspotter_assets.defs.materialize import Product, for_each_target
from shotspotter_assets.defs.resources import Log, Store
from shotspotter_assets.models.forecaster_registry import FALLBACKS, city_settings, live_forecasters, require_next_day
from shotspotter_assets.models.forecaster_settings import NetworkSettings
from shotspotter_assets.storage.catalogue import FOLD_MODEL, FOLD_RECORD, Asset

Sections = sections()


class FoldModelConfig(dg.Config):
    """The forecasters to train, their settings, and the windows before the cutoff."""

    folds: TrainingWindows = Field(default_factory=TrainingWindows, description="Days to train and to validate on.")
    models: list[str] = Field(
        [],
        description="Names of forecasters to train beside the one that the city's file serves and the network of the daily path, "
        "such as [conv_lstm] (the report's network). To try one alone, without storing: shotspotter fold.",
    )
    settings: Sections = Field(default_factory=Sections, description=SETTINGS_DESCRIPTION)  # type: ignore[valid-type]  # made by the registry


@Product(Asset.FOLD_MODELS, kinds={"keras", "lightgbm"}, code_version="5", launchpad=FoldModelConfig)
@for_each_target
def fold_models(log: Log, store: Store, city: City, cutoff: date, config: FoldModelConfig) -> panel.Metadata:
    """All models that serve, and every baseline, fitted on the days before the cutoff; the last ones are for validation.

    A network of a killed run continues after its last epoch in a rerun with equal settings on the same machine.
    """
    from shotspotter_assets.forecasts.training import train_fold
    from shotspotter_assets.models.city_history import CityHistory
    from shotspotter_assets.models.forecaster import FitContext, training_backups
    from shotspotter_assets.models.history import TooFewEventsError, split_days
    from shotspotter_assets.models.next_day.shared_regression import read_shared
    from shotspotter_assets.models.trained_models import FoldRecord, earlier_models, write_models
    from shotspotter_assets.storage.fingerprints import sha256

    city = with_windows(city, config.folds)
    settings = changes(config.settings)
    history = CityHistory.before(store, city, cutoff)
    names = _forecasters(city, config.models)
    validation_days = city.folds.validation_days(cutoff, len(history.days))
    # An input is at least as long as the default's, so that all folds have equal windows.
    networks = [NetworkSettings(), *(city_settings(city, name, settings.get(name)) for name in names)]
    longest_input = max(network.days for network in networks if isinstance(network, NetworkSettings))
    windows = split_days(len(history.days), validation_days, longest_input)
    # Networks start at the weights of the fold before.
    earlier_cutoffs = store.days_present(FOLD_RECORD, city.name, last=cutoff - ONE_DAY) if city.network else []
    last = FoldRecord.find_sound(store, city.name, max(earlier_cutoffs)) if earlier_cutoffs else None
    context = FitContext(
        read_shared(store, city, cutoff),
        backups=training_backups(),
        changes=settings,
        earlier={} if last is None else earlier_models(store, FOLD_MODEL, last, last.cutoff),
    )
    used = config.model_dump(mode="json", exclude_none=True)
    used["folds"] = city.folds.model_dump(include={"train", "validation"})
    origin = None if last is None else last.cutoff
    try:
        record, files = train_fold(history, cutoff, windows, names, weights_from=origin, context=context, config=used)
    except TooFewEventsError as error:
        log.warning(str(error))
        store.clear(FOLD_RECORD, city.name, cutoff)
        return {"data_version": "no models", "note": str(error)}
    path = write_models(store, FOLD_MODEL, record, files)
    return {
        "data_version": sha256(record.facts())[:16],
        "covered_cells": len(record.covered),
        "train": " to ".join(map(str, record.train)),
        "validation": " to ".join(map(str, record.validation)),
        **panel.rounded({f"{name}_seconds": model.seconds_to_train for name, model in record.models.items()}),
        "path": dg.MetadataValue.path(path),
    }


def _forecasters(city: City, more: Sequence[str]) -> list[str]:
    """Return the next-day forecasters that the city serves, first the candidate, and `more`. Raises ValueError for others."""
    served = [name for name in live_forecasters(city) if name not in FALLBACKS]
    names = list(dict.fromkeys([*served, *more]))
    require_next_day(names)
    return names
