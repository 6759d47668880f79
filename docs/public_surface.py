"""The public surface, a line for each promise: `python -m docs.public_surface` writes its snapshot, and compares it.

A line promises that a name stays. A line with `requires` is a demand on what a user writes. A change is breaking if a promise
is gone, or if something that was there before has a new demand; any other change is an addition.
"""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
import yaml

from docs import table_schema
from docs.city_schema import city_schema, city_schema_of
from docs.data_dictionary import FILES, RECORDS
from shotspotter_assets import __main__ as command_line
from shotspotter_assets.city_files import PACKAGE_CITIES, SCHEMA, CityFile, CityFiles
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.settings import CHECKOUT, Settings
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.store_format import MARKER, TABLE_ENTRY
from shotspotter_assets.storage.stored_file import StoredTable
from shotspotter_assets.storage.views import view_name

SNAPSHOTS: Final = CHECKOUT / "shotspotter_assets_tests" / "surface"
PRESENT: Final = SNAPSHOTS / "present.txt"  # the other files are those of releases, by version
REQUIRES: Final = " requires: "
NOT_FILES: Final = ("forecaster}", "model}", "plot}")  # files whose names and contents follow the models
PYTHON: Final = {
    "shotspotter_assets.city_files": ("schema_comment",),
    "shotspotter_assets.definitions": ("defs",),
    "shotspotter_assets.defs.event_log": ("BatchedPostgresEventLogStorage", "BatchedSqliteEventLogStorage"),
    "shotspotter_assets.commands.explore.explorer": (
        "Explorer", "Explorer.alerts", "Explorer.choices", "Explorer.forecast", "Explorer.train", "Explorer.training",
    ),
    "shotspotter_assets.commands.explore.tables": (
        "fold_forecasts", "issued_forecasts", "open_store", "stored_alerts", "stored_days",
    ),
}  # fmt: skip
"""Python names for notebooks and for the files of an instance, by module."""
_TABLE: Final = {"kind": "landing", "columns": {"time": "at", "longitude": "x", "latitude": "y"}}
SECTIONS: Final[dict[str, Any]] = {
    "automation": "recent",
    "outcomes": {"source": _TABLE},
    "patrols": {"source": _TABLE | {"folder": "patrols"}, "columns": {"made": "made"}},
    "patrol": {"shifts": [{"name": "day", "start": 0, "end": 24, "units": 1}]},
    "streets": {"path": "streets.geojson", "name": "name"},
}
"""Sections of a city's file with which a city has all assets and checks."""


def surface() -> list[str]:
    """Return all lines in order."""
    parts = (city_file(), commands(), variables(), make_targets(), definitions(), stored_files(), python_names())
    return [line for part in parts for line in sorted(set(part))]


def city_file() -> Iterator[str]:
    """Yield the keys of a city's file, their types and permitted words, and the required keys of each section."""
    schema = city_schema_of()
    yield from _keys("city file", schema, schema, "", set())


