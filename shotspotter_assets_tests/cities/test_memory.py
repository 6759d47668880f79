"""A city that does not fit into memory is refused before anything is read, with what would fit."""

import re
from datetime import date
from typing import Any

import pytest

from shotspotter_assets.cities import memory
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.memory import GIGABYTE, CityTooLargeError, machine_bytes, require_memory

LAST = date(2024, 2, 2)


def city(**changes: Any) -> City:
    described = {
        "name": "big_city",
        "time_zone": "America/New_York",
        "start": date(2016, 1, 1),
        "box": {"west": -77.0, "south": 38.0, "east": -76.0, "north": 39.0},
        "grid": {"rows": 500, "columns": 400},
        "source": {"kind": "simulated"},
        "memory_gb": 8,
    }
    return City.model_validate(described | changes)


def test_a_refusal_names_city_cells_days_estimate_limit_and_what_fits() -> None:
    says = (
        r"City big_city: to train on 500 x 400 cells over 2,955 days to 2024-02-02 takes about 11\.\d GB of memory, and there "
        r"are 8\.0\. In the city's file, give it a grid of (\d+) x (\d+) cells or coarser, or a start of (\S+) or later, or "
        r"a machine"
    )
    with pytest.raises(CityTooLargeError, match=says) as refused:
        require_memory(city(), LAST)
    found = re.search(says, str(refused.value))
    assert found
    rows, columns, start = int(found[1]), int(found[2]), date.fromisoformat(found[3])
    assert 400 < rows < 500
    require_memory(city(grid={"rows": rows, "columns": columns}), LAST)
    require_memory(city(start=start), LAST)
    with pytest.raises(CityTooLargeError):
        require_memory(city(start=date.fromordinal(start.toordinal() - 2)), LAST)


def test_covered_cells_weigh_more_than_empty_ones() -> None:
    fitting = city(start=date(2023, 1, 1), memory_gb=4)
    require_memory(fitting, LAST, covered=900)
    with pytest.raises(CityTooLargeError, match="12,000 of them covered, over 398 days") as refused:
        require_memory(fitting, LAST, covered=12_000)
    assert "a start of" not in str(refused.value)
    require_memory(city(start=date(2023, 1, 1), memory_gb=8), LAST, covered=12_000)


def test_five_years_of_200_x_200_cells_fit_into_8_gb_with_half_of_them_covered() -> None:
    fine = city(start=date(2019, 2, 3), grid={"rows": 200, "columns": 200})
    require_memory(fine, LAST, covered=20_000)
    with pytest.raises(CityTooLargeError):
        require_memory(
            city(start=date(2019, 2, 3), grid={"rows": 200, "columns": 200}, memory_gb=3), LAST, covered=20_000
        )


def test_without_a_limit_in_the_file_it_is_what_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    assert GIGABYTE / 4 < machine_bytes() < 2**50
    monkeypatch.setattr(memory, "machine_bytes", lambda: 16 * GIGABYTE)
    require_memory(city(memory_gb=None), LAST)
    monkeypatch.setattr(memory, "machine_bytes", lambda: GIGABYTE)
    with pytest.raises(CityTooLargeError, match=r"there are 1\.0"):
        require_memory(city(memory_gb=None), LAST)
