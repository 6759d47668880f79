"""The network `conv_lstm` as a forecaster, alone or started at the regression's log odds (`residual_conv_lstm`).

The residual network adds its log odds to those of the regression, so it learns only the regression's errors. It is
trained on ordinary days, as firework days have a separate regime, and the validation window chooses the share of the
addition that is used, from none to all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from shotspotter_assets.arrays import Array, Booleans, Singles
from shotspotter_assets.cities.city import UNKNOWN_TYPE_CODE, City
from shotspotter_assets.models.filters import exponential_mean
from shotspotter_assets.models.forecaster import NO_CONTEXT, FitContext, Fitted, Forecaster
from shotspotter_assets.models.forecaster_registry import NetworkSettings
from shotspotter_assets.models.history import History
from shotspotter_assets.models.model_files import Unstored
from shotspotter_assets.models.next_day.daily_inputs import next_day_inputs
from shotspotter_assets.models.next_day.regime_regression import (
    FitData,
    FittedRegression,
    fit_regressions,
    with_firework_days,
)
from shotspotter_assets.models.probability import clip_probability, log_losses

NETWORK_FILE: Final = "network.keras"


@dataclass(frozen=True)
class FittedNetwork(Fitted):
    """A trained network; `regression` is the one that it corrects, None for `conv_lstm`."""

    settings: NetworkSettings
    model: Unstored = None
    regression: FittedRegression | None = None
    share: float = 1.0  # used share of the network's addition to the regression's log odds

    def predict(self, history: History, days: range) -> Array:
        if self.regression is None:
            return self.predict_maps(history, days)[..., 0]
        start, added = self.parts(history, days, self.regression)
        ordinary = expit(start + self.share * added)
        return clip_probability(with_firework_days(history, days, ordinary, self.regression))

    def parts(self, history: History, days: range, regression: FittedRegression) -> tuple[Array, Array]:
        """Return (log odds of the regression, the network's addition to them), each (days, cells)."""
        start = regression.logit(next_day_inputs(history, days))
        network = self.predict_maps(history, days, _on_grid(history, days, start))[..., 0]
        return start, logit(network) - start

    def drivers(self, history: History, day: int) -> list[tuple[str, ...]] | None:
        return None if self.regression is None else self.regression.drivers(history, day)

    def predict_maps(self, history: History, days: range, start: Singles | None = None) -> Array:
        """Return the probability of each map, shape (days, cells, maps): any alert first, then the types.

        The types are the known forecast types, if there are several. `start` are the regression's log odds, shape
        (days.stop, rows, columns); None for `conv_lstm`.
        """
        from shotspotter_assets.models.networks.fit import predict_network
        from shotspotter_assets.models.networks.losses import undo_class_weight

        raw = predict_network(self.model, _forecast_layers(history), days, self.settings, history.lead, start)
        raw = raw[:, history.in_coverage].astype(np.float64)
        return clip_probability(undo_class_weight(raw, self.settings.class_weight))

    def files(self) -> dict[str, bytes]:
        from shotspotter_assets.models.networks.network_files import save_model

        return super().files() | {NETWORK_FILE: save_model(self.model)}

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Self:
        from shotspotter_assets.models.networks.network_files import load_model

        return replace(super().load(files), model=load_model(files[NETWORK_FILE]))


class NetworkForecaster(Forecaster):
    """A network whose epoch is chosen on the validation window; a killed training goes on from its backup."""

    name = "conv_lstm"
    fitted = FittedNetwork
    settings: NetworkSettings

    def fit(self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT) -> FittedNetwork:
        history = history.through(validation.stop)
        alone = self._trained(history, train, validation, context, kept=history.is_known)
        return replace(alone, validation_probability=alone.predict(history, validation))

    def _trained(
        self,
        history: History,
        train: range,
        validation: range,
        context: FitContext,
        start: Singles | None = None,
        kept: Booleans | None = None,
    ) -> FittedNetwork:
        from shotspotter_assets.models.networks.fit import fit_network

        layers, covered, maps = _forecast_layers(history), history.in_coverage, own_maps(history.city)
        model, chosen = fit_network(
            layers, covered, train, validation, self.settings, history.lead, maps, context, start, kept
        )
        return FittedNetwork(self.settings, model, chosen=chosen)


class ResidualNetworkForecaster(NetworkForecaster):
    """A network that adds to the regression's log odds, with the share of the addition that is best on validation days."""

    name = "residual_conv_lstm"

    def fit(self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT) -> FittedNetwork:
        data = FitData(history.through(validation.stop), train, validation)
        history, regressions = data.history, fit_regressions(data, context.shared)
        days = range(validation.stop)
        start = _on_grid(history, days, regressions.train.logit(next_day_inputs(history, days)))
        network = self._trained(history, train, validation, context, start, data.ordinary)
        before, added = network.parts(history, validation, regressions.train)
        at, observed = data.scoring_days - validation.start, history.observed[data.scoring_days]

        def loss(share: float) -> float:
            return float(log_losses(expit(before[at] + share * added[at]), observed).mean())

        best = float(minimize_scalar(loss, bounds=(0, 1), method="bounded").x)
        share = min((0.0, 1.0, best), key=loss)
        losses = {"validation_log_loss": loss(share), "regression_validation_log_loss": loss(0.0)}
        origin = {key: value for key, value in regressions.both.chosen.items() if key == "shared"}
        chosen = {**network.chosen, "share": share, **losses, **origin}
        fitted = replace(network, regression=regressions.train, share=share, chosen=chosen)
        probability = fitted.predict(history, validation)
        return replace(fitted, regression=regressions.both, validation_probability=probability)


def own_maps(city: City) -> tuple[int, ...]:
    """Return the forecast types with a map of their own: the known ones of several."""
    codes = city.forecast_codes
    return tuple(at for at, code in enumerate(codes) if code != UNKNOWN_TYPE_CODE) if len(codes) > 1 else ()


def _forecast_layers(history: History) -> np.ndarray:
    """Return counts of the forecast types, on unknown days the mean of known ones before; (days, types, rows, columns)."""
    counts = history.counts[:, list(history.city.forecast_codes)]
    if history.is_known is None:
        return counts
    filled, unknown = counts.reshape(len(counts), -1).astype(np.float32), np.flatnonzero(~history.is_known)
    filled[unknown] = exponential_mean(filled, np.inf, history.is_known, unknown)
    return filled.reshape(counts.shape)


def _on_grid(history: History, days: range, log_odds: Array) -> Singles:
    """Return maps of `days`, 0 in cells that are not covered and on days before, shape (days.stop, rows, columns)."""
    maps = np.zeros((days.stop, *history.in_coverage.shape), np.float32)
    maps[days.start :, history.in_coverage] = log_odds
    return maps
