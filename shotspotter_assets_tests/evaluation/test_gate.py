import json
import re
from dataclasses import asdict
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shotspotter_assets.evaluation.estimates import table_gain
from shotspotter_assets.evaluation.gate import shown_types, verdict_on
from shotspotter_assets.evaluation.score_rows import TYPES, ScoreTable, all_rows, decision_rows, type_rows
from shotspotter_assets_tests.evaluation.forecasts import forecasts_table, random_table, with_column

FORECASTS = forecasts_table(date(2021, 1, 4), 182, better=0.7)
MEAN = FORECASTS["historical_mean"].to_numpy()
NEARLY_MEAN = MEAN * np.exp(np.random.default_rng(1).normal(0, 0.02, len(MEAN)))


def shuffled(table: pa.Table, within_days: bool, seed: int = 0) -> pa.Table:
    random = np.random.default_rng(seed)
    observed = table["observed"].to_numpy()
    days = len(table["date"].unique())
    by_day = observed.reshape(days, -1)
    mixed = random.permuted(by_day, axis=1).ravel() if within_days else random.permutation(observed)
    return with_column(table, "observed", mixed)


def test_a_better_forecast_is_served_and_the_reasons_say_so():
    verdict = verdict_on(FORECASTS, "better")
    assert verdict.passed
    assert (verdict.served, verdict.candidate, verdict.best_baseline) == ("better", "better", "historical_mean")
    assert 0 < verdict.gain.low < verdict.gain.value < verdict.gain.high
    assert verdict.predicted_over_observed == pytest.approx(1, abs=0.1)
    assert verdict.outcome == "better"
    assert re.fullmatch(
        r"better is better than the best simple method, historical_mean \(\+\S+%, 90% interval \+\S+% to \+\S+%\)\.",
        " ".join(verdict.reasons),
    )
    assert json.loads(json.dumps(asdict(verdict), allow_nan=False))["served"] == "better"


@pytest.mark.parametrize("within_days", [True, False])
def test_shuffled_labels_fail(within_days):
    verdict = verdict_on(shuffled(FORECASTS, within_days), "better")
    assert not verdict.passed
    assert verdict.served == "city_mean"


def test_shuffled_labels_fail_even_without_a_baseline_that_knows_no_place():
    table = shuffled(FORECASTS, within_days=False).drop_columns("city_mean")
    verdict = verdict_on(with_column(table, "flatter", (MEAN + MEAN.mean()) / 2), "flatter")
    assert verdict.gain.low > 0  # it is indeed better than the only baseline
    assert not verdict.passed
    assert verdict.served == "historical_mean"
    assert any("one constant probability" in reason for reason in verdict.reasons)


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_a_better_but_miscalibrated_forecast_fails_for_that_alone(factor):
    p = np.clip(factor * FORECASTS["truth"].to_numpy(), 0, 0.99)
    verdict = verdict_on(with_column(FORECASTS, "network", p), "network")
    assert verdict.gain.low > 0
    assert not verdict.passed
    assert verdict.outcome == "not worse, not shown to be better"
    assert len(verdict.reasons) == 2
    assert verdict.reasons[1].startswith("Predicted / observed is")


def test_an_equal_forecast_fails():
    for equal in (MEAN, NEARLY_MEAN):
        assert not verdict_on(with_column(FORECASTS, "same", equal), "same").passed


def test_too_little_to_judge_serves_the_baseline():
    short = FORECASTS.filter(pc.less(FORECASTS["date"], pa.scalar(date(2021, 3, 1), pa.date32())))
    verdict = verdict_on(short, "better")
    assert verdict.served == "historical_mean"
    assert any("Weeks tested: 8; at least 12" in reason for reason in verdict.reasons)

    rare = forecasts_table(date(2021, 1, 4), 182, rate=0.005, better=1.0)
    verdict = verdict_on(rare, "better")
    assert not verdict.passed
    assert any("Cell-days with an event" in reason for reason in verdict.reasons)

    silent = with_column(FORECASTS, "observed", np.zeros(len(FORECASTS), dtype=np.int8))
    verdict = verdict_on(silent, "better")
    assert (verdict.served, verdict.predicted_over_observed) == (verdict.best_baseline, None)
    assert "Predicted / observed is unknown" in " ".join(verdict.reasons)
    assert verdict_on(with_column(silent, "never", np.full(len(silent), 1e-6)), "better").best_baseline != "never"


@pytest.mark.parametrize(("share", "served", "outcome"), [(0.7, "stack", "better"), (-0.7, "historical_mean", "worse")])
def test_a_combination_is_served_unless_it_is_worse_by_the_rule_for_all(share, served, outcome):
    table = forecasts_table(date(2021, 1, 4), 182, stack=share, network=share).drop_columns("truth")
    verdict = verdict_on(table, "stack")
    of_network = verdict_on(table, "network")
    assert (verdict.served, verdict.passed) == (served, served == "stack")
    assert verdict.outcome == of_network.outcome == outcome
    assert of_network.passed == (outcome == "better")


def test_a_combination_within_chance_is_served_but_not_called_better():
    verdict = verdict_on(with_column(FORECASTS, "stack", NEARLY_MEAN), "stack")
    assert verdict.gain.low < 0 < verdict.gain.high
    assert (verdict.served, verdict.outcome) == ("stack", "not worse, not shown to be better")
    assert verdict.reasons[0].startswith(
        f"{verdict.candidate} is not worse than the best simple method, historical_mean ("
    )
    assert verdict.reasons[-1] == "stack combines the simple methods and is served unless it is worse."


