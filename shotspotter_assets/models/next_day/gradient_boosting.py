"""Histogram gradient boosting on lag features; the number of trees is where the validation log loss was least."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Final

from shotspotter_assets.models.forecaster import Array
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.lag_baseline import LagBaseline, LagFold, Rows, rows_of
from shotspotter_assets.models.next_day.lag_features import lag_features
from shotspotter_assets.models.next_day.tuned_baseline import Settings

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

GRID: Final = ({"leaves": 7, "learning_rate": 0.1}, {"leaves": 15, "learning_rate": 0.1})
MAX_TREES: Final = 150


class GradientBoostingForecaster(LagBaseline):
    """See `LagBaseline`."""

    name: ClassVar[str] = "gradient_boosting"

    def inputs(self, history: History) -> Rows:
        return lag_features(history).values

    def classifier(self, fold: LagFold, days: range, settings: Settings) -> "HistGradientBoostingClassifier":
        from sklearn.ensemble import HistGradientBoostingClassifier

        model = HistGradientBoostingClassifier(
            max_iter=settings["iterations"],
            learning_rate=settings["learning_rate"],
            max_leaf_nodes=settings["leaves"],
            min_samples_leaf=200,
            l2_regularization=10.0,
            early_stopping=False,  # scikit-learn would hold out random cell-days, which are not independent
            random_state=0,
        )
        return model.fit(*fold.to_fit(days))

    def candidates(self, fold: LagFold) -> Iterator[tuple[Settings, Array]]:
        rows = rows_of(fold.inputs, fold.validation)
        for settings in GRID:
            model = self.classifier(fold, fold.train, settings | {"iterations": MAX_TREES})
            for iterations, classes in enumerate(model.staged_predict_proba(rows), start=1):
                probability = classes[:, 1].reshape(len(fold.validation), -1)
                yield settings | {"iterations": iterations}, probability
