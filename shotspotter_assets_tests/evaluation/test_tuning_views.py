from io import BytesIO

import numpy as np
import optuna
import pytest
from matplotlib.image import imread
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from shotspotter_assets.evaluation.tuning_views import in_words, trial_rows, trials_json, tuning_pictures

SPACE = {"leaves": IntDistribution(3, 63), "l2": FloatDistribution(1.0, 1000.0)}


def study_of(trials: int, epochs: int = 0) -> optuna.Study:
    """Every fifth trial is pruned."""
    random, study = np.random.default_rng(0), optuna.create_study()
    for at in range(trials):
        params = {"leaves": int(random.integers(3, 64)), "l2": float(random.uniform(1, 1000))}
        is_pruned = at % 5 == 4
        trial = create_trial(
            state=TrialState.PRUNED if is_pruned else TrialState.COMPLETE,
            value=None if is_pruned else 0.1 + 1e-4 * abs(params["leaves"] - 15),
            params=params,
            distributions=SPACE,
            intermediate_values={epoch: 1 / epoch for epoch in range(1, epochs + 1)},
        )
        study.add_trial(trial)
    return study


def test_rows_are_the_best_trials() -> None:
    rows = trial_rows(study_of(20))
    assert len(rows) == 10
    assert [row["log loss"] for row in rows] == sorted(row["log loss"] for row in rows)
    assert in_words({"path_smooth": 1307.735, "goss": False}) == "path_smooth 1310, goss False"
    assert in_words({}) == "as they were"


def test_trials_are_stored_with_their_values() -> None:
    assert b'"params_leaves"' in trials_json(study_of(3))


@pytest.mark.parametrize(
    ("study", "names"),
    [
        (study_of(1), {"history"}),
        (study_of(5, epochs=3), {"history", "parallel_coordinates", "learning_curves"}),
        (study_of(30), {"history", "importance", "parallel_coordinates"}),
    ],
)
def test_pictures_of_few_and_of_many_trials(study: optuna.Study, names: set[str]) -> None:
    pictures = tuning_pictures(study)
    assert set(pictures) == names
    for png in pictures.values():
        drawn = imread(BytesIO(png))
        assert len(np.unique(drawn.reshape(-1, drawn.shape[-1]), axis=0)) > 20
