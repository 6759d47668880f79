"""Street scores, by city and day: the streets ranked the day before against the alerts that came."""

import dagster as dg

from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.conditions import CATCH_UP
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.partitions import DAY_BEFORE, LAST_TWO_DAYS, Partitions, single_day


def definitions(partitions: Partitions) -> dg.Definitions:
    """The asset."""
    asset = dg.asset(
        partitions_def=partitions.city_date,
        group_name="forecasts",
        kinds={"json"},
        code_version="1",
        deps=[
            dg.AssetDep("street_risk", partition_mapping=DAY_BEFORE),
            # The grid tells whether the day is known, the alerts where on it they were.
            dg.AssetDep("cleaned_alerts", partition_mapping=LAST_TWO_DAYS),
            dg.AssetDep("grid_tensors", partition_mapping=LAST_TWO_DAYS),
        ],
        automation_condition=CATCH_UP,
    )
    return dg.Definitions(assets=[asset(street_scores)])


def street_scores(
    context: dg.AssetExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.MaterializeResult:
    """How the streets ranked the day before did on the day, compared with the mean of each one's past.

    Made by itself for cities with `streets`, and again when alerts are corrected. A day without a forecast, or whose streets
    are others by now, has a record that tells so.
    """
    from shotspotter_assets.serving.street_scores import score_streets, write_street_scores

    city, day = single_day(context, cities)
    opened = store.open()
    record = score_streets(opened, city, day)
    path = write_street_scores(opened, record)
    numbers: panel.Metadata = {
        name: value for name, value in (("note", record.note), ("caution", record.caution)) if value
    }
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
