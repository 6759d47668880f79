from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.evaluation.type_scores import type_models, type_scores


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


def test_scores_are_the_multiclass_log_loss_and_brier_score_of_known_types():
    forecasts = table()
    found = type_scores([forecasts])
    rows = forecasts.filter(forecasts["gunshot_type"].is_valid()).to_pylist()
    assert (found.alerts, found.alerts_of_unknown_type) == (len(rows), len(forecasts) - len(rows))
    p = np.array([[row[f"knowing_{code}"] for code in range(3)] for row in rows])
    came = np.array([row["gunshot_type"] for row in rows])
    knowing = found.models["knowing"]
    assert knowing.log_loss == pytest.approx(-np.log(p[np.arange(len(p)), came]).mean())
    assert knowing.brier_score == pytest.approx(((p - np.eye(3)[came]) ** 2).sum(axis=1).mean())
    mix = found.models["trailing_mix"]
    assert knowing.gain.gain == pytest.approx(mix.log_loss - knowing.log_loss)
    assert 0 < knowing.gain.low < knowing.gain.high
    assert mix.gain.gain == 0
    assert found.share["multiple gunshots"] == pytest.approx((came == 1).mean())
    assert knowing.mean_forecast["gunshot or firecracker"] == pytest.approx(p[:, 2].mean())


def test_pools_folds_and_keeps_the_models_that_all_have():
    first, second = table(), table(date(2021, 4, 14), seed=1).drop_columns(["knowing_2"])
    found = type_scores([first, second])
    assert set(found.models) == {"trailing_mix"}
    assert found.alerts + found.alerts_of_unknown_type == 1600


def test_forecasts_are_scaled_to_sum_to_one_and_kept_off_zero():
    forecasts = table()
    doubled = forecasts
    for code in range(3):
        at = doubled.column_names.index(f"knowing_{code}")
        doubled = doubled.set_column(at, f"knowing_{code}", pa.array(2 * forecasts[f"knowing_{code}"].to_numpy()))
    same = type_scores([forecasts]).models["knowing"].log_loss
    assert type_scores([doubled]).models["knowing"].log_loss == pytest.approx(same)
    certain = forecasts
    for code in range(3):
        at = certain.column_names.index(f"knowing_{code}")
        certain = certain.set_column(at, f"knowing_{code}", pa.array(np.full(len(forecasts), float(code == 0))))
    assert 1 < type_scores([certain]).models["knowing"].log_loss < 14


def test_no_typed_alert_gives_no_score():
    untyped = table().set_column(4, "gunshot_type", pa.nulls(800, pa.int8()))
    found = type_scores([untyped])
    assert (found.alerts, found.models["knowing"].log_loss) == (0, None)
    assert found.models["knowing"].gain.gain is None


def test_refuses_a_table_without_the_reference_and_a_forecast_that_is_not_a_number():
    with pytest.raises(ValueError, match="knowing but not the reference 'trailing_mix'"):
        type_scores([table().drop_columns(["trailing_mix_1"])])
    holes = table().set_column(5, "knowing_0", pa.array(np.full(800, np.nan)))
    with pytest.raises(ValueError, match="type forecasts of knowing are not numbers"):
        type_scores([holes])


def test_only_names_with_all_three_types_are_models():
    assert type_models(table().append_column("extra_0", pa.nulls(800))) == ["knowing", "trailing_mix"]
