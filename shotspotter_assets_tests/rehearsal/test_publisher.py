"""A layer shows what its publisher has published, to the reader of real layers."""

from datetime import date, timedelta

from shotspotter_assets.cities.city import City
from shotspotter_assets.rehearsal.cities import BURST_DAYS, Rhythm, burst_city, late_city
from shotspotter_assets.rehearsal.publisher import Publisher, publishing
from shotspotter_assets.sources.api.arcgis import ArcgisLayer

FIRST, LAST = date(2026, 3, 1), date(2026, 3, 20)


def test_a_layer_shows_the_days_that_are_published() -> None:
    city, publisher = late_city(FIRST, LAST), Publisher()
    publisher.add(city.name, city.alerts, "America/New_York")
    with publishing(publisher) as address:
        city.file["source"]["layer"] = f"{address}/{city.name}/MapServer/0"
        settings = City.model_validate(city.file)
        layer = ArcgisLayer(settings, settings.source)
        for through in (date(2026, 3, 8), date(2026, 3, 17)):  # the clocks go forward on the first of them
            publisher.publish(city.name, through)
            rows = layer.read(FIRST, LAST)
            assert rows.num_rows == city.of_days(FIRST, through).num_rows > 0
            assert max(rows["date"].to_pylist()) == layer.newest_day() == through


def test_days_come_three_days_late_or_two_weeks_at_a_time() -> None:
    late, bursts = late_city(FIRST, LAST).rhythm, burst_city(FIRST, LAST, eve := date(2026, 3, 6)).rhythm
    assert late is not None
    assert late.through(LAST) == date(2026, 3, 17)
    assert isinstance(bursts, Rhythm)
    shown = [bursts.through(eve + timedelta(days=number)) for number in range(BURST_DAYS + 1)]
    assert shown == [eve - timedelta(days=7)] * 7 + [eve + timedelta(days=7)] * 8
