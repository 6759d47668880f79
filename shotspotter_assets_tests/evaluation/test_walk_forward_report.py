import json
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.evaluation.estimates import table_gain
from shotspotter_assets.evaluation.fold_tables import EVENLY
from shotspotter_assets.evaluation.forecasts_table import KEY_COLUMNS, pool_tables, without_firework_days
from shotspotter_assets.evaluation.score_rows import WITHOUT_FIREWORKS, beside_the_report
from shotspotter_assets.evaluation.scores import flagged_shares, score_cell_days
from shotspotter_assets.evaluation.walk_forward_report import (
    FOLD,
    HORIZON,
    MINUTES,
    NOT_FOR,
    model_card,
    read_folds,
    walk_forward_report,
)
from shotspotter_assets.grid.dates import dates_of
from shotspotter_assets.models.trained_models import NEXT_MINUTES
from shotspotter_assets.storage.catalogue import FOLD_FORECASTS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.evaluation.cities import fold_record, square_city
from shotspotter_assets_tests.evaluation.forecasts import counts_table, forecasts_table, with_column
from shotspotter_assets_tests.evaluation.test_gate import typed_forecasts as types_table

CITY = square_city()
FIRST = date(2021, 1, 4)
SECOND = date(2021, 6, 1)
# The second fold has a firework day.
FOLDS = {
    FIRST: forecasts_table(FIRST, 90, better=0.8, residual_boosting=0.6),
    SECOND: forecasts_table(SECOND, 91, seed=1, better=0.8, residual_boosting=0.6),
}
COUNTS = {FIRST: counts_table(FIRST, 90), SECOND: counts_table(SECOND, 91)}
POOLED = pool_tables(list(FOLDS.values()))


def report(folds=FOLDS, candidate="residual_boosting", **more):
    given = {
        "city": CITY,
        "hourly": {},
        "minutes": {},
        "types": {},
        "counts": COUNTS,
        "newest": fold_record(CITY),
    } | more
    return walk_forward_report(folds=folds, candidate=candidate, hourly_candidate="next_hours", **given)


REPORT, SCORES = report()


def with_constant_candidate():
    return {
        cutoff: with_column(table, "residual_boosting", np.full(len(table), 0.3)) for cutoff, table in FOLDS.items()
    }


def hourly(first: date, seed: int) -> pa.Table:
    parts = []
    for horizon in (1, 4):
        for hour in (2, 20):
            part = forecasts_table(first, 30, seed=10 * seed + hour + horizon, next_hours=0.9, rate=0.03 * horizon)
            part = part.rename_columns({"historical_mean": "climatology", "city_mean": "ewma_hour_of_week"})
            for name, value in (("hour", hour), ("horizon", horizon)):
                part = part.append_column(name, pa.array(np.full(len(part), value, dtype=np.int8)))
            parts.append(part.append_column("self_exciting", pa.array(part["climatology"].to_numpy() * 0.9)))
    return pa.concat_tables(parts)


HOURLY = {FIRST: hourly(FIRST, 1), SECOND: hourly(SECOND, 2)}


def test_the_report_counts_tested_days_and_cells():
    json.dumps(REPORT.model_dump(mode="json"), allow_nan=False)
    assert (REPORT.city, REPORT.folds) == ("made_up", list(FOLDS))
    assert (REPORT.first_forecast_date, REPORT.last_forecast_date, REPORT.days) == (FIRST, date(2021, 8, 30), 181)
    assert (SCORES.value("cell_days"), SCORES.value("positives")) == (181 * 36, POOLED["observed"].to_numpy().sum())
    assert SCORES.value("base_rate") == pytest.approx(POOLED["observed"].to_numpy().mean())
    assert REPORT.covered_cells == dict.fromkeys(FOLDS, 36)
    assert REPORT.baselines == ["historical_mean", "city_mean"]


def test_the_verdict_is_on_the_named_candidate():
    assert REPORT.verdict.served == "residual_boosting"
    assert REPORT.verdict.outcome == "better"
    # Another candidate may be better still; it was not the one that was named before.
    models = SCORES.models()
    assert models.index("better") < models.index("residual_boosting")


