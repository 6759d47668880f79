import json
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.evaluation.areas import quadrants
from shotspotter_assets.evaluation.forecasts_table import pool_tables, without_firework_days
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.evaluation.scores import score_cell_days
from shotspotter_assets.evaluation.walk_forward_report import MissingForecastsError, walk_forward_report
from shotspotter_assets_tests.evaluation.cities import made_up_city
from shotspotter_assets_tests.evaluation.forecasts import forecasts_table, with_column
from shotspotter_assets_tests.evaluation.test_type_scores import table as types_table

CITY = made_up_city()
AREAS = quadrants((6, 6))
# The second fold has a firework day.
FOLDS = {
    date(2021, 1, 4): forecasts_table(date(2021, 1, 4), 90, better=0.8, residual_boosting=0.6),
    date(2021, 6, 1): forecasts_table(date(2021, 6, 1), 91, seed=1, better=0.8, residual_boosting=0.6),
}


def report(folds=FOLDS, candidate="residual_boosting", **more):
    given = {"hourly": {}, "hourly_candidate": "next_hours", "types": {}, "shared": {}, "trust": {}} | more
    return walk_forward_report(city=CITY, folds=folds, candidate=candidate, areas=AREAS, **given)


REPORT = report()


def hourly(first: date, seed: int) -> pa.Table:
    parts = []
    for horizon in (1, 4):
        for hour in (2, 20):
            part = forecasts_table(first, 30, seed=10 * seed + hour + horizon, next_hours=0.9, rate=0.03 * horizon)
            part = part.rename_columns({"historical_mean": "climatology", "city_mean": "ewma_hour_of_week"})
            for name, value in (("hour", hour), ("horizon", horizon)):
                part = part.append_column(name, pa.array(np.full(len(part), value, dtype=np.int8)))
            # It forecasts only the next hour.
            exciting = (
                pa.array(part["climatology"].to_numpy() * 0.9) if horizon == 1 else pa.nulls(len(part), pa.float64())
            )
            parts.append(part.append_column("self_exciting", exciting))
    return pa.concat_tables(parts)


def test_is_plain_json_that_says_what_was_tested():
    json.dumps(REPORT.model_dump(mode="json"), allow_nan=False)
    observed = pool_tables(list(FOLDS.values()))["observed"].to_numpy()
    assert (REPORT.city, REPORT.folds) == ("made_up", list(FOLDS))
    assert (REPORT.first_day, REPORT.last_day, REPORT.days) == (date(2021, 1, 4), date(2021, 8, 30), 181)
    assert (REPORT.cell_days, REPORT.positives) == (181 * 36, observed.sum())
    assert REPORT.base_rate == pytest.approx(observed.mean())
    assert REPORT.covered_cells == dict.fromkeys(FOLDS, 36)
    assert REPORT.baselines == ["historical_mean", "city_mean"]


def test_the_verdict_is_on_the_candidate_that_was_named():
    assert REPORT.verdict.served == "residual_boosting"
    assert REPORT.verdict.passed
    # Another candidate may be better still; it was not the one to be judged.
    assert list(REPORT.models).index("better") < list(REPORT.models).index("residual_boosting")


def test_scores_and_gains_are_those_of_the_pooled_table():
    pooled = pool_tables(list(FOLDS.values()))
    p, observed, reference = (pooled[name].to_numpy() for name in ("residual_boosting", "observed", "historical_mean"))
    scores = score_cell_days(p, observed == 1, reference, pooled["date"].to_numpy())
    own = REPORT.models["residual_boosting"]
    assert vars(own) == vars(scores) | {"gain_over": own.gain_over}
    assert own.gain_over["city_mean"] == table_gain(pooled, "residual_boosting", "city_mean")
    ordinary = table_gain(without_firework_days(pooled), "residual_boosting", "city_mean")
    assert REPORT.without_firework_days["residual_boosting"].gain_over["city_mean"] == ordinary
    assert ordinary != own.gain_over["city_mean"]


def test_groups_hold_all_cell_days():
    for groups in (REPORT.by_fold, REPORT.by_day_kind, REPORT.by_weekday, REPORT.by_area.areas):
        assert sum(group.cell_days for group in groups.values()) == REPORT.cell_days
        assert sum(group.positives for group in groups.values()) == REPORT.positives
    assert REPORT.by_day_kind["firework day"].cell_days == 3 * 36
    assert next(iter(REPORT.by_weekday)) == "monday"
    mondays = sum(table["date"].to_pandas().map(date.weekday).eq(0).sum() for table in FOLDS.values())
    assert REPORT.by_weekday["monday"].cell_days == mondays
    second = table_gain(FOLDS[date(2021, 6, 1)], "residual_boosting", "historical_mean")
    assert REPORT.by_fold["2021-06-01"].models["residual_boosting"].gain_over_best_baseline == second


def test_reliability_is_close_to_the_diagonal_for_the_truth():
    bins = REPORT.reliability["truth"]
    forecast, low, high = (np.array(values) for values in (bins.mean_forecast, bins.low, bins.high))
    assert ((low <= forecast) & (forecast <= high)).mean() >= 0.7


def test_folds_may_have_further_candidates_that_are_left_out_and_named():
    first, second = FOLDS.values()
    found = report(dict(zip(FOLDS, (first.drop_columns("better"), second), strict=True)))
    assert found.models_left_out == ["better"]
    assert "better" not in found.models


@pytest.mark.parametrize("lost", ["residual_boosting", "city_mean"])
def test_a_fold_without_the_candidate_or_a_baseline_of_others_is_an_error(lost):
    first, second = FOLDS.values()
    with pytest.raises(MissingForecastsError, match=rf"made_up, fold 2021-06-01: no forecast of {lost}, only of"):
        report(dict(zip(FOLDS, (first, second.drop_columns(lost)), strict=True)))


def test_burden_of_the_served_and_of_the_candidate_forecast():
    assert set(REPORT.burden) == {"residual_boosting"}
    failed = {
        cutoff: with_column(table, "residual_boosting", np.full(len(table), 0.3)) for cutoff, table in FOLDS.items()
    }
    found = report(failed)
    assert found.verdict.served == "historical_mean"
    assert set(found.burden) == {"historical_mean", "residual_boosting"}


def test_shorter_horizons_are_scored_apart_and_by_hour():
    folds = {date(2021, 1, 4): hourly(date(2021, 1, 4), 1), date(2021, 6, 1): hourly(date(2021, 6, 1), 2)}
    horizons = report(hourly=folds).horizons
    assert list(horizons) == [1, 4]
    one = horizons[1]
    assert one.cell_periods == 2 * 2 * 30 * 36
    assert one.base_rate < horizons[4].base_rate
    assert list(one.by_hour) == ["2", "20"]
    assert one.verdict.best_baseline == "climatology"
    assert set(one.models["next_hours"].gain_over) == {"climatology", "ewma_hour_of_week", "self_exciting"}
    assert set(horizons[4].models["next_hours"].gain_over) == {"climatology", "ewma_hour_of_week"}
    assert one.models["climatology"].gain_nats_per_positive == 0
    assert horizons[4].models["next_hours"].gain_over["climatology"].low > 0
    # Ten weeks of two folds are too few for a verdict, whatever the gain.
    assert horizons[4].verdict.served == "climatology"


def test_types_are_scored_where_there_are_type_forecasts():
    found = report(types={date(2021, 1, 4): types_table()}).gunshot_types
    assert found.models["knowing"].gain.low > 0
    assert (REPORT.gunshot_types, REPORT.horizons) == (None, {})
