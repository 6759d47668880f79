"""Read city YAML files into City models. A wrong file affects only its own city, which keeps its last good file."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError, model_validator

from shotspotter_assets.alerts.sources.side_settings import sections_of, table_site
from shotspotter_assets.alerts.sources.source_kinds import (
    OutcomesOfAnySource,
    PatrolsOfAnySource,
    SimulatedSettings,
    SourceOfAnyKind,
)
from shotspotter_assets.alerts.sources.tabular_settings import LandingSettings, TabularSettings
from shotspotter_assets.cities.accountability import AuditLayer, SideTable
from shotspotter_assets.cities.city import City, Coverage
from shotspotter_assets.cities.layers import Factor, Layer, Streets
from shotspotter_assets.cities.source_settings import SourceSettings
from shotspotter_assets.cities.strict_model import CityFileError, explain
from shotspotter_assets.storage.errors import StoreError
from shotspotter_assets.storage.objects import LocalFiles

PACKAGE_CITIES = Path(__file__).parent / "cities"  # folder of the shipped city files
SCHEMA: Final = PACKAGE_CITIES / "city.schema.json"  # JSON Schema of city files, for editors
Cities = Mapping[str, City]  # cities by name
SEARCH: Final = (
    "City files are those of the folder SHOTSPOTTER_CITIES, or else of cities/ beside the store, or else the shipped."
)
MAX_PROBLEMS: Final = 10  # maximum number of problems named of one file
SHARED_FOLDER: Final = "two landing sources share a folder, or one lies in another; give each its own"
RELATIVE_PATHS: Final = "a relative path starts at the folder of the city's file"
log = logging.getLogger(__name__)
_Model = TypeVar("_Model", bound=BaseModel)
_Part = TypeVar("_Part", Coverage, Layer, Factor, Streets, AuditLayer)


class LastGoodFiles:
    """Copies of city files below the local folder `root`, each at the path of its file."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, file: Path) -> tuple[str, datetime] | None:
        """Return the last usable text of a city file, and the time when it was first loaded; None without one."""
        copy = self.root / _copy_of(file)
        try:
            return copy.read_bytes().decode(), datetime.fromtimestamp(copy.stat().st_mtime, UTC)
        except (OSError, ValueError):
            return None

    def keep(self, texts: Mapping[Path, str]) -> None:
        """Store the texts that changed; log a warning if the folder cannot be written to."""
        try:
            for file, text in texts.items():
                if not (last := self.read(file)) or last[0] != text:
                    LocalFiles(self.root).write(_copy_of(file), text.encode())
        except (OSError, StoreError) as error:
            log.warning("The last good city files cannot be kept in %s: %s", self.root, error)


def _copy_of(file: Path) -> str:
    return str(file.absolute().relative_to(file.absolute().anchor))


class CityFile(City):
    """The content of one city's YAML file: a city whose sources are of any kind."""

    source: SourceOfAnyKind
    other_sources: tuple[SourceOfAnyKind, ...] = ()
    outcomes: OutcomesOfAnySource | None = None
    patrols: PatrolsOfAnySource | None = None

    @model_validator(mode="after")
    def _has_usable_sources(self) -> "CityFile":
        """Refuse sources that share a folder or an address, and days that no source has."""
        alerts = [source for source in self.all_sources if isinstance(source, TabularSettings)]
        if any(None in (source.columns.longitude, source.columns.latitude) for source in alerts):
            raise ValueError("source.columns: alerts need longitude and latitude")
        landing = _landing_sources(self)
        folders = [source.folder or self.name for source in landing if source.path is None]
        if any(isinstance(source, SimulatedSettings) for source in self.other_sources):
            raise ValueError("other_sources cannot be simulated")
        if any(f"{folder}/".startswith(f"{other}/") for folder, other in permutations(folders, 2)):
            raise ValueError(SHARED_FOLDER)
        [(address, sources)] = Counter(source.address for source in self.all_sources).most_common(1)
        if address and sources > 1:
            raise ValueError(
                f"two live sources have the address {address}, so their answers would replace each other; remove one"
            )
        since = getattr(self.source, "since", None) or self.start
        if since > self.start and not self.other_sources:
            raise ValueError(
                f"no source has the days from start to since ({since}); add other_sources, or write start: {since}"
            )
        return self


