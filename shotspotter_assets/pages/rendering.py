"""Templates, words and script files: how records of pages become HTML and data for the browser."""

from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Final

import jinja2
from markupsafe import Markup
from pydantic import BaseModel

PACKAGE: Final = "shotspotter_assets.pages"

SHARED_FILES: Final = (
    "pages.css",
    "pages.js",
    "charts.js",
    "tomorrow.js",
    "past.js",
    "alerts.js",
    "track.js",
    "data.js",
)
"""Of all cities; beside them lies Plotly."""
PLOTLY_FILE: Final = "plotly.min.js"

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def policy(pictures_from: str = "") -> str:
    """The Content-Security-Policy of a page; pictures may also come from one server.

    Scripts, styles and pictures come from the site itself, also where it is opened from the disk, and nothing is fetched.
    Plotly writes styles into its elements, therefore 'unsafe-inline' for these.
    """
    pictures = " ".join(filter(None, ["'self' data: blob:", pictures_from]))
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src {pictures}; "
        "base-uri 'none'; form-action 'none'"
    )


def render(template: str, values: Mapping[str, Any]) -> bytes:
    """A page. Values are escaped, but for what `rendered_markdown` made."""
    return _environment().get_template(template).render(**values).encode()


def script_of(name: str, data: BaseModel) -> bytes:
    """A script file that gives the browser the data called `name`: pages from the disk may load scripts, but not fetch."""
    return f'CityPages.data("{name}", {data.model_dump_json()});\n'.encode()


def shared_file(name: str) -> bytes:
    """A script or style file that all pages share."""
    if name == PLOTLY_FILE:
        from plotly.offline import get_plotlyjs

        return get_plotlyjs().encode()
    return (files(PACKAGE) / "static" / name).read_bytes()


def rendered_markdown(text: str) -> Markup:
    """Markdown of this project as HTML; HTML in it is shown as text, and pictures and links from elsewhere stay text."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "link", "autolink"])
    return Markup(parser.render(text))  # noqa: S704  # the parser escapes


def title_of(city: str) -> str:
    """A city's name for readers: Washington DC for washington_dc."""
    words = city.split("_")
    titled = [word.upper() if len(word) <= 2 else word for word in words]
    first, rest = titled[0], titled[1:]
    places = [word if word.isupper() or word == "city" else word.capitalize() for word in rest]
    return " ".join([first if first.isupper() else first.capitalize(), *places])


def long_day(day: date) -> str:
    """As "Thursday, 26 November 2026"."""
    return f"{WEEKDAYS[day.weekday()]}, {day.day} {MONTHS[day.month - 1]} {day.year}"


def short_day(day: date) -> str:
    """As "26 Nov 2026"."""
    return f"{day.day} {MONTHS[day.month - 1][:3]} {day.year}"


def amount(number: float) -> str:
    """An expected number: whole from 10 on, else with one decimal, or two below 0.1."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}" if number >= 0.095 else f"{number:.2f}"


@cache
def _environment() -> jinja2.Environment:
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
        "percent": lambda share: f"{share:.0%}",
        "words": lambda name: name.replace("_", " "),
    }
    return environment
