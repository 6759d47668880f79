"""L2 logistic regression on standardised lag features, rates by their logarithm."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from scipy.special import expit

from shotspotter_assets.models.forecaster import Array
from shotspotter_assets.models.next_day.lag_baseline import LagBaseline, LagFold, Rows
from shotspotter_assets.models.next_day.lag_features import LagFeatures
from shotspotter_assets.models.next_day.tuned_baseline import Settings

INVERSE_PENALTIES: Final = (1e-3, 1e-2, 1e-1)
MIN_RATE: Final = 1 / 365
"""Added to a rate before its logarithm: one alert in a year is the least that tells anything."""
MODEL_FILE: Final = "lines.json"


@dataclass(frozen=True)
class Lines:
    """Log odds by unit of each feature, and of the mean row."""

    names: tuple[str, ...]
    slopes: Array
    intercept: float

    def probability(self, rows: Rows) -> Array:
        return np.asarray(expit(rows @ self.slopes + self.intercept))

    def files(self) -> dict[str, bytes]:
        content = {"names": self.names, "slopes": self.slopes.tolist(), "intercept": self.intercept}
        return {MODEL_FILE: json.dumps(content).encode()}


class LogisticRegressionForecaster(LagBaseline):
    """See `LagBaseline`."""

    name: ClassVar[str] = "logistic_regression"

    def inputs(self, features: LagFeatures) -> Rows:
        """See `LagBaseline.inputs`; float64, as nearly equal rates make the fit stiff."""
        values = features.values.astype(np.float64)
        values[..., features.is_rate] = np.log(values[..., features.is_rate] + MIN_RATE)
        return values

    def fit_model(self, fold: LagFold, days: range, settings: Settings) -> Lines:
        return next(self._fits(fold, days, [settings["inverse_penalty"]]))

    def _fits(self, fold: LagFold, days: range, inverse_penalties: Sequence[float]) -> Iterator[Lines]:
        """The fit with each penalty, which starts at the one before."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        rows, labels, sample_weight = fold.to_fit(days)
        scaler = StandardScaler().fit(rows, sample_weight=sample_weight)
        rows = scaler.transform(rows)
        model = LogisticRegression(solver="newton-cholesky", warm_start=True)
        for inverse_penalty in inverse_penalties:
            model.set_params(C=inverse_penalty).fit(rows, labels, sample_weight)
            slopes = model.coef_[0] / scaler.scale_
            yield Lines(fold.names, slopes, float(model.intercept_[0] - slopes @ scaler.mean_))

    def load_model(self, files: Mapping[str, bytes]) -> Lines:
        content = json.loads(files[MODEL_FILE])
        return Lines(tuple(content["names"]), np.array(content["slopes"]), content["intercept"])

    def candidates(self, fold: LagFold) -> Iterator[tuple[Settings, Array]]:
        fits = self._fits(fold, fold.train, INVERSE_PENALTIES)
        for inverse_penalty, lines in zip(INVERSE_PENALTIES, fits, strict=True):
            probability = self.probability(lines, fold.validation_features, fold.history)
            yield {"inverse_penalty": inverse_penalty}, probability
