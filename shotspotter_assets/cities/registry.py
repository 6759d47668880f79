"""Reads the folder of city YAML files into City models, with errors that name file, key and allowed values."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from shotspotter_assets.cities.city import City, Coverage
from shotspotter_assets.cities.coverage_file import read_areas

PACKAGE_CITIES = Path(__file__).parent
"""The folder of the cities that the package ships."""

Cities = Mapping[str, City]
"""Cities by name."""


class CityFileError(ValueError):
    """A city file, or the folder of city files, cannot be used; the message names file, key and remedy."""


class UnknownCityError(KeyError):
    """No file describes the city that was asked for."""

    def __str__(self) -> str:
        return str(self.args[0])


def load_cities(folder: Path = PACKAGE_CITIES) -> Cities:
    """All cities of `folder` (`*.yaml`, `*.yml`) by name, sorted.

    Raises:
        CityFileError: the folder has no city file, a file is not YAML, a key is missing, unknown or has a
            value that is not allowed, or the file is not named after its city; the message has a line for each file.
    """
    if not folder.is_dir():
        raise CityFileError(f"The cities folder {folder} does not exist; set SHOTSPOTTER_CITIES to one of city files.")
    files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    if not files:
        raise CityFileError(f"The cities folder {folder} holds no *.yaml file; add one file per city.")
    cities, errors = [], []
    for file in files:
        try:
            cities.append(load_city(file))
        except CityFileError as error:
            errors.append(str(error))
    if errors:
        raise CityFileError("\n".join(errors))
    by_name = {city.name: city for city in cities}
    if len(by_name) < len(cities):
        raise CityFileError(f"Two files of {folder} describe the same city: {', '.join(f.name for f in files)}.")
    for file, city in zip(files, cities, strict=True):
        others = sorted(set(by_name) - {city.name})
        if city.pretrained is not None and city.pretrained not in others:
            raise CityFileError(
                f"{file}: pretrained: there is no other city {city.pretrained!r}; the files describe: {', '.join(others)}"
            )
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
    return city if city.coverage is None else _with_coverage_path(file, city, city.coverage)


def _with_coverage_path(file: Path, city: City, coverage: Coverage) -> City:
    """The city with the absolute path of its coverage, whose file has the named areas."""
    coverage = coverage.model_copy(update={"file": file.parent.absolute() / coverage.file})
    try:
        published = {name for name, _ in read_areas(coverage.file, coverage.name_property)}
    except ValueError as error:
        raise CityFileError(f"{file}: coverage.file: {error}") from None
    unknown = sorted(set(coverage.areas) - published)
    if unknown:
        raise CityFileError(
            f"{file}: coverage.areas: {coverage.file} has no area {', '.join(unknown)}; it has: "
            f"{', '.join(sorted(published))}"
        )
    return city.model_copy(update={"coverage": coverage})


def find_city(cities: Cities, name: str) -> City:
    """The city called `name`.

    Raises:
        UnknownCityError: no such city; the message lists those there are.
    """
    if name not in cities:
        raise UnknownCityError(f"No city {name!r}; the city files describe: {', '.join(cities)}.")
    return cities[name]


def _explain(problem: Any) -> str:
    key, _ = _locate(problem["loc"])
    if problem["type"] == "extra_forbidden":
        allowed = sorted(_locate(problem["loc"][:-1])[1].model_fields, key=lambda name: name != "kind")
        return f"{key}: unknown key; allowed here: {', '.join(allowed)}"
    if problem["type"] == "missing":
        return f"{key}: is missing"
    # A token that was pasted in place of the name of its variable must not get into logs.
    is_secret = "token" in key
    value = "" if is_secret or isinstance(problem["input"], BaseModel | dict) else f" (got {problem['input']!r})"
    return f"{key}: {problem['msg'].removeprefix('Value error, ')}{value}"


def _locate(path: Sequence[str | int]) -> tuple[str, Any]:
    """The dotted key as written in the file, and the City model's annotation of it.

    If a tag chose one of several models (`landing`), pydantic's path has the tag as a part of its own.
    """
    keys: list[str] = []
    annotation: Any = City
    for part in path:
        annotation = _unwrapped(annotation)
        if _is_model(annotation):
            keys.append(str(part))
            annotation = annotation.model_fields[part].annotation if part in annotation.model_fields else None
            continue
        chosen = [model for model in get_args(annotation) if _is_model(model) and _is_tagged(model, part)]
        if chosen:
            annotation = chosen[0]
            continue
        keys.append(str(part))
        annotation = next(iter(get_args(annotation)[get_origin(annotation) is dict :]), None)
    return ".".join(keys) or "file", _unwrapped(annotation)


def _unwrapped(annotation: Any) -> Any:
    """The type within `Annotated[...]` and beside `None`."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    others = [member for member in get_args(annotation) if member is not type(None)]
    return others[0] if len(others) == 1 and len(get_args(annotation)) == 2 else annotation


def _is_tagged(model: type[BaseModel], part: str | int) -> bool:
    return "kind" in model.model_fields and part in get_args(model.model_fields["kind"].annotation)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
