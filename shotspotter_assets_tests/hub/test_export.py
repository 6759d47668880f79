import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest
import yaml
from click.testing import CliRunner
from scipy.stats import nbinom

from shotspotter_assets.__main__ import main
from shotspotter_assets.calendar import local_time
from shotspotter_assets.calendar.local_time import ONE_DAY
from shotspotter_assets.cities.layers import Layer, Layers
from shotspotter_assets.evaluation.proper_scores import weighted_interval_scores
from shotspotter_assets.geometry.cells import quadrants
from shotspotter_assets.geometry.grid import Grid
from shotspotter_assets.hub.export import LEVELS, export_hub, refuse_crossing
from shotspotter_assets.models.alert_counts import CountDistribution
from shotspotter_assets.serving.forecast_facts import TOTAL, next_day_rows, total_of
from shotspotter_assets.serving.issued_forecasts import ForecastRecord
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets.sources.day_table import DayTable
from shotspotter_assets.storage.catalogue import FORECAST, RAW_ROWS, TENSORS
from shotspotter_assets.storage.errors import MissingPartitionsError
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.conftest import REAL_DATA, TEST_CITIES
from shotspotter_assets_tests.hub.conftest import CITY, FIRST, LAST, clock
from shotspotter_assets_tests.waiting import wait_until

ALL = (date(1990, 1, 1), date(2099, 12, 31))
MODEL = "shotspotter-issued"
SCHEMAS = Path(os.environ.get("HUBVERSE_SCHEMAS", REAL_DATA.parent / "hubverse_schemas"))


