"""Settings of an installation: its cities, where store and landing folders are, and whether it runs by itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shotspotter_assets.cities.registry import PACKAGE_CITIES, Cities, load_cities
from shotspotter_assets.models.registry import check_forecasters

CHECKOUT = Path(__file__).parents[1]

UI_URL = "http://127.0.0.1:3000"


@dataclass(frozen=True)
class Settings:
    """What the definitions are built from."""

    cities: Cities
    store_root: str
    """A folder, or an S3 bucket and prefix."""
    landing_root: str
    """Where each city's landing folder is; a folder, or an S3 bucket and prefix."""
    automated: bool = False
    """Whether sensors and schedules run from the start; a fresh checkout is to ask no live source."""
    ui_url: str = UI_URL
    """Base of the links in notices."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """The settings that environment variables name; what is not set or empty is the checkout's own.

        Raises:
            CityFileError: the folder of city files, or one of them, cannot be used.
        """
        cities = load_cities(Path(environ.get("SHOTSPOTTER_CITIES") or PACKAGE_CITIES))
        check_forecasters(cities)
        return cls(
            cities=cities,
            store_root=environ.get("SHOTSPOTTER_STORE") or str(CHECKOUT / "store"),
            landing_root=environ.get("SHOTSPOTTER_LANDING") or str(CHECKOUT / "landing"),
            automated=environ.get("SHOTSPOTTER_AUTOMATION") == "on",
            ui_url=environ.get("SHOTSPOTTER_UI_URL") or UI_URL,
        )
