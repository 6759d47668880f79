"""Small folds, beside the stored report of the same fold."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from shotspotter_assets.evaluation.forecasts_table import model_names, observed_of
from shotspotter_assets.explore.figures import reference_of, scores_of
from shotspotter_assets.explore.small_fold import STORED, SmallFold, beside_stored, train_small_fold
from shotspotter_assets.explore.stored import NEXT_DAY, fold_table, targets_of, with_target
from shotspotter_assets.models.registry import BASELINES
from shotspotter_assets.storage.errors import MissingPartitionsError
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import CITIES
from shotspotter_assets_tests.explore.conftest import CITY, FOLD, HORIZON, MODEL

TINY = CITIES[CITY]
ALL_DAYS = SmallFold(cutoff=FOLD, days=184, test_days=91, horizon=NEXT_DAY, model=MODEL, changes={})
SMALL = replace(ALL_DAYS, days=120, test_days=14)
HOURS = replace(SMALL, horizon=HORIZON, model="next_hours")


def test_on_all_days_it_forecasts_what_the_stored_report_has(explored: Store) -> None:
    lines: list[str] = []
    joined = beside_stored(explored, TINY, ALL_DAYS, train_small_fold(explored, TINY, ALL_DAYS, lines.append))
    assert joined is not None
    stored = fold_table(explored, TINY, FOLD, NEXT_DAY)
    assert stored is not None
    assert len(joined) == len(stored)
    for name in (MODEL, *BASELINES):
        np.testing.assert_allclose(joined[name].to_numpy(), joined[f"{STORED}{name}"].to_numpy(), rtol=1e-9)
    assert [line for line in lines if line.startswith("baseline")][
        -1
    ] == f"baseline {len(BASELINES)} of {len(BASELINES)}: {BASELINES[-1]}"
    models = scores_of(joined)["model"].tolist()
    assert set(models) == set(model_names(joined))
    assert models[-1] in {"never", f"{STORED}never"}


def test_a_smaller_one_is_compared_on_what_both_forecast(explored: Store) -> None:
    table = train_small_fold(explored, TINY, SMALL, print)
    joined = beside_stored(explored, TINY, SMALL, table)
    assert joined is not None
    assert len(np.unique(table["date"])) == 14
    assert 0 < len(joined) <= len(table)
    assert not np.allclose(joined[MODEL].to_numpy(), joined[f"{STORED}{MODEL}"].to_numpy())
    elsewhere = replace(SMALL, cutoff=FOLD.replace(month=3))
    assert beside_stored(explored, TINY, elsewhere, table) is None


def test_hours_are_those_of_the_stored_report_too(explored: Store) -> None:
    fold = replace(HOURS, days=184, test_days=91)
    joined = beside_stored(explored, TINY, fold, train_small_fold(explored, TINY, fold, print))
    assert joined is not None
    assert {"next_hours", "climatology", f"{STORED}next_hours"} <= {*joined.column_names}
    np.testing.assert_allclose(joined["next_hours"].to_numpy(), joined[f"{STORED}next_hours"].to_numpy(), rtol=1e-6)
    assert reference_of(joined) == "climatology"
    # It does not forecast six hours.
    assert "self_exciting" not in joined.column_names


def test_another_target_is_one_type_and_nothing_else(explored: Store) -> None:
    city = with_target(TINY, targets_of(TINY)["multiple gunshots"])
    table = train_small_fold(explored, city, SMALL, print)
    of_all = train_small_fold(explored, TINY, SMALL, print)
    assert 0 < observed_of(table).sum() < observed_of(of_all).sum()


def test_changed_settings_change_the_forecast(explored: Store) -> None:
    before, after = (
        train_small_fold(explored, TINY, each, print)[MODEL].to_numpy()
        for each in (SMALL, replace(SMALL, changes={"shared_variance": 1e-8}))
    )
    assert not np.allclose(before, after)


def test_what_cannot_be_trained_is_refused(explored: Store) -> None:
    with pytest.raises(ValidationError, match="inverse_penalties"):
        train_small_fold(explored, TINY, replace(SMALL, changes={"inverse_penalties": []}), print)
    with pytest.raises(MissingPartitionsError, match="2024-04-01"):
        train_small_fold(explored, TINY, replace(SMALL, cutoff=FOLD.replace(month=3, day=30)), print)
    with pytest.raises(ValueError, match="days before the cutoff"):
        train_small_fold(explored, TINY, replace(SMALL, days=1), print)
