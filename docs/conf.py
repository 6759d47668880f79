"""Configuration of the documentation site: `make docs`."""

import os
import sys
import tomllib
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from docs.data_dictionary import MARK, dictionary

project = "shotspotter_assets"
author = "The shotspotter_assets developers"
release = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_parser", "sphinx_copybutton"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"{project} {release}"
html_context = {"versions": os.environ.get("DOCS_VERSIONS", "").split()}  # of the site, see versions.py
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "versions.html",
        "sidebar/scroll-end.html",
    ]
}
templates_path = ["templates"]
html_static_path = ["pictures"]
html_extra_path = ["../shotspotter_assets/cities/city.schema.json", "datapackage.json"]


def setup(app: Any) -> None:
    """Generate the data dictionary when its page is read."""

    def insert(_: Any, page: str, source: list[str]) -> None:
        source[0] = source[0].replace(MARK, dictionary()) if page == "data_dictionary" else source[0]

    app.connect("source-read", insert)
