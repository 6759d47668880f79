"""Landed files that cannot be read and are left out until they are corrected, and landing folders that have none."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.sources.arrivals import Unreadable

MAX_FILES_SHOWN: Final = 5
"""Of one city, in a message."""


def unreadable_files(files: Mapping[str, Mapping[str, Unreadable]]) -> Finding:
    """No landed file was left out because it cannot be read, and no folder of a city with several sources is empty.

    Args:
        files: of each city, by path.
    """
    of_cities = {city: of_city for city, of_city in sorted(files.items()) if of_city}
    if not of_cities:
        return Finding(True, "Every landed file can be read.")
    named = " ".join(unreadable_note(city, of_city) for city, of_city in of_cities.items())
    return Finding(False, named, {f"unreadable_{city}": len(of_city) for city, of_city in of_cities.items()})


def unreadable_note(city: str, files: Mapping[str, Unreadable]) -> str:
    """Which files of a city cannot be read, and which folders have none, why, and what to do."""
    folders = [file.error for _, file in sorted(files.items()) if file.is_folder]
    bad = [f"{PurePosixPath(path).name} ({file.error})" for path, file in sorted(files.items()) if not file.is_folder]
    more = len(bad) - MAX_FILES_SHOWN
    left_out = (
        f"{len(bad)} landed files are left out until they are replaced or removed, or the city's file describes them: "
        f"{'; '.join(bad[:MAX_FILES_SHOWN])}{f'; and {more} more' if more > 0 else ''}."
    )
    return f"{city}: {' '.join([*([left_out] if bad else []), *folders])}"
