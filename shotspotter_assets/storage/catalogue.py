"""The catalogue of assets, and of the tables, records and files that they store.

All that lists assets or keys of the city's file is derived from `ASSETS`: dependencies in Dagster, versions of inputs, hashes
of settings, order of automation, folders, pages, tests and documents. Files serve paths, validation, schemas in the UI and
the data dictionary.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from shotspotter_assets.storage.stored_file import (
    DAY_BEFORE,
    DAYS_AROUND,
    DAYS_BEFORE,
    DAYS_TO_OWN,
    LAST_TWO_DAYS,
    SAME,
    Column,
    Days,
    Partitions,
    Relation,
    Spec,
    StoredFile,
    StoredFolder,
    StoredTable,
    Whole,
)

SCORED_FORECASTS_DAYS: Final = 91  # issue dates of the rolling scores and gate
SEQUENCE_DAYS: Final = 7  # plans whose jumpiness is scored together: each day of the week once
SCORES_HISTORY_DAYS: Final = 365  # days of the level; these also show the usual silences, and so which days are known


class Asset(StoredFolder):
    """Names of the assets, each after its inputs; `ASSETS` has their declarations."""

    RAW_ALERTS = "raw_alerts"
    CLEANED_ALERTS = "cleaned_alerts"
    GRID_TENSORS = "grid_tensors"
    ALERT_OUTCOMES = "alert_outcomes"
    TUNED_SETTINGS = "tuned_settings"
    FOLD_MODELS = "fold_models"
    EVALUATION_REPORTS = "evaluation_reports"
    LIVE_MODELS = "live_models"
    RISK_FORECASTS = "risk_forecasts"
    STREET_RISK = "street_risk"
    PATROL_PLANS = "patrol_plans"
    PATROLS_MADE = "patrols_made"
    FORECAST_SCORES = "forecast_scores"
    STREET_SCORES = "street_scores"
    WALK_FORWARD_REPORTS = "walk_forward_reports"
    BURDEN_AUDITS = "burden_audits"
    NOWCASTS = "nowcasts"
    NOWCAST_SCORES = "nowcast_scores"
    ANNUAL_REPORTS = "annual_reports"
    CITY_PAGES = "city_pages"
    SHARED_MODELS = "shared_models"

    @property
    def spec(self) -> Spec:
        """Declaration of the asset."""
        return ASSETS[self]

    @property
    def is_by_target(self) -> bool:
        """True if each target has its own folder."""
        return self.spec.by_target

    @property
    def inputs(self) -> Mapping["Asset", Relation]:
        """Relations to the assets that this one is made from; pages are made from all assets that they show."""
        if self is Asset.CITY_PAGES:
            return {asset: Whole.ALL for asset in Asset if asset.spec.on_pages}
        return {asset: self.spec.inputs[asset] for asset in Asset if asset in self.spec.inputs}

    @property
    def ancestors(self) -> tuple["Asset", ...]:
        """The assets that this one is made from, directly or not, in order."""
        ancestors = {ancestor for asset in self.inputs for ancestor in (asset, *asset.ancestors)}
        return tuple(asset for asset in Asset if asset in ancestors)


ASSETS: Final[Mapping[Asset, Spec]] = {
    Asset.RAW_ALERTS: Spec(Partitions.DAYS, keys=("time_zone",), other_keys=("source", "other_sources")),
    Asset.CLEANED_ALERTS: Spec(
        Partitions.DAYS, {Asset.RAW_ALERTS: SAME}, keys=("box", "event_types"), other_keys=("gunshot_spellings",)
    ),
    Asset.GRID_TENSORS: Spec(Partitions.DAYS, {Asset.CLEANED_ALERTS: SAME}, keys=("grid", "counted"), on_pages=True),
    Asset.ALERT_OUTCOMES: Spec(
        Partitions.DAYS,
        {Asset.CLEANED_ALERTS: DAYS_AROUND},
        keys=("outcomes",),
        section="outcomes",
        rows={"outcomes": DAYS_AROUND},
        on_pages=True,
    ),
    Asset.TUNED_SETTINGS: Spec(Partitions.FOLDS, {Asset.GRID_TENSORS: DAYS_BEFORE}, by_target=True, automatic=False),
    # a fold keeps the other settings of its training
    Asset.FOLD_MODELS: Spec(Partitions.FOLDS, {Asset.GRID_TENSORS: DAYS_BEFORE}, keys=("targets",), by_target=True),
    Asset.EVALUATION_REPORTS: Spec(
        Partitions.FOLDS, {Asset.FOLD_MODELS: SAME, Asset.GRID_TENSORS: Whole.TEST_WINDOW}, by_target=True
    ),
    Asset.LIVE_MODELS: Spec(
        Partitions.ISSUE_DATES,
        {Asset.GRID_TENSORS: DAYS_TO_OWN},
        keys=("targets", "coverage", "factors", "holidays", "forecasters", "network", "folds"),
        other_keys=("serves", "gate", "level", "approval"),
        by_target=True,
    ),
    Asset.RISK_FORECASTS: Spec(
        Partitions.ISSUE_DATES,
        {Asset.LIVE_MODELS: SAME, Asset.GRID_TENSORS: DAYS_TO_OWN},
        by_target=True,
        on_pages=True,
    ),
    Asset.STREET_RISK: Spec(
        Partitions.ISSUE_DATES, {Asset.RISK_FORECASTS: SAME}, keys=("streets",), by_target=True, on_pages=True
    ),
    Asset.PATROL_PLANS: Spec(
        Partitions.ISSUE_DATES,
        {Asset.RISK_FORECASTS: SAME, Asset.STREET_RISK: SAME},
        keys=("patrol", "targets"),
        on_pages=True,
    ),
    Asset.PATROLS_MADE: Spec(
        Partitions.SCORED_DAYS,
        {Asset.PATROL_PLANS: DAY_BEFORE},
        keys=("patrols",),
        section="patrols",
        rows={"patrols": DAYS_AROUND},
        on_pages=True,
    ),
    Asset.FORECAST_SCORES: Spec(
        Partitions.SCORED_DAYS,
        {
            Asset.RISK_FORECASTS: Days(-SCORES_HISTORY_DAYS, -1),
            Asset.PATROL_PLANS: Days(-SEQUENCE_DAYS, -1),
            Asset.GRID_TENSORS: Days(1 - SCORES_HISTORY_DAYS, 0),
        },
        by_target=True,
        on_pages=True,
    ),
    Asset.STREET_SCORES: Spec(
        Partitions.SCORED_DAYS,
        {Asset.STREET_RISK: DAY_BEFORE, Asset.CLEANED_ALERTS: LAST_TWO_DAYS, Asset.GRID_TENSORS: LAST_TWO_DAYS},
        by_target=True,
        section="streets",
    ),
    Asset.WALK_FORWARD_REPORTS: Spec(
        Partitions.NONE,
        {
            Asset.EVALUATION_REPORTS: Whole.FINISHED,
            Asset.LIVE_MODELS: Whole.APPROVALS,
            Asset.FORECAST_SCORES: Whole.FULL_MONTHS,
        },
        keys=("gate", "targets"),
        by_target=True,
        on_pages=True,
    ),
    Asset.BURDEN_AUDITS: Spec(
        Partitions.NONE,
        {
            Asset.EVALUATION_REPORTS: Whole.FINISHED,
            Asset.GRID_TENSORS: Whole.FULL_MONTHS,
            Asset.RISK_FORECASTS: Whole.FULL_MONTHS,
            Asset.PATROL_PLANS: Whole.FULL_MONTHS,
            Asset.PATROLS_MADE: Whole.FULL_MONTHS,
        },
        keys=("audit", "coverage", "layers", "patrol", "targets"),
        by_target=True,
        on_pages=True,
    ),
    Asset.NOWCASTS: Spec(
        Partitions.NONE, {Asset.LIVE_MODELS: Whole.ALL, Asset.GRID_TENSORS: Whole.ALL}, automatic=False
    ),
    Asset.NOWCAST_SCORES: Spec(Partitions.SCORED_DAYS, {Asset.CLEANED_ALERTS: LAST_TWO_DAYS}, section="nowcasts"),
    Asset.ANNUAL_REPORTS: Spec(
        Partitions.YEARS,
        {
            Asset.GRID_TENSORS: Whole.OWN_YEAR,
            Asset.ALERT_OUTCOMES: Whole.OWN_YEAR,
            Asset.LIVE_MODELS: Whole.OWN_YEAR,
            Asset.RISK_FORECASTS: Whole.OWN_YEAR,
            Asset.PATROL_PLANS: Whole.OWN_YEAR,
            Asset.PATROLS_MADE: Whole.OWN_YEAR,
            Asset.BURDEN_AUDITS: Whole.FINISHED,
        },
        keys=(
            "accountability",
            "acknowledged",
            "approval",
            "base_map",
            "coverage",
            "layers",
            "patrol",
            "public",
            "shared",
            "streets",
            "title",
        ),
        on_pages=True,
    ),
    Asset.CITY_PAGES: Spec(
        Partitions.NONE,
        keys=(
            "title",
            "targets",
            "layers",
            "base_map",
            "patrol",
            "nowcasts",
            "accountability",
            "acknowledged",
            "public",
            "shared",
        ),
    ),
    Asset.SHARED_MODELS: Spec(Partitions.WEEKS, {Asset.GRID_TENSORS: Whole.ALL}, keys=("shared",), automatic=False),
}
"""Declarations of the assets."""


class OtherFolder(StoredFolder):
    """Folders of files that no asset holds."""

    ARRIVALS = "arrivals"
    QUALITY = "quality"


FROM_TABLES: Final = tuple(asset for asset in Asset if asset.spec.rows)
"""Assets made from side tables; each has its own runs, so that a late or broken table stops no other asset."""


def automatic(partitions: Partitions) -> tuple[Asset, ...]:
    """Return in order the assets of a kind of partitions that a city's sensor builds together, without `FROM_TABLES`."""
    of_kind = (asset for asset in Asset if asset.spec.partitions is partitions and asset not in FROM_TABLES)
    return tuple(asset for asset in of_kind if asset.spec.automatic)


