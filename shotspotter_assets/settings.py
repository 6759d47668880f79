"""Settings of an installation: its cities, and where store and landing folders are."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shotspotter_assets.cities.registry import PACKAGE_CITIES, Cities, load_cities
from shotspotter_assets.models.registry import check_forecasters

CHECKOUT = Path(__file__).parents[1]

UI_URL = "http://127.0.0.1:3000"

POLL_SECONDS = 900
"""Between two looks at the live sources; most publish once a day at most."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What the definitions are built from."""

    cities: Cities
    store_root: str
    """A folder, or an S3 bucket and prefix."""
    landing_root: str
    """Where each city's landing folder is; a folder, or an S3 bucket and prefix."""
    ui_url: str = UI_URL
    """Base of the links in notices."""
    pages_url: str = ""
    """Address at which a web server shows the store's folder `city_pages`; empty where none does."""
    poll_seconds: int = POLL_SECONDS
    """Between two looks at the live sources."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """The settings that environment variables name; what is not set or empty is the checkout's own.

        Raises:
            CityFileError: the folder of city files cannot be used, or none of its files.
        """
        if environ.get("SHOTSPOTTER_AUTOMATION"):
            log.warning(
                "SHOTSPOTTER_AUTOMATION is not read: each city's file says what is started for it by itself. Write "
                "`automation: recent` (or history) in the files of the cities that are to run, and unset the variable."
            )
        cities = check_forecasters(load_cities(Path(environ.get("SHOTSPOTTER_CITIES") or PACKAGE_CITIES)))
        for file in cities.unusable.values():
            log.warning("%s (The other cities go on.)", file.problem)
        return cls(
            cities=cities,
            store_root=environ.get("SHOTSPOTTER_STORE") or str(CHECKOUT / "store"),
            landing_root=environ.get("SHOTSPOTTER_LANDING") or str(CHECKOUT / "landing"),
            ui_url=environ.get("SHOTSPOTTER_UI_URL") or UI_URL,
            pages_url=environ.get("SHOTSPOTTER_PAGES_URL") or "",
            poll_seconds=_poll_seconds(environ.get("SHOTSPOTTER_POLL_SECONDS") or str(POLL_SECONDS)),
        )


def _poll_seconds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"SHOTSPOTTER_POLL_SECONDS must be whole seconds, 1 or more (got {text!r}).")
    return int(text)
