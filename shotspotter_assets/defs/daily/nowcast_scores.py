"""Nowcast scores of a city by day: nowcasts of the next minutes compared with the observed incidents."""

from datetime import timedelta

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.conditions import corrected_days
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.partitions import asset_key, day_partitions, run_day


def definitions(city: City) -> dg.Definitions:
    """The asset."""
    key, days = asset_key(city, "nowcast_scores"), day_partitions(city)

    @dg.asset(
        key=key,
        partitions_def=days,
        group_name=city.name,
        kinds={"json"},
        code_version="1",
        deps=[asset_key(city, "cleaned_alerts")],
        automation_condition=corrected_days(city),
    )
    def nowcast_scores(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
        """Scores of the day's nowcasts, compared with the hour's forecast spread evenly.

        Nowcasts whose minutes end after midnight are not scored. Rebuilt when alerts are corrected.
        """
        from shotspotter_assets.models.next_minutes.incidents import Incidents
        from shotspotter_assets.serving.incidents import stored_alerts
        from shotspotter_assets.serving.nowcast_scores import issued_minutes, score_nowcasts

        day = run_day(context)
        opened = store.open()
        incidents = Incidents.of_alerts(stored_alerts(opened, city, day - timedelta(days=1), day), city)
        record = score_nowcasts(city, day, issued_minutes(opened, city, day), incidents)
        path = record.write(opened)
        numbers: panel.Metadata = {"nowcasts": record.nowcasts, "incidents": record.incidents}
        for length, scores in record.scores.items():
            numbers |= {f"{length}: came": scores.came, f"{length}: expected": scores.expected}
            if scores.gain_over_even is not None:
                numbers[f"{length}: gain over the hour, spread evenly (nats per incident)"] = scores.gain_over_even
        return dg.MaterializeResult(metadata={**panel.rounded(numbers), "path": panel.stored(path)})

    return dg.Definitions(assets=[nowcast_scores])
