import dagster as dg
import pytest
from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from shotspotter_assets.city_files import load_cities
from shotspotter_assets.defs import resources
from shotspotter_assets.defs.launchpad import changes, sections
from shotspotter_assets.defs.resources import RUN_ATTEMPTS, TICK_ATTEMPTS, StoreResource
from shotspotter_assets.models.forecaster_registry import city_settings
from shotspotter_assets.storage.catalogue import DAYS
from shotspotter_assets.storage.errors import StoreError
from shotspotter_assets_tests.alerts.sources.api.api_server import serving
from shotspotter_assets_tests.s3_server import S3Server


def test_a_run_repeats_requests_more_often_than_a_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    assert RUN_ATTEMPTS > TICK_ATTEMPTS
    monkeypatch.setattr(resources, "RUN_ATTEMPTS", 2)
    monkeypatch.setattr(resources, "TICK_ATTEMPTS", 1)
    requests = []

    def read(store: StoreResource) -> None:
        with serving([Route("/{path:path}", lambda _: Response(status_code=503))]) as server:
            S3Server(server.url, "key", "secret", "bucket").use(monkeypatch)
            with pytest.raises(StoreError):
                store.open().read_bytes(DAYS, "town")
            requests.append(len(server.requests))

    @dg.asset
    def made(store: StoreResource) -> None:
        read(store)

    @dg.sensor(target=made)
    def tick(store: StoreResource) -> dg.SkipReason:
        read(store)
        return dg.SkipReason("read")

    given = {"store": StoreResource(root="s3://bucket/prefix")}
    assert dg.materialize([made], resources=given).success
    with dg.build_sensor_context(resources=given) as context:
        tick(context)
    assert requests == [3, 2]


Sections = sections()


def test_sections_are_those_of_forecasters_with_settings() -> None:
    assert set(sections(["ewma", "conv_lstm"]).model_fields) == {"conv_lstm"}


def test_only_what_is_set_changes_the_settings_of_the_citys_file() -> None:
    city = next(iter(load_cities().values()))
    city = city.model_copy(update={"forecasters": {"network": {"epochs": 9, "seed": 3}}})
    config = Sections(network={"epochs": 2})
    assert changes(config) == {"network": {"epochs": 2}}
    settings = city_settings(city, "network", changes(config)["network"])
    assert (settings.model_dump()["epochs"], settings.model_dump()["seed"]) == (2, 3)
    assert changes(Sections()) == {}
    with pytest.raises(ValidationError, match=r"network\.epochs"):
        Sections(network={"epochs": 0})
