import tracemalloc
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from scipy.special import expit

from shotspotter_assets.models.forecaster import SharedStart
from shotspotter_assets.models.next_day import daily_inputs, shared_regression
from shotspotter_assets.models.next_day.daily_inputs import names_of_inputs
from shotspotter_assets.models.next_day.shared_regression import (
    MIN_POSITIVES,
    SharedModels,
    SharedRegression,
    SharedRows,
    fit_shared,
    fit_shrunk_regression,
    package_models,
    package_start,
    required_inputs,
)
from shotspotter_assets_tests.models.histories import CITY, FIRST_DAY, changed, history, silent

CUT = 200
CUTOFF = date.fromordinal(FIRST_DAY.toordinal() + CUT)


def rows_of(seed: int) -> SharedRows:
    return SharedRows.of(history(seed=seed).through(CUT))


@pytest.fixture(scope="module")
def three() -> SharedModels:
    return fit_shared({name: rows_of(seed) for seed, name in enumerate(("a", "b", "c"))}, CUTOFF)


def test_noise_from_the_cutoff_on_changes_nothing(three):
    noisy = {name: SharedRows.of(changed(history(seed=seed), CUT).through(CUT)) for seed, name in enumerate("abc")}
    assert fit_shared(noisy, CUTOFF) == three


def test_later_rows_are_refused(three):
    with pytest.raises(ValueError, match=rf"a: .*{CUTOFF}"):
        fit_shared({"a": SharedRows.of(history().through(CUT + 1))}, CUTOFF)


def test_a_city_starts_at_what_the_others_have_in_common(three):
    others = fit_shared({"a": rows_of(0), "c": rows_of(2)}, CUTOFF)
    start = three.start_of("b", "all-cities")
    inputs = rows_of(5).inputs

    def log_odds(regression: SharedRegression | SharedStart) -> np.ndarray:
        return inputs @ np.array(list(regression.slopes.values())) + regression.intercept

    # Up to the scale of the inputs, which is that of all three.
    off = [np.abs(log_odds(start) - log_odds(one)).mean() for one in (others.everyone, three.everyone)]
    assert off[0] < off[1] / 2
    assert three.start_of("b", "all-cities").origin == f"all-cities|{CUTOFF}"
    # One that takes no part, at all of them; one that is alone has nobody to start at.
    assert three.start_of("new_city", "all-cities").slopes == three.everyone.slopes
    assert fit_shared({"a": rows_of(0)}, CUTOFF).start_of("a", "all-cities") is None


def test_its_file_has_a_number_for_each_input_whatever_the_number_of_rows(three):
    assert SharedModels.model_validate_json(three.model_dump_json()) == three
    inputs = required_inputs(names_of_inputs(CITY))
    for regression in (three.everyone, *three.without.values()):
        assert list(regression.slopes) == inputs
    longer = fit_shared({name: SharedRows.of(history(seed=seed)) for seed, name in enumerate("abc")}, date(2022, 6, 1))
    assert abs(len(longer.model_dump_json()) - len(three.model_dump_json())) < 200


def test_a_city_with_few_alerts_takes_no_part(three):
    few = rows_of(3)
    few = replace(few, observed=few.observed & (np.cumsum(few.observed) < MIN_POSITIVES))
    models = fit_shared({"a": rows_of(0), "few": few, "none": SharedRows.of(silent().through(CUT))}, CUTOFF)
    assert models.cities == ["a"]
    why = f"It has fewer than {MIN_POSITIVES} cell-days with alerts."
    assert models.left_out["few"] == models.left_out["none"] == why
    assert fit_shared({}, CUTOFF).start_of("a", "all-cities") is None


def test_the_models_of_the_package_know_the_inputs_of_this_version():
    """When inputs change: `python benchmarks/shared_model.py --write`."""
    inputs = required_inputs(names_of_inputs(CITY))
    for models in package_models():
        assert list(models.everyone.slopes) == inputs
    cutoffs = [models.week for models in package_models()]
    assert cutoffs == sorted(set(cutoffs))


def test_the_models_of_the_package_are_those_that_could_be_known():
    first, second = package_models()[:2]
    assert package_start("new_city", date.fromordinal(first.week.toordinal() - 1)) is None
    assert package_start("new_city", first.week).origin == f"package|{first.week}"
    assert package_start("new_city", date.fromordinal(second.week.toordinal() - 1)).origin == f"package|{first.week}"
    assert package_start("new_city", date(2100, 1, 1)).origin == f"package|{package_models()[-1].week}"


def test_the_regression_of_all_cities_takes_a_draw_of_a_fine_grid_too(monkeypatch):
    past = history().through(200)
    whole = SharedRows.of(history().through(200))
    for module in (daily_inputs, shared_regression):
        monkeypatch.setattr(module, "MAX_FIT_ROWS", len(whole.observed) // 3)
    fewer = SharedRows.of(past)
    assert fewer.names == whole.names
    assert fewer.observed.sum() == whole.observed.sum()
    assert len(fewer.observed) < len(whole.observed)
    assert fewer.sample_weight.sum() == pytest.approx(whole.sample_weight.sum(), rel=0.15)
    assert len(SharedRows.of(history().through(5), first=10).observed) == 0


RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(50_000, 12))
LABELS = RANDOM.random(50_000) < expit(ROWS[:, :3] @ [1.0, -0.5, 0.0] - 2)
PRIOR = np.linspace(-0.2, 0.4, 12)
COUNTED = RANDOM.integers(1, 4, 20_000).astype(float)


@pytest.mark.parametrize("inverse_penalty", [1e-4, np.logspace(-9, 3, 12)], ids=["for all", "for each"])
@pytest.mark.parametrize("counted", [None, COUNTED], ids=["once", "often"])
@pytest.mark.parametrize("start", [None, np.full(13, 0.5)], ids=["at the prior", "elsewhere"])
def test_weights_are_those_of_newtons_method(inverse_penalty, counted, start):
    rows = ROWS[:20_000]
    labels = LABELS[:20_000]
    weights, intercept = fit_shrunk_regression(rows, labels, PRIOR, inverse_penalty, counted, start)
    number = np.ones(len(rows)) if counted is None else counted
    design = np.column_stack([rows, np.ones(len(rows))])
    penalty = np.append(np.broadcast_to(1 / np.asarray(inverse_penalty), 12), 0.0)
    found = prior = np.append(PRIOR, 0.0)
    for _ in range(20):
        p = expit(design @ found)
        slope = design.T @ (number * (p - labels)) + penalty * (found - prior)
        found = found - np.linalg.solve((design.T * (number * p * (1 - p))) @ design + np.diag(penalty), slope)
    np.testing.assert_allclose([*weights, intercept], found, rtol=0, atol=1e-7)


def test_many_rows_are_not_copied():
    tracemalloc.start()
    fit_shrunk_regression(ROWS, LABELS, PRIOR, 1e-4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # One block, and a few numbers a row.
    assert peak < ROWS.nbytes
