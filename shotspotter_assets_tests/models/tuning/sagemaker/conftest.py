"""The stand-in of SageMaker for these tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shotspotter_assets_tests.models.tuning.sagemaker.stand_in import Aws, aws


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Aws]:
    """The servers; nothing is left in them of another test."""
    with aws(tmp_path / "machines") as running:
        yield running
