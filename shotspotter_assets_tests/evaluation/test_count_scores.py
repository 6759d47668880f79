from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.evaluation.count_scores import (
    COUNTS,
    MEAN_OF_COUNTS,
    count_rows,
    count_tables,
    poisson_losses,
)
from shotspotter_assets.evaluation.fold_tables import FoldWindow, fold_counts
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.evaluation.score_rows import ScoreTable
from shotspotter_assets.models.alert_counts import AlertCounts, CountDistribution, short_interval
from shotspotter_assets.models.forecaster_registry import BASELINES
from shotspotter_assets.models.history import History
from shotspotter_assets.storage.catalogue import FOLD_COUNTS
from shotspotter_assets_tests.evaluation import cities

CITY = cities.square_city()
CELLS = int(cities.COVERED.sum())
DAYS = len(cities.TEST)


def test_numbers_are_scored_by_their_definitions() -> None:
    days = [date(2024, 1, 1) + timedelta(days=at // 2) for at in range(4)]
    values = [days, [0] * 4, [0, 1] * 2, [2, 0, 0, 1], [0.0] * 4, [1.0] * 4, [0.0, 0.0, 2.0, 2.0], [3.0] * 4]
    without_distribution = [[None] * 4] * (len(FOLD_COUNTS.schema) - len(values))
    table = pa.table([*values, *without_distribution], schema=FOLD_COUNTS.schema)
    for name, expected in ((SERVED, [1.5, 0.1, 0.1, 0.5]), (MEAN_OF_COUNTS, [1.0, 0.5, 1.0, 0.5])):
        table = table.append_column(name, pa.array(expected))
    scores = ScoreTable(count_rows(table))
    losses = [1.5 - 2 * np.log(1.5) + np.log(2), 0.1, 0.1, 0.5 - np.log(0.5)]
    assert scores.value("log_loss", SERVED, COUNTS) == pytest.approx(np.mean(losses))
    assert scores.value("rmse", SERVED, COUNTS) == pytest.approx(np.sqrt((0.25 + 0.01 + 0.01 + 0.25) / 4))
    assert scores.value("mae", SERVED, COUNTS) == pytest.approx(0.3)
    assert scores.value("expected_over_observed", SERVED, COUNTS) == pytest.approx(2.2 / 3)
    assert scores.value("within_80_cells", SERVED, COUNTS) == 0.75
    assert scores.value("within_80_city", SERVED, COUNTS) == 0.5
    gained = poisson_losses(np.array([1.0, 0.5, 1.0, 0.5]), np.array([2, 0, 0, 1])).mean() - np.mean(losses)
    assert scores.gain(MEAN_OF_COUNTS, SERVED, COUNTS).value == pytest.approx(gained)
    assert [row["numbers by"] for row in count_tables(scores)["numbers"]] == [SERVED, MEAN_OF_COUNTS]


def test_a_fold_has_numbers_of_the_served_forecast_and_baselines() -> None:
    history = History(CITY, cities.FIRST_DAY, cities.counts(), cities.COVERED)
    before = history.through(cities.TEST.start)
    validated = np.full((len(cities.VALIDATION), CELLS), 0.05)
    counts = AlertCounts.of_days(before, cities.TRAIN, cities.VALIDATION, validated)
    probability = {name: np.full((DAYS, CELLS), 0.05) for name in BASELINES} | {"network": np.full((DAYS, CELLS), 0.2)}
    table = fold_counts(counts, FoldWindow.of(cities.fold_record(CITY, served="network"), history), probability)
    assert len(table) == DAYS * CELLS
    assert {SERVED, MEAN_OF_COUNTS, *BASELINES} == {*table.column_names} - {*FOLD_COUNTS.schema.names}
    alerts = history.alerts[:, cities.COVERED]
    np.testing.assert_array_equal(table["alerts"].to_numpy(), alerts[cities.TEST.start :].ravel())
    np.testing.assert_allclose(table[MEAN_OF_COUNTS].to_numpy()[:CELLS], alerts[: cities.TEST.start].mean(axis=0))
    assert (table[SERVED].to_numpy() >= 0.2).all()
    served = CountDistribution.of_forecast(table.rename_columns({SERVED: "expected"}))
    np.testing.assert_allclose(served.probability, 0.2)
    first_day = served.of_cells(np.arange(CELLS)).total(table["factor_variance"][0].as_py())
    assert short_interval(first_day) == (table["total_low"][0].as_py(), table["total_high"][0].as_py())
    year = alerts.sum(axis=1)[: cities.TEST.start]
    assert table["year_mean"][0].as_py() == pytest.approx(year.mean())
    assert table["year_size"].null_count == 0
    expected = counts.distribution(probability["ewma"], np.zeros((DAYS, 1), bool), counts.log_m(history, cities.TEST))
    np.testing.assert_allclose(table["ewma"].to_numpy(), expected.expected.ravel())