ALERTS: Final = automatic(Partitions.DAYS)
PRODUCTS: Final = automatic(Partitions.ISSUE_DATES)
SCORES: Final = automatic(Partitions.SCORED_DAYS)
TRAINING: Final = tuple(asset for asset in Asset if asset.spec.partitions is Partitions.FOLDS)  # beside daily runs

RECORD: Final = "record.json"
_DAY: Final = "day"
_ISSUE: Final = "issue_date"
_SCORED: Final = "scored_date"
_CUTOFF: Final = "cutoff"
_CITY: Final = ""

_CELL: Final = {
    "row": Column("int16", "Row of the cell; 0 is the southernmost."),
    "column": Column("int16", "Column of the cell; 0 is the westernmost."),
}
_POINT: Final = {
    "longitude": Column("double", "Longitude of the middle, degrees (WGS84)."),
    "latitude": Column("double", "Latitude of the middle, degrees (WGS84)."),
}
_INTERVAL: Final = {
    "low": Column("double", "Lower end of the 80% interval of the probability."),
    "high": Column("double", "Upper end of the 80% interval of the probability."),
}
_CHANCES: Final = {
    "probability": Column("double", "Probability of at least one alert in the cell."),
    "expected": Column("double", "Expected number of alerts in the cell."),
}
_INSTANT: Final = "timestamp[us, tz=UTC]"
_CODES: Final = "0 single gunshot, 1 multiple gunshots, 2 gunshot or firecracker"

