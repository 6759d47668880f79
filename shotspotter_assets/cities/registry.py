"""Reads the folder of city YAML files into City models, with errors that name file, key and allowed values."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from shotspotter_assets.cities.model import City

PACKAGE_CITIES = Path(__file__).parent
"""The folder of the cities that the package ships."""


class CityFileError(ValueError):
    """A city file, or the folder of city files, cannot be used; the message names file, key and remedy."""


class UnknownCityError(KeyError):
    """No file describes the city that was asked for."""

    def __str__(self) -> str:
        return str(self.args[0])


def load_cities(folder: Path = PACKAGE_CITIES) -> Mapping[str, City]:
    """All cities of `folder` (`*.yaml`, `*.yml`) by name, sorted.

    Raises:
        CityFileError: the folder has no city file, a file is not YAML, a key is missing, unknown or has a
            value that is not allowed, or the file is not named after its city.
    """
    if not folder.is_dir():
        raise CityFileError(f"The cities folder {folder} does not exist; set SHOTSPOTTER_CITIES to one of city files.")
    files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    if not files:
        raise CityFileError(f"The cities folder {folder} holds no *.yaml file; add one file per city.")
    cities = [load_city(file) for file in files]
    by_name = {city.name: city for city in cities}
    if len(by_name) < len(cities):
        raise CityFileError(f"Two files of {folder} describe the same city: {', '.join(f.name for f in files)}.")
    return MappingProxyType(dict(sorted(by_name.items())))


def load_city(file: Path) -> City:
    """One city from its YAML file.

    Raises:
        CityFileError: see `load_cities`.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CityFileError(f"{file}: not a YAML file: {error}") from None
    if not isinstance(content, dict):
        raise CityFileError(f"{file}: expected keys and values ({', '.join(City.model_fields)}).")
    try:
        city = City.model_validate(content)
    except ValidationError as error:
        raise CityFileError(f"{file}: " + "; ".join(_explain(problem) for problem in error.errors())) from None
    if city.name != file.stem:
        raise CityFileError(f"{file}: name: is {city.name!r}, but the file must be named {city.name}.yaml.")
    return city


def find_city(cities: Mapping[str, City], name: str) -> City:
    """The city called `name`.

    Raises:
        UnknownCityError: no such city; the message lists those there are.
    """
    if name not in cities:
        raise UnknownCityError(f"No city {name!r}; the city files describe: {', '.join(cities)}.")
    return cities[name]


def _explain(problem: Any) -> str:
    path = [str(part) for part in problem["loc"]]
    if problem["type"] == "extra_forbidden":
        return f"{_key(path)}: unknown key; allowed here: {', '.join(_allowed_keys(path[:-1]))}"
    if problem["type"] == "missing":
        return f"{_key(path)}: is missing"
    got = "" if isinstance(problem["input"], dict) else f" (got {problem['input']!r})"
    return f"{_key(path)}: {problem['msg'].removeprefix('Value error, ')}{got}"


def _key(path: list[str]) -> str:
    """Dotted key as written in the file; pydantic puts the union's tag (`landing`) into the path."""
    return ".".join(path[:1] + path[2:] if path[:1] == ["source"] and len(path) > 1 else path) or "file"


def _allowed_keys(path: list[str]) -> list[str]:
    model: Any = City
    for part in path:
        if _is_model(model):
            model = model.model_fields[part].annotation
        else:
            model = next(kind for kind in get_args(model) if part in get_args(kind.model_fields["kind"].annotation))
    return sorted(model.model_fields, key=lambda name: name != "kind")


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
