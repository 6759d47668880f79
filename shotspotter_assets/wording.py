"""Numbers with nouns and commands in messages."""

from pathlib import Path
from typing import Final

CHECKOUT = Path(__file__).parents[1]
IS_CHECKOUT = (CHECKOUT / "pyproject.toml").is_file()
LAUNCH: Final = "dg launch" if IS_CHECKOUT else "dg launch -m shotspotter_assets.definitions"
"""Command that starts a run. Outside of the checkout `dg` has to be given the definitions."""


def number_of(count: int, noun: str) -> str:
    """Return the count with the noun in singular or plural."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
