import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from shotspotter_assets.__main__ import main
from shotspotter_assets_tests.commands.new_city.exports import export, write


def invoke(tmp_path: Path, *arguments: str) -> Result:
    environ = {
        "SHOTSPOTTER_CITIES": str(tmp_path / "cities"),
        "SHOTSPOTTER_LANDING": str(tmp_path / "landing"),
        "SHOTSPOTTER_STORE": str(tmp_path / "store"),
        "DAGSTER_HOME": str(tmp_path / "home"),
    }
    return CliRunner().invoke(main, list(arguments), env=environ)


def test_the_city_passes_its_check_and_is_never_overwritten(tmp_path: Path) -> None:
    file = write(export(), tmp_path)
    ran = invoke(tmp_path, "new-city", "springfield_ma", str(file))
    assert ran.exit_code == 0, ran.output
    assert (tmp_path / "landing" / "springfield_ma" / "alerts.csv").read_bytes() == file.read_bytes()
    assert "1 city file can be used: springfield_ma" in invoke(tmp_path, "check-cities").output
    assert set(re.findall(r"^shotspotter ([a-z-]+)", ran.output, re.MULTILINE)) <= main.commands.keys()
    text = (tmp_path / "cities" / "springfield_ma.yaml").read_text()
    assert text.endswith("\n")
    again = invoke(tmp_path, "new-city", "springfield_ma", str(file))
    assert (again.exit_code, again.output.count("\n")) == (1, 1)
    assert "springfield_ma.yaml exists already" in again.output
    assert (tmp_path / "cities" / "springfield_ma.yaml").read_text() == text


WRONG = {
    "add NAME FILE": [],
    "add FILE": ["town"],
    "'My Town' is no name of a city": ["My Town", "alerts.csv"],
    r"add --times (local or utc)": ["town", "few.csv"],
    "--column time=When": ["town", "alerts.csv", "--column", "time=When"],
    "--time-zone: 'Mars/Olympus'": ["town", "alerts.csv", "--time-zone", "Mars/Olympus"],
}


@pytest.mark.parametrize("message", WRONG)
def test_without_a_terminal_one_line_names_what_is_missing_or_wrong(message: str, tmp_path: Path) -> None:
    write(export(), tmp_path)
    write(export()[:10], tmp_path, "few.csv")
    arguments = [str(tmp_path / word) if word.endswith(".csv") else word for word in WRONG[message]]
    ran = invoke(tmp_path, "new-city", *arguments)
    assert (ran.exit_code, ran.output.count("\n")) == (1, 1), ran.output
    assert message in ran.output
    assert not (tmp_path / "cities").exists()
    assert not (tmp_path / "landing").exists()


def test_alerts_that_have_landed_are_not_copied(tmp_path: Path) -> None:
    landed = tmp_path / "landing" / "town" / "2024"
    landed.mkdir(parents=True)
    write(export(), landed)
    ran = invoke(tmp_path, "new-city", "town", str(tmp_path / "landing" / "town"))
    assert ran.exit_code == 0, ran.output
    assert [path.name for path in (tmp_path / "landing").rglob("*.csv")] == ["alerts.csv"]
    other = invoke(tmp_path, "new-city", "village", str(landed / "alerts.csv"))
    assert other.exit_code == 0, other.output
    (tmp_path / "cities" / "village.yaml").unlink()
    assert "village exists already" in invoke(tmp_path, "new-city", "village", str(landed / "alerts.csv")).output
