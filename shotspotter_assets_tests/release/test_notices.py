import json
import re
import tomllib
from collections import Counter
from importlib.metadata import PackageNotFoundError, distribution

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from docs.third_party import NOTICES, SBOM, notices, packages
from shotspotter_assets.settings import CHECKOUT

COMPONENTS = json.loads(SBOM.read_text())["components"]


def locked() -> set[tuple[str, str]]:
    lines = (CHECKOUT / "requirements.lock").read_text().splitlines()
    return {tuple(line.split(" ;")[0].split("==")) for line in lines if re.match(r"[a-z]", line)}  # type: ignore[misc]  # pairs, as the lock has a version for each


def runtime_packages() -> set[str]:
    """Return the installed packages that the project needs without extras, with all that they need."""
    found = set[tuple[str, str]]()
    waiting = [Requirement("shotspotter_assets")]
    while waiting:
        needed = waiting.pop()
        for extra in ("", *needed.extras):
            key = (canonicalize_name(needed.name), extra)
            if key in found:
                continue
            found.add(key)
            requires = map(Requirement, distribution(needed.name).requires or [])
            waiting += [one for one in requires if one.marker is None or one.marker.evaluate({"extra": extra})]
    return {name for name, _ in found} - {"shotspotter-assets"}


def is_installed(package: str) -> bool:
    try:
        return bool(distribution(package))
    except PackageNotFoundError:
        return False


def test_the_sbom_lists_the_locked_runtime_packages() -> None:
    versions = {(component["name"], component["version"]) for component in COMPONENTS}
    assert versions <= locked(), "run make notices"
    not_needed_here = {"psutil"}  # of the tests, and of a runtime package on Windows
    assert {name for name in packages() if is_installed(name)} - runtime_packages() <= not_needed_here
    assert runtime_packages() <= set(packages()), "run make notices"


def test_the_sbom_follows_its_standard() -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(SBOM.read_text()) is None


def test_the_sbom_names_the_version_of_the_project() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    described = json.loads(SBOM.read_text())["metadata"]["component"]
    assert (described["name"], described["version"]) == (project["name"], project["version"]), "run make notices"


def licenses(text: str) -> dict[str, str]:
    return dict(re.findall(r"^\| (\S+) \| (.+) \|$", text, re.MULTILINE))


def test_the_notices_are_those_of_the_packages() -> None:
    written = licenses(NOTICES.read_text())
    present = licenses(notices())
    assert written.keys() == present.keys(), "run make notices"
    counts = Counter(component["name"] for component in COMPONENTS)
    differing = {name for name in present if written[name] != present[name]}
    of_another_python = {name for name in counts if counts[name] > 1}
    assert differing <= of_another_python, "run make notices"
