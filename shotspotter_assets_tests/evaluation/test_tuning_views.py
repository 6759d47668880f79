from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

from shotspotter_assets.evaluation.tuning_views import importance, in_words, trial_rows, tuning_pictures
from shotspotter_assets.models.tuning.search import next_values
from shotspotter_assets.models.tuning.trials import Trial
from shotspotter_assets_tests.models.tuning.tasks import task_of

TASK = task_of("residual_boosting")


def trials(number: int) -> list[Trial]:
    """The loss follows from the leaves alone; every fifth trial was stopped."""
    made: list[Trial] = []
    for at in range(number):
        values = next_values(TASK, made, [], seed=0)
        loss = 0.1 + 1e-4 * abs(float(np.log(values.get("leaves", 7) / 15)))
        is_stopped = at > 0 and at % 5 == 0
        state = "stopped" if is_stopped else "complete"
        made.append(Trial(values=values, state=state, loss=None if is_stopped else loss, seconds=1.0))
    return made


def test_rows_are_the_best_trials_with_what_was_tried() -> None:
    finished = trials(20)
    rows = trial_rows(finished)
    assert [row["log loss"] for row in rows] == sorted(trial.loss for trial in finished if trial.loss is not None)[:10]
    first = finished[rows[0]["trial"] - 1]
    assert rows[0]["settings"].startswith(f"leaves {first.values['leaves']}, learning_rate ")
    assert in_words({}) == "as they were"
    assert in_words({"l2": 0.123456, "goss": False}) == "l2 0.123, goss False"
    assert in_words({"path_smooth": 1307.735, "learning_rate": 1e-5}) == "path_smooth 1310, learning_rate 1e-05"


def test_the_setting_that_decides_is_the_most_important_one() -> None:
    shares = importance(TASK, trials(40))
    assert max(shares, key=lambda name: shares[name]) == "leaves"
    assert shares["leaves"] > 0.5
    assert sum(shares.values()) == pytest.approx(1)
    # Of settings that are always searched.
    assert "row_share" not in shares
    assert importance(TASK, trials(6)) == {}


@pytest.mark.parametrize(
    ("number", "names"),
    [
        (1, {"history"}),
        (5, {"history", "parallel_coordinates"}),
        (30, {"history", "importance", "parallel_coordinates"}),
    ],
)
def test_pictures_of_few_and_of_many_trials(number: int, names: set[str]) -> None:
    pictures = tuning_pictures(TASK, trials(number))
    assert set(pictures) == names
    for png in pictures.values():
        drawn = imread(BytesIO(png))
        assert len(np.unique(drawn.reshape(-1, drawn.shape[-1]), axis=0)) > 20
