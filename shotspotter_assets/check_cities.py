"""Checks the city files: `make check-cities`, or `python -m shotspotter_assets.check_cities FOLDER`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from shotspotter_assets.cities.registry import CityFileError, load_cities
from shotspotter_assets.cities.shape_files import coverage_polygons
from shotspotter_assets.factors.city_factors import CityFactors
from shotspotter_assets.models.registry import check_forecasters
from shotspotter_assets.quality.all_checks import check_acknowledged
from shotspotter_assets.settings import cities_folder
from shotspotter_assets.streets.segments import read_segments


def main(arguments: Sequence[str]) -> None:
    """Print the cities of the folder, and one line for each file that cannot be used; exit with 1 if there is one."""
    try:
        folder = Path(arguments[0]) if arguments else cities_folder(os.environ)
        cities = check_acknowledged(check_forecasters(load_cities(folder)))
    except CityFileError as error:
        sys.exit(str(error))
    unfit = {}
    for name, city in cities.items():
        try:
            CityFactors.read(city)
            if city.streets is not None:
                read_segments(city)
            if city.coverage is not None:
                coverage_polygons(city.coverage)
        except ValueError as error:
            unfit[name] = str(error)
    usable = [name for name in cities if name not in unfit]
    print(f"{folder}: {len(usable)} city files can be used: {', '.join(usable)}.")
    if problems := [*cities.unusable.values(), *unfit.values()]:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main(sys.argv[1:])
