from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from shotspotter_assets.__main__ import main
from shotspotter_assets.storage.catalogue import ALERT_OUTCOMES, CLEANED, FOLD_FORECASTS, TENSORS
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import StoredTable
from shotspotter_assets.storage.views import SQL_TYPES, TABLES, table_views, view_name
from shotspotter_assets_tests.conftest import TEST_CITIES
from shotspotter_assets_tests.small_store import CITIES, DATES, fill, row_of


def database(store: Store) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(table_views(store))
    return connection


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    return database(fill(Store(str(tmp_path_factory.mktemp("it's full")))))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    return database(Store(str(tmp_path_factory.mktemp("empty"))))


@pytest.mark.parametrize("table", TABLES, ids=view_name)
def test_a_view_has_the_columns_and_types_of_its_table(
    table: StoredTable, full: duckdb.DuckDBPyConnection, empty: duckdb.DuckDBPyConnection
) -> None:
    columns = table.key_types | {name: SQL_TYPES[column.kind] for name, column in table.own_columns.items()}
    others = {} if table.others is None else {"another": SQL_TYPES[table.others.kind]}
    for connection, more in ((full, others), (empty, {})):
        described = connection.sql(f"DESCRIBE {view_name(table)}").fetchall()
        assert {name: kind for name, kind, *_ in described} == columns | more


@pytest.mark.parametrize("table", TABLES, ids=view_name)
def test_a_view_has_the_rows_of_all_cities_and_dates(table: StoredTable, full: duckdb.DuckDBPyConnection) -> None:
    keys = ", ".join(name for name in table.key_types if name != "target")
    rows = full.sql(f"SELECT {keys} FROM {view_name(table)} ORDER BY ALL").fetchall()
    assert rows == [(city, *day) for city in CITIES for day in ([(one,) for one in DATES] if table.date_name else [()])]


def test_names_of_views_are_unique_and_say_what_they_are() -> None:
    names = [view_name(table) for table in TABLES]
    assert len({*names}) == len(names)
    assert {"cleaned_alerts_alerts", "raw_alerts_days", "grid_tensors_grid"} <= {*names}


def test_a_table_without_files_has_an_empty_view(tmp_path: Path) -> None:
    store = fill(Store(str(tmp_path)), (CLEANED,))
    connection = database(store)
    assert connection.sql("FROM grid_tensors_grid").fetchall() == []
    fill(store, (TENSORS,))
    assert len(connection.execute(table_views(store)).sql("FROM grid_tensors_grid").fetchall()) == 4


def test_a_column_of_some_files_is_null_in_the_others(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write_table(FOLD_FORECASTS, row_of(FOLD_FORECASTS, ("stack",)), "town", DATES[0])
    connection = database(store)
    store.write_table(FOLD_FORECASTS, row_of(FOLD_FORECASTS, ("network",)), "town", DATES[1])
    connection.execute(table_views(store))
    rows = connection.sql("SELECT fold, stack, network FROM evaluation_reports_forecasts ORDER BY fold").fetchall()
    assert rows == [(DATES[0], 0.5, None), (DATES[1], None, 0.5)]


def test_the_command_prints_the_views_of_the_store(tmp_path: Path) -> None:
    fill(Store(str(tmp_path)), (ALERT_OUTCOMES,))
    environ = {"SHOTSPOTTER_STORE": str(tmp_path), "SHOTSPOTTER_CITIES": str(TEST_CITIES)}
    ran = CliRunner().invoke(main, ["views"], env=environ)
    assert ran.exit_code == 0
    assert len(duckdb.connect().execute(ran.output).sql("FROM alert_outcomes_outcomes").fetchall()) == 4


def test_views_of_s3_begin_with_the_access(s3_store_root: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("s3_server")
    store = fill(Store(s3_store_root, server.client()), (TENSORS,))
    sql = table_views(store, "http://127.0.0.1:8333")
    assert sql.startswith(
        "INSTALL httpfs;\nLOAD httpfs;\nINSTALL aws;\nLOAD aws;\nCREATE OR REPLACE SECRET shotspotter (TYPE s3,"
    )
    assert "ENDPOINT '127.0.0.1:8333', URL_STYLE 'path', USE_SSL false" in sql
    assert f"read_parquet('{s3_store_root}/grid_tensors/city=*/date=*/grid.parquet'" in sql
    assert "ENDPOINT" not in table_views(store)
