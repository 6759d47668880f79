import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from shotspotter_assets.settings import CHECKOUT

BIN = Path(sys.executable).parent
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in (CHECKOUT / ".github/workflows").glob("*.yml")}
RELEASE = WORKFLOWS["release"]
SCHEMAS = {
    "vendor.github-workflows": ".github/workflows/release.yml",
    "vendor.dependabot": ".github/dependabot.yml",
    "vendor.compose-spec": "deploy/own_machines/compose.yaml",
    "vendor.citation-file-format": "CITATION.cff",
}
MAY_WRITE = {
    "test": set(),
    "build": {"attestations", "id-token"},
    "pypi": {"id-token"},
    "image": {"attestations", "id-token", "packages"},
    "release": {"contents"},
    "docs": {"id-token", "pages"},
}


def all_steps() -> list[dict[str, Any]]:
    return [step for workflow in WORKFLOWS.values() for job in workflow["jobs"].values() for step in job["steps"]]


def test_workflows_pass_the_audit() -> None:
    command = [BIN / "zizmor", "--offline", "--quiet", "--config", CHECKOUT / ".github/zizmor.yml", ".github/workflows"]
    audit = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert audit.returncode == 0, audit.stdout


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_of_services_follow_their_schemas(schema: str) -> None:
    command = [BIN / "check-jsonschema", "--builtin-schema", schema, CHECKOUT / SCHEMAS[schema]]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_jobs_of_a_release_may_write_only_what_they_publish() -> None:
    assert RELEASE["permissions"] == {}
    granted = {name: job["permissions"] for name, job in RELEASE["jobs"].items()}
    assert {name: {key for key, how in asked.items() if how == "write"} for name, asked in granted.items()} == MAY_WRITE
    waiting = {name: job.get("needs", []) for name, job in RELEASE["jobs"].items()}
    assert [name for name, needs in waiting.items() if not needs] == ["test"]
    assert set(waiting["release"]) == {"build", "pypi", "image"}


def test_actions_have_one_version_each() -> None:
    used = {step["uses"] for step in all_steps() if "uses" in step}
    names = [action.partition("@")[0] for action in used]
    assert len(names) == len(set(names)), sorted(used)
    assert all(re.search(r"@(v\d+|release/v\d+)$", action) for action in used)


def test_workflows_and_devcontainer_run_what_there_is() -> None:
    commands = "\n".join(step.get("run", "") for step in all_steps())
    commands += (CHECKOUT / ".devcontainer/devcontainer.json").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    called = set(re.findall(r"\bmake ([a-z][a-z-]*)", commands))
    assert {"build", "lock", "setup", "site"} <= called <= targets
    assert all((CHECKOUT / path).is_file() for path in re.findall(r"bash (\S+)", commands))
    modules = re.findall(r"-m (docs\.\w+)", commands)
    assert modules
    assert all((CHECKOUT / f"{module.replace('.', '/')}.py").is_file() for module in modules)


def test_the_image_is_that_of_own_machines() -> None:
    [build] = [step["with"] for step in RELEASE["jobs"]["image"]["steps"] if "build-push" in step.get("uses", "")]
    assert (CHECKOUT / build["file"]).is_file()
    assert (build["provenance"], build["sbom"]) == ("mode=max", True)


def test_pre_commit_runs_what_lint_runs() -> None:
    config = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text())
    hooks = [hook["entry"].replace(" --fix", "") for repository in config["repos"] for hook in repository["hooks"]]
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    lint = re.findall(r"\$\(BIN\)/(.*)", recipe[1])
    checked = [command.removesuffix(" .").removesuffix(" --check") for command in lint]
    assert [hook.removeprefix(".venv/bin/") for hook in hooks] == checked


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
