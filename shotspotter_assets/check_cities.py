"""Checks the city files: `make check-cities`, or `python -m shotspotter_assets.check_cities FOLDER`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from shotspotter_assets.city_files import CityFileError
from shotspotter_assets.factors.city_factors import CityFactors
from shotspotter_assets.geometry.shapes import read_areas
from shotspotter_assets.settings import checked_cities, cities_folder
from shotspotter_assets.streets.segments import read_segments


def main(arguments: Sequence[str]) -> None:
    """Print the cities of the folder, and one line for each file that cannot be used; exit with 1 if there is one."""
    try:
        folder = Path(arguments[0]) if arguments else cities_folder(os.environ)
        cities = checked_cities(folder, os.environ)
    except CityFileError as error:
        sys.exit(str(error))
    usable = {name: city for name, city in cities.items() if name not in cities.unusable}
    unfit = {}
    for name, city in usable.items():
        try:
            CityFactors.read(city)
            if city.streets is not None:
                read_segments(city)
            if (coverage := city.coverage) is not None:
                read_areas(coverage.file, coverage.name_property, coverage.areas)
        except ValueError as error:
            unfit[name] = str(error)
    fit = [name for name in usable if name not in unfit]
    print(f"{folder}: {len(fit)} city files can be used: {', '.join(fit) or 'none'}.")
    if problems := [*cities.unusable.values(), *unfit.values()]:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main(sys.argv[1:])
