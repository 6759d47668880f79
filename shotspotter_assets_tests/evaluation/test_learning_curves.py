from io import BytesIO

import numpy as np
from matplotlib.image import imread

from shotspotter_assets.evaluation.learning_curves import epochs_table, learning_curves
from shotspotter_assets.models.tuning.trials import Trial

FINISHED = [
    Trial(values={}, state="complete", loss=0.2, epochs=[0.5, 0.3], seconds=1.0),
    Trial(values={"epochs": 8}, state="stopped", loss=None, epochs=[0.9], seconds=1.0),
    Trial(values={"epochs": 4}, state="complete", loss=0.1, epochs=[0.4, 0.2, 0.15], seconds=1.0),
]


def test_each_epoch_of_each_trial_is_a_row() -> None:
    rows = [tuple(row.values()) for row in epochs_table(FINISHED).to_pylist()]
    assert rows == [(1, 1, 0.5), (1, 2, 0.3), (2, 1, 0.9), (3, 1, 0.4), (3, 2, 0.2), (3, 3, 0.15)]
    without = [trial.model_copy(update={"epochs": []}) for trial in FINISHED]
    assert epochs_table(without).num_rows == 0


def test_curves_are_drawn() -> None:
    drawn = imread(BytesIO(learning_curves(FINISHED)))
    assert len(np.unique(drawn.reshape(-1, drawn.shape[-1]), axis=0)) > 20
