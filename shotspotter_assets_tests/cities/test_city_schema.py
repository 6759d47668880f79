import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from docs.city_schema import city_schema
from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import PACKAGE_CITIES, SCHEMA, _Loader, schema_comment
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets_tests.conftest import TEST_CITIES

FILES = [*sorted(PACKAGE_CITIES.glob("*.yaml")), *sorted(TEST_CITIES.glob("*.yaml"))]
VALIDATOR = Draft7Validator(json.loads(SCHEMA.read_text()), format_checker=Draft7Validator.FORMAT_CHECKER)
SIMULATED = yaml.safe_load((PACKAGE_CITIES / "simulated_city.yaml").read_text())


def problems(city: dict[str, Any]) -> list[str]:
    """Messages of the schema about a city; editors read dates as texts."""
    content = json.loads(json.dumps(city, default=date.isoformat))
    return [error.message for error in VALIDATOR.iter_errors(content)]


def shown_cities() -> Iterator[tuple[str, dict[str, Any]]]:
    """Cities that the documentation shows in full, and its sections as parts of the simulated city, by page."""
    for page in sorted((CHECKOUT / "docs").rglob("*.md")):
        if page.name == "new_source.md":  # its kind of source is one that the reader adds
            continue
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
            content = None if "..." in block else yaml.load(block, Loader=_Loader)
            if isinstance(content, dict) and content.keys() <= City.model_fields.keys():
                yield page.name, SIMULATED | content


def test_the_schema_is_that_of_the_model() -> None:
    assert SCHEMA.read_text() == city_schema(), "run python -m docs.public_surface"
    Draft7Validator.check_schema(VALIDATOR.schema)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_usable_files_are_valid(file: Path) -> None:
    assert problems(yaml.load(file.read_text(), Loader=_Loader)) == []


def test_shown_cities_are_valid() -> None:
    shown = [*shown_cities()]
    assert {"new_city.md", "second_target.md", "patrol_plans.md"} <= {page for page, _ in shown}
    assert {page: found for page, city in shown if (found := problems(city))} == {}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"time_zne": "America/New_York"}, "time_zne"),
        ({"limits": {"memory": 100}}, "memory"),
        ({"source": {"kind": "simulated", "sed": 1}}, "sed"),
        ({"forecasters": {"residual_boosting": {"max_tree": 60}}}, "max_tree"),
        ({"retraining": "hourly"}, "hourly"),
        ({"start": "soon"}, "soon"),
    ],
)
def test_a_wrong_key_or_value_is_named(changes: dict[str, Any], named: str) -> None:
    [problem] = problems(SIMULATED | changes)
    assert named in problem


def test_a_file_without_a_required_key_is_refused() -> None:
    assert problems({key: value for key, value in SIMULATED.items() if key != "box"}) == [
        "'box' is a required property"
    ]


def test_every_key_is_described() -> None:
    assert [key for key, schema in VALIDATOR.schema["properties"].items() if not schema.get("description")] == []


def test_shipped_files_name_the_schema_beside_them_and_others_its_path(tmp_path: Path) -> None:
    assert {file.read_text().splitlines()[0] for file in PACKAGE_CITIES.glob("*.yaml")} == {
        schema_comment(PACKAGE_CITIES)
    }
    for folder in (PACKAGE_CITIES, tmp_path):
        address = schema_comment(folder).partition("$schema=")[2]
        assert (folder / address).resolve() == SCHEMA.resolve()
