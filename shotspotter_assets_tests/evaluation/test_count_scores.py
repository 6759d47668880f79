from datetime import date, timedelta
from itertools import count, islice

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import nbinom

from shotspotter_assets.evaluation.count_scores import (
    COUNTS,
    LEVELS,
    MEAN_OF_COUNTS,
    PIT_BINS,
    YEAR,
    central_coverage,
    city_losses,
    city_totals,
    count_rows,
    count_tables,
    counts_table,
    distribution_rows,
    log_scores,
    pit_cdf,
    pit_histogram,
    pit_slope,
    poisson_losses,
    ranked_probability_scores,
    stored_distributions,
    weighted_interval_scores,
)
from shotspotter_assets.evaluation.fold_tables import FoldWindow, fold_counts
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.evaluation.score_rows import ALL, ScoreTable
from shotspotter_assets.models.alert_counts import AlertCounts, CountDistribution, negative_binomial, short_interval
from shotspotter_assets.models.forecaster_registry import BASELINES
from shotspotter_assets.models.history import History
from shotspotter_assets.storage.catalogue import FOLD_COUNTS
from shotspotter_assets_tests.evaluation import cities
from shotspotter_assets_tests.evaluation.forecasts import days_from

CITY = cities.square_city()
COVERED_CELLS = int(cities.COVERED.sum())
TEST_DAYS = len(cities.TEST)


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
    validated = np.full((len(cities.VALIDATION), COVERED_CELLS), 0.05)
    counts = AlertCounts.of_days(before, cities.TRAIN, cities.VALIDATION, validated)
    probability = {name: np.full((TEST_DAYS, COVERED_CELLS), 0.05) for name in BASELINES} | {
        "network": np.full((TEST_DAYS, COVERED_CELLS), 0.2)
    }
    table = fold_counts(counts, FoldWindow.of(cities.fold_record(CITY, served="network"), history), probability)
    assert len(table) == TEST_DAYS * COVERED_CELLS
    assert {SERVED, MEAN_OF_COUNTS, *BASELINES} == {*table.column_names} - {*FOLD_COUNTS.schema.names}
    alerts = history.alerts[:, cities.COVERED]
    np.testing.assert_array_equal(table["alerts"].to_numpy(), alerts[cities.TEST.start :].ravel())
    np.testing.assert_allclose(
        table[MEAN_OF_COUNTS].to_numpy()[:COVERED_CELLS], alerts[: cities.TEST.start].mean(axis=0)
    )
    assert (table[SERVED].to_numpy() >= 0.2).all()
    served = CountDistribution.of_forecast(table.rename_columns({SERVED: "expected"}))
    np.testing.assert_allclose(served.probability, 0.2)
    first_day = served.of_cells(np.arange(COVERED_CELLS)).total(table["factor_variance"][0].as_py())
    assert short_interval(first_day) == (table["total_low"][0].as_py(), table["total_high"][0].as_py())
    year = alerts.sum(axis=1)[: cities.TEST.start]
    assert table["year_mean"][0].as_py() == pytest.approx(year.mean())
    assert table["year_size"].null_count == 0
    expected = counts.distribution(
        probability["ewma"], np.zeros((TEST_DAYS, 1), bool), counts.log_m(history, cities.TEST)
    )
    np.testing.assert_allclose(table["ewma"].to_numpy(), expected.expected.ravel())


DAYS = 140
CELLS = 12
FACTOR_VARIANCE = 0.3


def numbers(first: date = date(2024, 1, 1), seed: int = 0, level: float = 1.0) -> tuple[pa.Table, CountDistribution]:
    """Numbers of bursts whose cells share a factor, as forecast; a year's mean knows neither cells nor loud days."""
    random = np.random.default_rng(seed)
    loud = random.gamma(2.0, 0.5, (DAYS, 1))
    probability = np.clip(loud * np.linspace(0.05, 0.4, CELLS), 0.01, 0.9)
    forecast = CountDistribution(probability, np.full(probability.shape, 0.6), np.full(probability.shape, 2.0))
    shared = random.gamma(1 / FACTOR_VARIANCE, FACTOR_VARIANCE, (DAYS, 1))
    bursts = random.random(probability.shape) < np.clip(level * probability * shared, 0, 1)
    alerts = bursts * (1 + random.negative_binomial(2.0, 2 / 2.6, probability.shape))
    mean = forecast.expected.sum(axis=1).mean()
    columns = {
        "date": days_from(first, alerts)[:, None],
        "row": 0,
        "column": np.arange(CELLS),
        "alerts": alerts,
        "total_low": 0.0,
        "total_high": 9.0,
        "factor_variance": FACTOR_VARIANCE,
        "year_mean": mean,
        "year_size": 3.0,
        "mean_of_counts": forecast.expected.mean(axis=0),
    }
    return counts_table(forecast, columns), forecast