def _keys(part: str, root: Mapping[str, Any], schema: Mapping[str, Any], path: str, seen: set[str]) -> Iterator[str]:
    """Yield the lines of a schema and of all below it; a section that several keys share is described at the first one."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in seen:
            seen.add(name)
            yield from _keys(part, root, root["$defs"][name], path, seen)
        return
    kinds = schema.get("discriminator", {}).get("mapping", {})
    for kind, reference in kinds.items():
        yield f"{part}: {path}[{kind}]"
        yield from _keys(part, root, {"$ref": reference}, f"{path}[{kind}]", seen)
    words = schema.get("enum", [schema["const"]] if "const" in schema else [])
    yield from (f"{part}: {path} = {word}" for word in words)
    if "type" in schema and path:
        yield f"{part}: {path}: {schema['type']}"
    yield from (f"{part}{REQUIRES}{path}.{key}".replace(": .", ": ") for key in schema.get("required", ()))
    for key, below in schema.get("properties", {}).items():
        inner = f"{path}.{key}".lstrip(".")
        yield f"{part}: {inner}"
        yield from _keys(part, root, below, inner, seen)
    others = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
    lists = [schema.get("items"), *([] if kinds else [*schema.get("anyOf", ()), *schema.get("oneOf", ())])]
    for below, inner in [*((other, f"{path}.*") for other in others), *((item, path) for item in lists)]:
        if isinstance(below, dict) and below.keys() != {"required"}:
            yield from _keys(part, root, below, inner, seen)


def commands() -> Iterator[str]:
    """Yield the commands with arguments, options and permitted words, and the exit codes."""
    yield from _command(command_line.main, "")
    codes = {0, click.ClickException.exit_code, click.UsageError.exit_code}
    for node in ast.walk(ast.parse(inspect.getsource(command_line))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "sys.exit":
            codes |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    yield from (f"command: exit code {code}" for code in codes)


def _command(command: click.Command, path: str) -> Iterator[str]:
    for parameter in command.params:
        is_argument = isinstance(parameter, click.Argument)
        name = f"{path} {parameter.human_readable_name if is_argument else parameter.opts[0]}"
        yield f"command: {name}"
        if isinstance(parameter.type, click.Choice):
            yield from (f"command: {name} = {word}" for word in parameter.type.choices)
        if parameter.required:
            yield f"command{REQUIRES}{name}"
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            inner = f"{path} {name}".lstrip()
            yield f"command: {inner}"
            yield from _command(below, inner)


def variables() -> Iterator[str]:
    """Yield the environment variables, which the table of settings describes."""
    page = (CHECKOUT / "docs" / "how-to" / "settings.md").read_text()
    rows = re.findall(r"^\| (`[A-Z].*?) \|", page, re.MULTILINE)
    yield from (f"variable: {name}" for row in rows for name in re.findall(r"`(\w+)`", row))
    yield "variable: DAGSTER_HOME"


def make_targets() -> Iterator[str]:
    """Yield the targets that `make help` shows."""
    text = (CHECKOUT / "Makefile").read_text()
    yield from (f"make: {name}" for name in re.findall(r"^([a-z-]+):.*##", text, re.MULTILINE))


def definitions() -> Iterator[str]:
    """Yield assets with their run configuration, checks, sensors and schedules of a city with all sections."""
    shipped = yaml.safe_load((PACKAGE_CITIES / "simulated_city.yaml").read_text())
    city = CityFile.model_validate(shipped | SECTIONS | {"name": "city"})
    built = build_definitions(replace(Settings.from_environment({}), cities=CityFiles({city.name: city}, {})))
    for assets in built.assets or ():
        name = assets.key.to_user_string()
        partitions = Asset(assets.key.path[-1]).spec.partitions.value
        yield f"asset: {name}{f' by {partitions}' if partitions else ''}"
        fields = getattr(assets.op.config_schema.config_type, "fields", {})
        yield from (f"run configuration: {name} {field}" for field in fields)
    for checks in built.asset_checks or ():
        yield from (f"check: {spec.asset_key.to_user_string()} {spec.name}" for spec in checks.check_specs)
    for automation in (*(built.sensors or ()), *(built.schedules or ())):
        yield f"automation: {automation.name}"


def stored_files() -> Iterator[str]:
    """Yield paths of stored files, columns of tables and fields of records, except files of models and of `OtherFolder`."""
    yield f"file: {MARKER}"
    yield f"metadata of tables: {TABLE_ENTRY.decode()}"
    for file in FILES:
        if file.asset not in [*Asset] or file.file.endswith(NOT_FILES) or file.file.startswith("{"):
            continue
        name = f"{file.asset}/{file.file}"
        yield f"file: {file.pattern}"
        if isinstance(file, StoredTable):
            yield f"view: {view_name(file)}"
            for column, kind in file.own_columns.items():
                yield f"column: {name} {column} {kind.kind}"
                if kind.required:
                    yield f"column: {name} {column} is never null"
        elif file in RECORDS:
            yield from _fields(f"field: {name}", RECORDS[file].model_json_schema(mode="serialization"))


def _fields(part: str, schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields of a record, their types, and those that are never null."""
    lines = {line for line in _keys(part, schema, schema, "", set()) if REQUIRES not in line}
    yield from lines
    for line in lines:
        key = line.removeprefix(f"{part}: ")
        if ": " not in key and " = " not in key and f"{line}: null" not in lines:
            yield f"{line} is never null"


def python_names() -> Iterator[str]:
    """Yield the Python names, and the parameters of functions and of the notebook's class."""
    for module, names in PYTHON.items():
        folder = CHECKOUT / module.replace(".", "/")
        source = (folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")).read_text()
        nodes = {getattr(node, "name", ""): node for node in ast.walk(ast.parse(source))}
        for name in names:
            last = name.rpartition(".")[2]
            if not re.search(rf"\b{last}\b", source):
                raise LookupError(f"{module} has no {name}")
            member = nodes.get("__init__" if name == "Explorer" else last)
            yield f"python: {module}.{name}"
            if isinstance(member, ast.FunctionDef):
                yield from _parameters(f"{module}.{name}", member)


def _parameters(path: str, function: ast.FunctionDef) -> Iterator[str]:
    names = [argument.arg for argument in function.args.args if argument.arg != "self"]
    yield from (f"python: {path} {name}" for name in names)
    required = names[: len(names) - len(function.args.defaults)]
    yield from (f"python{REQUIRES}{path} {name}" for name in required)


def broken(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """Return the lines of a breaking change: promises that are gone, and new demands on what was there."""
    earlier = {*before}
    later = {*after}
    gone = [line for line in earlier - later if REQUIRES not in line]
    demands = [line for line in later - earlier if REQUIRES in line and _owner(line) in {*earlier, ""}]
    return sorted([*gone, *demands])


def _owner(demand: str) -> str:
    """Return the line of the section, command or function that has a demand; empty for the city's file itself."""
    part, _, name = demand.partition(REQUIRES)
    owner = re.match(r"(.*)[. ][^. ]+$", name)
    return f"{part}: {owner[1]}" if owner else ""


def lines_of(snapshot: Path) -> list[str]:
    """Return the lines of a snapshot."""
    return snapshot.read_text().splitlines()


def write() -> None:
    """Write the snapshot, the schema of city files and the data package; print the breaking changes since each release."""
    SCHEMA.write_text(city_schema())
    table_schema.PACKAGE.write_text(table_schema.text())
    lines = surface()
    PRESENT.write_text("\n".join(lines) + "\n")
    for release in sorted(SNAPSHOTS.glob("[0-9]*.txt")):
        breaking = broken(lines_of(release), lines)
        print(f"Since {release.stem}: {'major' if breaking else 'minor or patch'}", *breaking, sep="\n  ")


if __name__ == "__main__":
    write()
