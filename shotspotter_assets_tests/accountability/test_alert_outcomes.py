from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from benchmarks import outcomes_of_richmond, simulated_outcomes
from shotspotter_assets.accountability.alert_outcomes import OutcomesRecord, day_outcomes, outcome_summary
from shotspotter_assets.alerts.sources.landing.reader import Batch, Task
from shotspotter_assets.alerts.sources.side_settings import table_site
from shotspotter_assets.city_files import load_cities
from shotspotter_assets.storage.catalogue import ALERT_OUTCOMES, ALERTS, CLEANED
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import materialize, resources
from shotspotter_assets_tests.made_up_city import made_up_city

DAY = date(2024, 3, 5)
NOON = datetime(2024, 3, 5, 17, tzinfo=UTC)
HEADER = "number,called,x,y,alert,disposition,dispatched,arrived,cleared,from\n"
OUTCOMES: dict[str, Any] = {
    "source": {"kind": "landing", "columns": {"time": "called", "longitude": "x", "latitude": "y", "source_id": "number"}},
    "columns": {
        **{name: name for name in ("dispatched", "arrived", "cleared")},
        "alert_id": "alert", "code": "disposition", "origin": "from",
    },
    "codes": {"RPT": "confirmed", "GOA": "unconfirmed", "UNF": "unfounded"},
    "origins": {"Sensor": "sensor"},
    "within_minutes": 10,
    "within_m": 300,
}  # fmt: skip
TOWN = made_up_city("town", (-77.1, 38.8, -76.9, 39.0), start=date(2024, 1, 1), outcomes=OUTCOMES)


def alert(number: int, minutes: float, east: float = 0.0, source_id: str | None = None) -> dict[str, Any]:
    """An alert so many minutes from noon, and so many degrees east of the middle of the box."""
    when = NOON + timedelta(minutes=minutes)
    local = (when - timedelta(hours=5)).date()
    place = {"longitude": -77.0 + east, "latitude": 38.9, "location_id": 0}
    ids = {"user_id": number, "source_id": source_id, "incident_id": number}
    return {"date": local, "time_utc": when, **place, **ids, "is_holiday_fireworks": False}


def call(number: str, minutes: float, point: str = "-77.0,38.9", rest: str = ",RPT,,,,Sensor") -> str:
    return f"{number},{(NOON + timedelta(minutes=minutes)).isoformat()},{point},{rest}\n"


def outcomes(
    folder: Path, alerts: list[dict[str, Any]], *lines: str, day: date = DAY
) -> tuple[list[dict[str, Any]], OutcomesRecord]:
    """The stored rows and the record of a day, from the lines of one landed file."""
    of_table = table_site(TOWN, "outcomes")
    [source] = of_table.sources
    path = folder / "calls.csv"
    path.write_text(HEADER + "".join(lines))
    task = Task("landing/calls.csv", NOON, None, path, folder / "rows")
    rows = Batch(of_table, source, [task]).read(task)
    schema = pa.schema([pa.field("date", pa.date32()), *CLEANED.schema])
    table, record = day_outcomes(rows, pa.Table.from_pylist(alerts, schema), day, TOWN)
    return table.to_pylist(), record


def test_the_nearest_pairs_are_matched_one_to_one(tmp_path: Path) -> None:
    alerts = [alert(1, 0), alert(2, 4), alert(3, 30)]
    rows, record = outcomes(tmp_path, alerts, call("a", 3), call("b", 4.5), call("c", 41), call("d", 31, "-77.01,38.9"))
    assert [(row["user_id"], row["received_utc"]) for row in rows if row["user_id"]] == [
        (1, NOON + timedelta(minutes=3)),
        (2, NOON + timedelta(minutes=4.5)),
    ]
    assert {row["matched_by"] for row in rows} == {"time and place", ""}
    assert (record.alerts, record.with_report, record.unmatched) == (3, 2, 2)


def test_an_id_goes_before_a_nearer_alert_and_names_its_time_and_place(tmp_path: Path) -> None:
    rows, record = outcomes(
        tmp_path, [alert(1, 0, source_id="A"), alert(2, 5, source_id="B")],
        call("a", 5, ",", "A,UNF,,,,Sensor"), call("b", 0),
    )  # fmt: skip
    assert [(row["user_id"], row["matched_by"], row["outcome"]) for row in rows] == [
        (1, "id", "unfounded"),
        (2, "time and place", "confirmed"),
    ]
    assert (rows[0]["longitude"], rows[0]["row"]) == (-77.0, rows[1]["row"])
    assert record.problem_count == 0