@pytest.fixture(scope="module")
def hub(issued: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "hub"
    assert export_hub(issued, CITY, folder, *ALL) == [f"{folder}: 3 forecasts of 5 locations."]
    return folder


@pytest.fixture
def own(issued: Store, tmp_path: Path) -> Store:
    return Store(str(shutil.copytree(issued.root, tmp_path / "store")))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def output_of(hub: Path) -> pd.DataFrame:
    import hubdata

    return hubdata.connect_hub(hub.absolute()).to_table().to_pandas()


def test_tools_of_hubverse_read_the_hub(hub: Path) -> None:
    import hubdata
    from hubdata.create_target_data_schema import TargetType

    output = output_of(hub)
    assert set(output["model_id"]) == {MODEL}
    assert len(output) == 3 * 5 * 23
    assert set(output["reference_date"]) == {*local_time.days_between(FIRST, LAST)}
    assert (output["target_end_date"] - output["reference_date"] == timedelta(days=1)).all()
    series, oracle = (hubdata.connect_target_data(hub.absolute(), kind).to_table().to_pandas() for kind in TargetType)
    assert [*series] == ["target_end_date", "target", "location", "as_of", "observation"]
    known = series.merge(oracle, on=["target_end_date", "target", "location"])
    assert len(known) == len(oracle) == 3 * 5
    assert (known["observation"] == known["oracle_value"]).all()
    assert set(oracle["location"]) == set(output["location"])


def test_settings_follow_the_published_schemas(hub: Path) -> None:
    if not SCHEMAS.is_dir():
        pytest.skip(
            f"needs admin-, tasks- and target-data-schema.json of hubverse 6.0.0 in {SCHEMAS}, or in HUBVERSE_SCHEMAS"
        )
    for name in ("admin", "tasks", "target-data"):
        schema = json.loads((SCHEMAS / f"{name}-schema.json").read_text())
        settings = json.loads((hub / "hub-config" / f"{name}.json").read_text())
        assert settings["schema_version"] == schema["$id"]
        jsonschema.validate(settings, schema, format_checker=jsonschema.FormatChecker())


def test_metadata_follows_the_schema_of_the_hub(hub: Path) -> None:
    metadata = yaml.safe_load((hub / "model-metadata" / f"{MODEL}.yml").read_text())
    jsonschema.validate(metadata, json.loads((hub / "hub-config" / "model-metadata-schema.json").read_text()))
    assert f"{metadata['team_abbr']}-{metadata['model_abbr']}" == MODEL


def test_settings_name_what_the_files_hold(hub: Path) -> None:
    [of_rounds] = json.loads((hub / "hub-config" / "tasks.json").read_text())["rounds"]
    [task] = of_rounds["model_tasks"]
    output = output_of(hub)
    for name, allowed in task["task_ids"].items():
        assert set(output[name].astype(str)) == {str(value) for value in allowed["optional"]}
    assert tuple(task["output_type"]["quantile"]["output_type_id"]["required"]) == LEVELS
    files = {file.name for file in (hub / "model-output" / MODEL).iterdir()}
    assert files == {f"{day}-{MODEL}.csv" for day in task["task_ids"][of_rounds["round_id"]]["optional"]}


def test_quantiles_are_those_of_the_sum_of_the_issued_cells(hub: Path, issued: Store) -> None:
    output = output_of(hub)
    forecast = issued.read_table(FORECAST, CITY.name, FIRST)
    next_day = next_day_rows(forecast)
    names = quadrants(CITY.shape)[next_day["row"].to_numpy(), next_day["column"].to_numpy()]
    cells = CountDistribution.of_forecast(next_day)
    variance = total_of(forecast).factor_variance
    assert variance is not None
    inside = {CITY.name: np.ones(len(names), bool)} | {f"{CITY.name}/{name}": names == name for name in set(names)}
    for location, of_location in inside.items():
        mean = cells.expected[of_location].sum()
        beyond = cells.variance[of_location].sum() + variance * mean**2 - mean
        total = nbinom(mean**2 / beyond, mean / (mean + beyond))
        rows = output[(output["reference_date"] == FIRST) & (output["location"] == location)]
        assert tuple(rows["output_type_id"]) == LEVELS
        value = rows["value"].to_numpy()
        assert (total.cdf(value) >= rows["output_type_id"]).all()
        assert (total.cdf(value - 1) < rows["output_type_id"]).all()


def test_the_benchmark_scores_exports_as_the_project_does(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(CHECKOUT / "benchmarks")
    oracle = pd.read_csv(hub / "target-data" / "oracle-output.csv")
    output = pd.concat([pd.read_csv(file) for file in sorted((hub / "model-output" / MODEL).iterdir())])
    scored = import_module("hub_scores").scores(output, oracle)
    for row in scored.itertuples():
        task = (output["reference_date"] == row.reference_date) & (output["location"] == row.location)
        quantiles = output["value"][task].to_numpy(float)
        assert row.wis == pytest.approx(weighted_interval_scores(quantiles, np.array(float(row.oracle_value)), LEVELS))
    assert len(scored) == len(oracle)


def test_observed_numbers_are_the_alerts_of_covered_cells(hub: Path, issued: Store) -> None:
    series = pd.read_csv(hub / "target-data" / "time-series.csv", parse_dates=["target_end_date", "as_of"])
    day = date(2024, 3, 28)
    covered = next_day_rows(issued.read_table(FORECAST, CITY.name, day - ONE_DAY)).to_pandas()[["row", "column"]]
    alerts = issued.read_table(TENSORS, CITY.name, day).to_pandas().merge(covered)
    of_day = series[series["target_end_date"] == pd.Timestamp(day)].set_index("location")
    assert of_day["observation"][CITY.name] == alerts["count"].sum() > 0
    of_area = of_day["observation"].drop(CITY.name)
    north = alerts["row"] >= CITY.grid.rows / 2
    assert of_area[of_area.index.str.contains("north")].sum() == alerts["count"][north].sum()
    # The simulated source hands out each day once it is over.
    assert (series["as_of"] - series["target_end_date"] == pd.Timedelta(days=1)).all()


def test_an_unknown_day_has_no_number(own: Store, tmp_path: Path) -> None:
    day = date(2024, 3, 28)
    stored = DayTable.read(own, CITY.name).days[day]
    DayTable.update(own, CITY.name, {day: replace(stored, state="unknown")})
    export_hub(own, CITY, tmp_path / "hub", *ALL)
    series, oracle = (
        pd.read_csv(tmp_path / "hub" / "target-data" / f"{name}.csv") for name in ("time-series", "oracle-output")
    )
    assert str(day) not in {*series["target_end_date"]} | {*oracle["target_end_date"]}
    assert {*oracle["target_end_date"]} == {str(day - ONE_DAY), str(day + ONE_DAY)}
    assert str(day) in set(output_of(tmp_path / "hub")["target_end_date"].astype(str))


def test_a_forecast_whose_day_has_not_begun_is_left_out(issued: Store, tmp_path: Path) -> None:
    with clock(LAST, 20):
        lines = export_hub(issued, CITY, tmp_path / "hub", *ALL)
    assert "2 forecasts of" in lines[0]
    assert "1 forecast: the forecast date has not begun" in lines[1]
    assert max(output_of(tmp_path / "hub")["reference_date"]) == LAST - ONE_DAY


def late(store: Store) -> None:
    record = ForecastRecord.load(store, CITY.name, FIRST)
    begins = local_time.day_start(record.forecast_date, CITY.zone)
    record.model_copy(update={"issued_at": begins.isoformat(timespec="seconds")}).write(store)


def replayed(store: Store) -> None:
    record = ForecastRecord.load(store, CITY.name, FIRST)
    record.model_copy(update={"replayed": True}).write(store)


def without_spread(store: Store) -> None:
    table = store.read_table(FORECAST, CITY.name, FIRST)
    facts = {**table.schema.metadata, TOTAL.encode(): json.dumps(total_of(table)[:2])}
    store.write_table(FORECAST, table.replace_schema_metadata(facts), CITY.name, FIRST)


@pytest.mark.parametrize(
    ("change", "reason"),
    [(late, "date had begun"), (replayed, "date had begun"), (without_spread, "earlier version")],
)
def test_what_was_not_issued_in_time_or_has_no_spread_is_named(
    own: Store, tmp_path: Path, change: Callable[[Store], Any], reason: str
) -> None:
    change(own)
    lines = export_hub(own, CITY, tmp_path / "hub", *ALL)
    assert len(lines) == 2
    assert "1 forecast: " in lines[1]
    assert reason in lines[1]
    assert min(output_of(tmp_path / "hub")["reference_date"]) == FIRST + ONE_DAY
    with pytest.raises(ValueError, match=f"{CITY.name}: no issued forecast .*{reason}"):
        export_hub(own, CITY, tmp_path / "none", FIRST, FIRST)
    assert not (tmp_path / "none").exists()


def test_missing_counts_are_named(own: Store, tmp_path: Path) -> None:
    shutil.rmtree(Path(own.root) / "grid_tensors" / f"city={CITY.name}")
    with pytest.raises(MissingPartitionsError, match=CITY.name):
        export_hub(own, CITY, tmp_path / "hub", *ALL)


def test_forecasts_of_another_grid_are_left_out(issued: Store, tmp_path: Path) -> None:
    coarse = CITY.model_copy(update={"grid": Grid(rows=4, columns=4)})
    with pytest.raises(ValueError, match="3 forecasts: the city had another grid"):
        export_hub(issued, coarse, tmp_path / "hub", *ALL)


def test_an_unusable_file_of_districts_is_named(issued: Store, tmp_path: Path) -> None:
    (tmp_path / "wards.geojson").write_text("{}")
    districts = Layers(districts=Layer(path=tmp_path / "wards.geojson", name="ward"))
    with pytest.raises(ValueError, match=r"Areas cannot be exported.*layers\.districts: wards\.geojson"):
        export_hub(issued, CITY.model_copy(update={"layers": districts}), tmp_path / "hub", *ALL)
    assert not (tmp_path / "hub").exists()


def test_each_target_has_its_own_rows(own: Store, tmp_path: Path) -> None:
    root = Path(own.root) / "risk_forecasts" / f"city={CITY.name}"
    shutil.copytree(root / "target=gunfire", root / "target=shots")
    shutil.rmtree(root / "target=shots" / f"date={FIRST}")
    both = CITY.model_copy(update={"targets": CITY.targets | {"shots": CITY.targets["gunfire"]}})
    export_hub(own, both, tmp_path / "hub", *ALL)
    output = output_of(tmp_path / "hub")
    rounds = output.groupby("target")["reference_date"].min()
    assert rounds.to_dict() == {"gunfire": FIRST, "shots": FIRST + ONE_DAY}
    oracle = pd.read_csv(tmp_path / "hub" / "target-data" / "oracle-output.csv")
    assert oracle.groupby("target").size().to_dict() == {"gunfire": 15, "shots": 10}


def test_a_quantile_that_crosses_is_named() -> None:
    quantiles = pd.DataFrame({"town": [1, 2, 3.0], "town/east": [1, 3, 2.0]}, index=[0.1, 0.5, 0.9])
    with pytest.raises(ValueError, match=r"round\.csv, town/east: the quantile of level 0\.9 crosses"):
        refuse_crossing(quantiles, "round.csv")
    with pytest.raises(ValueError, match=r"round\.csv, town: the quantile of level 0\.5 crosses"):
        refuse_crossing(quantiles.assign(town=[1, np.nan, 3]), "round.csv")
    refuse_crossing(quantiles[["town"]], "round.csv")


def test_repeated_exports_are_equal_and_shorter_ones_have_no_old_rounds(
    hub: Path, issued: Store, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(hub, tmp_path / "hub"))
    export_hub(issued, CITY, copy, *ALL)
    assert contents(copy) == contents(hub)
    export_hub(issued, CITY, copy, LAST, LAST)
    assert [file.name for file in (copy / "model-output" / MODEL).iterdir()] == [f"{LAST}-{MODEL}.csv"]
    assert [file.name for file in tmp_path.iterdir()] == ["hub"]
    (tmp_path / "link").symlink_to(copy)
    export_hub(issued, CITY, tmp_path / "link", *ALL)
    assert (tmp_path / "link").is_symlink()
    assert contents(copy) == contents(hub)


def test_a_folder_with_other_files_stays_as_it_is(hub: Path, issued: Store, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(hub, tmp_path / "hub"))
    other_model = copy / "model-output" / "other-model"
    other_model.mkdir()
    (other_model / f"{FIRST}-other-model.csv").write_text("theirs")
    before = contents(copy)
    with pytest.raises(ValueError, match=f"other-model/{FIRST}-other-model.csv"):
        export_hub(issued, CITY, copy, *ALL)
    shutil.rmtree(other_model)
    admin = copy / "hub-config" / "admin.json"
    admin.write_text(admin.read_text().replace(CITY.name, "elsewhere"))
    with pytest.raises(ValueError, match=f"is no export of {CITY.name} alone"):
        export_hub(issued, CITY, copy, *ALL)
    assert len(contents(copy)) == len(before) - 1
    with pytest.raises(NotADirectoryError, match=str(admin)):
        export_hub(issued, CITY, admin, *ALL)
    assert admin.is_file()


def test_a_killed_export_leaves_one_whole_hub_or_none(tmp_path: Path) -> None:
    code = (
        "import itertools, pathlib, sys\n"
        "from shotspotter_assets.hub.export import write_folder\n"
        "for turn in itertools.count():\n"
        "    texts = {f'{name % 7}/{name}.csv': f'{turn}' for name in range(400)}\n"
        "    write_folder(pathlib.Path(sys.argv[1]), texts)\n"
    )
    folder = tmp_path / "hub"
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)])
    try:
        wait_until(folder.exists, 60)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    if folder.exists():
        files = contents(folder)
        assert len(files) == 400
        assert len({*files.values()}) == 1


