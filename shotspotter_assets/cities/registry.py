"""Reads the folder of city YAML files into City models, with errors that name file, key and allowed values.

One wrong file stops nothing but its own city: the others are read, and it is named wherever cities are looked at.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError

from shotspotter_assets.cities.city import City, Coverage, is_plausible
from shotspotter_assets.cities.coverage_file import read_areas
from shotspotter_assets.cities.yaml_files import MAX_FILE_BYTES, YamlFileError, read_yaml
from shotspotter_assets.redaction import without_credentials

PACKAGE_CITIES = Path(__file__).parent
"""The folder of the cities that the package ships."""

Cities = Mapping[str, City]
"""Cities by name."""

MAX_PROBLEMS: Final = 10
"""Problems of one file that are named."""
MAX_PROBLEM_CHARACTERS: Final = 400
MAX_VALUE_CHARACTERS: Final = 80
MAX_KEY_CHARACTERS: Final = 100

REMOVED_KEYS: Final = {
    "pretrained": "is no key any more; take it out, as every city starts at the models of all cities (shared_models), and write "
    "`shared: false` in the file of a city whose alerts must not take part in them"
}
"""Keys of earlier versions, with what to write instead."""

_START: Final = re.compile(r"^start:\s*['\"]?(\d{4}-\d\d-\d\d)\b", re.MULTILINE)
_AUTOMATED: Final = re.compile(r"^automation:\s*['\"]?(recent|history)\b", re.MULTILINE)


class CityFileError(ValueError):
    """A city file, or the folder of city files, cannot be used; the message names file, key and remedy."""


class UnknownCityError(KeyError):
    """No file describes the city that was asked for."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class UnusableFile:
    """A city's file that cannot be used at the moment."""

    problem: str
    """File, key and remedy, in one line."""
    start: date | None
    """The city's first day, as far as the file can still be read, so that its earlier partitions stay."""
    is_automated: bool
    """Whether the file says so, as far as it can be read."""


class CityFiles(Mapping[str, City]):
    """The cities of a folder by name, sorted, beside the files of it that cannot be used."""

    def __init__(self, cities: Cities, unusable: Mapping[str, UnusableFile]) -> None:
        self._cities = dict(sorted(cities.items()))
        self.unusable = MappingProxyType(dict(sorted(unusable.items())))
        """By the name that the file gives its city."""

    def __getitem__(self, name: str) -> City:
        return self._cities[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._cities)

    def __len__(self) -> int:
        return len(self._cities)

    def without(self, problems: Mapping[str, str]) -> "CityFiles":
        """The files without those cities, which have a problem that was found elsewhere.

        Raises:
            CityFileError: no city is left.
        """
        unusable = {
            name: UnusableFile(problem, self[name].start, self[name].is_automated) for name, problem in problems.items()
        }
        left = {name: city for name, city in self.items() if name not in problems}
        return _with_a_city(CityFiles(left, {**self.unusable, **unusable}))


def unusable_files(cities: Cities) -> Mapping[str, UnusableFile]:
    """The files beside those of the cities that cannot be used; none of cities that were made otherwise."""
    return cities.unusable if isinstance(cities, CityFiles) else {}


def load_cities(folder: Path = PACKAGE_CITIES) -> CityFiles:
    """All cities of `folder` (`*.yaml`, `*.yml`).

    Raises:
        CityFileError: the folder has no city file, or none that can be used: a line for each that cannot, because a key
            is missing, unknown, there twice or has a value that is not allowed, or it is not named after its city.
    """
    if not folder.is_dir():
        raise CityFileError(f"The cities folder {folder} does not exist; set SHOTSPOTTER_CITIES to one of city files.")
    files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    if not files:
        raise CityFileError(f"The cities folder {folder} holds no *.yaml file; add one file per city.")
    cities: dict[str, City] = {}
    unusable: dict[str, UnusableFile] = {}
    for file in files:
        try:
            cities[file.stem] = _city_among(file, files)
        except CityFileError as error:
            unusable[file.stem] = _unusable_file(file, str(error))
    return _with_a_city(CityFiles(cities, unusable))


def _city_among(file: Path, files: Sequence[Path]) -> City:
    """The city of one of several files."""
    others = sorted({other.stem for other in files if other != file})
    if file.stem in others:
        raise CityFileError(f"Two files of {file.parent} describe the same city: {file.stem}.yaml and {file.stem}.yml.")
    return load_city(file)


def _with_a_city(files: CityFiles) -> CityFiles:
    if not files:
        raise CityFileError("\n".join(file.problem for file in files.unusable.values()))
    return files


