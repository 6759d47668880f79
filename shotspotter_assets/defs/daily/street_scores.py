"""Street scores of a city by day: the streets ranked the day before."""

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.conditions import corrected_days
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.partitions import DAY_BEFORE, LAST_TWO_DAYS, asset_key, day_partitions, run_day


def definitions(city: City) -> dg.Definitions:
    """The asset."""
    key, days = asset_key(city, "street_scores"), day_partitions(city)

    @dg.asset(
        key=key,
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

    return dg.Definitions(assets=[street_scores])
