"""Configuration of the documentation site: `make docs`."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from docs.data_dictionary import MARK, dictionary

project = "shotspotter_assets"
author = "The shotspotter_assets developers"
release = version_of("shotspotter_assets")

extensions = ["myst_parser", "sphinx_copybutton"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = project
html_static_path = ["pictures"]
html_extra_path = ["../shotspotter_assets/cities/city.schema.json"]


def setup(app: Any) -> None:
    """Generate the data dictionary when its page is read."""

    def insert(_: Any, page: str, source: list[str]) -> None:
        source[0] = source[0].replace(MARK, dictionary()) if page == "data_dictionary" else source[0]

    app.connect("source-read", insert)
