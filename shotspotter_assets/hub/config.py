"""Settings of a hub of one city, by schema 6.0.0 of hubverse, and the metadata of its one model."""

import json
from typing import Any, Final

import pandas as pd
import yaml

from shotspotter_assets.cities.city import City

MODEL_ID: Final = "shotspotter-issued"  # team and model
ADMIN: Final = "hub-config/admin.json"
NAME: Final = "Issued forecasts of {}"  # of the hub; it tells an export of a city from other files
_SCHEMA: Final = "https://raw.githubusercontent.com/hubverse-org/schemas/main/v6.0.0/{}-schema.json"


def settings_files(city: City, output: pd.DataFrame) -> dict[str, str]:
    """Return the texts of the files of settings by path; `output` are the rows of all rounds.

    The maintainer is the owner that the city's file states.
    """
    owner = city.accountability.stated.get("owner", city.shown_title)
    task_ids = {
        name: [value if isinstance(value, int) else str(value) for value in sorted({*output[name].tolist()})]
        for name in ("reference_date", "target", "horizon", "location", "target_end_date")
    }
    records: dict[str, dict[str, Any]] = {
        ADMIN: {
            "schema_version": _SCHEMA.format("admin"),
            "name": NAME.format(city.name),
            "maintainer": owner,
            "contact": {"name": owner},
            "repository": {},
            "file_format": ["csv"],
            "timezone": city.time_zone,
        },
        "hub-config/tasks.json": {
            "schema_version": _SCHEMA.format("tasks"),
            "rounds": [
                {
                    "round_id_from_variable": True,
                    "round_id": "reference_date",
                    "model_tasks": [
                        {
                            "task_ids": {
                                name: {"required": None, "optional": values} for name, values in task_ids.items()
                            },
                            "output_type": {
                                "quantile": {
                                    "output_type_id": {"required": sorted({*output["output_type_id"].tolist()})},
                                    "value": {"type": "integer", "minimum": 0},
                                    "is_required": True,
                                }
                            },
                            "target_metadata": [
                                {
                                    "target_id": view.target[:30],  # the schema allows no longer one
                                    "target_name": f"Daily {view.event}s ({view.target[:60]})",
                                    "target_units": "count",
                                    "target_keys": {"target": view.target},
                                    "description": f"{view.event.capitalize()}s in the location's covered cells.",
                                    "target_type": "discrete",
                                    "is_step_ahead": True,
                                    "time_unit": "day",
                                }
                                for view in map(city.only, sorted({*output["target"].tolist()}))
                            ],
                        }
                    ],
                    "submissions_due": {"relative_to": "reference_date", "start": 0, "end": 0},
                }
            ],
            "derived_task_ids": ["target_end_date"],
        },
        "hub-config/target-data.json": {
            "schema_version": _SCHEMA.format("target-data"),
            "observable_unit": ["target_end_date", "target", "location"],
            "date_col": "target_end_date",
            "time-series": {"versioned": True},
            "oracle-output": {"versioned": False, "has_output_type_ids": False},
        },
        "hub-config/model-metadata-schema.json": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Metadata of a model",
            "type": "object",
            "properties": {
                "team_abbr": {"type": "string", "pattern": "^[A-Za-z0-9_]+$"},
                "model_abbr": {"type": "string", "pattern": "^[A-Za-z0-9_]+$"},
                "methods": {"type": "string", "maxLength": 200},
            },
            "required": ["team_abbr", "model_abbr", "methods"],
        },
    }
    metadata = {
        "team_name": "shotspotter_assets",
        "team_abbr": "shotspotter",
        "model_name": f"Issued forecast of {city.shown_title}",
        "model_abbr": "issued",
        "methods": "Hurdle and negative binomial counts by cell; the total over cells that share a factor.",
        "methods_long": "Forecasts of the next day, issued before it by the forecaster that served.",
        "data_inputs": f"Published {city.rows} to the last known day before the issue.",
        "designated_model": True,
    }
    return {path: f"{json.dumps(record, indent=2, ensure_ascii=False)}\n" for path, record in records.items()} | {
        f"model-metadata/{MODEL_ID}.yml": yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True)
    }
