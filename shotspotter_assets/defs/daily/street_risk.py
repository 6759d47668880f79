"""Risk of the streets, by city and issue date: of the day after it."""

from typing import TYPE_CHECKING

import dagster as dg

from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.conditions import CATCH_UP
from shotspotter_assets.defs.checks import keep_findings
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.partitions import Partitions, date_ranges, single_day
from shotspotter_assets.serving.columns import STREET_COLUMNS
from shotspotter_assets.storage.file_names import STREETS_MAP_FILE

if TYPE_CHECKING:
    import pyarrow as pa


def definitions(partitions: Partitions) -> dg.Definitions:
    """The asset and its check."""
    asset = dg.asset(
        partitions_def=partitions.city_date,
        group_name="forecasts",
        kinds={"parquet"},
        code_version="2",
        deps=["risk_forecasts"],
        automation_condition=CATCH_UP,
        metadata=panel.column_schema(STREET_COLUMNS),
    )
    check = dg.asset_check(asset="street_risk", name="streets_are_usable", partitions_def=partitions.city_date)
    return dg.Definitions(assets=[asset(street_risk)], asset_checks=[check(streets_are_usable)])


def street_risk(
    context: dg.AssetExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.MaterializeResult:
    """Risk of every street between two crossings on the next local day and in each shift, and the 50 highest with reasons.

    The forecast of each cell is divided among its streets by their past, so that it adds up. A city whose file names no
    streets has none, and so has a day without a forecast; plans do without them where their file cannot be used.
    """
    from shotspotter_assets.serving.issued_forecasts import load_record
    from shotspotter_assets.serving.maps import street_map
    from shotspotter_assets.serving.street_risk import NoStreetRisk, street_forecast, streets_partition, write_streets

    city, issue_date = single_day(context, cities)
    opened = store.open()
    forecast = None if city.streets is None else load_record(opened, city.name, issue_date)
    ranked = street_forecast(opened, city, issue_date, forecast)
    if isinstance(ranked, NoStreetRisk):
        if ranked.is_wrong:
            context.log.error(ranked.no_streets)
        return dg.MaterializeResult(
            data_version=dg.DataVersion("no streets"),
            metadata={"note": ranked.no_streets, "segments": 0, "path": panel.stored(write_streets(opened, ranked))},
        )
    path = write_streets(opened, ranked)
    facts = ranked.record
    title = f"Risk of {facts.day} on {facts.segments:,} streets between crossings"
    return dg.MaterializeResult(
        data_version=dg.DataVersion(ranked.version),
        metadata={
            "day": str(facts.day),
            **({"caution": facts.caution} if facts.caution else {}),
            "segments": facts.segments,
            **panel.rounded(
                {
                    "kilometres": facts.kilometres,
                    "expected_alerts": facts.expected_alerts,
                    "expected_on_no_street": facts.expected_on_no_street,
                }
            ),
            "map": panel.picture("map", street_map(ranked, city, title)),
            "top_streets": panel.table(_narrow(ranked.top)),
            "why_there": panel.bullets([f"{row['name']}: {row['why']}" for row in ranked.top.to_pylist()]),
            "points": facts.points,
            "left_out": panel.bullets(facts.left_out),
            "geojson": panel.stored(opened.uri(streets_partition(city.name, issue_date), STREETS_MAP_FILE)),
            "path": panel.stored(path),
        },
    )


def _narrow(top: "pa.Table") -> list[panel.Metadata]:
    """Few columns, as the panel is narrow and a row should be one line high; the files have all of them."""
    return [
        {
            "rank": row["rank"],
            "street": row["name"],
            "middle": f"{row['latitude']:.4f}, {row['longitude']:.4f}",
            "chance": f"{row['probability']:.1%} ({row['low']:.1%} to {row['high']:.1%})",
        }
        for row in top.to_pylist()
    ]


def streets_are_usable(
    context: dg.AssetCheckExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.AssetCheckResult:
    """The city's file of streets, where it names one, can be read and has named lines in its box."""
    from shotspotter_assets.serving.street_risk import NoStreetRisk, find_streets_record

    opened = store.open()
    wrong: dict[str, str] = {}
    for date_range in date_ranges(context, cities):
        records = {day: find_streets_record(opened, date_range.city.name, day) for day in date_range.days}
        problems = {
            day: record.no_streets
            for day, record in records.items()
            if isinstance(record, NoStreetRisk) and record.is_wrong
        }
        newest = problems.get(date_range.last)
        keep_findings(store, "streets_are_usable", [(date_range, newest is None, newest or "")])
        wrong |= {date_range.key(day): reason for day, reason in problems.items()}
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"reasons_by_partition": wrong},
        description=" ".join(sorted(set(wrong.values()))) or None,
    )