def _unusable_file(file: Path, problem: str) -> UnusableFile:
    """With what can still be read of the file, whatever is wrong in it."""
    try:
        text = file.read_bytes()[:MAX_FILE_BYTES].decode(errors="replace") if file.is_file() else ""
    except OSError:
        text = ""
    start = _START.search(text)
    try:
        day = date.fromisoformat(start[1]) if start else None
    except ValueError:
        day = None
    return UnusableFile(
        problem, day if day is not None and is_plausible(day) else None, _AUTOMATED.search(text) is not None
    )


def load_city(file: Path) -> City:
    """One city from its YAML file.

    Raises:
        CityFileError: see `load_cities`.
    """
    try:
        content = read_yaml(file)
    except YamlFileError as error:
        raise CityFileError(f"{file}: {error}") from None
    if not isinstance(content, dict):
        raise CityFileError(f"{file}: expected keys and values ({', '.join(City.model_fields)}).")
    try:
        city = City.model_validate(content)
    except ValidationError as error:
        problems = [_cut(_explain(problem), MAX_PROBLEM_CHARACTERS) for problem in error.errors()]
        more = [f"and {len(problems) - MAX_PROBLEMS} more"] if len(problems) > MAX_PROBLEMS else []
        raise CityFileError(f"{file}: " + "; ".join(problems[:MAX_PROBLEMS] + more)) from None
    if city.name != file.stem:
        raise CityFileError(f"{file}: name: is {city.name!r}, but the file must be named {city.name}.yaml.")
    city = _with_paths(file, city)
    return city if city.coverage is None else _with_coverage_path(file, city, city.coverage)


def _with_paths(file: Path, city: City) -> City:
    """The city with the absolute paths of its layers, factors and streets, whose files are there; they are read when needed."""

    def found(key: str, path: Path) -> dict[str, Path]:
        path = file.parent.absolute() / path.expanduser()
        if not path.is_file():
            raise CityFileError(
                f"{file}: {key}.path: {path} does not exist; a relative path starts at the folder of the city's file"
            )
        return {"path": path}

    layers = {
        key: layer.model_copy(update=found(f"layers.{key}", layer.path)) for key, layer in city.layers.given().items()
    }
    factors = {
        name: factor.model_copy(update=found(f"factors.{name}", factor.path)) for name, factor in city.factors.items()
    }
    streets = None if city.streets is None else city.streets.model_copy(update=found("streets", city.streets.path))
    if streets is not None and streets.blocks is not None:
        blocks = streets.blocks.model_copy(update=found("streets.blocks", streets.blocks.path))
        streets = streets.model_copy(update={"blocks": blocks})
    return city.model_copy(
        update={"layers": city.layers.model_copy(update=layers), "factors": factors, "streets": streets}
    )


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
        CityFileError: its file cannot be used at the moment.
    """
    if name in unusable_files(cities):
        raise CityFileError(
            f"City {name} stands still until its file can be used, and the code location is loaded again: "
            f"{unusable_files(cities)[name].problem}"
        )
    if name not in cities:
        raise UnknownCityError(f"No city {name!r}; the city files describe: {', '.join(cities)}.")
    return cities[name]


def _explain(problem: Any) -> str:
    key, _ = _locate(problem["loc"])
    key = _cut(key, MAX_KEY_CHARACTERS)
    if problem["type"] == "extra_forbidden":
        if key in REMOVED_KEYS:
            return f"{key}: {REMOVED_KEYS[key]}"
        allowed = sorted(_locate(problem["loc"][:-1])[1].model_fields, key=lambda name: name != "kind")
        return f"{key}: unknown key; allowed here: {', '.join(allowed)}"
    if problem["type"] == "missing":
        return f"{key}: is missing"
    # A token that was pasted in place of the name of its variable must not get into logs.
    is_secret = "token" in key
    value = (
        "" if is_secret or isinstance(problem["input"], BaseModel | dict) else f" (got {shown_value(problem['input'])})"
    )
    return f"{key}: {problem['msg'].removeprefix('Value error, ')}{value}"


def shown_value(value: Any) -> str:
    """A value as the file has it, in part if it is long, and without what may be a secret in an address."""
    if isinstance(value, str) and "://" in value:
        value = without_credentials(value.partition("?")[0]) + ("?..." if "?" in value else "")
    try:
        text = repr(value)
    except RecursionError:
        text = f"a {type(value).__name__} nested too deeply"
    return _cut(text, MAX_VALUE_CHARACTERS)


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[:characters]}..."


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
