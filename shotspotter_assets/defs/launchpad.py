"""Settings of forecasters on the launchpad: one field with a section each, so that common choices are seen first."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import dagster as dg
from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo

from shotspotter_assets.cities.city import City
from shotspotter_assets.models.forecaster_registry import NEXT_DAY, find

SETTINGS_DESCRIPTION: Final = "Settings of forecasters for this run; others are the city file's, or the default."


def sections(names: Sequence[str] = NEXT_DAY) -> Any:
    """Return a config class with a section for the settings of each named forecaster that has some."""
    with_settings = [name for name in names if find(name).settings.model_fields]
    return create_model("ForecasterSections", __base__=dg.Config, **{name: _section(name) for name in with_settings})


def _section(name: str) -> Any:
    """Return the field with a forecaster's settings, as pydantic takes it: its class and its default."""
    settings = find(name).settings
    section = create_model(
        settings.__name__,
        __base__=dg.Config,
        **{key: _optional(field) for key, field in settings.model_fields.items()},
    )
    return section, Field(default_factory=section, description=f"Settings of {name}.")


class TrainingWindows(dg.Config):
    """Windows before the cutoff for this run."""

    train: str = Field(
        default="", description="Days to train on: all, or years such as 5y. By default as in the city's file."
    )
    validation: str = Field(
        default="",
        description="Last days before the cutoff: a share of all, such as 15%, or years. By default as in the city's file.",
    )


def with_windows(city: City, windows: dg.Config) -> City:
    """Return the city with the windows of a run. Raises ValueError for one that is none."""
    return city.model_copy(update={"folds": city.folds.changed(windows.model_dump())})


def changes(settings: BaseModel) -> dict[str, dict[str, Any]]:
    """Return the settings given in the sections, by forecaster."""
    return {name: values for name, values in settings.model_dump(exclude_none=True).items() if values}


def _optional(field: FieldInfo) -> Any:
    kind: Any = field.annotation
    limited = Annotated[(kind, *field.metadata)] if field.metadata else kind
    return limited | None, Field(None, description=f"{field.description} By default {field.get_default()}.")
