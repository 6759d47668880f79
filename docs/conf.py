"""Configuration of the documentation site: `make docs`."""

from importlib.metadata import version as version_of

from sphinx.application import Sphinx

project = "shotspotter_assets"
author = "The shotspotter_assets developers"
release = version_of("shotspotter_assets")

extensions = ["myst_parser", "sphinx.ext.napoleon", "sphinx_copybutton", "autoapi.extension"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = project
html_static_path = ["pictures"]

# Read from the source text: importing everything would start TensorFlow.
autoapi_dirs = ["../shotspotter_assets"]
autoapi_root = "reference"
autoapi_options = ["members", "undoc-members", "show-module-summary", "show-inheritance"]
autoapi_member_order = "bysource"
autoapi_python_class_content = "both"
autoapi_add_toctree_entry = False
autoapi_keep_files = False

# Docstrings are written for readers of the code, so single backquotes hold names of all kinds.
default_role = "code"
napoleon_use_ivar = True
suppress_warnings = ["autoapi.python_import_resolution", "ref.python"]


def keep_first_line(app: object, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Keep napoleon from taking what stands before a colon in the docstring of an attribute for its type."""
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]  # an empty comment: blank lines are skipped


def setup(app: Sphinx) -> None:
    """Called by Sphinx; napoleon listens with priority 500."""
    app.connect("autodoc-process-docstring", keep_first_line, priority=400)
