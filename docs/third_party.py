"""The file `THIRD_PARTY_NOTICES.md`, made from `sbom.cdx.json` and the installed packages: `make notices` writes it."""

import json
from importlib.metadata import PackageNotFoundError, metadata
from typing import Final

from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets.storage.wording import number_of

SBOM: Final = CHECKOUT / "sbom.cdx.json"
NOTICES: Final = CHECKOUT / "THIRD_PARTY_NOTICES.md"
MAX_NAME_CHARACTERS: Final = 40  # longer entries are texts of licenses
NOT_DECLARED: Final = "not declared"

HEAD: Final = """# Third-party notices

`make notices` writes this file. shotspotter_assets itself is under the [Apache License 2.0](LICENSE).

## In the wheel

| file | source and license |
| --- | --- |
| `alerts_2014_2018.parquet` | Metropolitan Police Department, "Shot Spotter Gun Shots", Open Data DC, CC BY 4.0, changed |
| `police_districts.geojson` | Open Data DC, CC BY 4.0, changed |
| `streets.parquet` | US Census Bureau, TIGER/Line 2018, public domain |

These files are in `cities/washington_dc/`; the README there states the changes. Everything else in the wheel was made
for this project. The wheel contains no code of others.

## Installed with the wheel

pip installs these packages as dependencies. Each has its license text in its own `.dist-info` folder, in the container
image too. `sbom.cdx.json` (CycloneDX) has their locked versions. City pages contain Leaflet (BSD-2-Clause), which comes
from `django-js-lib-leaflet`.

| package | declared license |
| --- | --- |
"""


def packages() -> list[str]:
    """Return the names of the locked runtime dependencies."""
    return sorted({component["name"] for component in json.loads(SBOM.read_text())["components"]})


def license_of(package: str) -> str | None:
    """Return the license that a package declares as expression, name or classifier; None if it is not installed."""
    try:
        declared = metadata(package)
    except PackageNotFoundError:
        return None
    if expression := declared.get("License-Expression"):
        return expression
    classifiers = [name for name in declared.get_all("Classifier") or [] if name.startswith("License ::")]
    named = [(declared.get("License") or "").strip(), " / ".join(name.split(" :: ")[-1] for name in classifiers)]
    short = (name for name in named if name and "\n" not in name and len(name) <= MAX_NAME_CHARACTERS)
    return next(short, NOT_DECLARED)


def notices() -> str:
    """Return the text of the file."""
    licenses = {package: license_of(package) for package in packages()}
    rows = [f"| {package} | {name} |" for package, name in licenses.items() if name]
    elsewhere = [package for package, name in licenses.items() if name is None]
    return (
        HEAD
        + "\n".join(rows)
        + f"\n\nOnly on Windows ({number_of(len(elsewhere), 'package')}): {', '.join(elsewhere)}.\n"
    )


if __name__ == "__main__":
    NOTICES.write_text(notices())
