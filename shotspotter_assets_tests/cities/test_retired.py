import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

from shotspotter_assets.cities.retired import RETIRED, Retired
from shotspotter_assets.city_files import PACKAGE_CITIES, CityFile, CityFileError, load_city, read_keys

SIMULATED = yaml.safe_load((PACKAGE_CITIES / "simulated_city.yaml").read_text())
API = {"kind": "alerts_api", "url": "https://a.example/alerts", "paging": {"style": "page"}, "columns": {"time": "at"}}


def city_file(folder: Path, changes: dict[str, Any]) -> Path:
    file = folder / "simulated_city.yaml"
    file.write_text(yaml.safe_dump(SIMULATED | changes))
    return file


@pytest.mark.parametrize(
    ("changes", "key", "instead"),
    [
        ({"forecast": ["robbery"]}, "forecast", "targets"),
        ({"retraining": "hourly"}, "retraining = hourly", "weekly"),
        ({"limits": {"max_rows": 5}}, "limits.max_rows", "memory_mb"),
        ({"source": API | {"preset": "arcgis"}}, "source.preset = arcgis", "kind: arcgis"),
        ({"source": API | {"patience": {"total_seconds": 9}}}, "source.patience.total_seconds", "answer_seconds"),
        ({"other_sources": [API | {"preset": "socrata"}]}, "other_sources.preset = socrata", "kind: socrata"),
        ({"serves": "residual_conv_lstm"}, "serves = residual_conv_lstm", "network"),
        (
            {"forecasters": {"network": {"channels": ["counts", "location"]}}},
            "forecasters.network.channels = location",
            "leave out this channel",
        ),
    ],
)
def test_a_removed_key_is_refused_in_one_line_with_what_to_write(
    changes: dict[str, Any], key: str, instead: str, tmp_path: Path
) -> None:
    file = city_file(tmp_path, changes)
    with pytest.raises(CityFileError) as refused:
        load_city(file)
    assert str(refused.value).startswith(f"{file}: {key}: removed in 1.0.0; ")
    assert instead in str(refused.value)
    assert "\n" not in str(refused.value)


def test_every_removed_key_has_an_instruction() -> None:
    assert [name for name, part in RETIRED.items() if not part.instead] == []


def test_a_deprecated_key_is_accepted_with_a_warning_and_then_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = city_file(tmp_path, {"holidays": "US-DC"})
    deprecated = Retired("write calendars", refused_from="999.0.0", warned_since="998.1.0")
    with caplog.at_level(logging.WARNING):
        assert read_keys(file, CityFile, retired={"holidays": deprecated}).holidays == "US-DC"
    assert caplog.messages == [f"{file}: holidays: deprecated since 998.1.0, refused from 999.0.0 on; write calendars"]
    refused = Retired("write calendars", refused_from="0.0.0", warned_since="0.0.0")
    with pytest.raises(CityFileError, match=r"holidays: removed in 0\.0\.0; write calendars"):
        read_keys(file, CityFile, retired={"holidays": refused})


@pytest.mark.parametrize(
    ("program", "is_refused"), [("1.3.0", False), ("1.9.2", False), ("2.0.0", True), ("3.1.0", True)]
)
def test_a_deprecated_key_is_refused_at_the_major_version(program: str, is_refused: bool) -> None:
    part = Retired("remove it", refused_from="2.0.0", warned_since="1.3.0")
    assert part.is_refused(program) is is_refused
