"""Every next-day forecaster by its name, in one place. Nothing heavy is imported before a model is fitted or loaded."""

from collections.abc import Callable
from typing import Any, Final

from shotspotter_assets.models.forecaster import Forecaster
from shotspotter_assets.models.next_day.baselines import STORED_BASELINES
from shotspotter_assets.models.next_day.conv_lstm import ReferenceNetworkForecaster
from shotspotter_assets.models.next_day.regime_regression import RegimeRegressionForecaster
from shotspotter_assets.models.next_day.residual_boosting import ResidualBoostingForecaster
from shotspotter_assets.models.next_day.residual_conv_lstm import ResidualConvLSTMForecaster

FORECASTERS: Final[dict[str, Callable[..., Forecaster]]] = {
    **STORED_BASELINES,
    "regime_regression": RegimeRegressionForecaster,
    "residual_boosting": ResidualBoostingForecaster,
    "residual_conv_lstm": ResidualConvLSTMForecaster,
    "conv_lstm": ReferenceNetworkForecaster,
}


class UnknownForecasterError(ValueError):
    """No forecaster has that name."""


def forecaster(name: str, **settings: Any) -> Forecaster:
    """The forecaster of a name, with settings of its constructor.

    Raises:
        UnknownForecasterError: see there.
    """
    if name not in FORECASTERS:
        raise UnknownForecasterError(f"There is no forecaster {name!r}; there are: {', '.join(FORECASTERS)}.")
    return FORECASTERS[name](**settings)
