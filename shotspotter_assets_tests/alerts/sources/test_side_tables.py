import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from shotspotter_assets.alerts.sources.alert_source import Access
from shotspotter_assets.alerts.sources.side_settings import table_site
from shotspotter_assets.alerts.sources.side_tables import look_at_table, read_state, table_rows
from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import CityFileError, load_city
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.alerts.sources.api.api_server import QUICK, Socrata, serving
from shotspotter_assets_tests.alerts.sources.api.test_open_data import rows
from shotspotter_assets_tests.made_up_city import made_up_city

DAY = date(2018, 3, 5)
CHICAGO_BOX = (-88.0, 41.6, -87.5, 42.1)
COLUMNS = {"time": "date", "source_id": "unique_id"}


def city_with(source: dict[str, Any]) -> City:
    described = {"source": source | {"columns": COLUMNS}, "columns": {"code": "disposition", "cleared": "closed"}}
    return made_up_city("town", CHICAGO_BOX, start=date(2018, 1, 1), time_zone="America/Chicago", outcomes=described)


def test_an_api_keeps_the_versions_of_days_that_it_is_not_asked_for(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    calls = rows(disposition=["GOA", "RPT"], closed=["2018-03-05T13:00:00", "soon"])
    with serving(Socrata(calls).routes) as server:
        source = {
            "kind": "socrata",
            "domain": server.url,
            "dataset": "test-data",
            "patience": QUICK,
            "naive_times": "utc",
        }
        of_table = table_site(city_with(source), "outcomes")
        readers = [of_table.sources[0].open(of_table, Access(store, "", {}))]
        look_at_table(of_table, readers, store, datetime(2018, 4, 1, tzinfo=UTC), poll_seconds=0)
        state = read_state(store, "town/outcomes")
        assert (list(state.versions), state.notes) == ([DAY], ())
        found = table_rows(of_table, readers, store, DAY, DAY)
        look_at_table(of_table, readers, store, datetime(2019, 6, 1, tzinfo=UTC), poll_seconds=0)
    assert read_state(store, "town/outcomes") == state
    look_at_table(of_table, readers, store, datetime(2019, 6, 2, tzinfo=UTC), poll_seconds=0)
    silent = read_state(store, "town/outcomes")
    assert silent.versions == state.versions
    assert "town/outcomes" in silent.notes[0]
    texts = [json.loads(text) for text in found["as_received"].to_pylist()]
    assert texts == [{"code": "GOA", "cleared": "2018-03-05T13:00:00.000000Z"}, {"code": "RPT", "cleared": "soon"}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("source: {kind: landing, columns: {time: t, longitude: null}}", "alerts need longitude and latitude"),
        (
            "source: {kind: landing, folder: calls, columns: {time: t}}\n"
            "outcomes: {source: {kind: landing, folder: calls, columns: {time: t}}}",
            "share a folder",
        ),
        (
            "source: {kind: simulated}\noutcomes: {source: {kind: simulated}}",
            "outcomes.source: needs an allowed kind",
        ),
        (
            "source: {kind: simulated}\noutcomes: {source: {kind: landing, columns: {time: t}}, codes: {A: proven}}",
            "outcomes.codes.A: ",
        ),
    ],
)
def test_a_wrong_section_is_named_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "town.yaml"
    box = "box: {west: -88.0, south: 41.6, east: -87.5, north: 42.1}"
    file.write_text(f"name: town\ntime_zone: America/Chicago\nstart: 2018-01-01\n{box}\n{text}\n")
    with pytest.raises(CityFileError) as caught:
        load_city(file)
    assert said in str(caught.value)
