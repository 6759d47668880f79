"""Templates and scripts: records become HTML and data for the browser."""

import math
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distribution
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit

import jinja2
from markupsafe import Markup

from shotspotter_assets.pages.words import amount, legend, long_day, model, plain, short_day
from shotspotter_assets.storage.wording import number_of

PACKAGE: Final = "shotspotter_assets.pages"


def policy(tiles: str = "") -> str:
    """Return the Content-Security-Policy of a page, which allows pictures from the server of the tiles."""
    server = f" {urlsplit(tiles).scheme}://{urlsplit(tiles).netloc}" if tiles else ""
    # Plotly writes styles into its elements.
    return (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        f"img-src 'self' data: blob:{server}; base-uri 'none'; form-action 'none'"
    )


def render(template: str, values: Mapping[str, object]) -> bytes:
    """Render a page; values are escaped, except `rendered_markdown`."""
    return _environment().get_template(template).render(values).encode()


def shared_files() -> dict[str, bytes]:
    """Return the shared scripts and styles of all cities' pages, by name."""
    from plotly.offline import get_plotlyjs

    shared = {file.name: file.read_bytes() for file in (files(PACKAGE) / "static").iterdir()}
    leaflet = files("js_lib_leaflet") / "static" / "js_lib_leaflet"
    shared |= {name: (leaflet / name).read_bytes() for name in ("leaflet.css", "leaflet.js")}
    shared["leaflet.LICENSE"] = (distribution("django-js-lib-leaflet").read_text("LICENSE") or "").encode()
    return shared | {"plotly.min.js": get_plotlyjs().encode()}


def package_file(name: str) -> bytes:
    """Return a file of this package, a script or a style."""
    return (files(PACKAGE) / "static" / name).read_bytes()


def rendered_markdown(text: str) -> Markup:
    """Render Markdown of this project; HTML, pictures and links stay text."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "link", "autolink"])
    return Markup(parser.render(text))  # noqa: S704  # the parser escapes


@cache
def _environment() -> jinja2.Environment:
    """Return the environment of the templates, with the filters for words and numbers."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(PACKAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "long_day": long_day,
        "short_day": short_day,
        "amount": amount,
        "percent": "{:.0%}".format,
        "gain": lambda nats: f"{math.expm1(nats):+.1%}",
        "number_of": number_of,
        "model": model,
        "plain": plain,
        "spaced": lambda name: name.replace("_", " "),
    }
    environment.globals["common_legend"] = legend()
    return environment
