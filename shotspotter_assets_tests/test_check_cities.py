"""The command that checks city files: a line for each that cannot be used, and its exit code."""

from datetime import date
from pathlib import Path

import pytest

from shotspotter_assets.check_cities import main
from shotspotter_assets_tests.cities.test_registry import write


def test_the_command_prints_a_line_for_each_wrong_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path)
    main([str(tmp_path)])
    assert capsys.readouterr().out == f"{tmp_path}: 1 city files can be used: washington_dc.\n"
    write(tmp_path, start="01/01/2016", box=3)
    (tmp_path / "broken.yaml").write_text("- a")
    with pytest.raises(SystemExit) as left:
        main([str(tmp_path)])
    broken, washington = str(left.value.code).split("\n")
    assert "broken.yaml: expected keys and values" in broken
    assert "box: " in washington
    assert "start: write the date as YYYY-MM-DD" in washington


@pytest.mark.parametrize(
    ("changes", "says"), [({"start": "01/01/2016"}, "YYYY-MM-DD"), ({"serves": "x"}, "'x' cannot serve")]
)
def test_one_wrong_file_of_several_is_an_error(
    changes: dict[str, str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, name="good").rename(tmp_path / "good.yaml")
    write(tmp_path, **changes)
    with pytest.raises(SystemExit) as left:
        main([str(tmp_path)])
    assert capsys.readouterr().out == f"{tmp_path}: 1 city files can be used: good.\n"
    assert str(left.value.code).startswith(
        str(tmp_path / "washington_dc.yaml") if "start" in changes else "washington_dc.yaml"
    )
    assert says in str(left.value.code)


def test_a_city_that_does_not_fit_into_memory_has_a_line_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, memory_gb=0.26)
    with pytest.raises(SystemExit) as left:
        main([str(tmp_path)])
    assert capsys.readouterr().out == f"{tmp_path}: 0 city files can be used: .\n"
    assert str(left.value.code).startswith("City washington_dc: to train on")


def test_streets_that_cannot_be_used_have_a_line_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "streets.gpkg").write_text("no streets")
    write(tmp_path, streets={"path": "streets.gpkg", "name": "name"})
    with pytest.raises(SystemExit) as left:
        main([str(tmp_path)])
    assert capsys.readouterr().out == f"{tmp_path}: 0 city files can be used: .\n"
    assert str(left.value.code).startswith(f"City washington_dc, streets: {tmp_path / 'streets.gpkg'} cannot be read")
    write(tmp_path, streets={"path": "gone.gpkg", "name": "name"})
    with pytest.raises(SystemExit, match=r"streets\.path: .*gone\.gpkg does not exist"):
        main([str(tmp_path)])
    blocks = {"path": "gone.csv", "street": "street", "number_from": "low", "number_to": "high"}
    write(tmp_path, streets={"path": "streets.gpkg", "name": "name", "blocks": blocks})
    with pytest.raises(SystemExit, match=r"streets\.blocks\.path: .*gone\.csv does not exist"):
        main([str(tmp_path)])


def test_variables_that_other_machines_need_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    (tmp_path / "dagster.yaml").write_text("run_launcher: {module: dagster_aws.ecs, class: EcsRunLauncher}")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("SHOTSPOTTER_STORE", raising=False)
    (tmp_path / "dagster.yaml").rename(tmp_path / "home.txt")
    main([str(tmp_path)])
    (tmp_path / "home.txt").rename(tmp_path / "dagster.yaml")
    (tmp_path / "cities").mkdir()
    write(tmp_path / "cities")
    with pytest.raises(SystemExit, match=r"SHOTSPOTTER_STORE.* must be set.*EcsRunLauncher"):
        main([str(tmp_path / "cities")])


def test_a_city_whose_factor_cannot_be_used_has_a_line_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "places.csv").write_text("longitude,latitude\n38.9,-77.0\n")
    write(tmp_path, factors={"liquor": {"kind": "points", "path": "places.csv", "known_from": date(2013, 6, 25)}})
    with pytest.raises(SystemExit) as left:
        main([str(tmp_path)])
    assert capsys.readouterr().out == f"{tmp_path}: 0 city files can be used: .\n"
    assert str(left.value.code).startswith("City washington_dc, factors.liquor: ")
    assert "has nothing in the city's box" in str(left.value.code)
