"""The blend of gradient boosting and a network; each day's inputs are made once for both.

Both start at the logistic regression's log odds, so it has its say through them: as a third member it was no gain on the
tuning city.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final

from scipy.special import expit

from shotspotter_assets.forecasting.calibration import Blend, fit_blend
from shotspotter_assets.forecasting.forecaster import Array, through
from shotspotter_assets.forecasting.gradient_boosting import (
    FittedGradientBoosting,
    GradientBoostingForecaster,
    fit_on_linear,
)
from shotspotter_assets.forecasting.history import History
from shotspotter_assets.forecasting.inputs import next_day_inputs
from shotspotter_assets.forecasting.logistic_regression import days_to_judge, fit_on_inputs, with_firework_days
from shotspotter_assets.forecasting.probability import clip_probability, log_losses
from shotspotter_assets.forecasting.residual_network import FittedResidualNetwork, ResidualConvLSTMForecaster

SETTINGS_FILE: Final = "ensemble.json"


@dataclass(frozen=True)
class FittedEnsemble:
    """See `Fitted`."""

    boosting: FittedGradientBoosting
    network: FittedResidualNetwork
    blend: Blend
    settings: dict[str, Any]
    validation_probability: Array | None = None

    def members(self, history: History, days: range) -> dict[str, Array]:
        """Ordinary forecasts of the members by name, each (days, cells)."""
        inputs = next_day_inputs(history, days)
        return {
            "gradient_boosting": clip_probability(expit(self.boosting.logit(inputs))),
            "residual_conv_lstm": clip_probability(expit(self.network.logit(history, days, inputs))),
        }

    def predict(self, history: History, days: range) -> Array:
        """See `Fitted.predict`."""
        ordinary = self.blend.probability(list(self.members(history, days).values()))
        return clip_probability(with_firework_days(history, days, ordinary, self.boosting.linear))

    def files(self) -> dict[str, bytes]:
        """See `Fitted.files`."""
        settings = json.dumps({"blend": asdict(self.blend), "settings": self.settings}).encode()
        return {**self.boosting.files(), **self.network.files(), SETTINGS_FILE: settings}


class EnsembleForecaster:
    """Members fitted on the training window are weighed on the validation window; forecasts come from their refits."""

    name: ClassVar[str] = "ensemble"

    def __init__(self, **of_network: Any) -> None:
        """Settings of the network, see `ResidualConvLSTMForecaster`."""
        self.network = ResidualConvLSTMForecaster(**of_network)

    def fit(
        self, history: History, train: range, validation: range, start: FittedEnsemble | None = None
    ) -> FittedEnsemble:
        """See `Forecaster.fit`."""
        history = through(history, validation.stop)
        inputs = next_day_inputs(history, range(validation.stop))
        windows = (history, inputs, train, validation)
        linear = fit_on_inputs(*windows)
        boosting = fit_on_linear(*windows, *linear)
        network = self.network.fit_on_linear(*windows, *linear, None if start is None else start.network)
        judged = days_to_judge(history, validation)
        of_validation = [of.validation_probability for of in (boosting, network)]
        members = [of[judged - validation.start] for of in of_validation if of is not None]
        blend = fit_blend(members, history.observed[judged])
        loss = log_losses(blend.probability(members), history.observed[judged]).mean()
        settings = {
            "weights": dict(zip(("gradient_boosting", "residual_conv_lstm"), blend.weights, strict=True)),
            "shift": blend.shift,
            "validation_log_loss": float(loss),
            "logistic_regression": linear[1].settings,
            "gradient_boosting": boosting.settings,
            "residual_conv_lstm": network.settings,
        }
        window = blend.probability([of for of in of_validation if of is not None])
        probability = clip_probability(with_firework_days(history, validation, window, linear[0]))
        return FittedEnsemble(boosting, network, blend, settings, probability)

    def load(self, files: Mapping[str, bytes]) -> FittedEnsemble:
        """See `Forecaster.load`."""
        content = json.loads(files[SETTINGS_FILE])
        blend = Blend(**content["blend"] | {"weights": tuple(content["blend"]["weights"])})
        network = ResidualConvLSTMForecaster().load(files)
        return FittedEnsemble(GradientBoostingForecaster().load(files), network, blend, content["settings"])