LINEAGE: Final = {
    asset: StoredFile(asset, _CITY, "_lineage.json", "Versions of the inputs of each partition.") for asset in Asset
}

# raw_alerts and received files
_RECEIVED: Final = {
    "time_utc": Column(_INSTANT, "Instant of the alert; null if unreadable.", required=False),
    "longitude": Column("double", "Degrees, WGS84; null if unreadable.", required=False),
    "latitude": Column("double", "Degrees, WGS84; null if unreadable.", required=False),
    "gunshot_type": Column("string", "Type as the source spells it.", required=False),
    "rounds": Column("int32", "Number of rounds fired, if the source states it.", required=False),
    "source_id": Column("string", "Id of the alert at the source.", required=False),
    "as_received": Column("string", "Text of a row without a readable time or point.", required=False),
    "is_separate": Column("bool", "True if equal rows of the file are separate events.", required=False),
    "received_from": Column("string", "File or address of the row.", required=False),
    "received_row": Column(
        "int64", "Line of the row in its file, or row of the sheet; in an answer its rank from 0.", required=False
    ),
    "received_at": Column(_INSTANT, "Instant of the row's first receipt.", required=False),
}
_RAW: Final = {"date": Column("date32[day]", "Local day of the row."), **_RECEIVED}
RAW_ROWS: Final = StoredTable(Asset.RAW_ALERTS, _DAY, "alerts.parquet", "Rows as received, filed by local day.", _RAW)
_STATES: Final = {
    "date": Column("date32[day]", "Local day."),
    "state": Column("string", "known, silent, unknown or held_back."),
    "why": Column("string", "Reason of the state, in words."),
    "rows": Column("int64", "Number of rows that belong to the day."),
    "rejected": Column("int64", "Number of unusable rows."),
    "settings": Column("string", "Hash of the city's settings when the day was stored."),
    "max_share_rejected": Column("double", "Maximum share of unusable rows; above it the day was held back."),
    "is_box_doubted": Column("bool", "True if rows outside the box were unusable, because too many files have them."),
    "received": Column(_INSTANT, "Instant of the first receipt of a row.", required=False),
    "sources": Column("list<name, version>", "Version of the rows by folder or address."),
    "is_unusual": Column("bool", "True for a day with far more alerts than usual that nobody has accepted."),
}
DAYS: Final = StoredTable(Asset.RAW_ALERTS, _CITY, "_days.parquet", "State of each stored day.", _STATES)
RECEIVED: Final = StoredFile(OtherFolder.ARRIVALS, _CITY, "received.json", "Landed files, with their days and errors.")
MERGED: Final = StoredFile(OtherFolder.ARRIVALS, _CITY, "{hash}.merged.json", "Versions of days of which files differ.")
POLLED: Final = StoredFile(OtherFolder.ARRIVALS, _CITY, "polled.json", "Last answers of the live sources.")
TABLE_STATE: Final = StoredFile(
    OtherFolder.ARRIVALS, _CITY, "days.json", "Versions of the rows of each day of a side table."
)
WAITING: Final = StoredFile(OtherFolder.ARRIVALS, _CITY, "waiting.json", "State of the city at the last tick.")
_ARRIVED: Final = {"filed": Column("date32[day]", "Local day of the row."), **_RECEIVED}
ARRIVED_ROWS: Final = StoredTable(OtherFolder.ARRIVALS, _CITY, "{hash}.parquet", "Rows of one landed file.", _ARRIVED)