def test_totals_of_a_table_are_those_of_its_distribution() -> None:
    table, forecast = numbers()
    totals = city_totals(*stored_distributions(table))
    np.testing.assert_array_equal(totals.number, table["alerts"].to_numpy().reshape(DAYS, CELLS).sum(axis=1))
    expected = forecast.total(FACTOR_VARIANCE)
    np.testing.assert_allclose(totals.forecasts[SERVED].pmf(totals.number), expected.pmf(totals.number))
    assert totals.forecasts[YEAR].var() == pytest.approx(
        totals.forecasts[YEAR].mean() * (1 + totals.forecasts[YEAR].mean() / 3)
    )


def test_a_distribution_of_the_day_gains_over_that_of_a_year() -> None:
    table, forecast = numbers()
    rows = distribution_rows(table)
    totals = city_totals(*stored_distributions(table))
    losses = {name: city_losses(total, totals.number) for name, total in totals.forecasts.items()}
    for score in ("log_score", "rps"):
        gain = rows[COUNTS, ALL, SERVED, f"{score}_city_gain_over_{YEAR}"]
        assert gain.value == pytest.approx((losses[YEAR][score] - losses[SERVED][score]).mean())
        assert 0 < (gain.low or 0) < (gain.value or 0) < (gain.high or 0)
    served = {key[3]: row.value for key, row in rows.items() if key[2] == SERVED}
    number = table["alerts"].to_numpy()
    assert served["log_score_cells"] == pytest.approx(-np.log(forecast.pmf(number.reshape(DAYS, CELLS))).mean())
    assert served["coverage_50_city"] == pytest.approx(0.5, abs=0.1)
    assert served["coverage_95_city"] == pytest.approx(0.95, abs=0.05)
    assert sum(served[f"pit_{tenth}_city"] or 0 for tenth in range(1, 11)) == pytest.approx(1)
    assert (served["pit_p_city"] or 0) > 0.05


def test_a_wrong_level_shows_in_the_pit() -> None:
    rows = distribution_rows(numbers(level=0.6)[0])
    assert (rows[COUNTS, ALL, SERVED, "pit_slope_city"].value or 0) < -0.3
    assert (rows[COUNTS, ALL, SERVED, "pit_p_city"].value or 1) < 0.01


def test_losses_follow_the_distribution() -> None:
    totals = city_totals(*stored_distributions(numbers()[0]))
    losses = city_losses(totals.forecasts[YEAR], totals.number)
    at_most = np.stack([totals.forecasts[YEAR].cdf(k) for k, _ in zip(count(), range(400), strict=False)])
    expected = ((at_most - (totals.number <= np.arange(400)[:, None])) ** 2).sum(axis=0)
    np.testing.assert_allclose(losses["rps"], expected, rtol=1e-5)
    # Seven quantiles come near the integral over all of them.
    assert losses["wis"].mean() == pytest.approx(losses["rps"].mean(), rel=0.3)


def test_a_day_without_a_yearly_reference_is_left_out() -> None:
    of_day = np.where(np.arange(3) > 0, 2.0, np.nan)[:, None]
    cells = CountDistribution(*np.full((3, 3, 2), 0.5))
    columns = {"date": days_from(date(2024, 1, 1), np.zeros((3, 2)))[:, None], "row": 0, "column": np.arange(2)}
    numbers_of_days = {"alerts": 1, "total_low": 0.0, "total_high": 2.0, "factor_variance": 0.1}
    years = {"year_mean": of_day, "year_size": of_day}
    stored, _ = stored_distributions(counts_table(cells, columns | numbers_of_days | years))
    assert stored["date"].to_pylist() == [date(2024, 1, 2)] * 2 + [date(2024, 1, 3)] * 2


RANDOM = np.random.default_rng(0)
MEAN = RANDOM.gamma(2.0, 4.0, 200)
SIZE = RANDOM.uniform(0.4, 30.0, 200)
TOTAL = negative_binomial(MEAN, SIZE)
NUMBER = TOTAL.rvs(random_state=1)
NUMBER[0] = 300  # far beyond the forecast
WEEK = np.arange(200) // 7