def test_scores_and_gains_are_those_of_the_pooled_table():
    p, observed, reference = (POOLED[name].to_numpy() for name in ("residual_boosting", "observed", "historical_mean"))
    scores = score_cell_days(p, observed == 1, reference, POOLED["date"].to_numpy())
    for name, value in scores.items():
        assert SCORES.value(name, "residual_boosting") == value
    assert SCORES.gain("city_mean", "residual_boosting") == table_gain(POOLED, "residual_boosting", "city_mean")
    ordinary = table_gain(without_firework_days(POOLED), "residual_boosting", "city_mean")
    assert SCORES.gain("city_mean", "residual_boosting", WITHOUT_FIREWORKS) == ordinary
    assert ordinary != SCORES.gain("city_mean", "residual_boosting")


def test_never_and_always_stand_beside_the_accuracy():
    positives = SCORES.value("positives")
    cell_days = SCORES.value("cell_days")
    negatives = cell_days - positives
    for weight in (1, 10, 100, 0.01):
        total = weight * positives + negatives
        assert SCORES.value(f"accuracy_{weight}", "never") == pytest.approx(negatives / total)
        assert SCORES.value(f"accuracy_{weight}", "always") == pytest.approx(weight * positives / total)
    assert SCORES.value("false_negatives_1", "never") == positives
    assert SCORES.value("false_positives_1", "always") == negatives
    assert "always" not in SCORES.models()


def test_each_fold_has_its_gains_over_the_best_baseline():
    assert SCORES.groups(FOLD) == [str(cutoff) for cutoff in FOLDS]
    for cutoff, table in FOLDS.items():
        gain = table_gain(table, "residual_boosting", REPORT.verdict.best_baseline)
        assert SCORES.gain(REPORT.verdict.best_baseline, "residual_boosting", FOLD, str(cutoff)) == gain


def test_days_of_two_folds_are_forecast_by_the_newer_one(tmp_path):
    store = Store(str(tmp_path))
    for cutoff in (FIRST, date(2021, 2, 1)):
        store.write_table(FOLD_FORECASTS, forecasts_table(cutoff, 90), "made_up", cutoff)
    older, newer = read_folds(store, "made_up", FOLD_FORECASTS).values()
    assert (dates_of(older).max(), dates_of(newer).min()) == (np.datetime64("2021-01-31"), np.datetime64("2021-02-01"))


@pytest.mark.parametrize("lost", ["residual_boosting", "city_mean"])
def test_a_fold_without_the_candidate_or_a_baseline_of_others_is_an_error(lost):
    with pytest.raises(ValueError, match=rf"made_up.*2021-06-01.*{lost}"):
        report({FIRST: FOLDS[FIRST], SECOND: FOLDS[SECOND].drop_columns(lost)})


def test_shorter_horizons_are_scored_apart():
    found, scores = report(hourly=HOURLY)
    assert list(found.horizons) == [1, 4]
    assert scores.value("cell_days", facet=HORIZON, group="1") == 2 * 2 * 30 * 36
    assert found.horizons[1].best_baseline == "climatology"
    assert "self_exciting" in scores.models(HORIZON, "4")
    assert scores.value("gain_nats_per_positive", "climatology", HORIZON, "1") == 0
    assert scores.gain("climatology", "next_hours", HORIZON, "4").low > 0
    # Ten weeks of two folds are too few for a verdict, whatever the gain.
    assert found.horizons[4].served == "climatology"


def test_next_minutes_are_scored_by_their_length_and_stand_on_the_card():
    tables = {first: _minutes(first) for first in FOLDS}
    found, scores = report(minutes=tables)
    assert scores.groups(MINUTES) == ["15", "60"]
    assert scores.gain(EVENLY, NEXT_MINUTES, MINUTES, "60").low > 0
    gain = scores.gain(EVENLY, NEXT_MINUTES, MINUTES, "15").text()
    assert f"Next 15 minutes, gain over the hour's forecast spread evenly: {NEXT_MINUTES} {gain}." in model_card(
        found, scores, CITY
    )


def _minutes(first: date) -> pa.Table:
    part = hourly(first, 1)
    lengths = np.where(part["horizon"].to_numpy() == 1, 15, 60).astype(np.int8)
    part = part.rename_columns({"climatology": EVENLY, "next_hours": NEXT_MINUTES})
    part = part.select([*KEY_COLUMNS, EVENLY, NEXT_MINUTES]).drop_columns("horizon")
    return part.append_column("horizon", pa.array(lengths))