# cleaned_alerts
_CLEANED: Final = {
    "user_id": Column("int64", "yyyymmdd * 100000 + the alert's number in its local day, equal in every rerun."),
    "source_id": Column("string", "Id of the alert at the source.", required=False),
    "time_utc": Column(_INSTANT, "Instant of the alert."),
    "longitude": Column("double", "Degrees, WGS84."),
    "latitude": Column("double", "Degrees, WGS84."),
    "location_id": Column(
        "uint64",
        "(latitude + 90) * 1e7 in the high 32 bits, (longitude + 180) * 1e7 in the low; the 2022 report shifts by 16 bits, "
        "which cannot hold the second number.",
    ),
    "gunshot_type": Column("int8", f"{_CODES}, from 4 other events; null if unknown.", required=False),
    "rounds": Column("int32", "Number of rounds fired, if the source states it.", required=False),
    "incident_id": Column("int64", "user_id of the incident's first alert, which may be on the day before."),
    "is_holiday_fireworks": Column("bool", "True around 4 July and New Year, when fireworks are heard."),
}
_cleaned = partial(StoredTable, Asset.CLEANED_ALERTS, _DAY)
CLEANED: Final = _cleaned("alerts.parquet", "Usable alerts by time; metadata: `time_precision`.", _CLEANED)
REJECTED: Final = _cleaned(
    "rejected.parquet",
    "Unusable rows as received, with the reason.",
    {{"gunshot_type": "gunshot_type_as_received"}.get(name, name): column for name, column in _RECEIVED.items()}
    | {"reason": Column("string", "Name of the reason for the rejection.")},
)

_COUNTS: Final = {
    "hour": Column("int8", "Hours since local midnight, from 0."),
    "gunshot_type": Column("int8", f"{_CODES}, 3 unknown, from 4 other events."),
    **_CELL,
    "count": Column("int32", "Alerts in the cell in that hour, or incidents that began; never 0."),
}
TENSORS: Final = StoredTable(
    Asset.GRID_TENSORS, _DAY, "grid.parquet", "Sparse tensor of counts; its dense shape is in the metadata.", _COUNTS
)

# outcomes
_OUTCOMES: Final = {
    "user_id": Column("int64", "Number of the alert; null for a report that no alert matches.", required=False),
    "origin": Column("string", "Origin of the report: sensor or person."),
    "outcome": Column("string", "confirmed, unfounded, unconfirmed or open."),
    "code": Column("string", "Code of the outcome as received.", required=False),
    "matched_by": Column("string", 'How the alert was found: "id", "time and place", or "" without one.'),
    "received_utc": Column(_INSTANT, "Instant of the report's receipt."),
    "dispatched_utc": Column(_INSTANT, "Instant of the first dispatch.", required=False),
    "arrived_utc": Column(_INSTANT, "Instant of the first arrival.", required=False),
    "cleared_utc": Column(_INSTANT, "Instant of the clearance.", required=False),
    "longitude": Column("double", "Degrees, WGS84: of the report, else of its alert.", required=False),
    "latitude": Column("double", "Degrees, WGS84: of the report, else of its alert.", required=False),
    "row": Column("int16", "Row of the cell; 0 is the southernmost.", required=False),
    "column": Column("int16", "Column of the cell; 0 is the westernmost.", required=False),
}
ALERT_OUTCOMES: Final = StoredTable(
    Asset.ALERT_OUTCOMES,
    _DAY,
    "outcomes.parquet",
    "Reports of the day's alerts, and of calls on that day that match no alert. Alerts without a report have no row.",
    _OUTCOMES,
)
OUTCOMES_RECORD: Final = StoredFile(
    Asset.ALERT_OUTCOMES, _DAY, RECORD, "Counts of reports, and rows that are left out."
)

