import numpy as np

from shotspotter_assets.evaluation.evaluated_fold import EvaluatedFold
from shotspotter_assets.models.history import History
from shotspotter_assets_tests.evaluation.cities import (
    COVERED,
    FIRST_DAY,
    TEST,
    TRAIN,
    VALIDATION,
    counts,
    fold_record,
    made_up_city,
)


def test_a_fold_is_tested_on_the_days_from_its_cutoff_on():
    fold = EvaluatedFold(fold_record(made_up_city()), History(made_up_city(), FIRST_DAY, counts(), COVERED))
    assert fold.windows == (TRAIN, VALIDATION, TEST)
    assert fold.test_days[0] == np.datetime64(fold.record.fold)
    assert (fold.observed == (fold.alerts[:, COVERED] > 0)).all()
    assert len(fold.observed) == len(fold.test_days) == len(TEST)
