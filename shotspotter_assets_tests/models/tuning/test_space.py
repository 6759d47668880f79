import math
from typing import Any, ClassVar

import pytest

from shotspotter_assets.models.next_day.settings import ForecasterSettings
from shotspotter_assets.models.registry import FORECASTERS, TUNABLE, NotTunableError, UnknownForecasterError, tunable
from shotspotter_assets.models.tuning.space import (
    Categorical,
    Continuous,
    Integer,
    OnlyIf,
    SearchSpaceError,
    Space,
    as_settings,
    is_active,
    searched,
    values_of,
)


def settings_with(space: Space) -> type[ForecasterSettings]:
    class SomeSettings(ForecasterSettings):
        search: ClassVar[Space] = space

        share: float = 0.5
        bagged: bool = True

    return SomeSettings


@pytest.mark.parametrize(
    ("kind", "bounds", "says"),
    [
        (Continuous, (1.0, 1.0), "the lower one first, not 1.0 to 1.0"),
        (Continuous, (2.0, 1.0), "the lower one first"),
        (Continuous, (0.0, math.inf), "finite"),
        (Continuous, (math.nan, 1.0), "finite"),
        (Continuous, (0.0, 1.0, True), "above zero"),
        (Integer, (0, 8, True), "above zero"),
        (Integer, (1, 8, False, 2), "step of 2"),
        (Integer, (1, 9, True, 2), "along a logarithm"),
        (Categorical, ((1,),), "fewer than two"),
        (Categorical, ((1, 1),), "the same"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(kind: Any, bounds: Any, says: str) -> None:
    with pytest.raises(SearchSpaceError, match=says):
        kind(*bounds)


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({"shares": Continuous(0, 1)}, "SomeSettings, shares: there is no such setting; there are: share, bagged"),
        ({"bagged": Continuous(0, 7)}, "SomeSettings, bagged: 7 is refused"),
        ({"share": Continuous(0, 1, only_if=OnlyIf("bagged", value=True))}, "must name a categorical parameter"),
        (
            {"bagged": Categorical((False, True)), "share": Continuous(0, 1, only_if=OnlyIf("bagged", value="so"))},
            "one of its options",
        ),
        ({"share": Continuous(0, 1, as_list=True)}, "is refused"),
    ],
)
def test_a_space_that_the_settings_do_not_take_is_refused_when_it_is_declared(space: Space, says: str) -> None:
    with pytest.raises(SearchSpaceError, match=says):
        settings_with(space)


@pytest.mark.parametrize("name", TUNABLE)
@pytest.mark.parametrize("has_shared", [False, True])
def test_every_declared_space_holds_the_defaults(name: str, has_shared: bool) -> None:
    settings = FORECASTERS[name].settings
    space = searched(settings.search, has_shared)
    start = values_of(space, settings())
    # The regression tries two penalties by itself where there is no model of all cities.
    assert (start is None) == (name == "regime_regression" and not has_shared)
    assert space


def test_a_condition_takes_its_parameter_out() -> None:
    space = FORECASTERS["residual_boosting"].settings.search
    assert is_active(space["row_share"], {"goss": False})
    assert not is_active(space["row_share"], {"goss": True})
    values = values_of(space, FORECASTERS["residual_boosting"].settings(goss=True))
    assert values is not None
    assert "row_share" not in values


def test_settings_outside_of_the_space_are_no_point_of_it() -> None:
    settings = FORECASTERS["residual_boosting"].settings
    assert values_of(settings.search, settings(leaves=200)) is None
    assert values_of(settings.search, settings(max_trees=130)) is None


def test_the_regression_is_searched_by_what_it_uses() -> None:
    space = FORECASTERS["regime_regression"].settings.search
    assert list(searched(space, has_shared=False)) == ["inverse_penalties"]
    assert list(searched(space, has_shared=True)) == ["shared_variance"]
    assert as_settings(space, {"inverse_penalties": 0.1}) == {"inverse_penalties": [0.1]}


def test_a_forecaster_without_a_space_is_refused_by_name() -> None:
    with pytest.raises(UnknownForecasterError, match="no forecaster 'boosting'"):
        tunable("boosting")
    with pytest.raises(NotTunableError, match=r"stack has no settings .* choose among regime_regression"):
        tunable("stack")
    assert tunable("conv_lstm") == "conv_lstm"
