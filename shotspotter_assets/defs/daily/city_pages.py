"""City pages, by city: the static site that analysts and shift commanders open."""

import dagster as dg

from shotspotter_assets.cities.registry import Cities, find_city
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.resources import PagesResource, StoreResource
from shotspotter_assets.partitions import ALL_OF_CITY, Partitions
from shotspotter_assets.storage.file_names import ALL_CITIES

MADE_FROM = (
    "grid_tensors",
    "risk_forecasts",
    "street_risk",
    "patrol_plans",
    "forecast_scores",
    "street_scores",
    "walk_forward_reports",
)


def definitions(partitions: Partitions) -> dg.Definitions:
    """The asset."""
    mappings = {name: ALL_OF_CITY for name in MADE_FROM if name != "walk_forward_reports"}
    asset = dg.asset(
        partitions_def=partitions.cities,
        group_name="reports",
        kinds={"html"},
        code_version="1",
        deps=[dg.AssetDep(name, partition_mapping=mappings.get(name)) for name in MADE_FROM],
    )
    return dg.Definitions(assets=[asset(city_pages)])


def city_pages(
    context: dg.AssetExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource, pages: PagesResource
) -> dg.MaterializeResult:
    """Pages of the city that open by double click: tomorrow, shift plans, past days, track record, alerts, data.

    Made from what is stored, whatever of it there is, with the overview of all cities; files that would be the same are not
    written again. Streets and districts come from `layers` of the city's file.
    """
    from shotspotter_assets.pages.site import make_overview, make_pages

    city, opened = find_city(cities, context.partition_key), store.open()
    made = make_pages(opened, city)
    overview = make_overview(opened, list(cities))
    card = made.card
    return dg.MaterializeResult(
        metadata={
            **pages.link(made.index, city.name),
            **pages.link(overview, ALL_CITIES, "all_cities"),
            **({} if card.expected is None else panel.rounded({"expected_alerts": card.expected})),
            **({} if card.day is None else {"day": str(card.day), "likeliest": card.likeliest}),
            **({"note": card.note} if card.note else {}),
            "files_written": len(made.written),
            "files_kept": made.kept,
        }
    )
