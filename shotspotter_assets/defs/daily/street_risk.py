"""Street risk of a city by issue date, for the day after it, and its scores by day."""

from datetime import timedelta

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.conditions import corrected_days
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.partitions import DAY_BEFORE, LAST_TWO_DAYS, asset_key, day_partitions, run_day
from shotspotter_assets.serving.columns import STREET_COLUMNS
from shotspotter_assets.storage.file_names import STREETS_MAP_FILE


def definitions(city: City) -> dg.Definitions:
    """The risk with its check, and the scores of a city with streets."""
    key, days = asset_key(city, "street_risk"), day_partitions(city)

    @dg.asset(
        key=key,
        partitions_def=days,
        group_name=city.name,
        kinds={"parquet"},
        code_version="2",
        deps=[asset_key(city, "risk_forecasts")],
        automation_condition=corrected_days(city),
        metadata=panel.column_schema(STREET_COLUMNS),
    )
    def street_risk(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
        """Risk of every street between two crossings on the next local day, and the 50 highest with reasons.

        The forecast of each cell is divided among its streets by their past alerts, so that it adds up. A city without
        `streets` in its file, or a day without a forecast, has none; patrol plans work without them.
        """
        from shotspotter_assets.serving.issued_forecasts import load_record
        from shotspotter_assets.serving.stored_streets import StreetRecord, write_streets
        from shotspotter_assets.serving.street_risk import street_forecast

        issue_date = run_day(context)
        opened = store.open()
        forecast = None if city.streets is None else load_record(opened, city.name, issue_date)
        ranked = street_forecast(opened, city, issue_date, forecast)
        if isinstance(ranked, StreetRecord):
            if ranked.is_wrong:
                context.log.error(ranked.no_streets)
            return dg.MaterializeResult(
                data_version=dg.DataVersion("no streets"),
                metadata={
                    "note": ranked.no_streets,
                    "segments": 0,
                    "path": panel.stored(write_streets(opened, ranked)),
                },
            )
        path = write_streets(opened, ranked)
        facts = ranked.record
        return dg.MaterializeResult(
            data_version=dg.DataVersion(ranked.version),
            metadata={
                "day": str(facts.day + timedelta(days=1)),
                "segments": facts.segments,
                **panel.rounded(
                    {"expected_alerts": facts.expected_alerts, "on_no_street": facts.expected_on_no_street}
                ),
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
            },
        )

    @dg.asset_check(asset=key, partitions_def=days)
    def streets_are_usable(context: dg.AssetCheckExecutionContext, store: StoreResource) -> dg.AssetCheckResult:
        """The city's file of streets, where it names one, can be read and has named lines in its box."""
        from shotspotter_assets.serving.stored_streets import StreetRecord

        record = StreetRecord.find(store.open(), city.name, run_day(context))
        wrong = record.no_streets if record is not None and record.is_wrong else None
        return dg.AssetCheckResult(passed=not wrong, severity=dg.AssetCheckSeverity.ERROR, description=wrong)

    @dg.asset(
        key=asset_key(city, "street_scores"),
        partitions_def=days,
        group_name=city.name,
        kinds={"json"},
        code_version="1",
        deps=[
            dg.AssetDep(asset_key(city, "street_risk"), partition_mapping=DAY_BEFORE),
            dg.AssetDep(asset_key(city, "cleaned_alerts"), partition_mapping=LAST_TWO_DAYS),
            dg.AssetDep(asset_key(city, "grid_tensors"), partition_mapping=LAST_TWO_DAYS),
        ],
        automation_condition=corrected_days(city),
    )
    def street_scores(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
        """Scores of the streets ranked the day before, compared with the same risk spread evenly.

        Rebuilt when alerts are corrected. A day without a forecast, or with other streets by now, has a record with a note.
        """
        from shotspotter_assets.serving.street_scores import score_streets

        day = run_day(context)
        opened = store.open()
        record = score_streets(opened, city, day)
        path = record.write(opened)
        numbers: panel.Metadata = {"note": record.note} if record.note else {}
        if record.log_loss is not None:
            numbers |= {
                "segments with an alert": record.observed,
                "segments with an alert, expected": record.predicted,
                "log loss": record.log_loss,
            }
        if record.gain_over_even is not None:
            numbers["gain over an even spread (nats per segment with an alert)"] = record.gain_over_even
        return dg.MaterializeResult(metadata={**panel.rounded(numbers), "path": panel.stored(path)})

    scores = [] if city.streets is None else [street_scores]
    return dg.Definitions(assets=[street_risk, *scores], asset_checks=[streets_are_usable])
