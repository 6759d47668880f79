"""City pages: the static site for analysts and shift commanders."""

from typing import Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.materialize import asset_settings, recorded
from shotspotter_assets.defs.resources import PagesResource, StoreResource
from shotspotter_assets.storage.catalogue import PAGES_RECORD
from shotspotter_assets.storage.stored_file import ALL_CITIES, Asset

SHOWN: Final = (
    Asset.GRID_TENSORS,
    Asset.RISK_FORECASTS,
    Asset.STREET_RISK,
    Asset.PATROL_PLANS,
    Asset.FORECAST_SCORES,
    Asset.WALK_FORWARD_REPORTS,
)
SHOWN_OF_CARD: Final = {"forecast_date", "expected_alerts", "likeliest", "note"}


def definitions(city: City) -> dg.Definitions:
    """Build the asset."""

    @dg.asset(**asset_settings(city, Asset.CITY_PAGES, dict.fromkeys(SHOWN), kinds={"html"}, code_version="1"))
    def city_pages(store: StoreResource, pages: PagesResource) -> dg.MaterializeResult:
        """Pages that open by double click: now, last hours, past days, track record.

        Built from whatever is stored, with the overview of all cities; unchanged files are not written again. Streets and
        districts come from `layers` of the city's file.
        """
        from shotspotter_assets.pages.site import make_overview, make_pages

        opened = store.open()

        def make() -> panel.Metadata:
            made = make_pages(opened, city)
            names = [name for name in opened.cities_present(PAGES_RECORD) if name != ALL_CITIES]
            return {
                **pages.link(made.index, city.name),
                **pages.link(make_overview(opened, names), ALL_CITIES, "all_cities"),
                **panel.rounded(made.record.card.model_dump(mode="json", include=SHOWN_OF_CARD, exclude_defaults=True)),
                "verdict": made.record.card.verdict,
                "files_written": len(made.written),
                "files_kept": len(made.hashes) - len(made.written),
                **({"layers": dg.MetadataValue.md("\n\n".join(made.problems))} if made.problems else {}),
            }

        return dg.MaterializeResult(metadata=recorded(opened, city, Asset.CITY_PAGES, None, make))

    return dg.Definitions(assets=[city_pages])
