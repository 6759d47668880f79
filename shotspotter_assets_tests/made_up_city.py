from datetime import date
from typing import Any

from shotspotter_assets.cities.box import Edges
from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import CityFile


def made_up_city(name: str, box: Edges, grid: tuple[int, int] | None = None, **more: Any) -> City:
    """Build a simulated city; `box` is west, south, east, north, `grid` is rows and columns, `more` are keys of its file.

    Its models leave out the network unless `more` has it, as trainings take seconds.
    """
    sides = dict(zip(("west", "south", "east", "north"), box, strict=True))
    described = {"name": name, "time_zone": "America/New_York", "start": date(2021, 1, 1), "box": sides}
    cells = {} if grid is None else {"grid": dict(zip(("rows", "columns"), grid, strict=True))}
    return CityFile.model_validate(described | {"source": {"kind": "simulated"}, "network": False} | cells | more)
