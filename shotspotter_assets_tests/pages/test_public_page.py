import json
import re
from datetime import date, timedelta
from pathlib import Path

import geopandas
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely

from shotspotter_assets.cities.city import Coverage
from shotspotter_assets.cities.layers import Layer, Layers
from shotspotter_assets.forecasts.daily_forecast import withheld
from shotspotter_assets.forecasts.issued_forecasts import write_forecast
from shotspotter_assets.grid.shapes import polygon_feature
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.pages.site import make_pages
from shotspotter_assets.storage.catalogue import FORECAST, PAGE, TENSORS, TOP_STREETS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.pages.site_of_tiny_city import CITY, DAYS, TinySite

PUBLIC = PAGE.named(file="public/index.html")


def public_page(store: Store, site: TinySite, **changes: object) -> str:
    make_pages(store, site.city.model_copy(update={"public": True, **changes}))
    return store.read_bytes(PUBLIC, CITY).decode()


def levels(html: str) -> dict[str, list[str]]:
    rows = re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', html)
    return {area: re.findall("<td>(.*?)</td>", of_days) for area, of_days in rows}


def test_the_page_is_made_on_request_and_removed(copy: Store, tiny_site: TinySite) -> None:
    assert not copy.exists(PUBLIC, CITY)
    folder = Path(public_page(copy, tiny_site) and copy.uri(PUBLIC, CITY)).parent
    assert {path.name for path in folder.iterdir()} == {"index.html", "pages.css", "pages.js"}
    make_pages(copy, tiny_site.city)
    assert not copy.exists(PUBLIC, CITY)


def test_it_shows_levels_of_areas_and_nothing_smaller(copy: Store, tiny_site: TinySite) -> None:
    html = public_page(copy, tiny_site)
    assert '<th scope="row">ward 1</th>' in html
    assert html.count("<td>") == 2 * DAYS
    assert "../" not in html
    streets = copy.read_table(TOP_STREETS, CITY, tiny_site.last_issued)["street"].to_pylist()
    assert not any(street in html for street in streets)


@pytest.mark.parametrize(("factor", "level"), [(0.1, "lower than usual"), (10.0, "higher than usual")])
def test_levels_compare_with_the_areas_own_year(copy: Store, tiny_site: TinySite, factor: float, level: str) -> None:
    table = copy.read_table(FORECAST, CITY, tiny_site.last_issued)
    at = table.column_names.index("expected")
    changed = table.set_column(at, table.schema.field(at), pc.multiply(table["expected"], pa.scalar(factor)))
    copy.write_table(FORECAST, changed, CITY, tiny_site.last_issued)
    html = public_page(copy, tiny_site)
    newest = html.split('<th scope="row">')[1:]
    assert newest
    assert all(f"<td>{level}</td>" == area.partition("</th>")[2][: len(level) + 9] for area in newest)


def test_levels_count_days_from_the_start_of_coverage(copy: Store, tiny_site: TinySite, tmp_path: Path) -> None:
    halves = [polygon_feature((-77.06 + 0.03 * at, 38.88, -77.03 + 0.03 * at, 38.93), {"ward": at}) for at in (0, 1)]
    (tmp_path / "halves.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": halves}))

    def page(start: date) -> dict[str, list[str]]:
        areas = {"0": tiny_site.city.start, "1": start}
        coverage = Coverage(file=tmp_path / "halves.geojson", name_property="ward", areas=areas)
        return levels(public_page(copy, tiny_site, layers=Layers(), coverage=coverage))

    start = tiny_site.last_issued - timedelta(days=40)
    before = page(start)
    for day in copy.days_present(TENSORS, CITY):
        if day < start:
            table = copy.read_table(TENSORS, CITY, day)
            copy.write_table(TENSORS, table.filter(pc.field("column") < tiny_site.city.grid.columns // 2), CITY, day)
    assert page(start) == before
    assert page(tiny_site.city.start) != before, "alerts from before the start would raise the level"
    assert {*page(start + timedelta(days=20))["ward 1"]} == {"too few to say"}


def test_small_areas_are_left_out(copy: Store, tiny_site: TinySite, tmp_path: Path) -> None:
    # The strip has the middles of a row of cells.
    wards = {"ward": ["Strip", "Large", "Small"]}
    strip = shapely.box(-77.06, 38.88312, -77.0, 38.88313)
    small = shapely.box(-77.02, 38.88, -77.01, 38.89)
    shapes = [strip, shapely.box(-77.06, 38.88, -77.02, 38.93), small]
    geopandas.GeoDataFrame(wards, geometry=shapes, crs=4326).to_file(tmp_path / "wards.geojson", driver="GeoJSON")
    html = public_page(copy, tiny_site, layers=Layers(districts=Layer(path=tmp_path / "wards.geojson", name="ward")))
    assert [*levels(html)] == ["Large"]
    assert "south-east" in public_page(copy, tiny_site, layers=Layers())


def test_days_missing_on_the_grid_leave_no_levels(copy: Store, tiny_site: TinySite) -> None:
    copy.delete(TENSORS, CITY, tiny_site.last_issued - timedelta(days=30))
    assert "No levels can be shown at present." in public_page(copy, tiny_site)


def test_without_a_forecast_there_are_no_levels(copy: Store, tiny_site: TinySite) -> None:
    history = CityHistory.load(copy, tiny_site.city, tiny_site.last_issued)
    write_forecast(copy, withheld(copy, history, "A reason."))
    assert "No levels can be shown at present." in public_page(copy, tiny_site)
