"""Records of 0.2.0 in today's shape: fields under other names; what 0.2.0 did not state stays unknown."""

import json
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from shotspotter_assets.calendar.local_time import ONE_DAY
from shotspotter_assets.models.records import TYPES
from shotspotter_assets.models.tuning.search import TunedSettings
from shotspotter_assets.patrol.dispatch import PlanRecord
from shotspotter_assets.serving.issued_forecasts import IssueRecord
from shotspotter_assets.serving.nowcast_scores import NowcastScoreRecord
from shotspotter_assets.serving.score_record import ScoreRecord
from shotspotter_assets.serving.serving_record import ServingRecord
from shotspotter_assets.serving.street_ranking import StreetRecord, StreetScoreRecord
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.stored_record import StoredRecord

Fields = dict[str, Any]


def converted_record(asset: Asset, content: bytes, city: str, day: date) -> bytes:
    """Return the content of a record in today's shape; one that has it gains its format version alone.

    Raises ValueError for a record that neither 0.2.0 nor this version writes.
    """
    adapter = ADAPTERS[asset]
    fields = json.loads(content)
    try:
        record = adapter.validate_python(fields)
    except ValidationError:
        fields = _converted(asset, fields, city, day)
        record = adapter.validate_python(fields)
    new = record.content()
    if unknown := _unknown_field(fields, json.loads(new)):
        raise ValueError(f"no release wrote the field {unknown}")
    return new


def _converted(asset: Asset, old: Any, city: str, day: date) -> Fields:
    """Return the fields of an old record in today's shape; raise ValueError if they are of another kind."""
    try:
        return CONVERSIONS[asset](old, city, day)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"it is not a record of 0.2.0 ({type(error).__name__}: {error})") from error


def _unknown_field(given: Any, stored: Any) -> str:
    """Return the name of a field, on any level, that is not stored; empty if there is none."""
    if isinstance(given, Mapping):
        absent = [name for name in given if name not in stored]
        return (
            absent[0]
            if absent
            else next(filter(None, (_unknown_field(given[name], stored[name]) for name in given)), "")
        )
    if isinstance(given, list):
        return next(filter(None, map(_unknown_field, given, stored)), "")
    return ""


def _renamed(old: Fields, names: Mapping[str, str]) -> Fields:
    """Return the fields under today's names, by old ones."""
    return {names.get(name, name): value for name, value in old.items()}


def _forecast(old: Fields, _city: str, _day: date) -> Fields:
    """Return the fields without words on the kinds of gunfire, which 0.2.0 did not store."""
    new = _renamed(old, {"day": "forecast_date"})
    return new if "no_forecast" in old else {**new, "types": ""}


def _serving(old: Fields, _city: str, _day: date) -> Fields:
    """Return the fields without settings of the fit, which are unknown: models without any never serve again."""
    names = {"day": "issue_date", "fitted_on": "models_from", "level": "weekly_offset"}
    models = {name: _renamed(model, {"settings": "chosen"}) for name, model in old["models"].items()}
    last = date.fromisoformat(old["validation"][0]) - ONE_DAY
    unknown: Fields = {"train": (None, str(last)), "settings": {}, "types_by": TYPES if TYPES in models else None}
    return {**_renamed(old, names), **unknown, "models": models}


def _streets(old: Fields, _city: str, _day: date) -> Fields:
    return _renamed(old, {"day": "issue_date"})


def _street_scores(old: Fields, _city: str, _day: date) -> Fields:
    return _renamed(old, {"day": "scored_date"})


def _scores(old: Fields, _city: str, _day: date) -> Fields:
    """Return the fields without scores of numbers, because no distributions of numbers were stored."""
    with_numbers = {name: old[name] and {**old[name], "numbers": {}} for name in ("scores", "rolling")}
    return _renamed(old, {"day": "scored_date"}) | with_numbers


def _nowcast_scores(old: Fields, _city: str, _day: date) -> Fields:
    scores = {length: _renamed(of_length, {"came": "observed"}) for length, of_length in old["scores"].items()}
    return {**_renamed(old, {"day": "scored_date"}), "scores": scores}


def _plan(old: Fields, city: str, day: date) -> Fields:
    """Return the fields of an audit, which named its day alone, or of a reason for no plan, which named nothing."""
    if old.keys().isdisjoint({"shifts", "note"}):
        raise KeyError("shifts")
    following = str(day + ONE_DAY)
    named = {"city": city, "issue_date": str(day), "radius_m": None}
    return {"forecast_date": following, **named, **_renamed(old, {"day": "forecast_date"})}


def _tuned(old: Fields, _city: str, _day: date) -> Fields:
    return _renamed(old, {"fold": "cutoff"})


ADAPTERS: Final[Mapping[Asset, TypeAdapter[StoredRecord]]] = {
    Asset.RISK_FORECASTS: TypeAdapter(IssueRecord),
    Asset.LIVE_MODELS: TypeAdapter(ServingRecord),
    Asset.STREET_RISK: TypeAdapter(StreetRecord),
    Asset.STREET_SCORES: TypeAdapter(StreetScoreRecord),
    Asset.FORECAST_SCORES: TypeAdapter(ScoreRecord),
    Asset.NOWCAST_SCORES: TypeAdapter(NowcastScoreRecord),
    Asset.PATROL_PLANS: TypeAdapter(PlanRecord),
    Asset.TUNED_SETTINGS: TypeAdapter(TunedSettings),
}
"""Readers of today's records by asset."""
CONVERSIONS: Final[Mapping[Asset, Callable[[Fields, str, date], Fields]]] = {
    Asset.RISK_FORECASTS: _forecast,
    Asset.LIVE_MODELS: _serving,
    Asset.STREET_RISK: _streets,
    Asset.STREET_SCORES: _street_scores,
    Asset.FORECAST_SCORES: _scores,
    Asset.NOWCAST_SCORES: _nowcast_scores,
    Asset.PATROL_PLANS: _plan,
    Asset.TUNED_SETTINGS: _tuned,
}
"""Functions of an old record's fields, its city and the date of its partition that return today's fields, by asset."""