# walk-forward
TUNED_SETTINGS: Final = StoredFile(Asset.TUNED_SETTINGS, _CUTOFF, "{forecaster}.record.json", "Best settings found.")
TUNED_YAML: Final = StoredFile(Asset.TUNED_SETTINGS, _CUTOFF, "{forecaster}.yaml", "Lines for the city's file.")
TRIALS: Final = StoredFile(Asset.TUNED_SETTINGS, _CUTOFF, "{forecaster}.{kind}", "Trials, and files of training jobs.")
FOLD_RECORD: Final = StoredFile(Asset.FOLD_MODELS, _CUTOFF, RECORD, "Windows, settings and versions of models.")
FOLD_MODEL: Final = StoredFile(Asset.FOLD_MODELS, _CUTOFF, "{model}.{file}", "One file of a fitted model.")
FOLD_REPORT: Final = StoredFile(Asset.EVALUATION_REPORTS, _CUTOFF, "report.json", "Facts of the fold's evaluation.")
FOLD_PICTURE: Final = StoredFile(Asset.EVALUATION_REPORTS, _CUTOFF, "{plot}.png", "A plot.")
_SCORES: Final = {
    "facet": Column("string", "Grouping of the cell-days: all, fold, horizon, ..."),
    "group": Column("string", "Group within the facet, such as the fold's cutoff."),
    "model": Column("string", 'Scored model; "" for numbers of the group itself.'),
    "score": Column("string", "Name of the score, see `score_definitions` of the report."),
    "value": Column("double", "Value; null if undefined.", required=False),
    "low": Column("double", "Lower end of the 90% interval of a gain.", required=False),
    "high": Column("double", "Upper end of the 90% interval of a gain.", required=False),
}
_report = partial(StoredTable, Asset.EVALUATION_REPORTS, _CUTOFF)
FOLD_SCORES: Final = _report("scores.parquet", "Scores of the fold's models and baselines.", _SCORES)
_OBSERVED: Final = {**_CELL, "observed": Column("int8", "1 if the cell had an alert in the period, else 0.")}
_FOLD_DAYS: Final = {"date": Column("date32[day]", "Forecast local day."), **_OBSERVED}
_BY_MODEL: Final = Column("double", "Probability of at least one alert, by the model that names the column.")
FOLD_FORECASTS: Final = _report("forecasts.parquet", "Forecasts of the test days.", _FOLD_DAYS, _BY_MODEL)
_NUMBERS: Final = {
    "date": Column("date32[day]", "Forecast local day."),
    **_CELL,
    "alerts": Column("int32", "Observed number of alerts."),
    "low": Column("double", "Lower end of the 80% interval of the served number."),
    "high": Column("double", "Upper end of that interval."),
    "total_low": Column("double", "Lower end of the 80% interval of the city's number on that day."),
    "total_high": Column("double", "Upper end of that interval."),
    "probability": Column("double", "Probability of at least one alert, of the served forecast.", required=False),
    "size": Column("double", "Size r of the negative binomial of its alerts beyond the first.", required=False),
    "factor_variance": Column("double", "Variance of the factor that all cells share on that day.", required=False),
    "year_mean": Column("double", "Mean of the city's number on the last 365 known days.", required=False),
    "year_size": Column("double", "Size r of the negative binomial on that mean.", required=False),
}
_EXPECTED: Final = Column("double", "Expected alerts: `served`, `mean_of_counts`, and baselines by name.")
FOLD_COUNTS: Final = _report("count_forecasts.parquet", "Numbers of alerts.", _NUMBERS, _EXPECTED)
_FOLD_HOURS: Final = {
    "date": Column("date32[day]", "Local day of issue."),
    "hour": Column("int8", "Local hour of issue."),
    "horizon": Column("int8", "Length of the period, hours."),
    **_OBSERVED,
}
_SINGLE: Final = replace(_BY_MODEL, kind="float")
FOLD_HOURS: Final = _report("hourly_forecasts.parquet", "Forecasts of the next hours.", _FOLD_HOURS, _SINGLE)
_FOLD_MINUTES: Final = _FOLD_HOURS | {"horizon": Column("int8", "Length of the period, minutes.")}
FOLD_MINUTES: Final = _report("minute_forecasts.parquet", "Forecasts of the next minutes.", _FOLD_MINUTES, _SINGLE)
_FOLD_TYPES: Final = {
    "date": Column("date32[day]", "Local day of the alert."),
    "hour": Column("int8", "Local hour of the alert."),
    **_CELL,
    "gunshot_type": Column("int8", "Type of the alert.", required=False),
}
_BY_TYPE: Final = Column("double", "Probability of a type, by the model; columns are named <model>_<type>.")
FOLD_TYPES: Final = _report("type_forecasts.parquet", "Forecast types by alert.", _FOLD_TYPES, _BY_TYPE)
FOLD_LEADS: Final = _report(
    "lead_losses.parquet",
    "Log losses of the test days by lead, nats.",
    {
        "date": Column("date32[day]", "Forecast local day."),
        "lead": Column("int16", "Days from the last day that the forecast uses to this day."),
        "positives": Column("int32", "Number of cells with an alert."),
        "loss": Column(
            "double", "Log loss of the served forecaster, summed over the cells; without its network above lead 1."
        ),
        "loss_of_mean": Column("double", "Log loss of each cell's mean, summed over the cells."),
    },
)
CITY_REPORT: Final = StoredFile(Asset.WALK_FORWARD_REPORTS, _CITY, "report.json", "Facts of all folds; the verdict.")
CITY_SCORES: Final = StoredTable(Asset.WALK_FORWARD_REPORTS, _CITY, "scores.parquet", "Scores over all folds.", _SCORES)
HEADLINES: Final = StoredTable(
    Asset.WALK_FORWARD_REPORTS,
    _CITY,
    "headline_scores.parquet",
    "Headline scores by month.",
    {
        "last": Column("date32[day]", "Last day of a month; all numbers are of the 365 days to it."),
        "issued_days": Column("int32", "Number of days with an issued forecast, not a replayed one, and known alerts."),
        "best": Column("string", "Baseline with the least log loss on these days.", required=False),
        "gain": Column("double", "Gain of the served forecast over it, nats per positive.", required=False),
        "low": Column("double", "Lower end of the 90% interval of the gain.", required=False),
        "high": Column("double", "Upper end of that interval.", required=False),
        "tested_days": Column("int32", "Number of test days of folds."),
        "lead": Column(
            "int32",
            "Longest lead, days, up to which each gain over the cells' means is shown on these days; 0 for none. The longest "
            "one that is tested means that or more.",
            required=False,
        ),
        "planned_days": Column("int32", "Number of days that end a week of plans; without patrols, of flagged cells."),
        "flip_flop": Column(
            "double", "Mean flip-flop index of these weeks: 0 if steady, 1 if every change is undone.", required=False
        ),
        "unknown": Column("string", "Which numbers are null, and why; empty if none is."),
    },
)
CITY_PICTURE: Final = StoredFile(Asset.WALK_FORWARD_REPORTS, _CITY, "{plot}.png", "A plot.")
MODEL_CARD: Final = StoredFile(Asset.WALK_FORWARD_REPORTS, _CITY, "model_card.md", "The model card.")

