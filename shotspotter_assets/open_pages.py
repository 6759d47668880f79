"""Says where the pages of all cities are, and opens them: `make pages`."""

import argparse
import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from shotspotter_assets.city_files import CityFileError
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.settings import Settings


def main(arguments: Sequence[str]) -> None:
    """Print the path and open it, or say how pages are made and exit with 1."""
    from shotspotter_assets.pages.site import pages_partition
    from shotspotter_assets.storage.file_names import ALL_CITIES, INDEX_FILE

    parser = argparse.ArgumentParser(prog="make pages", description=__doc__)
    parser.add_argument("--print", action="store_true", help="only print where they are")
    asked = parser.parse_args(arguments)
    try:
        settings = Settings.from_environment(os.environ)
    except CityFileError as error:
        sys.exit(str(error))
    store, partition = StoreResource(root=settings.store_root).open(), pages_partition(ALL_CITIES)
    where = store.uri(partition, INDEX_FILE)
    if not store.exists(partition, INDEX_FILE):
        sys.exit(f"There are no pages at {where} yet. Make those of a city: dg launch --assets CITY/city_pages")
    address = f"{settings.pages_url.rstrip('/')}/city={ALL_CITIES}/{INDEX_FILE}" if settings.pages_url else where
    print(address)
    if not asked.print and not address.startswith("s3://"):
        webbrowser.open(address if settings.pages_url else Path(where).as_uri())


if __name__ == "__main__":
    main(sys.argv[1:])
