import json
from datetime import date

import numpy as np

from shotspotter_assets.evaluation.model_card import InService, model_card
from shotspotter_assets_tests.evaluation.forecasts import with_column
from shotspotter_assets_tests.evaluation.test_type_scores import table as types_table
from shotspotter_assets_tests.evaluation.test_walk_forward_report import FOLDS, REPORT, hourly, report


def test_it_states_the_reports_numbers():
    card = model_card(REPORT)
    flags = REPORT.burden["residual_boosting"]
    assert f"**{flags.empty_of_ten:.1f} of ten flagged cells see nothing**" in card
    assert f"precision {flags.precision:.1%}" in card
    assert "Served: **residual_boosting**, the candidate." in card
    assert "36 of 36 cells, estimated from the alerts before each cutoff" in card
    assert f"Base rate: {REPORT.base_rate:.1%} ({REPORT.positives:,} of 6,516" in card
    gain = REPORT.models["residual_boosting"].gain_over["historical_mean"]
    assert f"{gain.gain:+.4f} ({gain.low:+.4f}, {gain.high:+.4f})" in card
    assert f"Predicted / observed {REPORT.models['residual_boosting'].predicted_over_observed:.3f}" in card
    for heading in (
        "Which forecast is served, and why", "Target and data", "Skill", "Calibration", "What it can and cannot do",
        "Known criticism of the data, on both sides", "Feedback and fairness", "What it must not be used for",
    ):  # fmt: skip
        assert f"\n## {heading}\n" in card
    assert "None" not in card
    assert "nan" not in card


def test_it_says_that_the_baseline_is_served_when_the_gate_fails():
    failed = {
        cutoff: with_column(table, "residual_boosting", np.full(len(table), 0.3)) for cutoff, table in FOLDS.items()
    }
    found = report(
        failed, hourly={date(2021, 1, 4): hourly(date(2021, 1, 4), 1)}, types={date(2021, 1, 4): types_table()}
    )
    card = model_card(found)
    assert "Served: **historical_mean**, the best baseline, as residual_boosting did not pass the gate." in card
    assert "| **historical_mean** (served) |" in card
    assert "Predicted / observed is" in card
    assert "Next 4 hours: climatology is served. Gain over climatology, the best baseline: " in card
    assert "Type given an alert, gain over trailing_mix in nats per alert: knowing +0." in card


def test_it_says_which_folds_start_at_the_models_of_all_cities():
    found = report(shared={date(2021, 6, 1): "all-cities|2021-04-05"})
    assert found.shared == {date(2021, 6, 1): "all-cities|2021-04-05"}
    assert "- Fold 2021-06-01: shrunk towards the model of all cities, all-cities|2021-04-05" in model_card(found)
    assert "shrunk towards" not in model_card(REPORT)


def test_it_says_whom_a_stack_trusts():
    found = report(trust={date(2021, 6, 1): "mostly residual_boosting, a fifth ewma"})
    assert "- Fold 2021-06-01: combined from mostly residual_boosting, a fifth ewma." in model_card(found)
    assert "combined from" not in model_card(REPORT)


def test_a_city_without_an_alert_still_has_a_card():
    silent = {
        cutoff: with_column(table, "observed", np.zeros(len(table), dtype=np.int8)) for cutoff, table in FOLDS.items()
    }
    found = report(silent)
    assert not found.verdict.passed
    json.dumps(found.model_dump(mode="json"), allow_nan=False)
    assert "**10.0 of ten flagged cells see nothing**" in model_card(found)


def test_it_names_what_is_in_service_and_since_when():
    since, day = date(2021, 5, 1), date(2021, 9, 30)
    card = model_card(REPORT, InService("residual_boosting", since, day, ("Retrained, as every day.",)))
    assert "In service since 2021-05-01 (as of 2021-09-30): **residual_boosting**, because:\n\n- Retrained," in card
    assert "Over the folds the verdict is the same: **residual_boosting**, the candidate." in card
    assert "| **residual_boosting** (verdict, in service) |" in card
    assert "The scores below" not in card


def test_it_says_so_if_another_forecast_is_in_service_than_the_folds_verdict():
    reasons = ("The forecasts to 2021-09-29 fail the rolling gate, so historical_mean serves.",)
    card = model_card(REPORT, InService("historical_mean", date(2021, 9, 30), date(2021, 9, 30), reasons))
    assert f"**historical_mean**, because:\n\n- {reasons[0]}" in card
    assert "Over the folds the verdict is another one: **residual_boosting**, the candidate." in card
    assert "The scores below are those of residual_boosting, unless another one is named." in card
    assert "| **residual_boosting** (verdict) |" in card
    assert "| **historical_mean** (in service) |" in card
    assert "(served)" not in card