# the daily chain
SERVING_RECORD: Final = StoredFile(Asset.LIVE_MODELS, _ISSUE, RECORD, "The models in service, with reasons.")
WAITING_MODELS: Final = StoredFile(Asset.LIVE_MODELS, _ISSUE, "waiting.json", "The models that wait for approval.")
APPROVALS: Final = StoredFile(Asset.LIVE_MODELS, _CITY, "approvals.json", "Models that a person approved.")
LIVE_MODEL: Final = StoredFile(Asset.LIVE_MODELS, _ISSUE, "{model}.{file}", "One file of a fitted model.")
SHARED_MODELS: Final = StoredFile(Asset.SHARED_MODELS, "week", RECORD, "Regressions of all cities, priors of each.")
FORECAST_RECORD: Final = StoredFile(Asset.RISK_FORECASTS, _ISSUE, RECORD, "Facts of a forecast, or why there is none.")
_TYPES: Final = {
    f"type_{code}": Column("double", f"Probability that an alert is {kind}; null without types.", required=False)
    for code, kind in enumerate(("a single gunshot", "multiple gunshots", "a gunshot or firecracker"))
}
_RISK: Final = {
    "horizon": Column("string", 'Forecast period: "day", or hours such as "4h".'),
    "starts_utc": Column(_INSTANT, "Start of the period."),
    "hours": Column("int16", "Length of the period, hours."),
    **_CELL,
    **_CHANCES,
    "size": Column("double", "Size r of the negative binomial of the alerts beyond the first, given one."),
    **_INTERVAL,
    **_TYPES,
}
_OTHERS: Final = Column(
    "double", "Probability by candidate, shadow, network, baselines (`model_<name>`); null for hours."
)
_forecast = partial(StoredTable, Asset.RISK_FORECASTS, _ISSUE)
FORECAST: Final = _forecast("forecast.parquet", "Risk of the next day and hours by cell.", _RISK, _OTHERS)
_HOUR: Final = {"starts_utc": Column(_INSTANT, "Start of the hour."), **_CELL, **_CHANCES}
HOURLY: Final = _forecast("hourly.parquet", "The day's risk by hour and cell, to noon of the day after.", _HOUR)
_RANK: Final = {"rank": Column("int32", "Rank; 1 is the most probable.")}
_WHY: Final = {"why": Column("string", "Reasons, separated by semicolons.")}
_TOP_CELLS: Final = {**_RANK, **_CELL, **_POINT, **_CHANCES, **_INTERVAL, **_WHY}
TOP_LOCATIONS: Final = _forecast("top_locations.parquet", "The cells with the highest probability.", _TOP_CELLS)
RISK_MAP: Final = StoredFile(Asset.RISK_FORECASTS, _ISSUE, "risk.geojson", "The next day's cells as polygons.")
SEALS: Final = StoredFile(
    Asset.RISK_FORECASTS, _CITY, "seals.jsonl", "Chain of hashes of the forecasts of days that have begun, a line each."
)
STREETS_RECORD: Final = StoredFile(Asset.STREET_RISK, _ISSUE, RECORD, "Facts of the streets, or why there are none.")
_STREET: Final = {
    "segment": Column("int32", "Number of the segment in the city's file of streets."),
    "name": Column("string", "Block, or the street and the crossings at its ends."),
    "street": Column("string", "Name of the street."),
    "probability": Column("double", "Probability of at least one alert on the segment."),
    **_INTERVAL,
    "expected": Column("double", "Expected number of alerts on the segment."),
    **_POINT,
    "metres": Column("double", "Length of the segment, metres."),
    "row": Column("int16", "Row of the cell with most of its expected alerts; 0 is the southernmost."),
    "column": Column("int16", "Column of that cell; 0 is the westernmost."),
}
_STREETS: Final = {"shift": Column("string", "Name of the shift; null for the day.", required=False), **_STREET}
_streets = partial(StoredTable, Asset.STREET_RISK, _ISSUE)
STREETS: Final = _streets("street_risk.parquet", "Risk of each segment on the next day and by shift.", _STREETS)
_TOP_STREETS: Final = {**_RANK, **_STREET, **_WHY}
TOP_STREETS: Final = _streets(
    "top_streets.parquet", "The most probable segments of the next day.", _TOP_STREETS, published="streets.csv"
)
STREETS_MAP: Final = StoredFile(Asset.STREET_RISK, _ISSUE, "top_streets.geojson", "These segments as lines.")
_PLAN: Final = {
    "forecast_date": Column("date32[day]", "Local day on which the shift begins."),
    "shift": Column("string", "Name of the shift."),
    "starts_at": Column("string", "Local time with its UTC offset (ISO 8601)."),
    "ends_at": Column("string", "Local time with its UTC offset (ISO 8601)."),
    "rank": Column("int32", "Rank within the shift; 1 adds most."),
    "cell": Column("string", "Name of the cell."),
    "area": Column("string", "Area of the coverage file, else a quadrant of the grid.", required=False),
    "units": Column("int32", "Number of units sent there."),
    "chance": Column("double", "Chance with which the lottery drew the cell; null without one.", required=False),
    "expected_within_reach": Column("double", "Expected events of all targets within reach of these units."),
    "probability_within_reach": Column("double", "Probability of at least one of these events."),
    "covered_alerts": Column("double", "Expected events that these units add, times the weights of their targets."),
    **_POINT,
    "reasons": Column("list<string>", "Strongest reasons for the risk; with several targets, after the target's name."),
    "streets": Column("list<string>", "Streets with the highest risk; empty without a file of streets."),
    "post_longitude": Column("double", "Where to wait on the first street, degrees (WGS84).", required=False),
    "post_latitude": Column("double", "Where to wait on the first street, degrees (WGS84).", required=False),
    **_CELL,
    "west": Column("double", "Western edge of the cell, degrees (WGS84)."),
    "south": Column("double", "Southern edge of the cell, degrees (WGS84)."),
    "east": Column("double", "Eastern edge of the cell, degrees (WGS84)."),
    "north": Column("double", "Northern edge of the cell, degrees (WGS84)."),
}
PLAN: Final = StoredTable(Asset.PATROL_PLANS, _ISSUE, "plan.parquet", "Units by cell and shift.", _PLAN)
_LOTS: Final = {
    "shift": Column("string", "Name of the shift, which begins on the day after the issue date."),
    "starts_utc": Column(_INSTANT, "Start of the shift."),
    "ends_utc": Column(_INSTANT, "End of the shift."),
    **_CELL,
    "area": Column("string", "Area of the coverage file, else a quadrant of the grid."),
    "expected": Column("double", "Expected events of all targets in the cell and shift, before any visit."),
    "expected_units": Column(
        "double", "Units that the lottery sends there on average; it draws this, rounded down or up."
    ),
    "chance": Column("double", "Chance of at least one unit."),
    "units": Column("int32", "Number of units that were drawn."),
}
LOTS: Final = StoredTable(
    Asset.PATROL_PLANS, _ISSUE, "lots.parquet", "Lots of all covered cells, drawn or not; only with a lottery.", _LOTS
)
DISPATCH_CSV: Final = StoredFile(Asset.PATROL_PLANS, _ISSUE, "dispatch.csv", "The plan as CSV.")
DISPATCH_MAP: Final = StoredFile(Asset.PATROL_PLANS, _ISSUE, "dispatch.geojson", "The plan's cells as polygons.")
PLAN_RECORD: Final = StoredFile(Asset.PATROL_PLANS, _ISSUE, RECORD, "Totals of each shift, or why there is no plan.")
_PATROLS: Final = {
    "shift": Column("string", "Name of the shift that begins on the day; empty for hours in no shift."),
    **_CELL,
    "planned_hours": Column("double", "Unit hours of the plan; 0 where nothing was planned."),
    "made_hours": Column(
        "double",
        "Reported unit hours, those of the plan for a visit answered with yes; null: not reported.",
        required=False,
    ),
    "visited": Column("bool", "True if any hours were made; null: not reported.", required=False),
    "chance": Column("double", "Chance with which the lottery drew the cell; null without one.", required=False),
}
PATROLS_MADE: Final = StoredTable(
    Asset.PATROLS_MADE, _SCORED, "patrols.parquet", "Planned and made hours of cells that have any.", _PATROLS
)
PATROLS_RECORD: Final = StoredFile(
    Asset.PATROLS_MADE, _SCORED, RECORD, "Share of the plan that was carried out, and rows that are left out."
)
FORECAST_SCORES: Final = StoredFile(Asset.FORECAST_SCORES, _SCORED, RECORD, "Scores of the day and of the weeks to it.")
STREET_SCORES: Final = StoredFile(Asset.STREET_SCORES, _SCORED, RECORD, "Scores of the streets ranked for the day.")

