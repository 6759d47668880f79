"""A city that is built up to yesterday, which tests copy and continue."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from shotspotter_assets_tests.automation.living_city import LivingCity, noon, rows

START = date(2026, 3, 2)
TODAY = date(2026, 3, 16)
YESTERDAY = TODAY - timedelta(days=1)


@pytest.fixture(scope="session")
def settled_once(tmp_path_factory: pytest.TempPathFactory) -> LivingCity:
    """The city at noon with all that has landed stored, forecast and shown; not to be changed."""
    town = LivingCity(tmp_path_factory.mktemp("settled") / "town", START, noon(TODAY))
    town.land("history.csv", *rows(START, YESTERDAY))
    town.settle(checks=False)
    return town


@pytest.fixture
def settled(settled_once: LivingCity, tmp_path: Path) -> LivingCity:
    """A copy for one test: building the city takes several runs."""
    return settled_once.copy(tmp_path / "town")
