"""City pages: the static site for analysts and shift commanders."""

from datetime import date, timedelta
from typing import Final

import dagster as dg

from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.materialize import Check, RunAsset
from shotspotter_assets.defs.resources import PagesResource, Store, StoreResource
from shotspotter_assets.storage.catalogue import PAGES_RECORD, Asset
from shotspotter_assets.storage.stored_file import ALL_CITIES
from shotspotter_assets.storage.wording import first_of

CHECKED_DAYS: Final = timedelta(days=31)  # days whose sealed files each run verifies
SHOWN_OF_STATUS: Final = {"forecast_date", "expected_alerts", "likeliest", "no_forecast", "verdict"}


@RunAsset(Asset.CITY_PAGES, kinds={"html"}, code_version="1")
def city_pages(context: dg.AssetExecutionContext, store: StoreResource, pages: PagesResource, city: City) -> None:
    """Pages that open by double click: now, last hours, past days, track record, accountability.

    Built from whatever is stored, with the overview of all cities; unchanged files are not written again. Streets and
    districts come from `layers` of the city's file.
    """
    from shotspotter_assets.automation.stored import Stored

    opened = store.open()

    def write(_: date | None) -> str:
        context.add_asset_metadata(_write_pages(opened, pages, city))
        return ""

    Stored.read(opened, city).write(Asset.CITY_PAGES, [None], write)


@Check(Asset.CITY_PAGES)
def bounds_are_kept(store: StoreResource, city: City) -> dg.AssetCheckResult:
    """The last year's numbers keep the bounds that the city sets (`accountability.bounds`).

    A bound on a number that nobody has provided cannot be checked, and warns too.
    """
    from shotspotter_assets.accountability.account import Account, kept_bounds

    account = Account.find(store.open(), city.name)
    finding = None if account is None else kept_bounds(account, city.accountability.bounds)
    if finding is None:
        return dg.AssetCheckResult(passed=True, description="The city's file sets no bounds, or no day is known yet.")
    return panel.check_result(finding)


@Check(Asset.CITY_PAGES)
def forecasts_are_as_sealed(store: StoreResource, city: City) -> dg.AssetCheckResult:
    """The sealed forecasts of the last 31 days were not changed, and the chain of all seals is whole.

    Record, table, sum and interval are compared. `version` is compared when a day is sealed.
    """
    from shotspotter_assets.forecasts.seals import Chain
    from shotspotter_assets.forecasts.verification import misfits_of

    first = local_time.today(city.zone) - CHECKED_DAYS
    misfits = [
        f"{view.target}, {misfit.day}: {misfit.reason}"
        for of_target, view in city.by_target(store.open())
        for misfit in misfits_of(of_target, view, Chain.read(of_target, city.name), first)
    ]
    return dg.AssetCheckResult(passed=not misfits, description=first_of(misfits) or None)


def _write_pages(store: Store, pages: PagesResource, city: City) -> panel.Metadata:
    """Write the pages of a city and the overview of all; return the panel."""
    from shotspotter_assets.pages.addresses import Status
    from shotspotter_assets.pages.site import make_overview, make_pages

    site = make_pages(store, city)
    status = Status.load(store, city.name).model_dump(mode="json", include=SHOWN_OF_STATUS)
    names = [name for name in store.cities_present(PAGES_RECORD) if name != ALL_CITIES]
    return {
        **pages.link(site.index, city.name),
        **pages.link(make_overview(store, names), ALL_CITIES, "all_cities"),
        **panel.rounded({name: value for name, value in status.items() if value}),
        "files_written": len(site.written),
        "files_kept": len(site.hashes) - len(site.written),
        **({"layers": dg.MetadataValue.md("\n\n".join(site.problems))} if site.problems else {}),
    }