# accountability
BURDEN_AUDIT: Final = StoredFile(Asset.BURDEN_AUDITS, _CITY, RECORD, "Findings of the burden audit, in sentences.")
_BURDEN: Final = {
    "measure": Column("string", "residents, flagged_days, unit_hours, difference, ratio, share or calibration."),
    "kind": Column("string", "Kind of the population: city, area, group, income, or quarter of the cells."),
    "group": Column("string", "Name of the population, of both compared ones, or of a share of the cells."),
    "policy": Column("string", "served, cell mean, last year's map or plans; observed for alerts themselves."),
    "value": Column("double", "Value; null if it is left out.", required=False),
    "low": Column("double", "Lower end of the 90% interval; null without one.", required=False),
    "high": Column("double", "Upper end of that interval.", required=False),
    "left_out": Column("string", "Reason why there is no value.", required=False),
}
BURDEN: Final = StoredTable(Asset.BURDEN_AUDITS, _CITY, "burden.parquet", "Measures of burden.", _BURDEN)
_FRONTIER: Final = {
    "policy": Column("string", "Policy that flags cells, in words."),
    "days": Column("int32", "Number of days on which it flags cells."),
    "flags": Column("double", "Mean number of flagged cells a day; expected number for lots."),
    "alerts_caught": Column(
        "double", "Share of alerts that were in flagged cells; null without alerts.", required=False
    ),
    "cells_caught": Column("double", "Share of cell-days with an alert that were flagged.", required=False),
    "first": Column(
        "string",
        "Population with more flagged days, of the most unequal pair; null without any.",
        required=False,
    ),
    "second": Column("string", "Population with fewer.", required=False),
    "first_days": Column("double", "Flagged days a year of a resident of the first population.", required=False),
    "second_days": Column("double", "Flagged days a year of a resident of the second population.", required=False),
    "difference": Column("double", "Their difference, flagged days a year.", required=False),
    "gini": Column("double", "Gini coefficient of flagged days over areas; 0 is even.", required=False),
}
FRONTIER: Final = StoredTable(
    Asset.BURDEN_AUDITS, _CITY, "frontier.parquet", "Catch and burden of policies.", _FRONTIER
)
ANNUAL_REPORT: Final = StoredFile(Asset.ANNUAL_REPORTS, "year", "annual_report.json", "The account of a year.")
ANNUAL_REPORT_PAGE: Final = StoredFile(Asset.ANNUAL_REPORTS, "year", "annual_report.html", "The same, to print.")