def test_a_candidate_that_is_a_baseline_has_to_beat_the_others():
    verdict = verdict_on(FORECASTS, "historical_mean")
    assert (verdict.passed, verdict.best_baseline) == (True, "city_mean")
    assert verdict.gain == table_gain(FORECASTS, "historical_mean", "city_mean")
    assert verdict_on(FORECASTS, "city_mean").served == "historical_mean"


def test_refuses_a_candidate_that_is_missing_or_has_nothing_to_beat():
    with pytest.raises(ValueError, match="conv_lstm"):
        verdict_on(FORECASTS, "conv_lstm")
    with pytest.raises(ValueError, match="historical_mean"):
        verdict_on(FORECASTS.drop_columns("city_mean"), "historical_mean")
    with pytest.raises(ValueError, match="baselines"):
        verdict_on(FORECASTS.drop_columns(["historical_mean", "city_mean"]), "better")


def test_a_gate_that_only_alarms_serves_the_candidate_and_says_so():
    for name, column, words in (("close", NEARLY_MEAN, "is not shown to be better"), ("bad", MEAN**2, "is worse")):
        verdict = verdict_on(with_column(FORECASTS, name, column), name, "alarm")
        assert (verdict.served, verdict.passed) == (name, False)
        why = f"{name} serves although it {words} than historical_mean (gate: alarm in the city's file)."
        assert verdict.overruled == verdict.reasons[-1] == why
    assert verdict_on(FORECASTS, "better", "alarm") == verdict_on(FORECASTS, "better")


@pytest.mark.parametrize("days", [91, 70])
def test_types_are_shown_if_enough_weeks_show_them_to_be_better(days: int) -> None:
    validated = typed_forecasts(days=days)
    shown, why = shown_types(validated)
    assert shown == ("knowing" if days == 91 else None)
    assert why.endswith(f"nats per alert over the mix of the last 90 days, from {days // 7} weeks of validation.")
    swapped = {f"{name}_{code}": f"{other}_{code}" for code in range(3) for name, other in
               (("knowing", "trailing_mix"), ("trailing_mix", "knowing"))}  # fmt: skip
    worse = validated.rename_columns([swapped.get(name, name) for name in validated.column_names])
    assert shown_types(worse)[0] is None
    assert "the best forecast, knowing, is not shown to be better: -0." in shown_types(worse)[1]


def typed_forecasts(first: date = date(2021, 1, 4), days: int = 100, per_day: int = 8, seed: int = 0) -> pa.Table:
    """Forecasts of types by the true shares of each alert (`knowing`) and by the mean; a tenth of the types is unknown."""
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
    forecasts = typed_forecasts()
    found = scores_of(forecasts)
    rows = forecasts.filter(forecasts["gunshot_type"].is_valid()).to_pylist()
    assert found.value("alerts", facet=TYPES) == len(rows)
    p = np.array([[row[f"knowing_{code}"] for code in range(3)] for row in rows])
    loss = found.value("log_loss", "knowing", TYPES)
    assert loss == pytest.approx(-np.log(p[np.arange(len(p)), [row["gunshot_type"] for row in rows]]).mean())
    gain = found.gain("trailing_mix", "knowing", TYPES)
    assert gain.value == pytest.approx(found.value("log_loss", "trailing_mix", TYPES) - loss)
    assert 0 < gain.low < gain.high
    assert found.gain("trailing_mix", "trailing_mix", TYPES).value == 0


def test_no_typed_alert_gives_no_score():
    found = scores_of(typed_forecasts().set_column(4, "gunshot_type", pa.nulls(800, pa.int8())))
    assert (found.value("alerts", facet=TYPES), found.value("log_loss", "knowing", TYPES)) == (0, None)
    assert found.gain("trailing_mix", "knowing", TYPES).value is None


def test_decisions_of_a_weight_are_those_at_its_odds():
    forecasts = random_table(date(2021, 1, 4), 40, 10)
    p = forecasts["network"].to_numpy()
    observed = forecasts["observed"].to_numpy() == 1
    rows = decision_rows(ScoreTable(all_rows(forecasts, [])), ["network"])
    assert [(row["model"], row["weight"]) for row in rows[2:5]] == [("always", 1), ("network", 10), ("never", 10)]
    row = rows[3]
    yes = 10 * p / (10 * p + 1 - p) >= 0.5  # the output of a network with the class weight 10
    assert row["accuracy"] == pytest.approx((yes == observed).mean())
    assert row["weighted accuracy"] == pytest.approx(np.average(yes == observed, weights=np.where(observed, 10, 1)))
    assert (row["TP"], row["FN"]) == ((yes & observed).sum(), (~yes & observed).sum())
    assert (row["TN"], row["FP"]) == ((~yes & ~observed).sum(), (yes & ~observed).sum())


def test_decisions_of_a_quiet_city_are_defined():
    silent = with_column(random_table(date(2021, 1, 4), 7, 4), "observed", np.zeros(28, dtype=np.int8))
    rows = decision_rows(ScoreTable(all_rows(silent, [])), [])
    assert [(row["accuracy"], row["TP"]) for row in rows] == 4 * [(1.0, 0), (0.0, 0)]
