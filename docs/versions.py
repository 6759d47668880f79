"""Builds the documentation of releases as one site with a folder each: `make site`, or `make site ARGS="v1.0.0 v1.1.0"`."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).parents[1]
SITE: Final = Path("docs/_build/site")
RELEASE_TAG: Final = re.compile(r"v\d+\.\d+\.\d+")
FIRST_PAGE: Final = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={0}/index.html">'
FIRST_PAGE_LINK: Final = '<title>shotspotter_assets</title><a href="{0}/index.html">Version {0}</a>\n'


def release_tags(repository: Path) -> list[str]:
    """Return the tags of releases, the newest version first."""
    listed = subprocess.run(["git", "tag", "--list", "v*"], cwd=repository, capture_output=True, text=True, check=True)
    tags = [tag for tag in listed.stdout.split() if RELEASE_TAG.fullmatch(tag)]
    return sorted(tags, key=lambda tag: [int(number) for number in tag[1:].split(".")], reverse=True)


def build_site(repository: Path, tags: Sequence[str], site: Path) -> None:
    """Build the documentation of each tag from its own files, and a first page that opens that of the first tag.

    Raises:
        CalledProcessError: a tag does not exist, or its documentation has an error.
    """
    versions = [tag.removeprefix("v") for tag in tags]
    environ = os.environ | {"DOCS_VERSIONS": " ".join(versions)}
    for tag, version in zip(tags, versions, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            archive = subprocess.run(["git", "archive", tag], cwd=repository, capture_output=True, check=True).stdout
            subprocess.run(["tar", "--extract", "--directory", folder], input=archive, check=True)
            command = [
                sys.executable,
                "-m",
                "sphinx",
                "--quiet",
                "--jobs",
                "auto",
                "docs",
                str((site / version).resolve()),
            ]
            subprocess.run(command, cwd=folder, env=environ, check=True)
        print(f"built: {site / version}", flush=True)
    (site / "index.html").write_text(FIRST_PAGE.format(versions[0]) + FIRST_PAGE_LINK.format(versions[0]))


def main() -> None:
    """Build the site of the named tags, or of all releases."""
    tags = sys.argv[1:] or release_tags(CHECKOUT)
    if not tags:
        sys.exit("There is no tag of a release (vX.Y.Z): name the tags or branches, as in make site ARGS=HEAD.")
    build_site(CHECKOUT, tags, SITE)


if __name__ == "__main__":
    main()
