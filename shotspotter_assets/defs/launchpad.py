"""Settings of forecasters on the launchpad: a section for each forecaster that has settings, from its registry row."""

from collections.abc import Sequence
from typing import Annotated, Any

import dagster as dg
from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo

from shotspotter_assets.models.registry import FORECASTERS, find


def with_sections(names: Sequence[str] = tuple(FORECASTERS)) -> Any:
    """A config to derive from, with a section of the settings of each named forecaster that has some.

    What is left empty there is as the city's file has it, or else the forecaster's default.
    """
    sections: dict[str, Any] = {}
    for name in names:
        settings = find(name).settings
        if settings.model_fields:
            fields: dict[str, Any] = {key: _optional(field) for key, field in settings.model_fields.items()}
            section = create_model(settings.__name__, __base__=dg.Config, **fields)
            sections[name] = (section, Field(default_factory=section, description=f"Settings of {name}."))
    return create_model("ForecasterSections", __base__=dg.Config, **sections)


def changes(config: BaseModel) -> dict[str, dict[str, Any]]:
    """What is set in the sections of a config, by forecaster."""
    return {name: values for name, values in as_set(config).items() if name in FORECASTERS}


def as_set(config: BaseModel) -> dict[str, Any]:
    """The config without what is left empty in its sections."""
    return {name: value for name, value in config.model_dump(exclude_none=True).items() if value != {}}


def _optional(field: FieldInfo) -> Any:
    kind: Any = field.annotation
    limited = Annotated[(kind, *field.metadata)] if field.metadata else kind
    return limited | None, Field(None, description=f"{field.description} By default {field.get_default()}.")
