"""The cities of a rehearsal: their files can be used, and they run by themselves."""

from datetime import date
from pathlib import Path

import yaml

from shotspotter_assets.cities.registry import load_city
from shotspotter_assets.rehearsal.cities import simulated_city


def test_the_file_of_a_rehearsed_city_can_be_used(tmp_path: Path) -> None:
    rehearsed = simulated_city(date(2026, 3, 1), date(2026, 3, 3))
    file = tmp_path / f"{rehearsed.name}.yaml"
    file.write_text(yaml.safe_dump(rehearsed.file))
    assert load_city(file).automation == "history"
