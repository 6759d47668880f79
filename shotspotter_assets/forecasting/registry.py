"""Every next-day forecaster by its name, in one place. Nothing heavy is imported before a model is fitted or loaded."""

from collections.abc import Callable
from typing import Any, Final

from shotspotter_assets.forecasting.ensemble import EnsembleForecaster
from shotspotter_assets.forecasting.forecaster import Forecaster
from shotspotter_assets.forecasting.gradient_boosting import GradientBoostingForecaster
from shotspotter_assets.forecasting.logistic_regression import LogisticRegressionForecaster
from shotspotter_assets.forecasting.means import ExponentialMeanForecaster, HistoricalMeanForecaster
from shotspotter_assets.forecasting.reference_network import ReferenceNetworkForecaster
from shotspotter_assets.forecasting.residual_network import (
    ConvMixerForecaster,
    ResidualConvLSTMForecaster,
    TransformerForecaster,
)
from shotspotter_assets.forecasting.simple_baselines import SIMPLE_BASELINES

BASELINES: Final[dict[str, Callable[[], Forecaster]]] = {
    **SIMPLE_BASELINES,
    "historical_mean": HistoricalMeanForecaster,
    "ewma": ExponentialMeanForecaster,
    "logistic_regression": LogisticRegressionForecaster,
    "gradient_boosting": GradientBoostingForecaster,
}
"""What every fold's report compares with; all are tuned on the validation window."""

FORECASTERS: Final[dict[str, Callable[..., Forecaster]]] = {
    **BASELINES,
    "conv_lstm": ReferenceNetworkForecaster,
    "residual_conv_lstm": ResidualConvLSTMForecaster,
    "conv_mixer": ConvMixerForecaster,
    "transformer": TransformerForecaster,
    "ensemble": EnsembleForecaster,
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
