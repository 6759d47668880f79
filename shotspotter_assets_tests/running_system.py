"""The whole system in processes of its own, as `make ui` starts it, on a folder of a test."""

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests

from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets_tests.installation import Installation, prepare
from shotspotter_assets_tests.ports import free_port

RUNS = "{ runsOrError { ... on Runs { results { runId status tags { key value } } } } }"


class RunningSystem(Installation):
    """`dg dev` on a home, cities, a store and landing folders below one folder; leaving the context ends all of it."""

    def __init__(self, folder: Path, cities: Mapping[str, str]) -> None:
        """`cities` are the texts of their files, by name."""
        super().__init__(folder, prepare(folder, cities, PYTHONPATH=str(CHECKOUT)), free_port())
        self.landing = folder / "landing"
        for name in cities:
            (self.landing / name).mkdir()

    def runs(self) -> dict[str, str]:
        """Status of the newest run of each partition, or first one of a range."""
        found = {}
        for run in reversed(self.ask(RUNS)["runsOrError"]["results"]):
            tags = {tag["key"]: tag["value"] for tag in run["tags"]}
            found[tags.get("dagster/partition") or tags.get("dagster/asset_partition_range_start")] = run["status"]
        return found

    def wait_for(self, what: Callable[[], Any], seconds: float) -> Any:
        """What comes out once it is true; an answer that fails is no answer yet."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            with contextlib.suppress(requests.RequestException, KeyError, TypeError, ValueError):
                if found := what():
                    return found
            time.sleep(0.5)
        raise AssertionError(f"not within {seconds:g} s; {self.log} ends with\n{self.log.read_text()[-3000:]}")
