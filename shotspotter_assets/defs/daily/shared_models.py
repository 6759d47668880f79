"""Shared models, by week: what all cities have in common, which each city's own models start at."""

import dagster as dg

from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.partitions import WEEK_BEFORE, Partitions, parse_key
from shotspotter_assets.storage.file_names import RECORD_FILE


def definitions(partitions: Partitions) -> dg.Definitions:
    """The asset."""
    asset = dg.asset(
        partitions_def=partitions.weeks,
        group_name="models",
        kinds={"json"},
        code_version="1",
        pool="training",
        deps=[dg.AssetDep("grid_tensors", partition_mapping=WEEK_BEFORE)],
    )
    return dg.Definitions(assets=[asset(shared_models)])


def shared_models(
    context: dg.AssetExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.MaterializeResult:
    """One regression of all cities, and one without each of them, fitted on the days before the week.

    It holds a number for each input and no row of any city; a city whose file says `shared: false` takes no part. Each city's own
    models start at that of the others, and have it among the members of their stack.
    """
    from shotspotter_assets.models.shared_models import shared_partition, train_shared

    [key] = context.partition_keys
    _, week = parse_key(key)
    opened = store.open()
    models = train_shared(opened, cities.values(), week, context.log.info)
    partition = shared_partition(week)
    opened.write_bytes(partition, RECORD_FILE, models.model_dump_json(indent=1).encode())
    return dg.MaterializeResult(
        metadata={
            "cities": ", ".join(models.cities) or "none",
            "left_out": panel.bullets([f"{city}: {why}" for city, why in models.left_out.items()]),
            "starts_at": models.prior or "nothing",
            "path": opened.uri(partition, RECORD_FILE),
        }
    )
