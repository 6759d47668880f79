"""Settings of an installation: its cities, store, landing folders and addresses."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shotspotter_assets.alerts.checks.all_checks import check_acknowledged
from shotspotter_assets.cities.strict_model import CityFileError
from shotspotter_assets.city_files import PACKAGE_CITIES, Cities, CityFiles, LastGoodFiles, load_cities
from shotspotter_assets.models.forecaster_registry import check_forecasters
from shotspotter_assets.storage.redaction import without_credentials
from shotspotter_assets.storage.wording import CHECKOUT, IS_CHECKOUT

BASE_FOLDER = CHECKOUT if IS_CHECKOUT else Path.cwd()
"""Default parent of store and landing folders: the checkout, or the working folder of an installed wheel."""
OWN_CITIES = BASE_FOLDER / "cities"  # `new-city` writes here, beside the store
INSTANCE = Path(__file__).with_name("dagster.yaml")  # limits of runs, monitoring, retries, event log

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """The settings from which the definitions are built."""

    cities: Cities
    store_root: str  # a folder, or an S3 bucket and prefix
    landing_root: str  # the parent of the landing folders; a folder, or an S3 bucket and prefix
    ui_url: str = "http://127.0.0.1:3000"  # base of the links in notices
    pages_url: str = ""  # address of a web server with the store's folder `city_pages`; empty without one
    poll_seconds: int = 900  # seconds between two polls of the live sources; most publish once a day at most
    sagemaker_role: str = ""  # ARN of the role of training jobs on SageMaker; empty without such jobs
    sagemaker_image: str = ""  # address of the project's image for these jobs

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Read environment variables; raise CityFileError if no city file can be used."""
        cities = checked_cities(cities_folder(environ), environ, keep=True)
        for problem in cities.unusable.values():
            log.warning("%s (The other cities go on.)", problem)

        def text(name: str, default: str) -> str:
            return environ.get(f"SHOTSPOTTER_{name}") or default

        poll_seconds = text("POLL_SECONDS", str(cls.poll_seconds))
        if not poll_seconds.isdecimal() or int(poll_seconds) < 1:
            raise ValueError(f"SHOTSPOTTER_POLL_SECONDS must be whole seconds, 1 or more (got {poll_seconds!r}).")
        return cls(
            cities=cities,
            store_root=configured_store(environ),
            landing_root=text("LANDING", str(BASE_FOLDER / "landing")),
            ui_url=text("UI_URL", cls.ui_url),
            pages_url=text("PAGES_URL", cls.pages_url),
            poll_seconds=int(poll_seconds),
            sagemaker_role=text("SAGEMAKER_ROLE", cls.sagemaker_role),
            sagemaker_image=text("SAGEMAKER_IMAGE", cls.sagemaker_image),
        )


def configured_store(environ: Mapping[str, str]) -> str:
    """Return the root of the store: a folder, or an S3 bucket and prefix."""
    return environ.get("SHOTSPOTTER_STORE") or str(BASE_FOLDER / "store")


def checked_cities(folder: Path, environ: Mapping[str, str], *, keep: bool = False) -> CityFiles:
    """Read the cities of `folder`, a wrong file in its last good version; raise CityFileError if none can be used."""
    home = dagster_home(environ)
    last_good = LastGoodFiles(home / "last_good_cities") if home.is_dir() else None
    return load_cities(folder, last_good, (check_forecasters, check_acknowledged), keep=keep)


def cities_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of city files: that of the variable, `OWN_CITIES` if it has files, or the package's.

    Raises CityFileError if the variable names no local folder.
    """
    folder = environ.get("SHOTSPOTTER_CITIES")
    if not folder:
        return OWN_CITIES if any(OWN_CITIES.glob("*.yaml")) else PACKAGE_CITIES
    if "://" in folder:
        raise CityFileError(
            f"SHOTSPOTTER_CITIES is {without_credentials(folder)}, but city files and the layers beside them are read from a "
            "local folder. Put the folder into the image of all machines, or mount it there."
        )
    return Path(folder)


def lineage_address(ui_url: str, city: str) -> str:
    """Return the address of the lineage of a city's assets in the UI, whose code location `workspace.yaml` names."""
    return f"{ui_url.rstrip('/')}/locations/shotspotter_assets/asset-groups/{city}/lineage"


def prepare_home(environ: Mapping[str, str]) -> Path:
    """Return the folder of DAGSTER_HOME with a `dagster.yaml`: its own, or a copy of the package's."""
    home = dagster_home(environ)
    home.mkdir(parents=True, exist_ok=True)
    if not (home / INSTANCE.name).exists():
        (home / INSTANCE.name).write_text(INSTANCE.read_text())
    return home


def dagster_home(environ: Mapping[str, str]) -> Path:
    """Return the folder of DAGSTER_HOME, by default that below `BASE_FOLDER`."""
    return Path(environ.get("DAGSTER_HOME") or BASE_FOLDER / ".dagster_home")
