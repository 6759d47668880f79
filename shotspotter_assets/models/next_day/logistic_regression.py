"""L2 logistic regression on standardised lag features, rates by their logarithm."""

from collections.abc import Iterator
from typing import Any, ClassVar, Final

import numpy as np

from shotspotter_assets.models.forecaster import Array
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.lag_baseline import LagBaseline, LagFold, Rows, probability_of
from shotspotter_assets.models.next_day.lag_features import lag_features
from shotspotter_assets.models.next_day.tuned_baseline import Settings

INVERSE_PENALTIES: Final = (1e-3, 1e-2, 1e-1)
MIN_RATE: Final = 1 / 365
"""Added to a rate before its logarithm: one alert in a year is the least that tells anything."""


class LogisticRegressionForecaster(LagBaseline):
    """See `LagBaseline`."""

    name: ClassVar[str] = "logistic_regression"

    def inputs(self, history: History) -> Rows:
        """See `LagBaseline.inputs`; float64, as nearly equal rates make the fit stiff."""
        features = lag_features(history)
        values = features.values.astype(np.float64)
        values[:, :, features.is_rate] = np.log(values[:, :, features.is_rate] + MIN_RATE)
        return values

    def classifier(self, fold: LagFold, days: range, settings: Settings) -> Any:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        model = LogisticRegression(C=settings["inverse_penalty"], solver="newton-cholesky")
        return make_pipeline(StandardScaler(), model).fit(*fold.to_fit(days))

    def candidates(self, fold: LagFold) -> Iterator[tuple[Settings, Array]]:
        for inverse_penalty in INVERSE_PENALTIES:
            settings = {"inverse_penalty": inverse_penalty}
            yield settings, probability_of(self.classifier(fold, fold.train, settings), fold.inputs, fold.validation)
