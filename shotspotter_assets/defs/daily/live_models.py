"""Live models of a city by day: trained when due and accepted by the gate, or those of an earlier day."""

from datetime import date

import dagster as dg
from pydantic import Field

from shotspotter_assets.calendar import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.launchpad import SETTINGS_DESCRIPTION, changes, sections
from shotspotter_assets.defs.materialize import daily_asset, for_each_target
from shotspotter_assets.defs.partitions import LAST_FORTNIGHT
from shotspotter_assets.defs.resources import Log, Store
from shotspotter_assets.storage.stored_file import Asset

Sections = sections()


class LiveModelConfig(dg.Config):
    """Settings of the training, a forced training, a rollback, or an approval."""

    retrain: bool = Field(False, description="Train although the city's cadence says that it is not due.")
    serve_from: str = Field("", description="Roll back to what served after this day (YYYY-MM-DD), without training.")
    approve: str = Field("", description="Version of waiting models that may serve (city with `approval: person`).")
    approver: str = Field("", description="Name of the person who approves these models.")
    target: str = Field("", description="The only target that the run changes; by default all.")
    settings: Sections = Field(default_factory=Sections, description=SETTINGS_DESCRIPTION)  # type: ignore[valid-type]  # made by the registry
    validation_days: int = Field(91, ge=28, description="Days for validation and calibration (a third at most).")


def definitions(city: City) -> dg.Definitions:
    """Build the asset."""
    shown = {"kinds": {"lightgbm", "json"}, "code_version": "3", "launchpad": LiveModelConfig}
    upstream = {Asset.GRID_TENSORS: LAST_FORTNIGHT}
    return dg.Definitions(assets=[daily_asset(city, Asset.LIVE_MODELS, _models_of, upstream, **shown)])


def _models_of(config: LiveModelConfig, log: Log, store: Store, city: City, issue_date: date) -> panel.Metadata:
    """Models that serve after the day, trained on the days up to it; a candidate has to pass the gate.

    The last 91 known days are for validation. Models are fitted for the lead: the days from the last known day to the
    forecast day. When training is not due, the record points to the files of an earlier day. Models start from the
    latest `shared_models` that end no later than the day; a city with too few days serves these.
    """
    from shotspotter_assets.serving.approval import approve

    city = city.only(config.target) if config.target else city
    if config.approve:
        approve(store, city, issue_date, config.approve, config.approver, local_time.now())
    return _of_target(config, log, store, city, issue_date)


@for_each_target
def _of_target(config: LiveModelConfig, log: Log, store: Store, city: City, issue_date: date) -> panel.Metadata:
    from shotspotter_assets.models.forecaster import FitContext, training_backups
    from shotspotter_assets.models.next_day.shared_regression import read_shared
    from shotspotter_assets.serving.approval import WaitingModels
    from shotspotter_assets.serving.retraining import LiveModels, choose_models, known_history, reusable_record

    now, by_hand = local_time.now(), changes(config.settings)
    history = known_history(store, city, issue_date, now)
    record = None if config.retrain or config.serve_from or by_hand else reusable_record(store, history, now)
    waiting = WaitingModels.find_sound(store, city.name, issue_date)
    if record is not None and (waiting is None or record != waiting.models):
        note = "Left as it is: its data are unchanged, or its forecast was issued."
        return {"data_version": LiveModels(record, waiting=waiting).data_version, "note": note, "served": record.served}
    live = choose_models(
        store,
        history,
        FitContext(read_shared(store, city, issue_date), backups=training_backups(), log=log.info, changes=by_hand),
        reuse=record,
        retrain=config.retrain,
        serve_from=_day(city, config.serve_from),
        validation_days=config.validation_days,
    )
    path, record, facts = live.write(store, city.name, issue_date), live.record, {"data_version": live.data_version}
    if live.waiting is not None:
        facts |= {"waits": live.waiting.text, "approve": live.waiting.models.version}
    if record is None:
        log.warning(f"{city.name} {issue_date}: {live.why_none}")
        return facts | {"note": live.why_none}
    log.info(f"{issue_date}: {record.served} of {record.models_from} serves. {' '.join(record.reasons)}")
    shown = {"served", "since", "lead", "last_known", "models_from"}
    return {
        **facts,
        **record.model_dump(mode="json", include=shown),
        "why": panel.bullets(record.reasons),
        "trained": record.trained,
        **panel.rounded({f"gate_{end}": value for end, value in record.gate.gain.ends().items()}),
        "path": dg.MetadataValue.path(path),
    }


def _day(city: City, serve_from: str) -> date | None:
    try:
        return date.fromisoformat(serve_from) if serve_from else None
    except ValueError:
        raise ValueError(f"{city.name}: serve_from is {serve_from!r} (allowed: a day as 2026-01-31)") from None
