"""Street risk of a city by issue date, for the day after it, and its scores by day."""

from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.partitions import DAY_BEFORE, LAST_TWO_DAYS, SINGLE_RUN, asset_key, day_partitions, run_days
from shotspotter_assets.serving.columns import STREET_COLUMNS
from shotspotter_assets.storage.file_names import STREETS_MAP_FILE

if TYPE_CHECKING:
    from shotspotter_assets.storage.store import Store

ONE_DAY: Final = timedelta(days=1)


def definitions(city: City) -> dg.Definitions:
    """The risk with its check, and the scores of a city with streets."""
    key, days = asset_key(city, "street_risk"), day_partitions(city)

    @dg.asset(
        key=key,
        partitions_def=days,
        backfill_policy=SINGLE_RUN,
        group_name=city.name,
        kinds={"parquet"},
        code_version="2",
        deps=[asset_key(city, "risk_forecasts")],
        metadata=panel.column_schema(STREET_COLUMNS),
    )
    def street_risk(context: dg.AssetExecutionContext, store: StoreResource) -> None:
        """Risk of every street between two crossings on the next local day, and the 50 highest with reasons.

        The forecast of each cell is divided among its streets by their past alerts, so that it adds up. A city without
        `streets` in its file, or a day without a forecast, has none; patrol plans work without them.
        """
        for day in run_days(context, city):
            context.add_asset_metadata(_streets_of(context, store.open(), city, day), partition_key=str(day))

    @dg.asset_check(asset=key, partitions_def=days)
    def streets_are_usable(context: dg.AssetCheckExecutionContext, store: StoreResource) -> dg.AssetCheckResult:
        """The city's file of streets, where it names one, can be read and has named lines in its box."""
        from shotspotter_assets.serving.stored_streets import StreetRecord

        record = StreetRecord.find(store.open(), city.name, run_days(context, city)[-1])
        wrong = record.no_streets if record is not None and record.is_wrong else None
        return dg.AssetCheckResult(passed=not wrong, severity=dg.AssetCheckSeverity.ERROR, description=wrong)

    @dg.asset(
        key=asset_key(city, "street_scores"),
        partitions_def=days,
        backfill_policy=SINGLE_RUN,
        group_name=city.name,
        kinds={"json"},
        code_version="1",
        deps=[
            dg.AssetDep(asset_key(city, "street_risk"), partition_mapping=DAY_BEFORE),
            dg.AssetDep(asset_key(city, "cleaned_alerts"), partition_mapping=LAST_TWO_DAYS),
            dg.AssetDep(asset_key(city, "grid_tensors"), partition_mapping=LAST_TWO_DAYS),
        ],
    )
    def street_scores(context: dg.AssetExecutionContext, store: StoreResource) -> None:
        """Scores of the streets ranked the day before, compared with the same risk spread evenly.

        Rebuilt when alerts are corrected. A day without a forecast, or with other streets by now, has a record with a note.
        """
        for day in run_days(context, city):
            context.add_asset_metadata(_scores_of(store.open(), city, day), partition_key=str(day))

    scores = [] if city.streets is None else [street_scores]
    return dg.Definitions(assets=[street_risk, *scores], asset_checks=[streets_are_usable])


def _streets_of(context: dg.AssetExecutionContext, opened: "Store", city: City, issue_date: date) -> panel.Metadata:
    """Rank the streets of a day, or store why there are none, and return the panel."""
    from shotspotter_assets.automation.stored import Stored
    from shotspotter_assets.serving.issued_forecasts import load_record
    from shotspotter_assets.serving.stored_streets import StreetRecord, write_streets
    from shotspotter_assets.serving.street_risk import street_forecast

    stored = Stored.read(opened, city)
    made_from = stored.begin("street_risk", issue_date)
    forecast = None if city.streets is None else load_record(opened, city.name, issue_date)
    ranked = street_forecast(opened, city, issue_date, forecast)
    path = write_streets(opened, ranked)
    if isinstance(ranked, StreetRecord):
        if ranked.is_wrong:
            context.log.error(ranked.no_streets)
        stored.record("street_risk", issue_date, made_from, "no streets")
        return {"data_version": "no streets", "note": ranked.no_streets, "segments": 0, "path": panel.stored(path)}
    facts = ranked.record
    stored.record("street_risk", issue_date, made_from, ranked.version)
    return {
        "data_version": ranked.version,
        "day": str(facts.day + ONE_DAY),
        "segments": facts.segments,
        **panel.rounded({"expected_alerts": facts.expected_alerts, "on_no_street": facts.expected_on_no_street}),
        "top_streets": panel.table(
            {
                "rank": row["rank"],
                "street": row["name"],
                "chance": f"{row['probability']:.1%} ({row['low']:.1%} to {row['high']:.1%})",
                "why": row["why"],
            }
            for row in ranked.top.to_pylist()
        ),
        "left_out": panel.bullets(facts.left_out),
        "geojson": panel.stored(opened.uri(StreetRecord.partition(city.name, issue_date), STREETS_MAP_FILE)),
        "path": panel.stored(path),
    }


def _scores_of(opened: "Store", city: City, day: date) -> panel.Metadata:
    """Score the streets that were ranked for a day, and return the panel."""
    from shotspotter_assets.automation.stored import Stored
    from shotspotter_assets.serving.street_scores import score_streets

    stored = Stored.read(opened, city)
    made_from = stored.begin("street_scores", day)
    record = score_streets(opened, city, day)
    path = record.write(opened)
    stored.record("street_scores", day, made_from)
    numbers: panel.Metadata = {"note": record.note} if record.note else {}
    if record.log_loss is not None:
        numbers |= {
            "segments with an alert": record.observed,
            "segments with an alert, expected": record.predicted,
            "log loss": record.log_loss,
        }
    if record.gain_over_even is not None:
        numbers["gain over an even spread (nats per segment with an alert)"] = record.gain_over_even
    return {**panel.rounded(numbers), "path": panel.stored(path)}
