"""The registry of sources; a toy kind shows that a new one needs settings, a reader and a row, and nothing else."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Literal, get_args

import pyarrow as pa
import pytest
import yaml
from pydantic import Field

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.registry import load_cities
from shotspotter_assets.cities.source_settings import Source, SourceSettings
from shotspotter_assets.sources.polls import poll
from shotspotter_assets.sources.protocol import ChangingSource
from shotspotter_assets.sources.receive import read_sources
from shotspotter_assets.sources.registry import KINDS, Access, Entry, arrivals, needs_clock, open_sources
from shotspotter_assets.sources.schema import RAW_SCHEMA
from shotspotter_assets.storage.store import Store


def kinds_of_settings() -> set[str]:
    settings = get_args(get_args(Source)[0])
    return {kind for model in settings for kind in get_args(model.model_fields["kind"].annotation)}


def test_each_kind_of_settings_has_a_reader() -> None:
    assert set(KINDS) == kinds_of_settings()


def test_the_documents_have_each_kind_of_real_source() -> None:
    table = (Path(__file__).parents[2] / "docs" / "how-to" / "sources.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"| `{kind}` |" not in table] == ["simulated"]


@pytest.mark.parametrize("city", load_cities().values(), ids=lambda city: city.name)
def test_the_readers_of_all_shipped_cities_open(city: City) -> None:
    access = Access("landing", environ={})
    readers = open_sources(city, access)
    assert len(readers) == len(city.all_sources)
    for settings, reader in zip(city.all_sources, readers, strict=True):
        assert isinstance(reader, ChangingSource) == (KINDS[settings.kind].arrival == "polled")


# settings, in cities/source_settings.py
class BulletinSettings(SourceSettings):
    """A bulletin that lists the hours of a day's alerts, all at one place."""

    kind: Literal["bulletin"]
    hours: tuple[int, ...]
    place: tuple[float, float]


class BulletinCity(City):
    """City, with the new model in `Source`."""

    source: Annotated[Source | BulletinSettings, Field(discriminator="kind")]


# reader, in a module of sources/
class Bulletin:
    """The alerts that a bulletin lists."""

    counts_by_day = True

    def __init__(self, city: City, settings: BulletinSettings) -> None:
        self._days, self._settings = (city.start, city.end or city.start), settings

    def read(self, first: date, last: date) -> pa.Table:
        rows = [
            self._row(day, hour, at)
            for day in self._listed(first, last)
            for at, hour in enumerate(self._settings.hours)
        ]
        return pa.Table.from_pylist(rows, RAW_SCHEMA)

    def changed_days(self, first: date, last: date) -> dict[date, str]:
        return {day: str(self._settings.hours) for day in self._listed(first, last)}

    def _listed(self, first: date, last: date) -> Sequence[date]:
        return [day for day in self._days if first <= day <= last]

    def _row(self, day: date, hour: int, at: int) -> dict[str, object]:
        longitude, latitude = self._settings.place
        instant = datetime.combine(day, time(hour), UTC)
        place = {"longitude": longitude, "latitude": latitude, "gunshot_type": "Single_Gunshot"}
        return place | {
            "date": day, "time_utc": instant, "received_from": "bulletin", "received_row": at, "received_at": instant,
        }  # fmt: skip


@pytest.fixture
def bulletin_city(monkeypatch: pytest.MonkeyPatch) -> City:
    monkeypatch.setitem(KINDS, "bulletin", Entry(lambda city, settings, access: Bulletin(city, settings), "polled"))
    file = """
        name: tiny_city
        time_zone: UTC
        automation: history
        start: 2024-03-01
        end: 2024-03-03
        box: {west: -77.0, south: 38.0, east: -76.0, north: 39.0}
        source: {kind: bulletin, hours: [3, 21], place: [-76.5, 38.5]}
    """
    return BulletinCity.model_validate(yaml.safe_load(file))


def test_a_new_kind_is_read(bulletin_city: City) -> None:
    readers = open_sources(bulletin_city, Access("landing", environ={}))
    rows = read_sources(readers, date(2024, 3, 1), date(2024, 3, 2))
    assert rows["time_utc"].to_pylist() == [datetime(2024, 3, 1, hour, tzinfo=UTC) for hour in (3, 21)]


def test_a_new_kind_is_polled(bulletin_city: City, tmp_path: Path) -> None:
    assert arrivals(bulletin_city) == {"polled"}
    assert needs_clock(bulletin_city)
    found = poll(bulletin_city, "polled", Access("landing", environ={}), {}, Store(str(tmp_path)))
    assert list(found.days) == [date(2024, 3, day) for day in (1, 2, 3)]
