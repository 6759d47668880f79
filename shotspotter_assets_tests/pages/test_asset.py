"""The asset as a run, and when its sensor asks for it."""

import json
import shutil
from pathlib import Path

import dagster as dg
import pytest

from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.open_pages import main
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.file_names import ALL_CITIES
from shotspotter_assets_tests.defs.chain import CITIES, DEFINITIONS, SENSORS, materialize, resources, with_city
from shotspotter_assets_tests.pages.site_of_tiny_city import CITY, TinySite


def test_a_run_makes_the_pages_and_says_where_they_are(tiny_site: TinySite, tmp_path: Path) -> None:
    shutil.copytree(tiny_site.root / "store", tmp_path / "store")
    on = resources(str(tmp_path / "store"), cities=tiny_site.cities)
    result = materialize(["city_pages"], on, partition_key=CITY)
    [made] = result.asset_materializations_for_node("city_pages")
    page = tmp_path / "store" / "city_pages" / f"city={CITY}" / "index.html"
    assert made.metadata["page_path"].value == str(page)
    assert page.exists()
    assert made.metadata["expected_alerts"].value > 1
    assert "page" not in made.metadata
    served = Settings(tiny_site.cities, str(tmp_path / "store"), "landing", pages_url="https://pages.example/")
    again = materialize(["city_pages"], {**on, "pages": resources_of(served)["pages"]}, partition_key=CITY)
    [made] = again.asset_materializations_for_node("city_pages")
    assert made.metadata["page"].value == f"https://pages.example/city={CITY}/index.html"
    assert made.metadata["all_cities"].value == f"https://pages.example/city={ALL_CITIES}/index.html"
    assert made.metadata["files_written"].value == 0


def resources_of(settings: Settings) -> dict[str, object]:
    from shotspotter_assets.defs import resources as project

    return project.resources(settings)


def tick(instance: dg.DagsterInstance, cursor: str | None, cities: Cities = CITIES) -> dg.SensorResult:
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, definitions=DEFINITIONS, resources={"cities": cities}
    )
    result = SENSORS["new_pages"](context)
    assert isinstance(result, dg.SensorResult)
    return result


def make_a_day_of_all_cities(instance: dg.DagsterInstance) -> None:
    """So that there is something to show."""
    for city in CITIES:
        instance.report_runless_asset_event(dg.AssetMaterialization("grid_tensors", partition=f"{city}|2024-01-01"))


def test_what_the_sensor_asks_for_can_be_run(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        make_a_day_of_all_cities(instance)
        context = dg.build_sensor_context(
            instance=instance,
            repository_def=DEFINITIONS.get_repository_def(),
            sensor_name="new_pages",
            resources={"cities": CITIES},
        )
        asked = SENSORS["new_pages"].evaluate_tick(context).run_requests or []
    assert asked
    assert {(one.tags["dagster/partition"], tuple(one.asset_selection or ())) for one in asked} == {
        (city.name, (dg.AssetKey("city_pages"),)) for city in CITIES.values() if city.is_automated
    }


def test_pages_of_automated_cities_are_asked_for_once_when_something_is_new(tmp_path: Path) -> None:
    automated = sorted(city.name for city in CITIES.values() if city.is_automated)
    manual = next(city.name for city in CITIES.values() if not city.is_automated)
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        assert tick(instance, None).run_requests == []
        make_a_day_of_all_cities(instance)
        first = tick(instance, None)
        assert [asked.partition_key for asked in first.run_requests or []] == automated
        nothing = tick(instance, first.cursor)
        assert nothing.run_requests == []
        for city in (CITY, manual):
            instance.report_runless_asset_event(
                dg.AssetMaterialization("forecast_scores", partition=f"{city}|2024-01-01")
            )
        after = tick(instance, nothing.cursor)
        assert [asked.partition_key for asked in after.run_requests or []] == [CITY]
        assert tick(instance, after.cursor).run_requests == []


def test_pages_wait_for_the_runs_of_their_city(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        cursor = tick(instance, None).cursor
        instance.report_runless_asset_event(dg.AssetMaterialization("risk_forecasts", partition=f"{CITY}|2024-01-01"))
        run = instance.create_run_for_job(
            dg.GraphDefinition("empty").to_job(), tags={"dagster/partition": f"{CITY}|2024-01-01"},
            status=dg.DagsterRunStatus.STARTED,
        )  # fmt: skip
        waits = tick(instance, cursor)
        assert waits.run_requests == []
        assert json.loads(waits.cursor or "")["due"] == [CITY]
        instance.report_run_canceled(run)
        assert [asked.partition_key for asked in tick(instance, waits.cursor).run_requests or []] == [CITY]


def test_the_sensor_runs_where_a_city_is_automated() -> None:
    assert SENSORS["new_pages"].default_status == dg.DefaultSensorStatus.RUNNING
    with dg.DagsterInstance.ephemeral() as instance:
        none = tick(instance, None, {CITY: with_city(CITY, automation="manual")[CITY]})
    assert "No city is automated" in str(none.skip_reason)


def test_make_pages_says_where_they_are(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHOTSPOTTER_STORE", str(folder.parent))
    main(["--print"])
    assert capsys.readouterr().out.strip() == str(folder / f"city={ALL_CITIES}" / "index.html")
    monkeypatch.setenv("SHOTSPOTTER_STORE", str(tmp_path / "empty"))
    with pytest.raises(SystemExit, match=r"There are no pages at .* dg launch --assets city_pages"):
        main(["--print"])
