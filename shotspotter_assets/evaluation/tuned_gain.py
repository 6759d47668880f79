"""Whether tuned settings are in force: only once they were shown to be better on test windows after the days they were tuned on."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

import pyarrow as pa
from pydantic import BaseModel

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.fold_report import FoldReport
from shotspotter_assets.evaluation.forecasts_table import observed_of
from shotspotter_assets.evaluation.gains import Gain, table_gain
from shotspotter_assets.evaluation.gate import MIN_POSITIVES, MIN_WEEKS
from shotspotter_assets.evaluation.report_files import fold_partition
from shotspotter_assets.models.records import TunedUse
from shotspotter_assets.models.registry import TUNABLE, as_set, city_settings, find, tuned
from shotspotter_assets.models.tuning.tuned_settings import TunedSettings, read_tuned, tuned_folds
from shotspotter_assets.storage.file_names import FOLD_FORECASTS_FILE, REPORT_FILE
from shotspotter_assets.storage.store import Store

TUNED_COLUMN, AS_SET_COLUMN = "tuned", "as_set"


def tuned_uses(
    store: Store, city: City, names: Sequence[str], before: date, by_hand: Collection[str] = ()
) -> dict[str, TunedUse]:
    """What is known of tuned settings before a day, by forecaster; none of those that were not tuned.

    Args:
        store: with searches and reports.
        city: whose.
        names: of forecasters; the members of those that combine others are asked for too.
        before: a cutoff. Searches of folds to it count, and test windows that ended before it.
        by_hand: forecasters whose settings are set for this run, which are left as they are.
    """
    fitted = list(names)
    for name in names:
        if find(name).combines:
            fitted += getattr(city_settings(city, name), "members", [])
    uses = {name: _tuned_use(store, city.name, name, before) for name in dict.fromkeys(fitted) if name in TUNABLE}
    return {name: use for name, use in uses.items() if use is not None and name not in by_hand}


def _tuned_use(store: Store, city: str, name: str, before: date) -> TunedUse | None:
    """The latest settings that were shown to be better, else the latest ones, which are tried beside those that are in force."""
    uses = []
    for fold in reversed([fold for fold in tuned_folds(store, city, name) if fold <= before]):
        found = read_tuned(store, city, fold, name)
        if found.settings:
            uses.append(_judged(store, found, before))
            if uses[-1].in_force:
                return uses[-1]
    return uses[0] if uses else None


def _judged(store: Store, found: TunedSettings, before: date) -> TunedUse:
    tables = _later_forecasts(store, found, before)
    gain, positives = None, 0
    if tables:
        pooled = pa.concat_tables(tables.values())
        gain, positives = table_gain(pooled, TUNED_COLUMN, AS_SET_COLUMN), int(observed_of(pooled).sum())
    in_force = gain is not None and gain.is_shown and gain.weeks >= MIN_WEEKS and positives >= MIN_POSITIVES
    return TunedUse(
        fold=found.fold,
        settings=found.settings,
        in_force=in_force,
        judged_on=list(tables),
        words=_in_words(found, len(tables), gain, positives, in_force),
        **({} if gain is None else gain.ends()),
    )


def _later_forecasts(store: Store, found: TunedSettings, before: date) -> dict[date, pa.Table]:
    """Forecasts with these settings beside those without, by fold, of test windows from the search's cutoff on that are over."""
    tables = {}
    for fold in sorted(store.days_present("evaluation_reports", found.city, FOLD_FORECASTS_FILE, "fold")):
        if not found.fold <= fold < before:
            continue
        partition = fold_partition(found.city, fold)
        report = FoldReport.model_validate_json(store.read_bytes(partition, REPORT_FILE))
        tried = report.tuned.get(found.forecaster)
        if report.test_last >= before or tried is None or tried.settings != found.settings:
            continue
        pair = columns_of(found.forecaster, tried)
        table = store.read_table(partition, FOLD_FORECASTS_FILE)
        if set(pair) <= set(table.column_names):
            tables[fold] = table.select(["date", "observed", *pair]).rename_columns(
                ["date", "observed", TUNED_COLUMN, AS_SET_COLUMN]
            )
    return tables


def columns_of(name: str, use: TunedUse) -> tuple[str, str]:
    """(column of the tuned settings, column of those without) in the forecasts table of a fold."""
    return (name, as_set(name)) if use.in_force else (tuned(name), name)


def settings_in_force(uses: Mapping[str, TunedUse]) -> dict[str, dict[str, Any]]:
    """The settings that are in force, by forecaster."""
    return {name: dict(use.settings) for name, use in uses.items() if use.in_force}


def beside(city: City, name: str, use: TunedUse) -> tuple[str, BaseModel]:
    """(name, settings) of what is fitted in a fold beside a forecaster, to be compared with it."""
    if use.in_force:
        return as_set(name), city_settings(city, name)
    return tuned(name), city_settings(city, name, use.settings)


def _in_words(found: TunedSettings, folds: int, gain: Gain | None, positives: int, in_force: bool) -> str:
    what = f"The settings of {found.forecaster} that were tuned before {found.fold}"
    if gain is None:
        return f"{what} are not in force: no later fold has been forecast with them yet."
    gained = f"on {folds} later {'fold' if folds == 1 else 'folds'} they gained {gain.text()} nats per positive"
    if in_force:
        return f"{what} are in force: {gained}."
    if gain.weeks < MIN_WEEKS or positives < MIN_POSITIVES:
        return (
            f"{what} are not in force: {gained}, in {gain.weeks} weeks with {positives:,} positives; at least {MIN_WEEKS} "
            f"and {MIN_POSITIVES} are needed."
        )
    return f"{what} are not in force: {gained}; the lower end must be above zero."
