"""Annual reports: the account of each calendar year, to print and as a record."""

from datetime import date

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.materialize import Product
from shotspotter_assets.defs.resources import Log, Store
from shotspotter_assets.storage.catalogue import ANNUAL_REPORT_PAGE, Asset


@Product(Asset.ANNUAL_REPORTS, kinds={"html", "json"}, code_version="1")
def annual_reports(log: Log, store: Store, city: City, year: date) -> panel.Metadata:
    """Account of a year: alerts, outages, outcomes, forecasts, plans, burden, changes, and a person's statements.

    About six sheets to print, and a record with the same numbers. Automatic once the year is over and its days are stored,
    and again when the inputs change; a year that is under way ends with the last stored day.
    """
    from shotspotter_assets.pages.public import write_annual_report

    report = write_annual_report(store, city, year)
    if report.is_under_way:
        log.info(f"City {city.name}: {year.year} is under way; the report goes to {report.last}.")
    unknown = [figure.title for section in report.sections for figure in section.figures if figure.value is None]
    return {
        "first": str(report.first),
        "last": str(report.last),
        "unknown": panel.bullets(unknown),
        "path": dg.MetadataValue.path(store.uri(ANNUAL_REPORT_PAGE, city.name, year)),
        "data_version": report.version,
    }
