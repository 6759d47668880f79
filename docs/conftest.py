"""Runs the Python examples of the how-tos as tests; the examples of one page share their names."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser
from sybil.sybil import SybilCollection

from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.views import table_views
from shotspotter_assets_tests.small_store import fill


def _enter_folder_with_store(names: dict[str, Any]) -> None:
    """Make a folder with a store and its views the working folder."""
    names["_folder"] = TemporaryDirectory()
    names["_before"] = Path.cwd()
    folder = Path(names["_folder"].name)
    (folder / "views.sql").write_text(table_views(fill(Store(str(folder / "store")))))
    os.chdir(folder)


def _leave_folder(names: dict[str, Any]) -> None:
    """Go back to the working folder, and remove the folder with the store."""
    os.chdir(names["_before"])
    names["_folder"].cleanup()


guides = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["how-to/*.md"],
    # Their code becomes a part of the package; test_forecaster_registry.py and test_guides.py run it there.
    excludes=["how-to/new_forecaster.md", "how-to/new_daily_product.md", "how-to/read_the_data.md"],
)
readers = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["how-to/read_the_data.md"],
    setup=_enter_folder_with_store,
    teardown=_leave_folder,
)
pytest_collect_file = SybilCollection([guides, readers]).pytest()
