"""Live models, by city and day: trained when due, accepted by the gate, else the record tells what serves and why."""

from datetime import date, timedelta
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.conditions import TRAIN_ONCE
from shotspotter_assets.defs.launchpad import SETTINGS_DESCRIPTION, changes, sections
from shotspotter_assets.defs.replay_runs import known_then
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.models.registry import SERVABLE
from shotspotter_assets.partitions import LAST_FORTNIGHT, Partitions, single_day
from shotspotter_assets.storage.file_names import RECORD_FILE

if TYPE_CHECKING:
    from shotspotter_assets.serving.training import ModelFiles


Sections = sections(SERVABLE)


class LiveModelConfig(dg.Config):
    """How live models are trained, and by hand: that they are, or which ones serve."""

    retrain: bool = Field(False, description="Train although the city's cadence says that it is not due.")
    serve_from: str = Field(
        "", description="Roll back: no training, but serve what was in force after this earlier day (YYYY-MM-DD)."
    )
    settings: Sections = Field(default_factory=Sections, description=SETTINGS_DESCRIPTION)  # type: ignore[valid-type]  # made by the registry
    validation_days: int = Field(91, ge=28, description="The last so many days judge and calibrate (a third at most).")


def definitions(partitions: Partitions) -> dg.Definitions:
    """The asset."""
    asset = dg.asset(
        partitions_def=partitions.city_date,
        group_name="forecasts",
        kinds={"lightgbm", "json"},
        code_version="3",
        pool="training",
        deps=[dg.AssetDep("grid_tensors", partition_mapping=LAST_FORTNIGHT)],
        automation_condition=TRAIN_ONCE,
    )
    return dg.Definitions(assets=[asset(live_models)])


def live_models(
    context: dg.AssetExecutionContext, config: LiveModelConfig, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.MaterializeResult:
    """The models in force after the day, trained on the days to it, and why those: the candidate has to pass the gate.

    The last 91 known days are for validation. Models are fitted for the day's lead: for the day after it, from what is known
    by then, which may end days before. Where training is not due, or what was trained does not hold, the record points
    to the files of an earlier day. Made again, a day has the same models, whatever was made of later days since. They start at
    the latest `shared_models` that end no later than the day, and so does a city with too few days for models of its own.
    Tuned settings are theirs once folds tested by then have shown that they are better.
    """
    from shotspotter_assets.evaluation.tuned_gain import settings_in_force, tuned_uses
    from shotspotter_assets.models.city_history import CityHistory
    from shotspotter_assets.models.forecaster import FitContext
    from shotspotter_assets.models.networks.checkpoint import Checkpoint
    from shotspotter_assets.models.registry import candidate_of
    from shotspotter_assets.models.shared_models import read_shared
    from shotspotter_assets.models.stored_models import write_models
    from shotspotter_assets.serving.first_days import first_days, is_new
    from shotspotter_assets.serving.forecast_scores import ScoreRecord
    from shotspotter_assets.serving.incidents import stored_incidents
    from shotspotter_assets.serving.issued_forecasts import next_day_forecasts
    from shotspotter_assets.serving.live_models import (
        after_scores,
        outdated,
        rolled_back,
        train,
        training_reason,
        unchanged,
    )
    from shotspotter_assets.serving.record import ServingRecord, models_partition
    from shotspotter_assets.serving.risk_tables import at_lead
    from shotspotter_assets.serving.training import live_windows

    city, day = single_day(context, cities)
    opened = store.open()
    latest = ServingRecord.latest_before(opened, city.name, day)
    history = CityHistory.load(opened, city, day, known_then=known_then(context, opened, city))
    scores = ScoreRecord.latest_before(opened, city.name, day, history.last_known)
    # Where the lead goes to and fro, as over weekends, models of the same lead need not be trained anew.
    before = ServingRecord.of_lead(opened, city.name, day, history.lead) or latest
    reason = training_reason(city, day, before, scores, config.retrain, history.lead)
    checkpoint = Checkpoint.of(opened, city.name, "date", day)
    files: ModelFiles = {}
    shared = read_shared(opened, city, day)
    if config.serve_from:
        record = rolled_back(opened, history, date.fromisoformat(config.serve_from))
    elif before is not None and not reason:
        record = after_scores(unchanged(before, history), scores)
    elif is_new(history) and shared is not None:
        record, files = first_days(history, FitContext(shared), config.model_dump(exclude={"settings"}))
        record = after_scores(record, scores)
    else:
        windows = live_windows(city, history.last_known, config.validation_days)
        in_force = before if before is not None and not outdated(city, before) else None
        issued = next_day_forecasts(opened, city, windows.validation_first, day) if in_force else {}
        by_hand = changes(config.settings)
        uses = tuned_uses(opened, city, [candidate_of(city).name], day + timedelta(days=1), by_hand)
        record, files = train(
            history,
            windows,
            reason,
            before=in_force,
            issued=at_lead(issued, history.lead),
            incidents=stored_incidents(opened, history),
            context=FitContext(
                shared,
                checkpoint=checkpoint,
                log=context.log.info,
                changes=settings_in_force(uses) | by_hand,
            ),
            config=config.model_dump(exclude={"settings"}) | by_hand,
            tuned=uses,
        )
        record = after_scores(record, scores)
    record = record.after(latest)
    context.log.info(
        f"{context.partition_key}: {record.served} of {record.models_from} serves. {' '.join(record.reasons)}"
    )
    partition = models_partition(city.name, day)
    write_models(opened, partition, files, record.model_dump_json(indent=2))
    checkpoint.delete()
    seconds = {f"seconds_{name}": model.seconds_to_train for name, model in record.models.items()}
    return dg.MaterializeResult(
        data_version=dg.DataVersion(record.data_version),
        metadata={
            "served": record.served,
            "since": str(record.since),
            "why": panel.bullets(record.reasons),
            "lead": record.lead,
            "last_known": str(record.last_known),
            "trained": record.trained,
            "models_from": str(record.models_from),
            "hours_from": str(record.hours_from),
            "covered_cells": len(record.covered),
            "train_days": (record.train_last - record.train_first).days + 1,
            "validation_days": (record.validation_last - record.validation_first).days + 1,
            **panel.rounded({f"gate_{end}": value for end, value in record.gate.gain.ends().items()}),
            **panel.rounded(seconds if record.trained else {}),
            **({"not_for_this_city": dg.MetadataValue.json(record.without)} if record.without else {}),
            "path": panel.stored(opened.uri(partition, RECORD_FILE)),
        },
    )
