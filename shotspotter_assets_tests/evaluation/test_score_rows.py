from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.evaluation.score_rows import TYPES, ScoreTable, all_rows, decision_rows, type_rows
from shotspotter_assets_tests.evaluation.forecasts import random_table, with_column


def table(first: date = date(2021, 1, 4), days: int = 100, per_day: int = 8, seed: int = 0) -> pa.Table:
    random = np.random.default_rng(seed)
    number = days * per_day
    true = random.dirichlet([3, 4, 1], number)
    came = (random.random((number, 1)) > true.cumsum(axis=1)[:, :2]).sum(axis=1)
    unknown = random.random(number) < 0.1
    mix = np.bincount(came, minlength=3) / number
    columns = {f"knowing_{code}": true[:, code] for code in range(3)}
    columns |= {f"trailing_mix_{code}": np.full(number, mix[code]) for code in range(3)}
    return pa.table(
        {
            "date": pa.array(np.repeat(np.datetime64(first) + np.arange(days), per_day), pa.date32()),
            "hour": pa.array(np.zeros(number), pa.int8()),
            "row": pa.array(np.zeros(number), pa.int16()),
            "column": pa.array(np.zeros(number), pa.int16()),
            "gunshot_type": pa.array(came, pa.int8(), mask=unknown),
            **columns,
        }
    )


def scores_of(*tables: pa.Table) -> ScoreTable:
    return ScoreTable(type_rows(tables))


def test_score_rows_are_the_multiclass_log_loss_of_known_types():
    forecasts = table()
    found = scores_of(forecasts)
    rows = forecasts.filter(forecasts["gunshot_type"].is_valid()).to_pylist()
    assert found.value("alerts", facet=TYPES) == len(rows)
    p = np.array([[row[f"knowing_{code}"] for code in range(3)] for row in rows])
    loss = found.value("log_loss", "knowing", TYPES)
    assert loss == pytest.approx(-np.log(p[np.arange(len(p)), [row["gunshot_type"] for row in rows]]).mean())
    gain = found.gain("trailing_mix", "knowing", TYPES)
    assert gain.gain == pytest.approx(found.value("log_loss", "trailing_mix", TYPES) - loss)
    assert 0 < gain.low < gain.high
    assert found.gain("trailing_mix", "trailing_mix", TYPES).gain == 0


def test_no_typed_alert_gives_no_score():
    found = scores_of(table().set_column(4, "gunshot_type", pa.nulls(800, pa.int8())))
    assert (found.value("alerts", facet=TYPES), found.value("log_loss", "knowing", TYPES)) == (0, None)
    assert found.gain("trailing_mix", "knowing", TYPES).gain is None


def test_decisions_of_a_weight_are_those_at_its_odds():
    forecasts = random_table(date(2021, 1, 4), 40, 10)
    p, observed = forecasts["network"].to_numpy(), forecasts["observed"].to_numpy() == 1
    rows = decision_rows(ScoreTable(all_rows(forecasts, [])), ["network"])
    assert [(row["model"], row["weight"]) for row in rows[2:5]] == [("always", 1), ("network", 10), ("never", 10)]
    row, yes = rows[3], 10 * p / (10 * p + 1 - p) >= 0.5  # the output of a network with the class weight 10
    assert row["accuracy"] == pytest.approx((yes == observed).mean())
    assert row["weighted accuracy"] == pytest.approx(np.average(yes == observed, weights=np.where(observed, 10, 1)))
    assert (row["TP"], row["FN"]) == ((yes & observed).sum(), (~yes & observed).sum())
    assert (row["TN"], row["FP"]) == ((~yes & ~observed).sum(), (yes & ~observed).sum())


def test_decisions_of_a_quiet_city_are_defined():
    silent = with_column(random_table(date(2021, 1, 4), 7, 4), "observed", np.zeros(28, dtype=np.int8))
    rows = decision_rows(ScoreTable(all_rows(silent, [])), [])
    assert [(row["accuracy"], row["TP"]) for row in rows] == 3 * [(1.0, 0), (0.0, 0)]
