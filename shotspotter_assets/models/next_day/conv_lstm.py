"""The reference network, unchanged, as a forecaster: its map of any alert, with the class weight undone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from shotspotter_assets.cities.city import UNKNOWN_TYPE_CODE, City
from shotspotter_assets.models.forecaster import NO_CONTEXT, Array, ChosenSettings, FitContext, validation_of
from shotspotter_assets.models.history import History
from shotspotter_assets.models.networks.config import NetworkConfig
from shotspotter_assets.models.probability import clip_probability

if TYPE_CHECKING:
    from shotspotter_assets.models.networks.quiet_keras import keras

MODEL_FILE: Final = "reference.keras"
SETTINGS_FILE: Final = "reference.json"


@dataclass(frozen=True)
class FittedReferenceNetwork:
    """See `Fitted`."""

    model: "keras.Model"
    config: NetworkConfig
    settings: ChosenSettings
    validation_probability: Array | None = None

    def predict(self, history: History, days: range) -> Array:
        return self.predict_maps(history, days)[..., 0]

    def predict_maps(self, history: History, days: range) -> Array:
        """Probability of each map, shape (days, cells, maps): any alert first, then the types by themselves.

        These are the gunshot types; of events the `forecast` ones, where there are several.
        """
        from shotspotter_assets.models.networks.fit import predict_network
        from shotspotter_assets.models.networks.losses import undo_class_weight

        raw = predict_network(self.model, _forecast_layers(history), days, self.config, history.lead)
        raw = raw[:, history.in_coverage].astype(np.float64)
        return clip_probability(undo_class_weight(raw, self.config.class_weight))

    def files(self) -> dict[str, bytes]:
        from shotspotter_assets.models.networks.quiet_keras import save_model

        content = {"config": self.config.model_dump(), "settings": self.settings}
        return {MODEL_FILE: save_model(self.model), SETTINGS_FILE: json.dumps(content).encode()}


class ReferenceNetworkForecaster:
    """See `networks.fit`; a killed training goes on from its backup."""

    name: ClassVar[str] = "conv_lstm"

    def __init__(self, settings: NetworkConfig) -> None:
        self.config = settings

    def fit(
        self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT
    ) -> FittedReferenceNetwork:
        from shotspotter_assets.models.networks.fit import fit_network

        history = history.through(validation.stop)
        trained = fit_network(
            _forecast_layers(history),
            history.in_coverage,
            train,
            validation,
            self.config,
            history.lead,
            own_maps(history.city),
            context.backups,
            context.log,
            context.after_epoch,
        )
        settings = {
            "best_epoch": trained.best_epoch,
            "resumed_from_epoch": trained.resumed_from_epoch,
            "history": trained.history,
            "seconds": trained.seconds,
        }
        fitted = FittedReferenceNetwork(trained.model, self.config, settings)
        return FittedReferenceNetwork(trained.model, self.config, settings, fitted.predict(history, validation))

    def validate(self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT) -> Array:
        """See `Tunable.validate`; it is fitted on the training window alone."""
        return validation_of(self.fit(history, train, validation, context))

    def load(self, files: Mapping[str, bytes]) -> FittedReferenceNetwork:
        from shotspotter_assets.models.networks.quiet_keras import load_model

        content = json.loads(files[SETTINGS_FILE])
        config = NetworkConfig.model_validate(content["config"])
        return FittedReferenceNetwork(load_model(files[MODEL_FILE]), config, content["settings"])


def own_maps(city: City) -> tuple[int, ...]:
    """Which of the types that a city forecasts have a map of their own: the known ones of several."""
    codes = city.forecast_codes
    return tuple(at for at, code in enumerate(codes) if code != UNKNOWN_TYPE_CODE) if len(codes) > 1 else ()


def _forecast_layers(history: History) -> np.ndarray:
    """Counts of the types that are forecast, shape (days, types, rows, columns)."""
    return history.counts[:, list(history.city.forecast_codes)]
