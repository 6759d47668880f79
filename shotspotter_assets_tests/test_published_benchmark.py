"""Files of points as portals publish them: `benchmarks/published.py` reads each event once."""

from argparse import Namespace
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from shotspotter_assets.settings import CHECKOUT

HEADER = "Datetime,Report Location,Incident Number\n"
ROWS = (
    "05/22/2019 12:55:00 PM,POINT (-122.329051 47.6069),F1\n"
    "05/22/2019 12:55:00 PM,POINT (-122.329051 47.6069),F1\n"  # the second unit of the call
    "05/23/2019 01:05:00 AM,,F2\n"
)


@pytest.fixture(scope="module")
def published() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(CHECKOUT / "benchmarks")
        return import_module("published")


def options(points: Path, **changes: str) -> Namespace:
    usual = {
        "time": "Datetime",
        "longitude": "longitude",
        "latitude": "latitude",
        "type": "type",
        "point": None,
        "id": None,
    }
    return Namespace(points=points, **(usual | {"point": "Report Location", "id": "Incident Number"} | changes))


def test_calls_with_points_as_text_count_once(published: Any, tmp_path: Path) -> None:
    calls = tmp_path / "calls.csv"
    calls.write_text(HEADER + ROWS)
    chosen = options(calls)
    events = published.events_of(chosen)
    assert events["type"].tolist() == ["event", "event"]
    degrees = events[[chosen.longitude, chosen.latitude]].apply(pd.to_numeric)
    assert degrees.iloc[0].tolist() == [-122.329051, 47.6069]
    assert degrees.iloc[1].isna().all()


def test_a_missing_column_is_named(published: Any, tmp_path: Path) -> None:
    calls = tmp_path / "calls.csv"
    calls.write_text(HEADER + ROWS)
    for wrong in ("time", "point", "id", "type"):
        with pytest.raises(SystemExit, match=f"{calls}: there is no column Nowhere; there are: Datetime"):
            published.events_of(options(calls, **{wrong: "Nowhere"}))


def test_a_missing_file_is_named(published: Any, tmp_path: Path) -> None:
    for name in ("calls.csv", "calls.parquet"):
        with pytest.raises(SystemExit, match=f"{tmp_path / name}: there is no such file"):
            published.events_of(options(tmp_path / name))
