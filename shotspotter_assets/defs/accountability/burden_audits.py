"""Burden audits of a city: who is flagged more than others on past days."""

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.materialize import Product, for_each_target
from shotspotter_assets.defs.resources import Log, Store
from shotspotter_assets.storage.catalogue import BURDEN, BURDEN_AUDIT, FRONTIER, Asset


@Product(Asset.BURDEN_AUDITS, kinds={"json", "parquet"}, code_version="2", table=BURDEN)
@for_each_target
def burden_audits(log: Log, store: Store, city: City, _: None) -> panel.Metadata:
    """Exposure of areas and, with an audit layer, of groups and incomes to flags, beside alerts and simple forecasts.

    Audited are the days of whole months that folds have tested or for which a forecast was issued. The 5% of covered cells
    with the highest probability are flagged each day.
    """
    from shotspotter_assets.accountability.burden_audit import BurdenAudit
    from shotspotter_assets.accountability.burden_report import burden_files
    from shotspotter_assets.accountability.policies import read_audited_days
    from shotspotter_assets.accountability.residents import Residents
    from shotspotter_assets.accountability.visit_effects import visit_effects
    from shotspotter_assets.alerts.days.day_table import DayTable
    from shotspotter_assets.grid.coverage import cell_districts, district_areas
    from shotspotter_assets.pages.places import read_layers
    from shotspotter_assets.storage.fingerprints import sha256

    last = DayTable.read(store, city.name).last_of_full_month
    audited = None if last is None else read_audited_days(store, city, last)
    if audited is None:
        note = f"No forecast of {city.target} was made for a day of a whole month that is over. Evaluate a fold."
        log.warning(f"City {city.name}: {note}")
        store.clear(BURDEN_AUDIT, city.name)
        return {"note": note, "path": BurdenAudit(city=city.name, note=note).write(store)}
    layers, problems = read_layers(city)
    residents = None
    if city.audit is not None:
        try:
            residents = Residents.read(city, city.audit)
        except ValueError as error:
            problems.append(str(error))
    areas = cell_districts(city, district_areas(city, layers.get("districts")))
    first, last = (day.astype(object) for day in (audited.days[0], audited.days[-1]))
    visits = visit_effects(store, city, first, last).sentences(city.event)
    files = burden_files(city, audited, areas, residents, problems, visits)
    path = files.audit.write_after(store, {BURDEN: files.burden, FRONTIER: files.frontier})
    for line in files.audit.left_out:
        log.info(line)
    return {
        "data_version": sha256(files.audit.facts())[:16],
        "days": files.audit.days,
        "findings": panel.bullets(files.audit.sentences),
        "visits": panel.bullets(visits),
        "conclusion": files.audit.conclusion,
        "policies": panel.table(files.frontier.to_pylist()),
        "left_out": panel.bullets(files.audit.left_out),
        "path": dg.MetadataValue.path(path),
    }