def test_a_negative_binomial_has_the_scores_of_scoringrules() -> None:
    import scoringrules

    share = SIZE / (SIZE + MEAN)
    usual = (SIZE > 1) & (NUMBER < 100)  # scoringrules 0.10 returns infinity for others
    expected = scoringrules.logs_negbinom(NUMBER[usual], SIZE[usual], share[usual])
    np.testing.assert_allclose(log_scores(TOTAL.pmf(NUMBER))[usual], expected, rtol=1e-6)
    assert log_scores(TOTAL.pmf(NUMBER))[0] == pytest.approx(-TOTAL.logpmf(NUMBER)[0])
    expected = scoringrules.crps_negbinom(NUMBER, SIZE, share)
    scores = ranked_probability_scores((TOTAL.cdf(number) for number in count()), NUMBER)
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_quantiles_have_the_interval_scores_of_scoringrules() -> None:
    """`weighted_interval_score` itself scores the median, not its distance, in scoringrules 0.10."""
    import scoringrules

    quantiles = np.stack([TOTAL.ppf(level) for level in LEVELS])
    expected = np.abs(NUMBER - quantiles[3]) / 2
    for low, high, level in zip(quantiles, quantiles[::-1], LEVELS[:3], strict=False):
        expected += level * scoringrules.interval_score(NUMBER, low, high, 2 * level)
    np.testing.assert_allclose(weighted_interval_scores(quantiles, NUMBER), expected / 3.5)


def test_cells_have_the_scores_of_their_probabilities() -> None:
    probability = np.array([0.003, 0.3, 0.95])
    further = np.array([0.1, 2.0, 9.0])
    size = np.array([5.0, 0.3, 2.0])
    cells = CountDistribution(probability, further, size)
    counts = np.arange(3_000)[:, None]
    chance = probability * nbinom.pmf(counts - 1, size, size / (size + further))
    chance[0] = 1 - probability
    at_most = chance.cumsum(axis=0)
    np.testing.assert_allclose(np.stack([*islice(cells.cumulative(), 3_000)]), at_most, atol=1e-12)
    for number in (np.array([0, 0, 0]), np.array([1, 0, 25])):
        np.testing.assert_allclose(cells.pmf(number), chance[number, range(3)])
        expected = ((at_most - (number <= counts)) ** 2).sum(axis=0)
        np.testing.assert_allclose(ranked_probability_scores(cells.cumulative(), number), expected, rtol=1e-6)


def test_the_pit_is_the_mean_of_randomised_ones() -> None:
    below = TOTAL.cdf(NUMBER - 1)
    at_most = TOTAL.cdf(NUMBER)
    drawn = below + RANDOM.random((2_000, 200)) * (at_most - below)
    expected = np.histogram(drawn, PIT_BINS, (0, 1))[0] / drawn.size
    np.testing.assert_allclose(pit_histogram(below, at_most), expected, atol=2e-3)
    for percent in (50, 80, 95):
        held = (np.abs(drawn - 0.5) <= percent / 200).mean()
        assert central_coverage(below, at_most, percent) == pytest.approx(held, abs=2e-3)
    assert pit_slope(below, at_most, WEEK)[0] == pytest.approx(12 * (drawn.mean() - 0.5), abs=5e-3)
    assert pit_cdf(below, at_most, 1.0) == 1


def test_coverage_is_exact_where_numbers_are_few() -> None:
    """Central intervals with whole ends would hold far more."""
    rare = negative_binomial(np.full(40_000, 0.2), 3.0)
    number = rare.rvs(random_state=2)
    for percent in (50, 80, 95):
        assert central_coverage(rare.cdf(number - 1), rare.cdf(number), percent) == pytest.approx(
            percent / 100, abs=5e-3
        )


def test_the_slope_is_rejected_as_often_as_its_test_says() -> None:
    """Days of one week share a level, so that a test of single days would reject far more often."""
    random = np.random.default_rng(3)
    week = np.repeat(np.arange(50), 7)
    rejected = 0
    for _ in range(400):
        pit = np.mod(random.random(50).repeat(7) + 0.1 * random.random(350), 1)
        rejected += (pit_slope(pit, pit, week)[1] or 1) < 0.05
    assert 8 <= rejected <= 34


def test_a_ranked_probability_score_of_an_undefined_distribution_ends() -> None:
    undefined = (np.array([np.nan, number]) for number in count())
    assert np.isnan(ranked_probability_scores(undefined, np.array([2, 0]))[0])


def test_silent_weeks_say_nothing_about_the_slope_of_the_pit() -> None:
    silent = np.linspace(0.998, 0.999, 91)  # probability of no alert
    slope, p = pit_slope(np.zeros(91), silent, np.arange(91) // 7)
    assert slope == pytest.approx(12 * (silent.mean() - 1) / 2)
    assert p is None