def test_the_command_prints_one_line_for_an_empty_window(issued: Store, tmp_path: Path) -> None:
    environ = {"SHOTSPOTTER_CITIES": str(TEST_CITIES), "SHOTSPOTTER_STORE": issued.root}
    arguments = ["export-hub", "tiny_city", str(tmp_path / "hub")]
    ran = CliRunner().invoke(main, arguments, env=environ)
    assert (ran.exit_code, ran.output) == (0, f"{tmp_path / 'hub'}: 3 forecasts of 5 locations.\n")
    ran = CliRunner().invoke(main, [*arguments, "--first", "2024-03-29"], env=environ)
    assert ran.exit_code == 1
    assert ran.output == "Error: tiny_city: no issued forecast of the chosen issue dates can be exported.\n"


def test_as_of_is_the_day_of_the_last_receipt(own: Store, tmp_path: Path) -> None:
    day = date(2024, 3, 20)
    rows = own.read_table(RAW_ROWS, CITY.name, day)
    received = datetime(2024, 3, 25, 3, tzinfo=rows["received_at"][0].as_py().tzinfo)  # the evening of the 24th
    later = pc.if_else(pc.equal(pc.cumulative_sum([1] * len(rows)), 1), received, rows["received_at"].combine_chunks())
    own.write_table(
        RAW_ROWS,
        rows.set_column(rows.column_names.index("received_at"), rows.schema.field("received_at"), later),
        CITY.name,
        day,
    )
    export_hub(own, CITY, tmp_path / "hub", *ALL)
    series = pd.read_csv(tmp_path / "hub" / "target-data" / "time-series.csv").set_index("target_end_date")
    assert set(series["as_of"][str(day)]) == {"2024-03-24"}
    assert set(series["as_of"][str(day + ONE_DAY)]) == {"2024-03-22"}
