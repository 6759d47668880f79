import json
import tomllib
from typing import Any

import pytest
import yaml

from shotspotter_assets.settings import CHECKOUT

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text())
ZENODO = json.loads((CHECKOUT / ".zenodo.json").read_text())


@pytest.mark.parametrize(
    ("described", "description"), [(CITATION, "abstract"), (ZENODO, "description")], ids=["citation", "zenodo"]
)
def test_citation_and_archive_describe_the_project(described: dict[str, Any], description: str) -> None:
    assert described["title"] == PROJECT["name"]
    assert described["license"] == PROJECT["license"]
    assert described[description] == f"{PROJECT['description']}."
    assert described["keywords"] == CITATION["keywords"]


def test_the_citation_has_the_version_of_the_project() -> None:
    assert CITATION["version"] == PROJECT["version"]


def test_the_devcontainer_has_an_allowed_python_and_the_port_of_the_ui() -> None:
    container = json.loads((CHECKOUT / ".devcontainer/devcontainer.json").read_text())
    assert container["image"].partition(":")[2].startswith("3.13")
    assert "<3.14" in PROJECT["requires-python"]
    assert 3000 in container["forwardPorts"]
