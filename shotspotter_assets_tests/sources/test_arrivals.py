"""Arrivals in landing folders: days without rows, and cities with a folder for each of two sources."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import fs

from shotspotter_assets.cities.model import City
from shotspotter_assets.sources.arrivals import SEEN_SCHEMA, landing_arrivals
from shotspotter_assets.sources.landing import LandingFolder

LAST = date(2024, 3, 20)
SOURCE = {"kind": "landing", "settle_seconds": 0, "columns": {"time": "when", "longitude": "lon", "latitude": "lat"}}
CITY = City.model_validate(
    {
        "name": "two_folders",
        "time_zone": "America/New_York",
        "start": "2024-03-01",
        "box": {"west": -77.0, "south": 38.0, "east": -76.0, "north": 39.0},
        "source": SOURCE | {"folder": "two_folders/daily", "file_date": "%Y-%m-%d"},
        "other_sources": [SOURCE | {"folder": "two_folders/history"}],
    }
)


class Look:
    """Looks at the folders of both sources, one after the other, as the sensor does."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.seen = SEEN_SCHEMA.empty_table()

    def land(self, name: str, *days: str) -> None:
        path = self.root / "two_folders" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("when,lon,lat\n" + "".join(f"{day}T17:00:00Z,-76.5,38.5\n" for day in days))

    def days(self) -> list[str]:
        found: set[date] = set()
        for source in CITY.all_sources:
            folder = LandingFolder(CITY, fs.LocalFileSystem(), f"{self.root}/{source.folder}", source)
            arrivals = landing_arrivals(folder, self.seen, LAST, lambda: False)
            self.seen = arrivals.seen
            found |= set(arrivals.days)
        return sorted(map(str, found))


@pytest.fixture
def look(tmp_path: Path) -> Look:
    return Look(tmp_path)


def test_a_look_at_one_folder_keeps_what_was_seen_of_the_other(look: Look) -> None:
    look.land("history/all.csv", "2024-03-02", "2024-03-03")
    look.land("daily/2024-03-04.csv", "2024-03-04")
    assert look.days() == ["2024-03-02", "2024-03-03", "2024-03-04"]
    assert look.days() == []
    look.land("daily/2024-03-05.csv", "2024-03-05")
    assert look.days() == ["2024-03-05"]


def test_a_daily_file_without_rows_is_a_day_without_alerts(look: Look) -> None:
    look.land("history/all.csv", "2024-03-02")
    look.land("daily/2024-03-04.csv")
    assert look.days() == ["2024-03-02", "2024-03-04"]
    assert look.days() == []
    look.land("daily/2024-03-04.csv", "2024-03-04")
    assert look.days() == ["2024-03-04"]
    assert isinstance(look.seen, pa.Table)


def test_a_daily_file_of_a_day_to_come_waits(look: Look) -> None:
    look.land("daily/2024-03-21.csv")
    assert look.days() == []
