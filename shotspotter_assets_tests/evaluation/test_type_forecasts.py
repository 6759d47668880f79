import numpy as np
import pytest

from shotspotter_assets.evaluation.score_rows import TYPES, ScoreTable, type_rows
from shotspotter_assets.evaluation.type_forecasts import shown_types, type_forecasts
from shotspotter_assets.models.gunshot_types import GunshotTypes
from shotspotter_assets.models.trained_models import TrainedModels
from shotspotter_assets_tests.evaluation.test_score_rows import table
from shotspotter_assets_tests.models.hours import COVERED, TEST, TRAIN, VALIDATION, counts, history, stored


def test_types_of_the_alerts_that_came() -> None:
    types = GunshotTypes.fit(history(), TRAIN, VALIDATION)
    models = TrainedModels(next_day={}, counts=None, hourly={}, types=types)
    forecasts = type_forecasts(models, history(), stored(counts()).daily(COVERED), TEST)
    assert len(forecasts) == counts()[TEST.start : TEST.stop, :3][:, :, COVERED].sum()
    for name in ("type_regression", "trailing_mix"):
        total = sum(forecasts[f"{name}_{code}"].to_numpy() for code in range(3))
        np.testing.assert_allclose(total, 1)
    # Types differ by place, which the recent mix of the whole city does not know.
    assert ScoreTable(type_rows([forecasts])).gain("trailing_mix", "type_regression", TYPES).low > 0


@pytest.mark.parametrize("days", [91, 70])
def test_types_are_shown_if_enough_weeks_show_them_to_be_better(days: int) -> None:
    validated = table(days=days)
    shown, why = shown_types(validated)
    assert shown == ("knowing" if days == 91 else None)
    assert why.endswith(f"nats per alert over the mix of the last 90 days, from {days // 7} weeks of validation.")
    swapped = {f"{name}_{code}": f"{other}_{code}" for code in range(3) for name, other in
               (("knowing", "trailing_mix"), ("trailing_mix", "knowing"))}  # fmt: skip
    worse = validated.rename_columns([swapped.get(name, name) for name in validated.column_names])
    assert shown_types(worse)[0] is None
    assert "the best forecast, knowing, is not shown to be better: -0." in shown_types(worse)[1]
