"""A partition key that does not exist is answered in one line that says what there is."""

from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster_dg_cli.cli import create_dg_cli

from shotspotter_assets.dagster_patches.unknown_keys import (
    ExplainingCities,
    ExplainingPartitions,
    UnknownPartitionError,
)
from shotspotter_assets_tests.defs.chain import DEFINITIONS

CITIES = ExplainingCities(["oakland", "washington_dc"])
DAYS = ExplainingPartitions({"city": CITIES, "date": dg.DailyPartitionsDefinition("2018-01-01", end_date="2018-04-01")})


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("nowhere|2018-01-01", "'nowhere|2018-01-01': city 'nowhere' is none of oakland, washington_dc."),
        ("oakland|2017-12-31", "date '2017-12-31' is none of 2018-01-01, 2018-01-02, ..., 2018-03-31."),
        ("oakland|yesterday", "date 'yesterday' is none of"),
        ("nowhere|2018-02-30", "city 'nowhere' is none of oakland, washington_dc; date '2018-02-30' is none of"),
        ("oakland", "'oakland': write city|date."),
    ],
)
def test_an_unknown_key_is_answered_with_what_there_is(key: str, message: str) -> None:
    with pytest.raises(UnknownPartitionError) as refused:
        DAYS.validate_partition_key(key, None)
    assert message in str(refused.value)


def test_a_known_key_is_none_of_its_business() -> None:
    DAYS.validate_partition_key("oakland|2018-03-31", None)
    CITIES.validate_partition_key("oakland", None)
    with pytest.raises(UnknownPartitionError, match="city 'nowhere' is none of"):
        CITIES.validate_partition_key("nowhere", None)


def test_all_assets_of_the_project_explain_their_keys() -> None:
    partitions = {asset.partitions_def for asset in DEFINITIONS.resolve_asset_graph().assets_defs}
    assert {type(one).validate_partition_key for one in partitions if one} == {
        ExplainingCities.validate_partition_key,
        ExplainingPartitions.validate_partition_key,
    }


@pytest.mark.parametrize(
    "option", [["--partition", "nowhere|2024-01-01"], ["--partition-range", "nowhere|1...nowhere|2"]]
)
def test_the_command_line_prints_one_line(option: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Else the first command on a machine says what Dagster collects.
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("SHOTSPOTTER_CITIES", raising=False)
    arguments = ["launch", "-m", "shotspotter_assets.definitions", "--assets", "raw_alerts", *option]
    result = CliRunner().invoke(create_dg_cli(), arguments)
    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1, result.output
    line = result.output
    assert line.startswith("Error: There is no partition 'nowhere|")
    assert "simulated_city, " in line
