"""Nowcast scores, by city and day: the nowcasts of the next minutes against the incidents that came."""

import dagster as dg

from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.conditions import CATCH_UP
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.partitions import Partitions, single_day


def definitions(partitions: Partitions) -> dg.Definitions:
    """The asset."""
    asset = dg.asset(
        partitions_def=partitions.city_date,
        group_name="forecasts",
        kinds={"json"},
        code_version="1",
        # Not of nowcasts: each new one would have the past days scored again.
        deps=["cleaned_alerts"],
        automation_condition=CATCH_UP,
    )
    return dg.Definitions(assets=[asset(nowcast_scores)])


def nowcast_scores(
    context: dg.AssetExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.MaterializeResult:
    """How the nowcasts of the day did beside the hour's forecast spread evenly, everywhere and near the last incidents.

    Nowcasts whose minutes end after midnight are not scored. Made by itself for cities with `nowcasts`, and again when alerts are
    corrected.
    """
    from shotspotter_assets.serving.nowcast_scores import (
        incidents_around,
        issued_minutes,
        score_nowcasts,
        write_nowcast_scores,
    )

    city, day = single_day(context, cities)
    opened = store.open()
    record = score_nowcasts(city, day, issued_minutes(opened, city, day), incidents_around(opened, city, day))
    path = write_nowcast_scores(opened, record)
    numbers: panel.Metadata = {"nowcasts": record.nowcasts, "incidents": record.incidents}
    numbers |= {"note": record.note} if record.note else {}
    for where, scores in (("", record.scores), (" near the last incidents", record.near)):
        for length, of_length in scores.items():
            numbers[f"{length}: came{where}"] = of_length.came
            numbers[f"{length}: expected{where}"] = of_length.expected
            if of_length.gain_over_even is not None:
                numbers[f"{length}: gain over the hour, spread evenly{where} (nats per incident)"] = (
                    of_length.gain_over_even
                )
    return dg.MaterializeResult(metadata={**panel.rounded(numbers), "path": panel.stored(path)})
