"""Logistic regression and gradient boosting on lag features, stored as text."""

import json

import pytest

from shotspotter_assets.models.forecaster import OtherInputsError
from shotspotter_assets.models.registry import forecaster
from shotspotter_assets_tests.models.histories import TEST, fitted, history


@pytest.mark.parametrize(
    ("name", "file", "feature"),
    [
        ("logistic_regression", "lines.json", b"occupied_7_days"),
        ("gradient_boosting", "gradient_boosting.txt", b"occupied_7_days"),
    ],
)
def test_a_model_of_other_features_is_refused(name, file, feature):
    files = fitted(name).files()
    assert feature in files[file]
    older = forecaster(name).load(files | {file: files[file].replace(feature, b"occupied_8_days")})
    with pytest.raises(OtherInputsError, match=f"stored {name} was fitted on other inputs"):
        older.predict(history(), TEST)


def test_files_are_text_that_anyone_can_read():
    lines = json.loads(fitted("logistic_regression").files()["lines.json"])
    assert len(lines["names"]) == len(lines["slopes"])
    assert fitted("gradient_boosting").files()["gradient_boosting.txt"].startswith(b"tree\n")
