import threading
from pathlib import Path

import dagster as dg
import pytest

from shotspotter_assets.defs import resources as settings
from shotspotter_assets.storage.catalogue import TENSORS
from shotspotter_assets.storage.errors import StoreError
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import resources, run_days
from shotspotter_assets_tests.s3_server import running

HEADER = "when,lon,lat,kind,rounds,id\n"


@pytest.mark.slow
def test_an_outage_of_s3_fails_a_run_and_loses_nothing(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing = tmp_path / "landing" / "landing_city"
    landing.mkdir(parents=True)
    (landing / "a.csv").write_text(f"{HEADER}2024-03-02T12:00:00Z,-76.5,38.5,Single_Gunshot,1,a\n")
    with running(tmp_path) as server:
        server.use(monkeypatch)
        root = f"s3://{server.bucket}/store"
        on = resources(root, str(landing.parent))
        assert run_days("landing_city", "2024-03-01", "2024-03-05", on, instance).success
        (landing / "b.csv").write_text(f"{HEADER}2024-03-08T12:00:00Z,-76.5,38.5,Single_Gunshot,1,b\n")
        with monkeypatch.context() as short:
            short.setattr(settings, "RUN_ATTEMPTS", 2)
            server.kill()
            with pytest.raises(StoreError, match=root):
                run_days("landing_city", "2024-03-06", "2024-03-10", on, instance)
        # The next run waits for the server.
        again = threading.Timer(5, server.start)
        again.start()
        assert run_days("landing_city", "2024-03-06", "2024-03-10", on, instance).success
        again.join()
        store = Store(root, server.client())
        assert len(store.days_present(TENSORS, "landing_city")) == 10
