"""City pages: the static site for analysts and shift commanders."""

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.resources import PagesResource, StoreResource
from shotspotter_assets.partitions import asset_key
from shotspotter_assets.storage.file_names import ALL_CITIES, PAGES_RECORD_FILE


def definitions(city: City) -> dg.Definitions:
    """The asset."""
    key = asset_key(city, "city_pages")

    @dg.asset(
        key=key,
        group_name=city.name,
        kinds={"html"},
        code_version="1",
        deps=[
            asset_key(city, "grid_tensors"),
            asset_key(city, "risk_forecasts"),
            asset_key(city, "street_risk"),
            asset_key(city, "patrol_plans"),
            asset_key(city, "forecast_scores"),
            asset_key(city, "walk_forward_reports"),
        ],
    )
    def city_pages(store: StoreResource, pages: PagesResource) -> dg.MaterializeResult:
        """Pages that open by double click: tomorrow, last hours, shift plans, past days, track record.

        Built from whatever is stored, with the overview of all cities; unchanged files are not written again. Streets and
        districts come from `layers` of the city's file.
        """
        from shotspotter_assets.automation.stored import Stored
        from shotspotter_assets.pages.site import make_overview, make_pages

        opened = store.open()
        stored = Stored.read(opened, city)
        made_from = stored.begin("city_pages")
        made = make_pages(opened, city)
        stored.record("city_pages", None, made_from)
        cities = [name for name in opened.cities_present("city_pages", PAGES_RECORD_FILE) if name != ALL_CITIES]
        overview = make_overview(opened, cities)
        card = made.record.card
        return dg.MaterializeResult(
            metadata={
                **pages.link(made.index, city.name),
                **pages.link(overview, ALL_CITIES, "all_cities"),
                **({} if card.expected is None else panel.rounded({"expected_alerts": card.expected})),
                **(
                    {"forecast_date": str(card.forecast_date), "likeliest": card.likeliest}
                    if card.forecast_date
                    else {}
                ),
                **({"note": card.note} if card.note else {}),
                "files_written": len(made.written),
                "files_kept": len(made.hashes) - len(made.written),
            }
        )

    return dg.Definitions(assets=[city_pages])
