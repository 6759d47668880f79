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
        """Scores of the streets ranked the day before, compared with the mean of each street's past.

        Rebuilt when alerts are corrected. A day without a forecast, or with other streets by now, has a record with a note.
        """
        return _street_scores(context, store, city)

    return dg.Definitions(assets=[street_scores])


def _street_scores(context: dg.AssetExecutionContext, store: StoreResource, city: City) -> dg.MaterializeResult:
    from shotspotter_assets.serving.street_scores import score_streets

    day = run_day(context)
    opened = store.open()
    record = score_streets(opened, city, day)
    path = record.write(opened)
    numbers: panel.Metadata = {"note": record.note} if record.note else {}
    if (scores := record.scores) is not None:
        numbers |= {
            "segments with an alert": scores.observed,
            "segments with an alert, expected": scores.predicted,
        }
        rates: dict[str, float | None] = {
            "gain over historical_mean (nats per segment with an alert)": scores.gain_over_historical_mean,
            "log loss": scores.log_loss,
            **{f"hit rate in {length}% of the length": rate for length, rate in scores.hit_rate.items()},
            **{f"PAI of {length}% of the length": pai for length, pai in scores.pai.items()},
        }
        numbers |= {name: rate for name, rate in rates.items() if rate is not None}
    return dg.MaterializeResult(metadata={**panel.rounded(numbers), "path": panel.stored(path)})