# nowcasts
NOWCAST_RECORD: Final = StoredFile(Asset.NOWCASTS, _CITY, RECORD, "Facts of the latest nowcast.")
REFITTED_HOURS: Final = StoredFile(
    Asset.NOWCASTS, _CITY, "refitted_hours.json", "Models of hours, refitted after new alerts (`retraining: hourly`)."
)
NOWCAST_HOURS: Final = StoredTable(Asset.NOWCASTS, _CITY, "forecast.parquet", "Risk of the next hours by cell.", _RISK)
_MINUTES: Final = {
    "horizon": Column("string", 'Forecast period, such as "15m".'),
    "starts_utc": Column(_INSTANT, "Instant of the forecast, and start of its period."),
    "minutes": Column("int16", "Length of the period, minutes."),
    **_CELL,
    "probability": Column("double", "Probability that an incident begins in the cell within the period."),
    "expected": Column("double", "Expected number of new incidents in the cell."),
    "even": Column("double", "Probability by the hour's forecast alone, spread evenly over the hour."),
}
NOWCAST_MINUTES: Final = StoredTable(Asset.NOWCASTS, _CITY, "minutes.parquet", "Risk of the next minutes.", _MINUTES)
_ISSUED: Final = {
    name: Column("float" if column.kind == "double" else column.kind, column.meaning)
    for name, column in _MINUTES.items()
    if name not in ("horizon", "expected")
}
ISSUED_MINUTES: Final = StoredTable(
    Asset.NOWCASTS, _DAY, "issued_minutes.parquet", "Next minutes in all nowcasts of a day, for their scores.", _ISSUED
)
NOWCAST_SCORES: Final = StoredFile(Asset.NOWCAST_SCORES, _SCORED, RECORD, "Scores of the day's nowcasts.")

# pages and checks
PAGE: Final = StoredFile(Asset.CITY_PAGES, _CITY, "{file}", "A page, or a script or picture of one.")
INDEX: Final = PAGE.named(file="index.html")
CITY_ACCOUNT: Final = StoredFile(Asset.CITY_PAGES, _CITY, "accountability.json", "The account of the last year.")
STATUS: Final = StoredFile(Asset.CITY_PAGES, _CITY, "status.json", "State of the newest forecast, for other systems.")
FORECAST_MAP: Final = StoredFile(Asset.CITY_PAGES, _CITY, "forecast.geojson", "`risk.geojson` of the newest forecast.")
PLAN_CSV: Final = StoredFile(Asset.CITY_PAGES, _CITY, "plan.csv", "Columns of its `plan.parquet`, and `place`.")
PLAN_MAP: Final = StoredFile(Asset.CITY_PAGES, _CITY, "plan.geojson", "The plan's cells, with these columns.")
PUBLISHED: Final = {
    table: StoredFile(Asset.CITY_PAGES, _CITY, table.published, f"Columns of its `{table.file}`.")
    for table in list(globals().values())
    if isinstance(table, StoredTable) and table.published
}
"""The CSV beside the pages by table."""
PAGES_RECORD: Final = StoredFile(Asset.CITY_PAGES, _CITY, "pages.json", "Hashes of the written pages.")
CITY_STATE: Final = StoredFile(OtherFolder.QUALITY, _CITY, "city_state.json", "Open warnings of the data checks.")
FILES: Final = tuple(file for file in list(globals().values()) if isinstance(file, StoredFile))
"""All files but lineages, in this order."""
