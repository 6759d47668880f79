"""Forecasts of a fold's test days: by the fold's own models, from their files, and by every baseline."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from shotspotter_assets.evaluation.evaluated_fold import EvaluatedFold
from shotspotter_assets.models.forecaster import Fitted, HasMembers, ModelForecast, OtherInputsError
from shotspotter_assets.models.next_day.baselines import fit_baselines
from shotspotter_assets.models.registry import forecaster, forecaster_of
from shotspotter_assets.models.stored_models import model_partition


class StaleModelError(ValueError):
    """A fold's models were trained on other counts than the store holds now."""


def fold_forecasts(
    files: Mapping[str, Mapping[str, bytes]],
    fold: EvaluatedFold,
    truth: Mapping[str, npt.NDArray[np.floating]],
    log: Callable[[str], None],
) -> dict[str, ModelForecast]:
    """Forecasts of the test days by model: the truth of a simulated city, the fold's own models, the baselines.

    Baselines that are members of a stored combination are taken from it.

    Args:
        files: of the fold's own models, content by model and file.
        fold: with the record of these models.
        truth: the true probability of a simulated city by its name in reports; empty for others.
        log: is told what takes time.

    Raises:
        StaleModelError: the days before the cutoff, or their factors, are not those that the models were trained on.
        OtherInputsError: an earlier version fitted a model on other inputs.
        NothingToLearnError: covered cells are never, or always, occupied before the cutoff.
    """
    record, history, (train, validation, test) = fold.record, fold.history, fold.windows
    key = model_partition(record.city, record.fold).key
    if history.data_sha256(fold.cutoff) != record.data_sha256:
        raise StaleModelError(
            f"The grid tensors or contributing factors before {record.fold} are not those that the models of {key} were "
            f"trained on; materialise fold_models for {key} again."
        )
    forecasts = {name: ModelForecast(probability) for name, probability in truth.items()}
    members: dict[str, Fitted] = {}
    for name, trained in record.models.items():
        log(f"{key}: forecasting {len(test)} days with {name}")
        try:
            fitted = forecaster(forecaster_of(name)).load(files[name])
            probability = fitted.predict(history, test)
        except OtherInputsError as error:
            remedy = f"Materialise fold_models for {key}."
            raise OtherInputsError(f"{key}, {name}: {error} {remedy}") from error
        forecasts[name] = ModelForecast(probability, trained.settings, trained.seconds_to_train)
        if isinstance(fitted, HasMembers):
            members |= fitted.members
    for name in sorted(record.tuned.keys() & members.keys() - forecasts.keys()):
        # To be compared with the same forecaster of other settings.
        forecasts[name] = ModelForecast(members[name].predict(history, test), members[name].settings)
    log(f"{key}: tuning and fitting the baselines")
    # A combination's members were fitted on the same windows, and baselines have no settings in which they could differ.
    return forecasts | fit_baselines(history, train, validation, test, log, members)
