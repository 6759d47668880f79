"""The same store twice: in a local folder and on the S3 server."""

from pathlib import Path

import pytest

from shotspotter_assets.storage.store import Store


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store; a test that takes it runs on both backends."""
    if request.param == "local":
        return Store(str(tmp_path / "store"))
    return Store(request.getfixturevalue("s3_store_root"), request.getfixturevalue("s3_server").client())
