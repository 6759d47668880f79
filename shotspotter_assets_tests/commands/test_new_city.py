import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shotspotter_assets.__main__ import main
from shotspotter_assets.alerts.sources.tabular_settings import LandingSettings
from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import load_cities, load_city
from shotspotter_assets.commands.new_city import describe_city
from shotspotter_assets.commands.new_city_columns import NewCityError, Question, read_alerts
from shotspotter_assets.storage.wording import CHECKOUT
from shotspotter_assets_tests.commands.exports import LATITUDE, LONGITUDE, export, moments, write

DATA = CHECKOUT.parent / "shared" / "data"


def described(file: Path, answers: Mapping[str, str] = {}) -> tuple[City, Sequence[str]]:
    """The city of the file's text, and the lines about it."""
    text, lines = describe_city("town", read_alerts(file), answers)
    return load_city(Path("town.yaml"), text), lines


COLUMNS = {
    "time": "Incident Date/Time",
    "longitude": "Longitude",
    "latitude": "Latitude",
    "gunshot_type": "Type",
    "rounds": "Rounds",
    "source_id": "Flex ID",
}


def test_a_vendors_export_gives_columns_zone_box_and_grid(tmp_path: Path) -> None:
    table = export()
    city, lines = described(write(table, tmp_path))
    assert city.source.columns.named() == COLUMNS
    assert (city.time_zone, city.source.naive_times, city.time_precision) == ("America/New_York", "local", "second")
    assert city.box.holds(table["Longitude"].to_numpy(), table["Latitude"].to_numpy()).all()
    assert city.box.east - city.box.west < 0.1
    assert (city.start, city.automation) == (date(2024, 1, 16), "recent")
    assert "rows: 400 of 400 can be used; 0 of them repeat another one" in lines


HEADINGS = {
    "Flex ID": ["Flex ID", "FlexID", "INCIDENT_ID", "alertId"],
    "Incident Date/Time": ["Incident Date/Time", "DATETIME", "occurred_at", "Shot Time"],
    "Rounds": ["Rounds", "ROUNDS_FIRED"],
    "Type": ["Type", "alert_type", "Incident Classification"],
    "Latitude": ["Latitude", "LAT", "Incident Lat"],
    "Longitude": ["Longitude", "LNG", "Incident Long"],
    "Beat": ["Beat", "Police Zone"],
}
EXPORT = export()