def test_a_call_after_midnight_belongs_to_the_day_of_its_alert(tmp_path: Path) -> None:
    to_midnight = 12 * 60
    alerts = [alert(1, to_midnight - 2)]
    lines = call("a", to_midnight + 3)
    on_eve, _ = outcomes(tmp_path, alerts, lines)
    after, record = outcomes(tmp_path, alerts, lines, day=DAY + timedelta(days=1))
    assert ([row["user_id"] for row in on_eve], after, record.unmatched) == ([1], [], 0)


def test_calls_of_persons_match_no_alert_and_unknown_codes_are_open(tmp_path: Path) -> None:
    rows, record = outcomes(
        tmp_path,
        [alert(1, 0)],
        call("a", 0, rest=",???,,,,Sensor"),
        call("b", 0, rest=",RPT,,,,911"),
        call("c", 1, rest=",,,,,x"),
    )
    assert [(row["origin"], row["outcome"], row["user_id"]) for row in rows] == [
        ("sensor", "open", 1),
        ("person", "confirmed", None),
        ("person", "open", None),
    ]
    assert (record.unknown_codes, record.persons, record.with_outcome) == ({"???": 1}, 2, 0)


@pytest.mark.parametrize(
    ("line", "said", "stored"),
    [
        (call("a", 0, rest="Z,RPT,,,,Sensor"), ("has the id Z", "columns.alert_id"), 1),
        (call("a", 0, "-70.0,38.9"), ("-70, 38.9", "outside the city's box", "call is left out"), 0),
        (call("a", 0, "-70.0,38.9", "A,RPT,,,,Sensor"), ("outside the city's box", "point is left out"), 1),
        ("a,yesterday,-77.0,38.9,,RPT,,,,Sensor\n", ("'yesterday' cannot be read", "time_format"), 0),
        (call("a", 0, rest=",RPT,soon,,,Sensor"), ("dispatched 'soon' cannot be read", "time_format"), 1),
        (call("a", 5, rest=f",RPT,{NOON.isoformat()},,,Sensor"), ("dispatched", "is before 2024-03-05 17:05", "clock"), 1),
        (
            call("a", 0, rest=f",RPT,,{(NOON + timedelta(hours=1)).isoformat()},{NOON.isoformat()},Sensor"),
            ("cleared 2024-03-05", "an earlier step", "clock"),
            1,
        ),
        (call("a", 0, "-77.0,"), ("lacks its longitude or its latitude",), 1),
        ("a,b\n", ("does not parse", "row is left out"), 0),
    ],
)  # fmt: skip
def test_an_unusable_row_is_named_with_its_remedy(
    tmp_path: Path, line: str, said: tuple[str, ...], stored: int
) -> None:
    fine = call("z", 700)
    is_undated = stored == 0 and "outside the city's box" not in said
    filed = date(2024, 1, 1) if is_undated else DAY  # the city's first day
    rows, record = outcomes(tmp_path, [alert(1, 0, source_id="A")], line, fine, day=filed)
    texts = " ".join(record.problems)
    assert all(text in texts for text in ("landing/calls.csv, row", *said)), texts
    assert record.problem_count == 1
    assert len(rows) == stored + (filed == DAY)


def test_calls_from_before_the_start_are_left_out_and_no_defect(tmp_path: Path) -> None:
    early = "a,2023-12-31T17:00:00Z,-77.0,38.9,,RPT,,,,Sensor\n"
    rows, record = outcomes(tmp_path, [], early, call("z", 700), day=date(2024, 1, 1))
    assert (rows, record.problem_count) == ([], 0)


