"""Live models of a city by day: trained when due and accepted by the gate, or those of an earlier day."""

from datetime import date
from typing import TYPE_CHECKING, Final

import dagster as dg
from pydantic import Field

from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.launchpad import SETTINGS_DESCRIPTION, changes, sections
from shotspotter_assets.defs.materialize import Product, for_each_target
from shotspotter_assets.defs.resources import Log, Store
from shotspotter_assets.storage.catalogue import Asset

if TYPE_CHECKING:
    from shotspotter_assets.forecasts.retraining import LiveModels

RECORD_FACTS: Final = {"served", "since", "lead", "last_known", "models_from"}  # shown in the panel
Sections = sections()


class LiveModelConfig(dg.Config):
    """Settings of the training, a forced training, a rollback, or an approval."""

    train: bool = Field(
        True, description="Train if it is due; otherwise the latest models serve until a run trains them."
    )
    retrain: bool = Field(False, description="Train although the city's cadence says that it is not due.")
    serve_from: str = Field("", description="Roll back to what served after this day (YYYY-MM-DD), without training.")
    approve: str = Field("", description="Version of waiting models that may serve (city with `approval: person`).")
    approver: str = Field("", description="Name of the person who approves these models.")
    target: str = Field("", description="The only target that the run changes; by default all.")
    settings: Sections = Field(default_factory=Sections, description=SETTINGS_DESCRIPTION)  # type: ignore[valid-type]  # made by the registry


@Product(Asset.LIVE_MODELS, kinds={"lightgbm", "json"}, code_version="3", launchpad=LiveModelConfig)
def live_models(log: Log, store: Store, city: City, issue_date: date, config: LiveModelConfig) -> panel.Metadata:
    """Models that serve after the day, trained on the days up to it; a candidate has to pass the gate.

    The last 91 known days are for validation. Models are fitted for the lead: the days from the last known day to the
    forecast day. When training is not due, the record points to the files of an earlier day. Models start from the
    latest `shared_models` that end no later than the day; a city with too few days serves these. Automatic runs of the
    daily chain do not `train`: if training is due, the record has the reason, and a run of this asset alone trains.
    """
    from shotspotter_assets.forecasts.approval import approve

    city = city.only(config.target) if config.target else city
    if config.approve:
        approve(store, city, issue_date, config.approve, config.approver, local_time.now())
    return _models_of_target(log, store, city, issue_date, config)


@for_each_target
def _models_of_target(log: Log, store: Store, city: City, issue_date: date, config: LiveModelConfig) -> panel.Metadata:
    """Choose and store the models of a target, unless the stored ones can stay; return their panel."""
    shown = None
    while shown is None:
        shown = _chosen_models(log, store, city, issue_date, config)
    return shown


def _chosen_models(
    log: Log, store: Store, city: City, issue_date: date, config: LiveModelConfig
) -> panel.Metadata | None:
    """Choose and store models; return None if another run, such as a training, has stored others meanwhile."""
    from shotspotter_assets.forecasts.retraining import (
        LiveModels,
        choose_models,
        day_records,
        known_history,
        reusable_record,
        withheld_reason,
    )
    from shotspotter_assets.models.forecaster import FitContext, training_backups
    from shotspotter_assets.models.next_day.shared_regression import read_shared

    now = local_time.now()
    settings = changes(config.settings)
    history = known_history(store, city, issue_date, now)
    before = day_records(store, city.name, issue_date)
    is_forced = config.retrain or config.serve_from or settings
    withheld = withheld_reason(store, history)
    reusable = None if is_forced else reusable_record(store, history, now, withheld)
    _, waiting = before
    if reusable is not None and (waiting is None or reusable != waiting.models):
        note = "Left as it is: its data are unchanged, or its forecast was issued."
        version = LiveModels(reusable, waiting=waiting).data_version
        return {"data_version": version, "note": note, "served": reusable.served}
    live = choose_models(
        store,
        history,
        FitContext(read_shared(store, city, issue_date), backups=training_backups(), changes=settings),
        reuse=reusable,
        train=config.train,
        retrain=config.retrain,
        serve_from=_day(city, config.serve_from),
        withheld=withheld,
    )
    path = live.write(store, city.name, issue_date, before)
    return None if path is None else _shown(live, path, city, issue_date, log)


def _shown(live: "LiveModels", path: str, city: City, issue_date: date, log: Log) -> panel.Metadata:
    """Return the panel of chosen models, and log what serves, or why nothing does."""
    where = f"{city.name} {issue_date}"
    facts: panel.Metadata = {"data_version": live.data_version}
    if live.waiting is not None:
        facts |= {"waits": live.waiting.text, "approve": live.waiting.models.version}
    record = live.record
    if record is None:
        log.warning(f"{where}: {live.why_none}")
        return facts | {"note": live.why_none}
    if city.shadow is not None:
        problem = f"{city.shadow} was not trained with these models; the next training adds it."
        if record.shadow is not None and record.shadow.name == city.shadow:
            problem = record.shadow.problem
        facts["shadow"] = problem or city.shadow
        if problem:
            log.warning(f"{where}: {problem}")
    log.info(f"{where}: {record.served} of {record.models_from} serves. {' '.join(record.reasons)}")
    return {
        **facts,
        **record.model_dump(mode="json", include=RECORD_FACTS),
        "why": panel.bullets(record.reasons),
        "trained": record.trained,
        **panel.rounded(record.gate.gain.ends("gate_gain")),
        "path": dg.MetadataValue.path(path),
    }


def _day(city: City, serve_from: str) -> date | None:
    """Return the day of a rollback, None for "". Raises ValueError for a text that is no day."""
    try:
        return date.fromisoformat(serve_from) if serve_from else None
    except ValueError:
        raise ValueError(f"{city.name}: serve_from is {serve_from!r} (allowed: a day as 2026-01-31)") from None
