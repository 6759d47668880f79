"""The one place that reads the environment: the cities, the roots of store and landing folders, and how to run."""

import os
from pathlib import Path

from shotspotter_assets.cities.registry import PACKAGE_CITIES, load_cities
from shotspotter_assets.partitions import build_partitions

CHECKOUT = Path(__file__).parents[2]

CITIES = load_cities(Path(os.environ.get("SHOTSPOTTER_CITIES") or PACKAGE_CITIES))
"""All cities, from `SHOTSPOTTER_CITIES` or else those of the package."""

PARTITIONS = build_partitions(CITIES)

STORE_ROOT = os.environ.get("SHOTSPOTTER_STORE") or str(CHECKOUT / "store")
"""Root of the store: a path or `s3://bucket/prefix`."""

LANDING_ROOT = os.environ.get("SHOTSPOTTER_LANDING") or str(CHECKOUT / "landing")
"""Root of the landing folders, one per city: a path or `s3://bucket/prefix`."""

AUTOMATED = os.environ.get("SHOTSPOTTER_AUTOMATION") == "on"
"""Whether sensors and schedules run from the start; else they wait to be switched on in the UI."""

UI_URL = os.environ.get("SHOTSPOTTER_UI_URL") or "http://127.0.0.1:3000"
"""Where the UI is for whoever follows a link in a notice."""
