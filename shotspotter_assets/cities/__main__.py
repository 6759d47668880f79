"""Checks the city files: `make check-cities`, or `python -m shotspotter_assets.cities FOLDER`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from shotspotter_assets.cities.registry import PACKAGE_CITIES, CityFileError, load_cities


def main(arguments: Sequence[str]) -> None:
    """Print the cities of the folder, or one line for each file that cannot be used and exit with 1."""
    folder = Path(arguments[0] if arguments else os.environ.get("SHOTSPOTTER_CITIES") or PACKAGE_CITIES)
    try:
        cities = load_cities(folder)
    except CityFileError as error:
        sys.exit(str(error))
    print(f"{folder}: {len(cities)} city files can be used: {', '.join(cities)}.")


if __name__ == "__main__":
    main(sys.argv[1:])
