"""Points in another system than degrees of longitude and latitude: brought to WGS84, or recognised by where they lie."""

from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import Box, City

WGS84: Final = "EPSG:4326"

MIN_SHARE_IN_BOX: Final = 0.9
"""Share of the points that a system must bring into the city's box to be the one that they are in."""

MAX_TRIED_POINTS: Final = 200
"""So many tell a system from all others; there are about sixty at any place."""

ORDER: Final = ("WGS 84 / Pseudo-Mercator", "NAD83 / ", "WGS 84 / ", "NAD83", "")
"""Beginnings of the names of systems, the usual ones first: several of one zone differ by a metre."""


def to_degrees(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], system: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(longitude, latitude) of points in a system such as `EPSG:2248`; NaN for those outside it. Shapes (points,)."""
    from pyproj import Transformer

    longitude, latitude = Transformer.from_crs(system, WGS84, always_xy=True).transform(x, y)
    outside = ~(np.isfinite(longitude) & np.isfinite(latitude))
    return np.where(outside, np.nan, longitude), np.where(outside, np.nan, latitude)


def refusal_of_points(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], city: City) -> str | None:
    """What points are of which not one can be in degrees, and what to do; None if they may be, or it is not known.

    Args:
        x, y: the points as the source has them, NaN for none; shapes (points,).
    """
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) == 0 or ((np.abs(x) <= 180) & (np.abs(y) <= 180)).any():
        return None
    for first, second, swapped in ((x, y, False), (y, x, True)):
        system = _recognised(first[:MAX_TRIED_POINTS], second[:MAX_TRIED_POINTS], city.box)
        if system is not None:
            code, name, unit = system
            interchange = " and interchange source.columns.longitude and .latitude" if swapped else ""
            return (
                f"the points are not degrees, they look like {name} in {unit} ({code}): the first is {x[0]:g}, {y[0]:g}. "
                f"Set source.crs: {code}{interchange} in the city's file, or write longitudes and latitudes."
            )
    return None


def _recognised(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], box: Box) -> tuple[str, str, str] | None:
    """(code, name, unit) of the most usual system of the place in which the points lie within the box."""
    from pyproj import CRS
    from pyproj.aoi import AreaOfInterest
    from pyproj.database import query_crs_info
    from pyproj.enums import PJType
    from pyproj.exceptions import ProjError

    place = AreaOfInterest(box.west, box.south, box.east, box.north)
    systems = query_crs_info(auth_name="EPSG", pj_types=[PJType.PROJECTED_CRS], area_of_interest=place)
    for info in sorted(systems, key=lambda info: [info.name.startswith(start) for start in ORDER].index(True)):
        code = f"EPSG:{info.code}"
        try:
            longitude, latitude = to_degrees(x, y, code)
        except ProjError:
            continue  # Some of the register's systems have no transformation.
        inside = (longitude >= box.west) & (longitude <= box.east) & (latitude >= box.south) & (latitude <= box.north)
        if inside.mean() >= MIN_SHARE_IN_BOX:
            name = "Web Mercator" if info.name == ORDER[0] else info.name
            unit = {"metre": "metres", "foot": "feet", "US survey foot": "US feet"}
            return code, name, unit.get(CRS(code).axis_info[0].unit_name, CRS(code).axis_info[0].unit_name)
    return None