@settings(max_examples=10, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_order_headings_and_separators_do_not_matter(tmp_path: Path, data: st.DataObject) -> None:
    names = {name: data.draw(st.sampled_from(spellings)) for name, spellings in HEADINGS.items()}
    table = EXPORT[data.draw(st.permutations(list(EXPORT)))].rename(columns=names)
    city, _ = described(write(table, tmp_path, sep=data.draw(st.sampled_from(",;\t|"))))
    found = city.source.columns.named()
    assert found == {ours: names[theirs] for ours, theirs in COLUMNS.items()}
    usual = {"time_zone": "America/New_York", "start": date(2024, 1, 16), "automation": "recent", "name": "town"}
    assert city.model_dump(include=set(usual)) == usual
    edges = (LONGITUDE - 0.04, LATITUDE - 0.04, LONGITUDE + 0.04, LATITUDE + 0.04)
    assert city.box.edges == pytest.approx(edges, abs=0.01)


def test_a_european_export_is_read(tmp_path: Path) -> None:
    table = export()
    table["Incident Date/Time"] = moments(table).dt.strftime("%d.%m.%Y %H:%M")
    table["Beat"] = "Zürich"
    file = write(table, tmp_path, sep=";", decimal=",", encoding="cp1252")
    city, lines = described(file)
    assert city.source.time_format == "%d.%m.%Y %H:%M"
    assert any(line.startswith("rows: 400 of 400") for line in lines)


def test_dates_and_times_of_day_in_two_columns_of_excel(tmp_path: Path) -> None:
    table = export()
    written = moments(table).dt
    table = table.drop(columns="Incident Date/Time")
    table["Incident Date"] = written.date
    table["Incident Time"] = written.time
    table["Report Date"] = written.date
    table.to_excel(tmp_path / "alerts.xlsx", index=False)
    city, lines = described(tmp_path / "alerts.xlsx")
    columns = city.source.columns
    assert (columns.time, columns.time_of_day) == ("Incident Date", "Incident Time")
    assert city.time_precision == "second"
    assert any(line.startswith("rows: 400 of 400") for line in lines)


def test_far_and_swapped_points_and_stray_dates_do_not_count(tmp_path: Path) -> None:
    table = export()
    usual, _ = described(write(table, tmp_path))
    for row, point in ((100, (0, 0)), (101, (LATITUDE, LONGITUDE)), (102, (-118.2, 34.0))):
        table.loc[row, "Longitude"], table.loc[row, "Latitude"] = point
    table.loc[103, "Incident Date/Time"] = "01/01/2001 12:00:00 AM"
    city, lines = described(write(table, tmp_path))
    assert city.box == usual.box
    assert city.start > date(2024, 1, 1)
    assert [line.partition(":")[0] for line in lines if "the first is" in line] == [
        "before_start", "swapped_point", "outside_box",
    ]  # fmt: skip
    assert "alerts.csv, row 105" in next(line for line in lines if line.startswith("before_start"))


def test_the_account_counts_broken_rows_ids_and_points(tmp_path: Path) -> None:
    table = export()
    table.loc[100:104, ["Longitude", "Latitude"]] = np.nan
    again = pd.concat([table.loc[200:239], table.loc[300:309].assign(Rounds=lambda rows: rows["Rounds"] + 1)])
    file = write(pd.concat([table, again]), tmp_path)
    lines = file.read_text().splitlines()
    lines.insert(50, lines[50].replace(",", " ", 1))
    file.write_text("\n".join(lines))
    _, told = described(file, {"--column source_id=": "Flex ID"})
    assert "box: 5 rows of 451 lie far away, or have no point" in told
    assert "rows: 445 of 451 can be used; 50 of them repeat another one" in told
    broken = next(line for line in told if line.startswith("broken_row"))
    assert f"1 row, the first is {file}, row 51 (the row does not fit the header" in broken


def test_utc_is_seen_in_the_nights(tmp_path: Path) -> None:
    table = export()
    local = moments(table).dt.tz_localize("America/New_York", nonexistent="shift_forward", ambiguous=np.ones(400, bool))
    in_utc = local.dt.tz_convert("UTC").dt
    table["Incident Date/Time"] = in_utc.strftime("%Y-%m-%d %H:%M:%S")
    assert described(write(table, tmp_path))[0].source.naive_times == "utc"
    table["Incident Date/Time"] = in_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert described(write(table, tmp_path))[0].source.naive_times == "reject"
    table["Incident Date/Time"] = local.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    file = write(table, tmp_path)
    with pytest.raises(Question, match="stamped as UTC") as asked:
        described(file)
    assert (asked.value.option, list(asked.value.choices)) == ("--times", ["local", "stamped"])
    assert described(file, {"--times": "local"})[0].source.ignore_zone


def test_other_events_are_kept_apart_from_gunshots(tmp_path: Path) -> None:
    table = export()
    table.loc[:20, "Type"] = "Fireworks"
    city, _ = described(write(table, tmp_path))
    assert city.event_types == {"other_event": ("Fireworks",)}
    assert city.targets == {"gunfire": ("gunshots",)}


def test_files_of_a_folder_are_one_city(tmp_path: Path) -> None:
    table = export()
    write(table[:200].drop(columns="Beat"), tmp_path, "a.csv")
    table[200:].assign(Shape=[[1, 2]] * 200).to_parquet(tmp_path / "b.parquet", index=False)
    _, lines = described(tmp_path)
    assert any(line.startswith("rows: 400 of 400") for line in lines)
    write(table.drop(columns="Latitude"), tmp_path, "c.csv")
    with pytest.raises(NewCityError, match=r"a\.csv, b\.parquet, c\.csv .*no column of latitude"):
        described(tmp_path)


TIME = "Incident Date/Time"
MOMENTS = moments(EXPORT)
OPEN = {
    "--dates": EXPORT.assign(**{TIME: "03/04/2024 11:58 PM"}),
    "--times": EXPORT[:10],
    "--column time=": EXPORT.assign(**{"Event Time": EXPORT[TIME]}),
    "--crs": EXPORT.assign(Longitude=1_300_000 + np.arange(400), Latitude=450_000 + np.arange(400)),
    "--time-zone": EXPORT.rename(columns={"Longitude": "Latitude", "Latitude": "Longitude"}),
}


@pytest.mark.parametrize("option", OPEN)
def test_an_open_question_names_its_option(option: str, tmp_path: Path) -> None:
    with pytest.raises(Question) as asked:
        described(write(OPEN[option], tmp_path))
    assert asked.value.option == option


MIXED = MOMENTS.dt.strftime("%m/%d/%Y %H:%M").where(np.arange(400) % 2 == 0, MOMENTS.dt.strftime("%d/%m/%Y %H:%M"))
USELESS = {
    r"alerts\.csv cannot be read as a CSV file.*Export it again": EXPORT[:0],
    r"alerts\.csv .*: no column of longitude is found in .*--column longitude=COLUMN": EXPORT.drop(columns="Longitude"),
    r"alerts\.csv .*: no column of time is found": EXPORT.drop(columns=TIME),
    r"two orders, '.*' in .*alerts\.csv, row \d+ and": EXPORT.assign(**{TIME: MIXED}),
    r"row 2: most rows cannot be read, such as Longitude '0', Latitude '0'": EXPORT.assign(Longitude=0, Latitude=0),
    r"No alert is of a day": EXPORT.assign(**{TIME: "2099-01-13 22:00:00"}),
}


@pytest.mark.parametrize("message", USELESS)
def test_a_useless_file_is_named_with_the_remedy(message: str, tmp_path: Path) -> None:
    with pytest.raises(NewCityError, match=message) as refused:
        described(write(USELESS[message], tmp_path))
    assert "\n" not in str(refused.value)


def test_an_answer_settles_the_order_of_dates(tmp_path: Path) -> None:
    table = EXPORT.assign(
        **{TIME: [f"{1 + row % 12:02}/{1 + row // 40:02}/2024 23:58:{row % 60:02}" for row in range(400)]}
    )
    file = write(table, tmp_path)
    for order, form in (("day-first", "%d/%m/%Y %H:%M:%S"), ("month-first", "%m/%d/%Y %H:%M:%S")):
        city, lines = described(file, {"--dates": order, "--times": "local"})
        assert city.source.time_format == form
        assert any(line.startswith("rows: 400 of 400") for line in lines)


SHIPPED = ("washington_dc", "oakland_ca", "cincinnati_oh")


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the alerts of further cities in ../shared/data")
@pytest.mark.parametrize("name", SHIPPED)
def test_real_alerts_give_the_zone_columns_and_box_of_the_shipped_file(name: str) -> None:
    shipped = load_cities()[name]
    city, lines = described(DATA / f"{name}.parquet")
    assert city.time_zone == shipped.time_zone
    assert city.start == shipped.start
    files = [part for part in shipped.all_sources if isinstance(part, LandingSettings)]
    assert files[0].columns.named().items() <= city.source.columns.named().items()
    assert np.abs(np.array(city.box.edges) - shipped.box.edges).max() < 0.05
    [usable] = [re.search(r"rows: ([\d,]+) of ([\d,]+)", line) for line in lines if line.startswith("rows")]
    assert int(usable[1].replace(",", "")) >= 0.99 * int(usable[2].replace(",", ""))


NIGHTS = {"brockton_ma": "America/New_York", "fresno_ca": "America/Los_Angeles", "wilmington_nc": "America/New_York"}


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the alerts of further cities in ../shared/data")
@pytest.mark.parametrize("name", NIGHTS)
def test_nights_of_real_cities_distinguish_the_wall_clock_from_utc(name: str, tmp_path: Path) -> None:
    table = pd.read_parquet(DATA / f"{name}.parquet")
    for zone, meaning in ((NIGHTS[name], "local"), ("UTC", "utc")):
        times = table["occurred_at"].dt.tz_convert(zone).dt.strftime("%m/%d/%Y %H:%M:%S")
        city, _ = described(write(table.assign(occurred_at=times), tmp_path))
        assert (city.time_zone, city.source.naive_times) == (NIGHTS[name], meaning)


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


def test_files_of_an_interrupted_copy_do_not_land(tmp_path: Path) -> None:
    part = tmp_path / "landing" / ".town.part"
    part.mkdir(parents=True)
    write(export(), part).rename(part / "of_another_city.csv")
    assert invoke(tmp_path, "new-city", "town", str(write(export(), tmp_path))).exit_code == 0
    assert [path.name for path in (tmp_path / "landing").rglob("*.csv")] == ["alerts.csv"]


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
