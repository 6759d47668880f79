import inspect
import re
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from typing import Annotated, get_args

import pytest
import yaml
from pydantic import Field

from shotspotter_assets import city_files
from shotspotter_assets.alerts.sources.alert_source import Access, SourceError
from shotspotter_assets.alerts.sources.schema import read_sources, rows_by_origin
from shotspotter_assets.alerts.sources.snapshot import take_snapshot
from shotspotter_assets.alerts.sources.source_kinds import KINDS, SourceOfAnyKind
from shotspotter_assets.alerts.sources.tabular_settings import ApiSettings, TabularSettings
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import SourceSettings
from shotspotter_assets.city_files import PACKAGE_CITIES, CityFile, CityFileError, load_cities, load_city
from shotspotter_assets.storage.store import Store

HOW_TO = Path(__file__).parents[3] / "docs" / "how-to"
BLOCKS = re.findall(r"```(python|yaml)\n(.*?)```", (HOW_TO / "new_source.md").read_text(encoding="utf-8"), re.DOTALL)
BULLETIN = yaml.safe_load(next(text for language, text in BLOCKS if language == "yaml"))


def access(path: Path) -> Access:
    return Access(Store(str(path / "store")), "landing", environ={})


def own_keys(model: type[SourceSettings]) -> list[str]:
    """Return the keys that a kind, or its settings in another module, declares."""
    declaring = [base for base in model.__mro__ if base not in (TabularSettings, ApiSettings, SourceSettings)]
    return [key for base in declaring for key in vars(base).get("__annotations__", {}) if key in model.model_fields]


def table_of_kinds() -> str:
    rows = ["| `kind` | reads | keys |", "| --- | --- | --- |"]
    for model in KINDS:
        (kind,) = get_args(model.model_fields["kind"].annotation)
        shared = {"kind", *TabularSettings.model_fields, *ApiSettings.model_fields} - {"time_format"}
        own = [f"`{key}`" for key in own_keys(model) if key not in shared]
        rows.append(f"| `{kind}` | {inspect.getdoc(model)} | {', '.join(own)} |")
    return "\n".join(rows)


def test_the_page_of_sources_has_the_table_of_kinds() -> None:
    assert table_of_kinds() in (HOW_TO / "sources.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("city", load_cities().values(), ids=lambda city: city.name)
def test_the_readers_of_all_shipped_cities_open(city: City, tmp_path: Path) -> None:
    for settings in city.all_sources:
        assert settings.open(city.site, access(tmp_path)).is_live == (settings.arrival == "polled")


@pytest.fixture
def bulletin_city(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> City:
    """The city of the how-to, whose code is run; its bulletin has two alerts, and a row without a time."""
    module = ModuleType("shotspotter_assets.alerts.sources.bulletin")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for code in (text for language, text in BLOCKS if language == "python"):
        exec(code, module.__dict__)

    class BulletinCity(CityFile):
        """A city's file, with the new row in the kinds of source."""

        source: Annotated[SourceOfAnyKind | module.BulletinSettings, Field(discriminator="kind")]

    monkeypatch.setattr(city_files, "CityFile", BulletinCity)
    monkeypatch.chdir(tmp_path)
    rows = ["2024-03-01 23:30,-87.5,41.5", "2024-03-03 04:00,-87.5,41.5", "soon,-87.5,41.5"]
    Path("bulletin.csv").write_text("\n".join(["when,longitude,latitude", *rows]))
    return BulletinCity.model_validate(BULLETIN)


def test_the_how_to_adds_a_kind_that_is_read(bulletin_city: City, tmp_path: Path) -> None:
    readers = [bulletin_city.source.open(bulletin_city, access(tmp_path))]
    rows = read_sources(readers, date(2024, 3, 1), date(2024, 3, 2))
    assert rows["time_utc"].to_pylist() == [datetime(2024, 3, 2, 5, 30, tzinfo=UTC), None]
    Path("bulletin.csv").unlink()
    with pytest.raises(SourceError, match=r"City bulletin_city: bulletin\.csv: .*Correct source.path"):
        read_sources(readers, date(2024, 3, 1), date(2024, 3, 2))


def test_the_how_to_adds_a_kind_that_stands_beside_landed_files(bulletin_city: City, tmp_path: Path) -> None:
    (tmp_path / "landed").mkdir()
    landing = {"kind": "landing", "path": "landed", "columns": {"time": "at"}}
    file = tmp_path / "bulletin_city.yaml"
    file.write_text(yaml.safe_dump(BULLETIN | {"start": "2024-03-01", "end": "2024-03-03", "other_sources": [landing]}))
    city = load_city(file)
    assert [one.path for one in city.all_sources] == [str(tmp_path / "bulletin.csv"), tmp_path / "landed"]
    rows = city.source.open(city.site, access(tmp_path)).read(date(2024, 3, 1), date(2024, 3, 3))
    assert set(rows["received_from"].to_pylist()) == {str(tmp_path / "bulletin.csv")}


def test_a_second_live_source_with_one_address_is_refused(tmp_path: Path) -> None:
    content = yaml.safe_load((PACKAGE_CITIES / "chicago.yaml").read_text())
    content["other_sources"] = [content["source"] | {"columns": {"time": "updated"}}]
    (tmp_path / "chicago.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(
        CityFileError, match=r"chicago\.yaml: .*https://data\.cityofchicago\.org/resource/3h7q-7mdb"
    ) as error:
        load_city(tmp_path / "chicago.yaml")
    assert "\n" not in str(error.value)
    content["other_sources"][0]["dataset"] = "aaaa-bbbb"
    (tmp_path / "chicago.yaml").write_text(yaml.safe_dump(content))
    assert len(load_city(tmp_path / "chicago.yaml").all_sources) == 2


def test_the_how_to_adds_a_kind_that_is_polled(bulletin_city: City, tmp_path: Path) -> None:
    assert bulletin_city.arrivals == {"polled"}
    store = access(tmp_path).store
    readers = [bulletin_city.source.open(bulletin_city, access(tmp_path))]
    snapshot = take_snapshot(bulletin_city.site, readers, store, datetime(2024, 3, 5, tzinfo=UTC), poll_seconds=60)
    assert snapshot.rows == rows_by_origin(read_sources(readers, date(2024, 3, 1), date(2024, 3, 3)))
    assert set(snapshot.live) == {"bulletin.csv"}
