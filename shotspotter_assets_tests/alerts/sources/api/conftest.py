import pytest

from shotspotter_assets.alerts.sources.api import http


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits before retries."""
    monkeypatch.setattr(http, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(http, "MAX_WAIT_SECONDS", 0.05)
