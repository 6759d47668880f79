"""Networks as forecasters, alone or started at the regression's log odds (`start: regression`).

A network that starts there learns only the regression's errors, on ordinary days, because firework days have a separate regime.
The validation window chooses the share of its addition that is used, from none to all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from shotspotter_assets.cities.city import UNKNOWN_TYPE_CODE, City
from shotspotter_assets.models.filters import exponential_mean
from shotspotter_assets.models.forecaster import (
    NO_CONTEXT,
    DailyForecaster,
    FitContext,
    FittedDaily,
    Numbers,
    OtherInputsError,
    Unstored,
    clip_probability,
)
from shotspotter_assets.models.forecaster_settings import Channel, NetworkSettings, Start
from shotspotter_assets.models.history import History
from shotspotter_assets.models.networks.network_inputs import NetworkInputs
from shotspotter_assets.models.next_day.daily_inputs import CITY_LEVEL, is_same_for_all_cells, next_day_inputs
from shotspotter_assets.models.next_day.regime_regression import (
    FitData,
    FittedRegression,
    Regressions,
    fit_regressions,
    with_firework_days,
)
from shotspotter_assets.models.next_day.shared_regression import FACTORS, MIN_SCALE
from shotspotter_assets.storage.arrays import Array, Booleans, Singles
from shotspotter_assets.storage.progress import steps

NETWORK_FILE: Final = "network_{}.keras"


def channel_of(name: str) -> str | None:
    """Return the kind of channel of an input of the regression; None for the city's level, which has no place."""
    if name.startswith(FACTORS):
        return "factors"
    if name.startswith(CITY_LEVEL):
        return None
    return "calendar" if is_same_for_all_cells(name) else "inputs"


@dataclass(frozen=True)
class FittedNetwork(FittedDaily):
    """Networks with different seeds, of which the log odds are averaged.

    `names` are the regression's inputs that the networks read, with `mean` and `spread` of the training that they continue.
    They learn the errors of the training window's regression, and serve on that of both; None for `start: nothing`.
    """

    settings: NetworkSettings
    names: tuple[str, ...]
    mean: Numbers
    spread: Numbers
    models: Unstored = ()
    regression: FittedRegression | None = None
    share: float = 1.0  # used share of the networks' addition to the regression's log odds

    def predict(self, history: History, days: range) -> Array:
        if self.regression is None:
            return self.predict_maps(history, days)[..., 0]
        start, added = self.parts(history, days)
        ordinary = expit(start + self.share * added)
        return clip_probability(with_firework_days(history, days, ordinary, self.regression))

    def parts(self, history: History, days: range) -> tuple[Array, Array]:
        """Return (log odds of the regression, the networks' addition to them), each (days, cells)."""
        assert self.regression is not None
        start = self.regression.logit(next_day_inputs(history, days))
        return start, logit(self.predict_maps(history, days)[..., 0]) - start

    def drivers(self, history: History, day: int) -> list[tuple[str, ...]] | None:
        return None if self.regression is None else self.regression.drivers(history, day)

    def predict_maps(self, history: History, days: range) -> Array:
        """Return the probability of each map, shape (days, cells, maps): any alert first, then those of `mapped_layers`."""
        from shotspotter_assets.models.networks.fit import predict_network, undo_class_weight

        inputs = self.inputs_of(history, days)
        grids = [predict_network(model, inputs, days, self.settings.batch_size) for model in self.models]
        raw = [grid[:, history.in_coverage] for grid in grids]
        log_odds = logit(clip_probability(np.array(raw, np.float64))).mean(axis=0)
        return clip_probability(undo_class_weight(expit(log_odds), self.settings.class_weight))

    def inputs_of(self, history: History, days: range) -> NetworkInputs:
        """Return the inputs of `days`. Raises OtherInputsError if the networks were trained on others."""
        maps = start = None
        if self.names or self.regression is not None:
            inputs = next_day_inputs(history, days)
            if not set(self.names) <= set(inputs.names):
                raise OtherInputsError.of("A stored network")
            start = None if self.regression is None else self.regression.logit(inputs).astype(np.float32)
        if self.names:
            positions = [inputs.names.index(name) for name in self.names]
            maps = ((inputs.values[..., positions] - self.mean) / self.spread).astype(np.float32)
        if Channel.location in self.settings.channels:
            location = np.repeat(location_of_cells(history.in_coverage)[None], len(days), axis=0)
            maps = location if maps is None else np.concatenate([maps, location], axis=-1)
        return NetworkInputs(
            counts=_forecast_layers(history),
            in_coverage=history.in_coverage,
            lead=history.lead,
            length=self.settings.days if Channel.counts in self.settings.channels else 0,
            first_day=days.start,
            maps=maps,
            start=start,
        )

    def files(self) -> dict[str, bytes]:
        from shotspotter_assets.models.networks.fit import save_model

        networks = {NETWORK_FILE.format(number): save_model(model) for number, model in enumerate(self.models)}
        return super().files() | networks

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Self:
        from shotspotter_assets.models.networks.fit import load_model

        fitted = super().load(files)
        models = [load_model(files[NETWORK_FILE.format(number)]) for number in range(fitted.settings.networks)]
        return replace(fitted, models=tuple(models))


