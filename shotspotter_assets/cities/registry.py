"""Reads the folder of city YAML files into City models, with errors that name file, key and allowed values.

One wrong file stops nothing but its own city: the others are read, and it is named wherever cities are looked at.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from shotspotter_assets.cities.city import City, Coverage
from shotspotter_assets.cities.factors import Factor
from shotspotter_assets.cities.layers import Layer
from shotspotter_assets.cities.shape_files import read_areas
from shotspotter_assets.cities.streets import Streets
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

_AUTOMATED: Final = re.compile(rb"^automation:\s*['\"]?(recent|history)\b", re.MULTILINE)

_Part = TypeVar("_Part", Layer, Factor, Streets)


class CityFileError(ValueError):
    """A city file, or the folder of city files, cannot be used; the message names file, key and remedy."""


@dataclass(frozen=True)
class UnusableFile:
    """A city's file that cannot be used at the moment."""

    problem: str
    """File, key and remedy, in one line."""
    is_automated: bool
    """Whether the file asks for automatic runs, as far as it can be read."""


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
        """The files without the cities that have a problem, by name.

        Raises:
            CityFileError: no city is left.
        """
        unusable = {name: UnusableFile(problem, self[name].is_automated) for name, problem in problems.items()}
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
            cities[file.stem] = load_city(file)
        except CityFileError as error:
            unusable[file.stem] = UnusableFile(str(error), _is_automated(file))
    for name, times in Counter(file.stem for file in files).items():
        if times > 1:
            problem = f"Two files of {folder} describe the same city: {name}.yaml and {name}.yml."
            unusable[name] = UnusableFile(problem, is_automated=False)
    return _with_a_city(CityFiles({name: city for name, city in cities.items() if name not in unusable}, unusable))


def _with_a_city(files: CityFiles) -> CityFiles:
    if not files:
        raise CityFileError("\n".join(file.problem for file in files.unusable.values()))
    return files


def _is_automated(file: Path) -> bool:
    """Whether a file that cannot be used asks for automatic runs."""
    try:
        return file.is_file() and _AUTOMATED.search(file.read_bytes()[:MAX_FILE_BYTES]) is not None
    except OSError:
        return False


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
        problems = [_cut(_explain(problem, content), MAX_PROBLEM_CHARACTERS) for problem in error.errors()]
        more = [f"and {len(problems) - MAX_PROBLEMS} more"] if len(problems) > MAX_PROBLEMS else []
        raise CityFileError(f"{file}: " + "; ".join(problems[:MAX_PROBLEMS] + more)) from None
    if city.name != file.stem:
        raise CityFileError(f"{file}: name: is {city.name!r}, but the file must be named {city.name}.yaml.")
    return _with_paths(file, city)


def _with_paths(file: Path, city: City) -> City:
    """The city with the absolute paths of its files, which exist; their content is read when it is needed."""

    def located(key: str, part: _Part) -> _Part:
        path = file.parent.absolute() / part.path.expanduser()
        if not path.is_file():
            raise CityFileError(
                f"{file}: {key}.path: {path} does not exist; a relative path starts at the folder of the city's file"
            )
        return part.model_copy(update={"path": path})

    layers = {key: located(f"layers.{key}", layer) for key, layer in city.layers.given().items()}
    changes = {
        "layers": city.layers.model_copy(update=layers),
        "factors": {name: located(f"factors.{name}", factor) for name, factor in city.factors.items()},
        "streets": city.streets and located("streets", city.streets),
        "coverage": city.coverage and _with_areas(file, city.coverage),
    }
    return city.model_copy(update=changes)


def _with_areas(file: Path, coverage: Coverage) -> Coverage:
    """The coverage with the absolute path of its file, which has the named areas."""
    coverage = coverage.model_copy(update={"file": file.parent.absolute() / coverage.file})
    try:
        published = {name for name, _ in read_areas(coverage.file, coverage.name_property)}
    except ValueError as error:
        raise CityFileError(f"{file}: coverage.file: {error}") from None
    if unknown := sorted(set(coverage.areas) - published):
        raise CityFileError(
            f"{file}: coverage.areas: {coverage.file} has no area {', '.join(unknown)}; it has: "
            f"{', '.join(sorted(published))}"
        )
    return coverage


def find_city(cities: Cities, name: str) -> City:
    """The city called `name`.

    Raises:
        CityFileError: there is no such city, or its file cannot be used at the moment.
    """
    if name in unusable_files(cities):
        raise CityFileError(
            f"City {name} stands still until its file is corrected and the code location reloaded: "
            f"{unusable_files(cities)[name].problem}"
        )
    if name not in cities:
        raise CityFileError(f"No city {name!r}; the city files describe: {', '.join(cities)}.")
    return cities[name]


def _explain(problem: Any, content: Any) -> str:
    """One problem that pydantic found in the content of a file: key, reason, and the value or the allowed ones."""
    path, kind = problem["loc"], problem["type"]
    key = _cut(_dotted(path, content), MAX_KEY_CHARACTERS)
    if kind == "extra_forbidden":
        allowed = [name for model in _models_at(path[:-1]) for name in model.model_fields]
        near = get_close_matches(str(path[-1]), allowed, 1)
        hint = f"; did you mean {near[0]}?" if near else ";"
        return f"{key}: unknown key{hint} allowed here: {', '.join(sorted(allowed, key=lambda name: name != 'kind'))}"
    if kind == "missing":
        return f"{key}: is missing"
    if kind.startswith("union_tag_"):
        kinds = [name for model in _models_at(path) for name in _kinds(model)]
        wrong = f"{shown_value(problem['ctx']['tag'])} is unknown" if "tag" in problem["ctx"] else "is missing"
        return f"{key}.kind: {wrong} (allowed: {', '.join(kinds)})"
    # A token that was pasted instead of the name of its variable must not get into logs.
    is_hidden = "token" in key or isinstance(problem["input"], BaseModel | dict)
    value = "" if is_hidden else f" (got {shown_value(problem['input'])})"
    return f"{key}: {problem['msg'].removeprefix('Value error, ')}{value}"


def shown_value(value: Any) -> str:
    """A value as the file has it, in part if it is long, and without what may be a secret in an address."""
    if isinstance(value, str) and "://" in value:
        value = without_credentials(value.partition("?")[0]) + ("?..." if "?" in value else "")
    return _cut(repr(value), MAX_VALUE_CHARACTERS)


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[:characters]}..."


def _dotted(path: Sequence[str | int], content: Any) -> str:
    """The key as written in the file; pydantic's path also has the `kind` of a source or factor."""
    keys: list[str] = []
    for part in path:
        if isinstance(content, dict) and part not in content and part == content.get("kind"):
            continue
        keys.append(str(part))
        is_inside = part in content if isinstance(content, dict) else isinstance(content, list)
        content = content[part] if is_inside else None
    return ".".join(keys) or "file"


def _models_at(path: Sequence[str | int]) -> list[type[BaseModel]]:
    """The model, or the models of different `kind`, that a path of pydantic leads to."""
    models: list[type[BaseModel]] = [City]
    for part in path:
        if fields := [model.model_fields[str(part)] for model in models if part in model.model_fields]:
            models = list(_models_in(fields[0].annotation))
        else:
            models = [model for model in models if part in _kinds(model)] or models
    return models


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
