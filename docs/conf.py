"""Configuration of the documentation site: `make docs`."""

from importlib.metadata import version as version_of

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
