import csv
import io
import json
from datetime import date

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.forecasts.patrol import dispatch
from shotspotter_assets.forecasts.patrol.plan import plan_day
from shotspotter_assets.forecasts.patrol.shifts import ShiftForecasts
from shotspotter_assets.grid.cells import cells_at
from shotspotter_assets.storage.catalogue import PLAN
from shotspotter_assets_tests.forecasts.patrol.cities import patrol_city, patrolled

DAY = date(2024, 5, 1)
IN_COVERAGE = np.ones((6, 6), dtype=bool)
AREAS = np.array([["First"] * 6] * 3 + [["=cmd()"] * 3 + [""] * 3] * 3)


def expected_alerts(shifts=3, seed=0):
    return np.random.default_rng(seed).gamma(0.3, 0.2, (shifts, 6, 6))


def made(**rules):
    city = patrol_city(6, 6, (2, 3, 2), zone="America/New_York", **rules)
    expected = expected_alerts()
    plan = plan_day(city, DAY, expected, IN_COVERAGE)
    reasons = {(row, column): ("+2 alerts in 7 days", "Friday night") for row in range(6) for column in range(6)}
    forecasts = ShiftForecasts(expected, 1 - np.exp(-expected), IN_COVERAGE)
    return city, plan, dispatch.dispatch_table(plan, city, forecasts, areas=AREAS, reasons=reasons)


def test_a_table_has_every_unit_by_shift_and_rank():
    city, plan, table = made()
    assert table.schema == PLAN.schema
    rows = table.to_pylist()
    for shift in plan.shifts:
        own = [row for row in rows if row["shift"] == shift.shift.name]
        assert sum(row["units"] for row in own) == shift.shift.units
        assert [row["rank"] for row in own] == list(range(1, len(own) + 1))
        assert sum(row["covered_alerts"] for row in own) == pytest.approx(shift.totals.covered)
    nights = {(row["starts_at"], row["ends_at"]) for row in rows if row["shift"] == "shift 2"}
    assert nights == {("2024-05-01T22:00:00-04:00", "2024-05-02T06:00:00-04:00")}
    assert (dispatch.patrolled_cells(table, city) == patrolled(plan)).all()


def test_a_row_has_the_chance_within_reach_of_its_units():
    city, _, table = made(radius_m=510)
    expected = np.pad(expected_alerts(), ((0, 0), (1, 1), (1, 1)))
    near = expected[:, 1:-1, 1:-1] + expected[:, 2:, 1:-1] + expected[:, :-2, 1:-1] + expected[:, 1:-1, 2:]
    near += expected[:, 1:-1, :-2]
    for row in table.to_pylist():
        at = ["shift 0", "shift 1", "shift 2"].index(row["shift"]), row["row"], row["column"]
        assert row["expected_within_reach"] == pytest.approx(near[at])
        assert row["probability_within_reach"] == pytest.approx(1 - np.exp(-near[at]))
        assert row["cell"] == f"R{row['row']:02d}C{row['column']:02d}"
        centre = cells_at(city, np.array([row["longitude"]]), np.array([row["latitude"]]))
        assert (int(centre[0][0]), int(centre[1][0])) == at[1:]
        assert row["area"] == (AREAS[at[1:]] or None)


def test_a_cell_names_its_streets_of_the_shift_and_where_to_wait():
    city = patrol_city(6, 6, (2, 3, 2), zone="America/New_York", radius_m=0)
    expected = expected_alerts()
    plan = plan_day(city, DAY, expected, IN_COVERAGE)
    segments = [
        {"shift": shift, "name": f"{number} St of {row},{column}", "probability": (row + 1) * number / 100,
         "longitude": -70.0 - number, "latitude": 40.0 + row, "row": row, "column": column}
        for shift in (None, "shift 0") for number in (1, 2, 3, 3) for row in range(6) for column in range(6)
    ]  # fmt: skip
    streets = pa.Table.from_pylist(segments)
    table = dispatch.dispatch_table(
        plan, city, ShiftForecasts(expected, 1 - np.exp(-expected), IN_COVERAGE), streets=streets
    )
    for record in table.to_pylist():
        row = record["row"]
        column = record["column"]
        if record["shift"] != "shift 0":
            assert (record["streets"], record["post_longitude"]) == ([], None)
            continue
        assert record["streets"] == [f"{number} St of {row},{column}" for number in (3, 2, 1)]
        assert (record["post_longitude"], record["post_latitude"]) == (-73.0, 40.0 + row)
    assert b"3 St of" in dispatch.dispatch_csv(table)
    assert "3 St of" in json.loads(dispatch.dispatch_geojson(table))["features"][0]["properties"]["streets"][0]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\uff1d"])
def test_no_text_is_a_formula(start):
    _, _, table = made()
    at = table.column_names.index("area")
    evil = [f'{start}HYPERLINK("http://x"),1\n2'] * len(table)
    rows = list(
        csv.DictReader(io.StringIO(dispatch.dispatch_csv(table.set_column(at, "area", [evil])).decode(), newline=""))
    )
    assert len(rows) == len(table)
    assert all(row["area"] == "'" + evil[0] for row in rows)
    assert all(row["reasons"] == "'+2 alerts in 7 days; Friday night" for row in rows)


def test_the_map_is_rfc_7946_and_opens_in_gis_software(tmp_path):
    city, _, table = made()
    (tmp_path / "plan.geojson").write_bytes(dispatch.dispatch_geojson(table))
    frame = gpd.read_file(tmp_path / "plan.geojson")
    assert frame.crs.to_epsg() == 4326
    assert len(frame) == len(table)
    assert frame.geometry.is_valid.all()
    assert frame.geometry.exterior.is_ccw.all()
    np.testing.assert_allclose(frame.bounds[["minx", "maxx"]].mean(axis=1), table["longitude"].to_numpy(), atol=1e-6)
    box = city.box
    assert (frame.total_bounds >= [box.west - 1e-6, box.south - 1e-6] * 2).all()
    document = json.loads(dispatch.dispatch_geojson(table))
    assert "crs" not in document
    feature = document["features"][0]
    assert feature["geometry"]["coordinates"][0][0] == feature["geometry"]["coordinates"][0][-1]
    assert len({feature["id"] for feature in document["features"]}) == len(table)
    assert feature["properties"]["reasons"] == ["+2 alerts in 7 days", "Friday night"]
