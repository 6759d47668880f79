"""Street risk of a city by issue date, for the day after it, and its scores by day."""

from datetime import date

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.materialize import Check, Product, for_each_target
from shotspotter_assets.defs.partitions import run_days
from shotspotter_assets.defs.resources import Log, Store, StoreResource
from shotspotter_assets.storage.catalogue import STREETS, STREETS_MAP, Asset


@Product(Asset.STREET_RISK, kinds={"parquet"}, code_version="2", table=STREETS)
@for_each_target
def street_risk(log: Log, store: Store, city: City, issue_date: date) -> panel.Metadata:
    """Risk of every street between two crossings on the next local day, and the 50 highest with reasons.

    The forecast of each cell is divided among its streets by their past alerts, so that it adds up. A city without
    `streets` in its file, or a day without a forecast, has none; patrol plans work without them.
    """
    from shotspotter_assets.forecasts.street_ranking import StreetRecord, street_forecast, write_streets

    ranked = street_forecast(store, city, issue_date)
    path = dg.MetadataValue.path(write_streets(store, ranked))
    if isinstance(ranked, StreetRecord):
        if ranked.is_wrong:
            log.error(ranked.no_streets)
        return {"data_version": "no streets", "note": ranked.no_streets, "segments": 0, "path": path}
    facts = ranked.record
    return {
        "data_version": ranked.version,
        "forecast_date": str(facts.issue_date + ONE_DAY),
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
        **({"rounding": facts.rounding} if facts.rounding else {}),
        "geojson": dg.MetadataValue.path(store.uri(STREETS_MAP, city.name, issue_date)),
        "path": path,
    }


@Check(Asset.STREET_RISK)
def streets_are_usable(context: dg.AssetCheckExecutionContext, store: StoreResource, city: City) -> dg.AssetCheckResult:
    """The city's file of streets, where it names one, can be read and has named lines in its box."""
    from shotspotter_assets.forecasts.street_ranking import StreetRecord

    # All targets have the streets of one file.
    record = StreetRecord.find(store.open().of(city.target), city.name, run_days(context, city)[-1])
    wrong = record.no_streets if record is not None and record.is_wrong else None
    return dg.AssetCheckResult(passed=not wrong, severity=dg.AssetCheckSeverity.ERROR, description=wrong)


@Product(Asset.STREET_SCORES, kinds={"json"}, code_version="1")
@for_each_target
def street_scores(_: Log, store: Store, city: City, scored_date: date) -> panel.Metadata:
    """Scores of the streets ranked the day before, compared with the same risk spread evenly.

    Rebuilt when alerts are corrected. A day without a forecast, or with other streets by now, has a record with a note.
    """
    from shotspotter_assets.forecasts.street_ranking import score_streets

    record = score_streets(store, city, scored_date)
    numbers: panel.Metadata = {"note": record.note} if record.note else {}
    if record.log_loss is not None:
        numbers |= {
            f"segments with an {city.event}": record.observed,
            f"segments with an {city.event}, expected": record.predicted,
            "log loss": record.log_loss,
        }
    if record.gain_over_even is not None:
        numbers[f"gain over an even spread (nats per segment with an {city.event})"] = record.gain_over_even
    return {**panel.rounded(numbers), "path": dg.MetadataValue.path(record.write(store))}