class NetworkForecaster(DailyForecaster):
    """Networks whose epochs are chosen on the validation window; a killed training goes on from its backup."""

    fitted = FittedNetwork
    settings: NetworkSettings

    def fit(self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT) -> FittedNetwork:
        """Train on the last `train_days` of `train`. Raises ValueError if the city has no input for the channels."""
        data = FitData(history.through(validation.stop), train, validation)
        regressions = fit_regressions(data, context.shared) if self.settings.start == Start.regression else None
        earlier = context.earlier.get(self.name)
        if not isinstance(earlier, FittedNetwork) or earlier.settings.model_dump() != self.settings.model_dump():
            earlier = None
        untrained = self._untrained(data, regressions and regressions.train, earlier)
        network = self._trained(untrained, data, context, () if earlier is None else earlier.models)
        if regressions is None:
            return replace(network, validation_probability=network.predict(data.history, validation))
        return _with_chosen_share(network, data, regressions)

    def _untrained(
        self, data: FitData, regression: FittedRegression | None, earlier: FittedNetwork | None
    ) -> FittedNetwork:
        """Return the frame of the networks: the inputs that they read, with the scales of the training or `earlier`'s."""
        if not set(self.settings.channels) - {Channel.counts, Channel.location}:
            return FittedNetwork(self.settings, (), np.zeros(0), np.ones(0), regression=regression, chosen={})
        inputs = next_day_inputs(data.history, range(self._first_day(data), data.train.stop))
        names = tuple(name for name in inputs.names if channel_of(name) in self.settings.channels)
        if not names and not {Channel.counts, Channel.location} & set(self.settings.channels):
            raise ValueError(
                f"City {data.history.city.name} has no input for channels {', '.join(self.settings.channels)}; add counts, "
                "inputs or calendar, or give the city factors."
            )
        if earlier is not None and earlier.names == names:  # its weights are of its scales
            return replace(earlier, models=(), regression=regression, share=1.0, chosen={}, validation_probability=None)
        values = inputs.values[..., [inputs.names.index(name) for name in names]]
        mean = values.mean(axis=(0, 1), dtype=np.float64)
        deviation = values.std(axis=(0, 1), dtype=np.float64)
        spread = np.where(deviation > MIN_SCALE, deviation, 1.0)
        return FittedNetwork(self.settings, names, mean, spread, regression=regression, chosen={})

    def _trained(
        self, network: FittedNetwork, data: FitData, context: FitContext, earlier: Sequence[Any]
    ) -> FittedNetwork:
        """Return the frame with its trained networks, which start at the networks `earlier` if there are any."""
        from shotspotter_assets.models.networks.fit import fit_network

        inputs = network.inputs_of(data.history, range(self._first_day(data), data.validation.stop))
        fits = [
            fit_network(
                inputs,
                data.train,
                data.validation,
                self.settings.model_copy(update={"seed": self.settings.seed + number}),
                mapped_layers(data.history.city),
                context,
                data.history.is_known if network.regression is None else data.ordinary,
                earlier[number] if earlier else None,
            )
            for number in steps("network", range(self.settings.networks))
        ]
        choices = [chosen for _, chosen in fits]
        chosen = choices[0] if len(choices) == 1 else {"networks": choices}
        return replace(network, models=tuple(model for model, _ in fits), chosen=chosen)

    def _first_day(self, data: FitData) -> int:
        """Return the first training day that is used."""
        return max(data.train.start, data.train.stop - self.settings.train_days)


def _with_chosen_share(network: FittedNetwork, data: FitData, regressions: Regressions) -> FittedNetwork:
    """Return the network with the share of its addition of least validation loss, on the regression of both windows."""
    before, added = network.parts(data.history, data.validation)

    def loss(share: float) -> float:
        return data.validation_loss(expit(before + share * added))

    best = float(minimize_scalar(loss, bounds=(0, 1), method="bounded").x)
    share = min((0.0, 1.0, best), key=loss)
    losses = {"validation_log_loss": loss(share), "regression_validation_log_loss": loss(0.0)}
    fitted = replace(network, share=share, chosen={**network.chosen, "share": share, **losses, **regressions.origin})
    probability = fitted.predict(data.history, data.validation)
    return replace(fitted, regression=regressions.both, validation_probability=probability)


def location_of_cells(in_coverage: Booleans) -> Singles:
    """Return row and column of each covered cell, scaled from -1 to 1 over the grid, shape (cells, 2)."""
    # Coordinates as channels, after Liu et al. 2018, "An intriguing failing of convolutional neural networks".
    return (2 * np.argwhere(in_coverage) / np.maximum(np.array(in_coverage.shape) - 1, 1) - 1).astype(np.float32)


def mapped_layers(city: City) -> tuple[int, ...]:
    """Return the positions, among the forecast types, of those with a map: the known ones if there are several."""
    codes = city.forecast_codes
    return tuple(index for index, code in enumerate(codes) if code != UNKNOWN_TYPE_CODE) if len(codes) > 1 else ()


def _forecast_layers(history: History) -> np.ndarray:
    """Return counts of the forecast types, on unknown days the mean of known ones before; (days, types, rows, columns)."""
    counts = history.counts[:, list(history.city.forecast_codes)]
    if history.is_known is None:
        return counts
    filled = counts.reshape(len(counts), -1).astype(np.float32)
    unknown = np.flatnonzero(~history.is_known)
    filled[unknown] = exponential_mean(filled, np.inf, history.is_known, unknown)
    return filled.reshape(counts.shape)
