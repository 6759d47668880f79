import re
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from typing import Annotated, get_args

import pytest
import yaml
from pydantic import Field

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import Source
from shotspotter_assets.city_files import load_cities
from shotspotter_assets.sources import source_kinds
from shotspotter_assets.sources.alert_source import SourceError
from shotspotter_assets.sources.receive import read_sources
from shotspotter_assets.sources.schema import origins_of_days
from shotspotter_assets.sources.snapshot import take_snapshot
from shotspotter_assets.sources.source_kinds import KINDS, Access, arrivals, open_sources
from shotspotter_assets.storage.store import Store

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
PAGE = HOW_TO / "new_source.md"


def access(path: Path) -> Access:
    return Access(Store(str(path / "store")), "landing", environ={})


def kinds_of_settings() -> set[str]:
    settings = get_args(get_args(Source)[0])
    return {kind for model in settings for kind in get_args(model.model_fields["kind"].annotation)}


def test_each_kind_of_settings_has_a_reader() -> None:
    assert set(KINDS) == kinds_of_settings()


def test_the_documents_have_each_kind_of_source() -> None:
    table = (HOW_TO / "sources.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"| `{kind}` |" not in table] == []


@pytest.mark.parametrize("city", load_cities().values(), ids=lambda city: city.name)
def test_the_readers_of_all_shipped_cities_open(city: City, tmp_path: Path) -> None:
    readers = open_sources(city, access(tmp_path))
    assert len(readers) == len(city.all_sources)
    for settings, reader in zip(city.all_sources, readers, strict=True):
        assert reader.is_live == (KINDS[settings.kind].arrival == "polled")


@pytest.fixture
def bulletin_city(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> City:
    """The city of the how-to, whose code is run; its bulletin has two alerts, and a row without a time."""
    blocks = re.findall(r"```(python|yaml)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    module = ModuleType("shotspotter_assets.sources.bulletin")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(source_kinds, "KINDS", dict(KINDS))
    for code in (text for language, text in blocks if language == "python"):
        exec(code, module.__dict__)

    class BulletinCity(City):
        """City, with the new model in `Source`."""

        source: Annotated[Source | module.BulletinSource, Field(discriminator="kind")]  # type: ignore[name-defined]

    monkeypatch.chdir(tmp_path)
    rows = ["2024-03-01 23:30,-87.5,41.5", "2024-03-03 04:00,-87.5,41.5", "soon,-87.5,41.5"]
    Path("bulletin.csv").write_text("\n".join(["when,longitude,latitude", *rows]))
    return BulletinCity.model_validate(yaml.safe_load(next(text for language, text in blocks if language == "yaml")))


def test_the_how_to_adds_a_kind_that_is_read(bulletin_city: City, tmp_path: Path) -> None:
    readers = open_sources(bulletin_city, access(tmp_path))
    rows = read_sources(readers, date(2024, 3, 1), date(2024, 3, 2))
    assert rows["time_utc"].to_pylist() == [datetime(2024, 3, 2, 5, 30, tzinfo=UTC), None]
    Path("bulletin.csv").unlink()
    with pytest.raises(SourceError, match=r"City bulletin_city: bulletin\.csv: .*Correct source.path"):
        read_sources(readers, date(2024, 3, 1), date(2024, 3, 2))


def test_the_how_to_adds_a_kind_that_is_polled(bulletin_city: City, tmp_path: Path) -> None:
    assert arrivals(bulletin_city) == {"polled"}
    readers, store = open_sources(bulletin_city, access(tmp_path)), access(tmp_path).store
    snapshot = take_snapshot(bulletin_city, readers, store, datetime(2024, 3, 5, tzinfo=UTC), poll_seconds=60)
    origins = origins_of_days(read_sources(readers, date(2024, 3, 1), date(2024, 3, 3)))
    held = {day: {name: version for name, (version, _) in found.items()} for day, found in snapshot.rows.items()}
    assert held == origins
    assert snapshot.live == {"bulletin.csv"}
