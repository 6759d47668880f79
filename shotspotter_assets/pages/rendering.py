"""Words and numbers for readers, and the templates and scripts that records become."""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from importlib.metadata import distribution
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit

import jinja2
import numpy as np
from markupsafe import Markup

from shotspotter_assets.models.forecaster_registry import FORECASTERS
from shotspotter_assets.models.gunshot_types import TRAILING_MIX, TYPE_REGRESSION
from shotspotter_assets.storage.arrays import Array, Integers
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.wording import number_of

MIN_IN_TEN: Final = 0.35  # larger chances read "4 in 10" instead of "1 in 3"
ONE_IN: Final = (3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 70, 100, 150, 200, 300, 500, 1000)
"""Denominators of chances; closer ones would claim too much precision."""
TITLES: Final = {name: entry.title for name, entry in FORECASTERS.items()} | {
    TYPE_REGRESSION: "the regression on recent kinds",
    TRAILING_MIX: "the mix of recent kinds",
}
"""Names of models for readers. A name that is part of its own title is a plain word."""
_MODEL: Final = re.compile(rf"\b(?:the )?({'|'.join(name for name, title in TITLES.items() if name not in title)})\b")
_FOR_OPERATORS: Final = re.compile(
    rf"\b(?:{'|'.join(name for name in Asset if '_' in name)})\b|\bshotspotter [a-z]|\bdg launch\b"
)
SEE_STATUS: Final = "The city's status has the details for the operator."
NO_REASON: Final = "No single reason stands out"
_ODDS: Final = re.compile(r" \(odds x[\d.]+\)")
CLASSES: Final = 8  # colours of `pages.css`, from the least likely cells to the likeliest
STEPS: Final = 1 / np.array([number * 10**zeros for zeros in range(5) for number in (2, 5, 10)][::-1])  # least chances
COMMON_STEPS: Final = STEPS[1 - CLASSES :]  # steps of a map that is compared with others
PACKAGE: Final = "shotspotter_assets.pages"


def chance(probability: float) -> str:
    """Write a probability as "1 in 20", or as "7 in 10" where it is large."""
    if probability > MIN_IN_TEN:
        return f"{min(round(probability * 10), 9)} in 10"
    if probability < 1 / (ONE_IN[-1] * 1.25):
        return f"less than 1 in {ONE_IN[-1]:,}"
    nearest = min(ONE_IN, key=lambda number: max(number * probability, 1 / (number * probability)))
    return f"1 in {nearest:,}"


def scale(probability: Array) -> Array:
    """Return the steps of one map: up to the largest chance, and no more than there are colours."""
    end = int(np.searchsorted(STEPS, probability.max(), side="right"))
    return STEPS[max(end + 1 - CLASSES, 0) : max(end, 1)]


def chance_classes(probability: Array, steps: Array = COMMON_STEPS) -> Integers:
    """Return the colour of each probability, 0 below the first step."""
    above = np.searchsorted(steps, probability, side="right")
    return np.where(above, above + CLASSES - 1 - len(steps), 0)


def legend(steps: Array = COMMON_STEPS) -> list[tuple[int, str]]:
    """Return the colours with their chances in words, the likeliest first."""
    words = [f"1 in {1 / step:,.0f}" for step in steps]
    texts = [f"less than {words[0]}", *words[:-1], f"{words[-1]} or more"]
    return list(zip([0, *range(CLASSES - len(words), CLASSES)], texts, strict=True))[::-1]


def map_view(probability: Array, expected: Array) -> dict[str, object]:
    """Return the data of a map for its script: colours and chances of the cells, in their order, and the legend."""
    steps = scale(probability)
    return {
        "total": amount(float(expected.sum())),
        "classes": chance_classes(probability, steps).tolist(),
        "chances": [chance(value) for value in probability.tolist()],
        "legend": legend(steps),
    }


def amount(number: float) -> str:
    """Write an expected number with one decimal, or two below 1."""
    if 0 < number < 0.005:
        return "less than 0.01"
    return f"{number:,.1f}" if number >= 0.995 or not number else f"{number:.2f}"


def long_day(day: date) -> str:
    """Write a day as "Thursday, 26 November 2026"."""
    return f"{day:%A}, {day.day} {day:%B} {day.year}"


def short_day(day: date) -> str:
    """Write a day as "26 Nov 2026"."""
    return f"{day.day} {day:%b} {day.year}"


def model(name: str) -> str:
    """Return the title of a model; one that the registry no longer has keeps its name, spaced."""
    return TITLES.get(name, name.replace("_", " "))


def plain(text: str) -> str:
    """Return stored sentences for readers: models by their titles, and no clause about assets or commands."""
    clauses = [clause for clause in re.split(r"(?<=[.;]) ", text) if not _FOR_OPERATORS.search(clause)]
    return re.sub(";$", ".", _MODEL.sub(_titled, " ".join(clauses))) or (text and SEE_STATUS)


def _titled(found: re.Match[str]) -> str:
    """Return the title of a matched model, with a capital where a sentence starts."""
    title = model(found[1])
    before = found.string[: found.start()]
    return title[:1].upper() + title[1:] if not before or before.endswith(". ") else title


def reasons(drivers: Sequence[str], otherwise: str = NO_REASON) -> str:
    """Join the drivers of a cell (`models.next_day.regime_regression`) into a sentence without full stop and odds."""
    text = "; ".join(_ODDS.sub("", driver) for driver in drivers)
    return text[:1].upper() + text[1:] if text else otherwise


def set_apart(drivers: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """Return the drivers that all places share, and the other ones of each place, without odds."""
    plain = [[_ODDS.sub("", driver) for driver in place] for place in drivers]
    shared = [driver for driver in plain[0] if all(driver in place for place in plain)] if len(plain) > 1 else []
    return shared, [[driver for driver in place if driver not in shared] for place in plain]


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
