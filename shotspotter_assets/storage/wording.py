"""Numbers with nouns, commands, and text from outside in messages and pages."""

import html
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final

CHECKOUT = Path(__file__).parents[2]
IS_CHECKOUT = (CHECKOUT / "pyproject.toml").is_file()
LAUNCH: Final = "dg launch" if IS_CHECKOUT else "dg launch -m shotspotter_assets.definitions"
"""Command that starts a run. Outside of the checkout `dg` has to be given the definitions."""

MAX_NAMED: Final = 5  # usual maximum of names, such as files or days, in a message


def first_of(texts: Sequence[str], number: int = MAX_NAMED, separator: str = ", ") -> str:
    """Join the first texts, and add the number of further ones: "a, b and 3 more"."""
    more = f" and {len(texts) - number:,} more" if len(texts) > number else ""
    return separator.join(texts[:number]) + more


def number_of(count: int, noun: str) -> str:
    """Return the count with the noun in singular or plural."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def period(first: date, last: date) -> str:
    """Return the days `first` to `last` in words, or the only day."""
    return str(first) if first == last else f"{first} to {last}"


_SPECIAL: Final = re.compile(r"[\\`*\[\]|~#]|(?<![^\W_])_|_(?![^\W_])|^[-+=]|(?<=^\d)[.)]")
"""Characters with a meaning in Markdown; underscores within words have none."""


def plain(text: str) -> str:
    """Return Markdown that shows `text` as it is, on one line: no tags, links, pictures, emphasis or further cells."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", html.escape(" ".join(text.split()), quote=False))
