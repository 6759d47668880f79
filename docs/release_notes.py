"""Prints the changelog's section of a release: `python3 -m docs.release_notes v1.0.0`. Needs no further package.

It stops if the tag is not the version of `pyproject.toml`, or if the changelog has no section for it or still has
unreleased lines.
"""

import re
import sys
import tomllib
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).parents[1]
UNRELEASED: Final = "Unreleased"


def sections(changelog: str) -> dict[str, str]:
    """Return the text of each section of the changelog by its heading."""
    parts = re.split(r"^## (.+)\n", changelog, flags=re.MULTILINE)[1:]
    return {heading: text.strip() for heading, text in zip(parts[::2], parts[1::2], strict=True)}


def release_notes(tag: str, version: str, changelog: str) -> str:
    """Return the notes of a release; raise ValueError if its tag, version and changelog differ."""
    if tag != f"v{version}":
        raise ValueError(f"The tag is {tag}, but pyproject.toml has version {version}: tag v{version}.")
    by_heading = sections(changelog)
    if by_heading.get(UNRELEASED):
        raise ValueError(f"CHANGELOG.md still has unreleased lines: move them into the section of {version}.")
    dated = re.compile(re.escape(version) + r" \(\d{4}-\d\d-\d\d\)")
    text = next((text for heading, text in by_heading.items() if dated.fullmatch(heading)), "")
    if not text:
        raise ValueError(f"CHANGELOG.md has no section '## {version} (YYYY-MM-DD)': write it.")
    return text


def main() -> None:
    """Print the notes of the tag that is named."""
    [tag] = sys.argv[1:]
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    try:
        print(release_notes(tag, version, (CHECKOUT / "CHANGELOG.md").read_text()))
    except ValueError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
