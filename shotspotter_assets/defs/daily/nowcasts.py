"""Nowcasts of a city, the next 15 to 60 minutes and the next hours, and their scores by day."""

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from shotspotter_assets.calendar import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.materialize import asset_settings, daily_settings, materialize_days
from shotspotter_assets.defs.partitions import asset_key
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.storage.catalogue import NOWCAST_HOURS
from shotspotter_assets.storage.stored_file import Asset

if TYPE_CHECKING:
    from shotspotter_assets.storage.store import Store


class NowcastConfig(dg.Config):
    """The instant that a nowcast starts from."""

    now: str = Field("", description="Instant with a zone (ISO 8601); empty for the present one.")


def definitions(city: City) -> dg.Definitions:
    """Build the nowcasts, and their scores if the city issues them automatically."""

    @dg.asset(
        **asset_settings(
            city,
            Asset.NOWCASTS,
            kinds={"parquet"},
            code_version="1",
            deps=[asset_key(city, Asset.LIVE_MODELS), asset_key(city, Asset.GRID_TENSORS)],
            table=NOWCAST_HOURS,
        )
    )
    def nowcasts(config: NowcastConfig, store: StoreResource, sources: SourcesResource) -> dg.MaterializeResult:
        """Risk of the next 15, 30 and 60 minutes and of the next hours, from the stored days and newer alerts of the source.

        Hours are forecast from the end of the current one, whose alerts so far count.
        """
        from shotspotter_assets.serving.nowcasts import history_until, nowcast, record_in_force, write_nowcast
        from shotspotter_assets.serving.pictures import risk_map

        opened = store.open()
        now = datetime.fromisoformat(config.now).astimezone(UTC) if config.now else local_time.now()
        record = record_in_force(opened, city, now)
        history = history_until(opened, sources.readers(city, opened), city, now)
        cast = nowcast(record, record.loaded(opened), history, now)
        path = write_nowcast(opened, cast)
        longest = cast.longest
        title = (
            f"Risk of the {longest['hours'][0]} hours from {cast.record.starts.removesuffix('Z')} UTC: "
            f"{cast.record.alerts_since_midnight} alerts since midnight"
        )
        picture = panel.picture("map", risk_map(longest, city, title))
        return dg.MaterializeResult(metadata={**panel.nowcast(cast.record, path), "map": picture})

    @dg.asset(
        **daily_settings(
            city,
            Asset.NOWCAST_SCORES,
            kinds={"json"},
            code_version="1",
            deps=[asset_key(city, Asset.CLEANED_ALERTS)],
        )
    )
    def nowcast_scores(context: dg.AssetExecutionContext, store: StoreResource) -> None:
        """Scores of the day's nowcasts, compared with the hour's forecast spread evenly.

        Nowcasts whose minutes end after midnight are not scored. Rebuilt when alerts are corrected.
        """
        materialize_days(context, store.open(), city, Asset.NOWCAST_SCORES, _scores_of)

    return dg.Definitions(assets=[nowcasts, *([] if city.nowcasts is None else [nowcast_scores])])


def _scores_of(opened: "Store", city: City, day: date) -> panel.Metadata:
    from shotspotter_assets.models.next_minutes.incident_points import Incidents
    from shotspotter_assets.serving.nowcast_scores import issued_minutes, score_nowcasts
    from shotspotter_assets.serving.stored_alerts import stored_alerts

    incidents = Incidents.of_alerts(stored_alerts(opened, city, day - timedelta(days=1), day), city)
    record = score_nowcasts(city, day, issued_minutes(opened, city, day), incidents)
    path = record.write(opened)
    numbers: panel.Metadata = {"nowcasts": record.nowcasts, "incidents": record.incidents}
    for length, scores in record.scores.items():
        numbers |= {f"{length}: came": scores.came, f"{length}: expected": scores.expected}
        if scores.gain_over_even is not None:
            numbers[f"{length}: gain over the hour, spread evenly (nats per incident)"] = scores.gain_over_even
    return {**panel.rounded(numbers), "path": panel.stored(path)}