def _landing_sources(city: City) -> list[LandingSettings]:
    """Return the sources of a city with a landing folder, those of side tables too."""
    tables = [source for section in sections_of(city) for source in table_site(city, section).sources]
    return [source for source in (*city.all_sources, *tables) if isinstance(source, LandingSettings)]


def schema_comment(folder: Path | None = None) -> str:
    """Return the first line of a city file in `folder`, or in any, by which editors find the JSON Schema."""
    address = SCHEMA.name if folder and folder.resolve() == PACKAGE_CITIES.resolve() else SCHEMA.resolve()
    return f"# yaml-language-server: $schema={address}"


class CityFiles(dict[str, City]):
    """Cities by name, and the problem of each unusable file."""

    def __init__(self, cities: Cities, unusable: Mapping[str, str]) -> None:
        super().__init__(sorted(cities.items()))
        self.unusable = dict(sorted(unusable.items()))
        """File, key and remedy in one line, by the name of the file. A city is here if its last good file is in force."""


def unusable_files(cities: Cities) -> Mapping[str, str]:
    """Return the problem of each unusable city file by name."""
    return cities.unusable if isinstance(cities, CityFiles) else {}


def load_cities(
    folder: Path = PACKAGE_CITIES,
    last_good: LastGoodFiles | None = None,
    checks: Sequence[Callable[[City], None]] = (),
    *,
    keep: bool = False,
) -> CityFiles:
    """Read all cities of `folder` (`*.yaml`), a wrong file in its last good version if there is one.

    `checks` raise CityFileError for further rules. With `keep`, good files are stored in `last_good`. If no file can be used,
    the CityFileError has a line for each.
    """
    if not folder.is_dir():
        problem = "is a file" if folder.is_file() else "does not exist"
        raise CityFileError(f"The cities folder {folder} {problem}; set SHOTSPOTTER_CITIES to a folder of city files.")
    files = sorted(file for file in folder.glob("[!.]*") if file.suffix.lower() in (".yaml", ".yml"))
    if not files:
        raise CityFileError(f"The cities folder {folder} holds no *.yaml file; add one file per city.")
    cities: dict[str, City] = {}
    unusable: dict[str, str] = {}
    good: dict[Path, str] = {}

    def add(file: Path, text: str) -> None:
        city = load_city(file, text)
        for check in checks:
            check(city)
        cities[city.name] = city

    for file in files:
        try:
            text = _read(file)
            add(file, text)
            good[file] = text
        except CityFileError as error:
            name = file.stem if file.suffix == ".yaml" else file.name
            problem = str(error)
            if last_good and file.suffix == ".yaml" and (last := last_good.read(file)):
                text, since = last
                with suppress(CityFileError):
                    add(file, text)
                    day = since.astimezone(cities[name].zone).date()
                    until = "until it is corrected and the code reloaded"
                    problem += f" (The last good file of {day} stays in force {until}.)"
            name, problem = (os.fsencode(text).decode(errors="backslashreplace") for text in (name, problem))
            unusable[name] = problem
    if last_good and keep:
        last_good.keep(good)
    if not cities:
        raise CityFileError("\n".join(unusable[name] for name in sorted(unusable)))
    return CityFiles(cities, unusable)


def _read(file: Path) -> str:
    if file.suffix != ".yaml":
        raise CityFileError(f"{file}: is not read; rename it to {file.stem}.yaml")
    try:
        return file.read_bytes().decode()
    except (OSError, ValueError) as error:
        raise CityFileError(f"{file}: cannot be read: {error}") from None


def load_city(file: Path, text: str | None = None) -> City:
    """Read one city from its YAML file, or from another text of it; raise CityFileError with file, key and reason."""
    city = read_keys(file, CityFile, text)
    if city.name != file.stem:
        raise CityFileError(f"{file}: name: is {city.name!r}, but the file must be named {city.name}.yaml.")
    return _with_paths(file, city)


