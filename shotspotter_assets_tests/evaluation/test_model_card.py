import json

import numpy as np

from shotspotter_assets.evaluation.model_card import NOT_FOR, model_card
from shotspotter_assets.evaluation.scores import flagged_shares
from shotspotter_assets_tests.evaluation.cities import fold_record
from shotspotter_assets_tests.evaluation.forecasts import with_column
from shotspotter_assets_tests.evaluation.test_score_rows import table as types_table
from shotspotter_assets_tests.evaluation.test_walk_forward_report import (
    CITY,
    FIRST,
    FOLDS,
    HOURLY,
    POOLED,
    REPORT,
    SCORES,
    report,
    with_constant_candidate,
)

CARD = model_card(REPORT, SCORES)


def test_the_card_states_the_numbers_of_the_report():
    flags = flagged_shares(POOLED["residual_boosting"].to_numpy(), POOLED["date"].to_numpy())[5]
    precision = (flags @ POOLED["observed"].to_numpy()) / flags.sum()
    assert f"**{10 - 10 * precision:.1f} of ten flagged cells see nothing** (precision {precision:.1%})" in CARD
    assert "Served: **residual_boosting**, the candidate.\n\n- Better than" in CARD
    assert "36 of 36 cells, estimated from the alerts before each cutoff" in CARD
    assert f"Base rate: {SCORES.value('base_rate'):.1%} ({REPORT.verdict.positives:,} of 6,516" in CARD
    assert SCORES.gain("historical_mean", "residual_boosting").text() in CARD
    assert f"Predicted / observed {SCORES.value('predicted_over_observed', 'residual_boosting'):.3f}" in CARD
    accuracy = f"{SCORES.value('base_rate'):.1%}"
    assert f"| always | 1 | {accuracy} | {accuracy} | {REPORT.verdict.positives:,} | 0 |" in CARD
    assert "\n| better | 100 |" in CARD  # a forecaster that does not serve
    assert CARD.endswith(NOT_FOR)
    assert "None" not in CARD
    assert "nan" not in CARD


def test_the_baseline_is_served_when_the_gate_fails():
    newest = fold_record(CITY, without={"gunshot_types": "No kinds of gunfire are shown, as they are not better."})
    card = model_card(*report(with_constant_candidate(), hourly=HOURLY, types={FIRST: types_table()}, newest=newest))
    assert "Served: **historical_mean**, the best baseline, as residual_boosting did not pass the gate." in card
    assert "| **historical_mean** (served) |" in card
    assert "Predicted / observed is" in card
    assert "\nNext 4 hours: next_hours is issued; it does not pass the gate. Gain over climatology" in card
    assert "\nType given an alert, gain over trailing_mix in nats per alert: knowing +0." in card
    assert " No kinds of gunfire are shown, as they are not better.\n" in card


def test_the_card_says_that_the_candidate_serves_without_passing():
    alarm = CITY.model_copy(update={"gate": "alarm"})
    card = model_card(*report(with_constant_candidate(), city=alarm))
    assert "Served: **residual_boosting**, the candidate, **although it did not pass the gate**." in card
    assert (
        "- residual_boosting serves although it is worse than historical_mean (gate: alarm in the city's file)." in card
    )


def test_a_city_without_an_alert_still_has_a_card():
    silent = {
        cutoff: with_column(table, "observed", np.zeros(len(table), dtype=np.int8)) for cutoff, table in FOLDS.items()
    }
    found, scores = report(silent)
    assert not found.verdict.passed
    json.dumps(found.model_dump(mode="json"), allow_nan=False)
    assert "**10.0 of ten flagged cells see nothing**" in model_card(found, scores)
