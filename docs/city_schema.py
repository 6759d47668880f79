"""The JSON Schema of city files for editors: `python -m docs.city_schema` writes it beside the shipped city files."""

import ast
import inspect
import json
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.json_schema import GenerateJsonSchema

from shotspotter_assets.city_files import SCHEMA, CityFile
from shotspotter_assets.models.forecaster_registry import FORECASTERS

PAGE = Path(__file__).with_name("city_file.md")
DIALECT = "http://json-schema.org/draft-07/schema#"  # the newest one that editors' YAML servers support in full
_FORECASTERS = create_model(
    "Forecasters",
    __config__=ConfigDict(extra="forbid"),
    **{name: (entry.settings, Field(default_factory=dict)) for name, entry in FORECASTERS.items()},
)


class _Written(CityFile):
    """One city."""

    forecasters: _FORECASTERS = Field(default_factory=dict)


class _Untitled(GenerateJsonSchema):
    """A schema whose keys have no titles, which would repeat their names, and whose classes have comments as descriptions."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return False for every key."""
        return False

    def model_schema(self, schema: Any) -> dict[str, Any]:
        """Return the schema of a section, with the comments of its fields as descriptions."""
        made = super().model_schema(schema)
        for name, comment in comments(schema["cls"]).items():
            if name in made.get("properties", {}):
                made["properties"][name].setdefault("description", comment)
        return made


def comments(model: type[BaseModel]) -> dict[str, str]:
    """Return the comment after each field of a model, or the docstring below it."""
    found: dict[str, str] = {}
    for part in reversed(model.__mro__):
        if part in (BaseModel, object) or not issubclass(part, BaseModel) or part.__name__ == "Forecasters":
            continue
        source = dedent(inspect.getsource(part))
        lines = source.splitlines()
        [definition] = ast.parse(source).body
        body = getattr(definition, "body", [])
        for field, below in zip(body, [*body[1:], None], strict=True):
            if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
                continue
            text = lines[(field.end_lineno or field.lineno) - 1].partition("  # ")[2]
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                text = inspect.cleandoc(str(below.value.value))
            if text:
                found[field.target.id] = re.sub(r"\s+", " ", text)
    return found


def meanings() -> dict[str, list[str]]:
    """Return the meaning of each key of a city file from the page's tables, with further keys of its row."""
    found: dict[str, list[str]] = {}
    tables = PAGE.read_text().partition("## Targets")[0]
    for keys, meaning in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (.*) \|$", tables, re.MULTILINE):
        text = meaning.replace(" ([below](#targets))", "").replace(" ([below](#acknowledged-warnings))", "")
        text = re.sub(r"\[([^\]]*)\]\([^)\s]+\)", r"\1", text).replace("`", "")
        names = re.findall(r"\w+", keys)
        parts = text.split("; ") if len(names) > 1 else [text]
        found |= {name: [part, *names[1:]] for name, part in zip(names, parts, strict=False)}
    return found


def city_schema_of() -> dict[str, Any]:
    """Return the schema, with the meanings of the page as descriptions of the keys of a city."""
    schema = _Written.model_json_schema(schema_generator=_Untitled)
    for key, (meaning, *others) in meanings().items():
        section = schema["properties"].get(key)
        if section and not (others and "description" in section):
            section["description"] = meaning
    api = schema["$defs"]["AlertsApiSettings"]
    api["required"].remove("paging")  # a preset has it
    api["anyOf"] = [{"required": ["paging"]}, {"required": ["preset"]}]
    head = {"$schema": DIALECT, "title": "City file of shotspotter_assets", "description": "One city."}
    return head | {key: value for key, value in schema.items() if key not in head}


def city_schema() -> str:
    """Return the schema as JSON."""
    return json.dumps(city_schema_of(), indent=1) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(city_schema())
    print(SCHEMA)