def read_keys(file: Path, model: type[_Model], text: str | None = None) -> _Model:
    """Return the keys and values of a YAML file, or of another text of it; raise CityFileError with key and reason."""
    text = _read(file) if text is None else text
    try:
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        # Without the text of the line, which may hold a secret.
        raise CityFileError(f"{file}: is not a YAML file: {line}{error.problem}") from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CityFileError(f"{file}: cannot be read as YAML: {reason}") from None
    if not isinstance(content, dict):
        raise CityFileError(f"{file}: expected keys and values ({', '.join(model.model_fields)}).")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        schema = model.model_json_schema()
        problems = [explain(problem, schema) for problem in error.errors(include_url=False)[:MAX_PROBLEMS]]
        more = error.error_count() - len(problems)
        raise CityFileError(f"{file}: " + "; ".join([*problems, *([f"and {more} more"] if more else [])])) from None


class _Loader(yaml.CSafeLoader):
    """A safe loader that refuses repeated keys, and reads `on` and `off` as words, as YAML 1.2 does."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return the value of a node; raise MarkedYAMLError for an impossible one, such as 30 February."""
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise yaml.MarkedYAMLError(problem=str(error), problem_mark=node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the keys and values of a node; raise MarkedYAMLError for a repeated key."""
        earlier: dict[str, yaml.ScalarNode] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if (first := earlier.setdefault(key.value, key)) is not key:
                problem = f"the key {key.value} is there twice, first on line {first.start_mark.line + 1}"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: resolvers for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items() if first not in "oO"
}


def _with_paths(file: Path, city: City) -> City:
    """Return the city with whole paths; raise CityFileError if one does not exist, or two landing folders overlap."""
    folder = file.parent.absolute()

    def located(key: str, part: _Part, field: str = "path") -> _Part:
        path: Path = folder / getattr(part, field).expanduser()
        if not path.is_file():
            raise CityFileError(f"{file}: {key}.{field}: {path} does not exist; {RELATIVE_PATHS}")
        return part.model_copy(update={field: path})

    def source(key: str, part: SourceSettings) -> SourceSettings:
        try:
            return part.beside(folder)
        except ValueError as error:
            raise CityFileError(f"{file}: {key}.path: {error}; {RELATIVE_PATHS}") from None

    def table(section: str) -> SideTable:
        part: SideTable = getattr(city, section)
        return part.model_copy(update={"source": source(f"{section}.source", part.source)})

    layers = {key: located(f"layers.{key}", layer) for key, layer in city.layers.given().items()}
    changes = {
        "source": source("source", city.source),
        "other_sources": tuple(
            source(f"other_sources.{number}", part) for number, part in enumerate(city.other_sources)
        ),
        **{section: table(section) for section in sections_of(city)},
        "layers": city.layers.model_copy(update=layers),
        "factors": {name: located(f"factors.{name}", factor) for name, factor in city.factors.items()},
        "audit": city.audit and located("audit", city.audit),
        "streets": city.streets and located("streets", city.streets),
        "coverage": city.coverage and located("coverage", city.coverage, "file"),
    }
    city = city.model_copy(update=changes)
    landing = _landing_sources(city)
    for path, other in permutations([part.path for part in landing if part.path is not None], 2):
        if path.resolve().is_relative_to(other.resolve()):
            raise CityFileError(f"{file}: {SHARED_FOLDER} ({path}).")
        if path.parts[-2:] == other.parts[-2:]:  # these name the rows in the store
            raise CityFileError(
                f"{file}: the folders {path} and {other} end alike; rename one, or the folder above it."
            )
    return city


def find_city(cities: Cities, name: str) -> City:
    """Return the city called `name`; raise CityFileError if it is unknown or its file unusable."""
    if name in cities:
        return cities[name]
    if problem := unusable_files(cities).get(name):
        until = "until its file is corrected and the code location reloaded"
        raise CityFileError(f"City {name} stands still {until}: {problem}")
    raise CityFileError(f"No city {name!r}; the city files describe: {', '.join(cities)}. {SEARCH}")