CARD = model_card(REPORT, SCORES, CITY)


def test_the_card_states_the_numbers_of_the_report():
    flags = flagged_shares(POOLED["residual_boosting"].to_numpy(), POOLED["date"].to_numpy())[5]
    precision = (flags @ POOLED["observed"].to_numpy()) / flags.sum()
    assert f"**{10 - 10 * precision:.1f} of ten flagged cells see nothing** (precision {precision:.1%})" in CARD
    assert "Served: **residual_boosting**, the candidate.\n\n- residual_boosting is better than" in CARD
    assert "36 of 36 cells, estimated from the events before each cutoff" in CARD
    assert f"Base rate: {SCORES.value('base_rate'):.1%} ({REPORT.verdict.positives:,} of 6,516" in CARD
    assert SCORES.gain("historical_mean", "residual_boosting").text() in CARD
    assert f"Predicted / observed {SCORES.value('predicted_over_observed', 'residual_boosting'):.3f}" in CARD
    accuracy = f"{SCORES.value('base_rate'):.1%}"
    assert f"| always | 1 | {accuracy} | {accuracy} | {REPORT.verdict.positives:,} | 0 |" in CARD
    assert "\n| better | 100 |" in CARD  # a forecaster that does not serve
    assert f"\n| served | {SCORES.value('log_loss', 'served', 'counts'):.5f} |" in CARD
    assert f"city's number on {SCORES.value('within_80_city', 'served', 'counts'):.1%} of the days" in CARD
    for method in ("served", "year_reference"):
        assert f"\n| {method} | {SCORES.value('log_score_city', method, 'counts'):.3f} |" in CARD
    line = beside_the_report(SCORES, "residual_boosting", REPORT.days, "36")
    assert line in CARD
    for weight, odds in ((1, "1:1"), (10, "10:1"), (100, "100:1"), (0.01, "1:100")):
        served, never, always = (
            f"{SCORES.value(f'accuracy_{weight}', name):.1%}" for name in ("residual_boosting", "never", "always")
        )
        assert f"(weighted {served}; never {never}, always {always}) at {odds}" in line
    low = SCORES.rows["counts", "all", "served", "rps_city_gain_over_year_reference"].low
    assert f"({low:+.3f} to " in CARD
    assert f"{SCORES.value('miscalibration', 'residual_boosting'):.5f} miscalibration" in CARD
    assert CARD.endswith(NOT_FOR)
    assert "None" not in CARD
    assert "nan" not in CARD


def test_only_the_card_of_a_city_with_factors_states_their_gain():
    folds = {
        cutoff: table.append_column("without_factors", table["historical_mean"]) for cutoff, table in FOLDS.items()
    }
    found, scores = report(folds)
    gain = table_gain(POOLED, "residual_boosting", "historical_mean").text()
    assert scores.gain("without_factors", "residual_boosting").text() == gain
    card = model_card(found, scores, CITY.model_copy(update={"factors": {"main_roads": None}}))
    assert f"Contributing factors (main roads): residual_boosting gains {gain} over" in card
    assert "\n| without_factors |" in card
    assert "Contributing factors" not in CARD


def test_the_baseline_is_served_when_the_gate_fails():
    newest = fold_record(CITY, without={"gunshot_types": "No kinds of gunfire are shown, as they are not better."})
    card = model_card(
        *report(with_constant_candidate(), hourly=HOURLY, types={FIRST: types_table()}, newest=newest), CITY
    )
    assert "Served: **historical_mean**, the best baseline, as residual_boosting did not pass the gate." in card
    assert "| **historical_mean** (served) |" in card
    assert "Predicted / observed is" in card
    assert "\nNext 4 hours: next_hours is issued; it does not pass the gate. Gain over climatology" in card
    assert "\nType given an alert, gain over trailing_mix in nats per alert: knowing +0." in card
    assert " No kinds of gunfire are shown, as they are not better.\n" in card


def test_the_card_says_that_the_candidate_serves_without_passing():
    alarm = CITY.model_copy(update={"gate": "alarm"})
    card = model_card(*report(with_constant_candidate(), city=alarm), alarm)
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
    assert "**10.0 of ten flagged cells see nothing**" in model_card(found, scores, CITY)
