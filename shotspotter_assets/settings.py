"""Settings of an installation: its cities, and where store and landing folders are."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from shotspotter_assets.cities.registry import PACKAGE_CITIES, Cities, CityFileError, load_cities
from shotspotter_assets.models.registry import check_forecasters
from shotspotter_assets.redaction import without_credentials

_LOCAL_CLASSES: Final = (
    "SqliteEventLogStorage", "SqliteRunStorage", "SqliteScheduleStorage", "DagsterSqliteStorage",
    "DefaultRunLauncher", "LocalRunLauncher",
)  # fmt: skip
_MACHINES_PAGE: Final = "docs/how-to/many_machines.md"

CHECKOUT = Path(__file__).parents[1]

UI_URL = "http://127.0.0.1:3000"

POLL_SECONDS = 900
"""Seconds between two polls of the live sources; most publish once a day at most."""

log = logging.getLogger(__name__)


class UnsetVariableError(ValueError):
    """An unset variable whose default is a folder that other machines do not have; the message says what to set."""


@dataclass(frozen=True)
class Settings:
    """The settings from which the definitions are built."""

    cities: Cities
    store_root: str
    """A folder, or an S3 bucket and prefix."""
    landing_root: str
    """The parent of the landing folders; a folder, or an S3 bucket and prefix."""
    ui_url: str = UI_URL
    """Base of the links in notices."""
    pages_url: str = ""
    """Address at which a web server shows the store's folder `city_pages`; empty where none does."""
    poll_seconds: int = POLL_SECONDS
    """Seconds between two polls of the live sources."""
    sagemaker_role: str = ""
    """ARN of the role of training jobs on SageMaker; empty where none run there."""
    sagemaker_image: str = ""
    """Address of the project's image for them."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """The settings that environment variables name; what is not set or empty is the checkout's own.

        Raises:
            CityFileError: the folder of city files cannot be used, or none of its files.
            UnsetVariableError: see `require_shared_folders`.
        """
        cities = check_forecasters(load_cities(cities_folder(environ)))
        require_shared_folders(environ, cities)
        for file in cities.unusable.values():
            log.warning("%s (The other cities go on.)", file.problem)
        return cls(
            cities=cities,
            store_root=environ.get("SHOTSPOTTER_STORE") or str(CHECKOUT / "store"),
            landing_root=environ.get("SHOTSPOTTER_LANDING") or str(CHECKOUT / "landing"),
            ui_url=environ.get("SHOTSPOTTER_UI_URL") or UI_URL,
            pages_url=environ.get("SHOTSPOTTER_PAGES_URL") or "",
            poll_seconds=_poll_seconds(environ.get("SHOTSPOTTER_POLL_SECONDS") or str(POLL_SECONDS)),
            sagemaker_role=environ.get("SHOTSPOTTER_SAGEMAKER_ROLE") or "",
            sagemaker_image=environ.get("SHOTSPOTTER_SAGEMAKER_IMAGE") or "",
        )


def cities_folder(environ: Mapping[str, str]) -> Path:
    """The folder of city files.

    Raises:
        CityFileError: it is no local folder.
    """
    folder = environ.get("SHOTSPOTTER_CITIES") or str(PACKAGE_CITIES)
    if "://" in folder:
        raise CityFileError(
            f"SHOTSPOTTER_CITIES is {without_credentials(folder)}, but city files and the layers beside them are read from a "
            f"local folder. Put the folder into the image of all machines, or mount it there ({_MACHINES_PAGE})."
        )
    return Path(folder)


def require_shared_folders(environ: Mapping[str, str], cities: Cities) -> None:
    """Refuse default folders of this machine where several machines share the instance.

    Raises:
        UnsetVariableError: `SHOTSPOTTER_STORE`, or `SHOTSPOTTER_LANDING` where a city has a landing folder, is not set.
    """
    shared = _shared_by(environ.get("DAGSTER_HOME") or "")
    has_landing = any(source.kind == "landing" for city in cities.values() for source in city.all_sources)
    needed = ["SHOTSPOTTER_STORE", *(["SHOTSPOTTER_LANDING"] if has_landing else [])]
    unset = [name for name in needed if not environ.get(name)]
    if shared and unset:
        raise UnsetVariableError(
            f"{' and '.join(unset)} must be set, as the instance of {environ['DAGSTER_HOME']} may have several machines "
            f"({shared}), and the default is a folder of this one. Set s3://bucket/prefix, or a folder that all of them "
            f"have ({_MACHINES_PAGE})."
        )


def _shared_by(home: str) -> str:
    """Parts of the instance's `dagster.yaml` that several machines may share; empty where there are none."""
    try:
        content = yaml.safe_load(Path(home, "dagster.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return ""  # without a file all is local, and Dagster reports a file that it cannot read
    config = content if isinstance(content, dict) else {}
    storage = config.get("storage") or {}
    found = [f"storage: {name}" for name in storage if name not in ("sqlite", "custom")]
    parts = {
        name: config.get(name) for name in ("event_log_storage", "run_storage", "schedule_storage", "run_launcher")
    }
    for name, part in {**parts, "storage": storage.get("custom")}.items():
        class_name = str(part.get("class", "")) if isinstance(part, dict) else ""
        if class_name and not class_name.endswith(_LOCAL_CLASSES):
            found.append(f"{name}: {class_name}")
    return ", ".join(found)


def _poll_seconds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"SHOTSPOTTER_POLL_SECONDS must be whole seconds, 1 or more (got {text!r}).")
    return int(text)