def test_the_later_of_two_calls_about_an_alert_counts(tmp_path: Path) -> None:
    alerts = [alert(1, 0, source_id="A")]
    lines = [call("a", 2, rest="A,GOA,,,,Sensor"), call("b", 9, rest="A,RPT,,,,Sensor")]
    rows, record = outcomes(tmp_path, alerts, *lines)
    assert ([row["outcome"] for row in rows], record.problems) == (["confirmed"], ())
    rows, record = outcomes(tmp_path, alerts, lines[0], lines[0].replace("a,", "b,", 1).replace("GOA", "UNF"))
    assert len(rows) == 1
    assert "another report at the same time" in record.problems[0]
    again, _ = outcomes(tmp_path, alerts, lines[0].replace("a,", "b,", 1).replace("GOA", "UNF"), lines[0])
    assert again == rows, "the order of rows does not matter"


def test_calls_with_a_placeholder_for_an_id_all_count(tmp_path: Path) -> None:
    lines = [call(f"c{number}", number, rest="000,RPT,,,,Sensor") for number in range(3)]
    _, record = outcomes(tmp_path, [alert(1, 0, source_id="A")], *lines)
    assert (record.unmatched, record.problem_count) == (3, 3)


def test_a_summary_counts_measured_times_and_missing_ones(tmp_path: Path, store: Store) -> None:
    times = ",".join((NOON + timedelta(minutes=minutes)).isoformat() for minutes in (2, 6, 30))
    lines = (
        call("a", 0, rest=f",RPT,{times},Sensor"),
        call("b", 60, rest=f",GOA,,,{(NOON + timedelta(hours=2)).isoformat()},911"),
    )
    rows, _ = outcomes(tmp_path, [alert(1, 0), alert(2, 300)], *lines)
    store.write_table(ALERT_OUTCOMES, pa.Table.from_pylist(rows, ALERT_OUTCOMES.schema), "town", DAY)
    summary = outcome_summary(store, TOWN, DAY, DAY)
    assert (summary.alerts_with_report, summary.alerts_by_outcome) == (1, {"confirmed": 1})
    assert summary.sensors.officer_minutes == {"confirmed": 24}
    assert summary.persons.to_dispatch is None


SIMULATED_CITY = "simulated_city"


def test_the_packaged_calls_are_those_that_the_command_writes(tmp_path: Path) -> None:
    simulated_outcomes.calls().to_parquet(tmp_path / "calls.parquet", index=False)
    pd.testing.assert_frame_equal(pd.read_parquet(simulated_outcomes.FILE), pd.read_parquet(tmp_path / "calls.parquet"))


def test_most_simulated_alerts_have_their_own_call(tmp_path: Path) -> None:
    on = resources(str(tmp_path), cities={SIMULATED_CITY: load_cities()[SIMULATED_CITY]})
    for assets in (ALERTS, ("alert_outcomes",)):
        assert materialize(SIMULATED_CITY, assets, on, days=("2025-04-01", "2025-04-10")).success
    month = outcome_summary(
        Store(str(tmp_path)), on.settings.cities[SIMULATED_CITY], simulated_outcomes.FIRST, simulated_outcomes.LAST
    )
    assert 0.85 < month.alerts_with_report / month.alerts < 0.95
    assert month.unmatched <= 0.02 * month.alerts
    assert 0.7 < month.alerts_by_outcome["unconfirmed"] / month.alerts_with_report < 0.85
    assert 2 < month.sensors.to_dispatch.median < 4
    assert month.persons.number > 40


JANUARY = date(2020, 1, 1), date(2020, 1, 31)


def test_outcomes_of_richmond_are_those_of_its_calls(real_data: Path, tmp_path: Path) -> None:
    store, city = outcomes_of_richmond.chain(real_data, tmp_path, *JANUARY)
    year = outcome_summary(store, city, *JANUARY)
    calls = pd.read_parquet(real_data / outcomes_of_richmond.FILE)
    calls = calls[calls["received_at"].dt.strftime("%Y-%m") == "2020-01"]
    by_sensors = calls[calls["origin"] == "Shotspotter"]
    assert year.alerts == (by_sensors["longitude"].notna()).sum() > 0
    assert year.alerts_with_report >= 0.95 * year.alerts
    assert year.sensors.number + year.persons.number == len(calls)
    assert (
        year.persons.by_outcome["unconfirmed"]
        == (
            (calls["origin"] != "Shotspotter") & calls["disposition_code"].isin(["R23", "NPA", "R10", "R22", "NR"])
        ).sum()
    )
