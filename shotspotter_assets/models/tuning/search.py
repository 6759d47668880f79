"""The search: which values are tried next, which trials are stopped by their epochs, and the loop within a budget.

What is tried next follows from the finished trials, those that are running and a seed alone, so that nothing but the journal of
finished trials has to be kept.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from statistics import fmean
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from shotspotter_assets.models.forecaster import TrainingStoppedError
from shotspotter_assets.models.tuning.space import (
    Categorical,
    Continuous,
    Integer,
    Parameter,
    Space,
    Value,
    is_active,
    values_of,
)
from shotspotter_assets.models.tuning.trials import Trial, TrialStore, TuningTask

if TYPE_CHECKING:
    import optuna

RANDOM_TRIALS: Final = 8
"""Values are drawn at random until so many trials are finished, as there is nothing yet to learn from."""
MIN_EPOCHS: Final = 3
"""Of a network before its trial may be stopped."""
MIN_COMPARED_TRIALS: Final = 4
"""Complete trials that a running one is compared with, before it may be stopped."""


SEED_STEP: Final = 100_003
"""Lies between the random numbers of one seed and the next: more than a search has trials."""


class NoTrialsError(ValueError):
    """A search has no finished trial to choose from."""


class SearchFailedError(RuntimeError):
    """The settings that a search starts at cannot be fitted."""


@dataclass(frozen=True)
class Budget:
    """How long is searched: what comes first ends it.

    Attributes:
        trials: finished ones of the whole search, those of earlier runs among them.
        minutes: of this run; no trial begins after them, and a network's is stopped after its epoch. 0 searches no further.
        parallel: trials at a time.
    """

    trials: int
    minutes: float
    parallel: int = 1


def search(task: TuningTask, journal: TrialStore, budget: Budget, seed: int, log: Callable[[str], None]) -> list[Trial]:
    """Try settings within the budget; all finished trials of the search, the first of them the settings as they are.

    Several runs may search at once, each with a seed of its own: each learns from the trials of all.

    Args:
        task: what is tuned.
        journal: of finished trials.
        budget: see there.
        seed: of what is tried.
        log: is told of each finished trial: its loss, the best so far, and the time that is left.

    Raises:
        NoTrialsError: no trial is finished, and the budget is none.
        SearchFailedError: the settings as they are cannot be fitted.
    """
    began = monotonic()
    deadline = began + 60 * budget.minutes
    finished = journal.read(task.key)
    if finished:
        log(f"{len(finished)} finished trials of this search are there")
    elif budget.minutes == 0:
        raise NoTrialsError(
            f"{task.forecaster} of {task.history.city.name}: no trial is finished, and 0 minutes allow none. Give it more minutes."
        )
    running: dict[Future[Trial], tuple[int, Mapping[str, Value]]] = {}
    given_up = Event()
    # The first trial of a run goes alone: what it makes, such as the inputs, is then there for all others.
    is_prepared = False
    with ThreadPoolExecutor(budget.parallel) as pool:
        try:
            while True:
                at_once = budget.parallel if is_prepared else 1
                while (
                    len(running) < at_once and len(finished) + len(running) < budget.trials and monotonic() < deadline
                ):
                    number = len(finished) + len(running) + 1
                    values = next_values(task, finished, [tried for _, tried in running.values()], seed)
                    rule = stop_rule(task, finished, None if number == 1 else deadline, given_up)
                    running[pool.submit(task.run, values, rule, _numbered(log, number))] = number, values
                if not running:
                    return finished
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    number, _ = running.pop(future)
                    trial = future.result()
                    is_prepared = True
                    if number == 1:
                        _require_complete(trial)
                    finished = journal.add(task.key, trial)
                    log(progress_line(number, trial, finished, budget, deadline - monotonic()))
        except BaseException:
            given_up.set()
            raise


def next_values(
    task: TuningTask, finished: Sequence[Trial], running: Sequence[Mapping[str, Value]], seed: int
) -> dict[str, Value]:
    """What is tried next, of the task's space; none, which are the settings as they are, if nothing is finished.

    Values are drawn by a tree-structured Parzen estimator over all parameters together (Bergstra et al. 2011; Optuna's).

    Args:
        task: what is tuned.
        finished: trials.
        running: values of the trials that have not finished.
        seed: the same seed and trials give the same values.
    """
    import optuna

    if not finished:
        return {}
    with warnings.catch_warnings():
        # Parameters together, and running trials: Optuna calls them experimental; the pinned version and the tests stand for it.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=(SEED_STEP * seed + len(finished) + len(running)) % 2**32,
            n_startup_trials=RANDOM_TRIALS,
            multivariate=True,
            group=True,
            constant_liar=True,
        )
    trial = _study(task, finished, running, sampler).ask()
    values: dict[str, Value] = {}
    for name, parameter in task.space.items():
        if is_active(parameter, values):
            values[name] = _suggest(trial, name, parameter)
    return values


def best_of(finished: Sequence[Trial]) -> Trial:
    """The trial with the least loss, the first one of several."""
    return min((trial for trial in finished if trial.loss is not None), key=lambda trial: trial.loss or 0.0)


def study_of(task: TuningTask, finished: Sequence[Trial]) -> "optuna.Study":
    """The finished trials as a study of Optuna, for what it can tell of them."""
    return _study(task, finished, [])


def _study(
    task: TuningTask,
    finished: Sequence[Trial],
    running: Sequence[Mapping[str, Value]],
    sampler: "optuna.samplers.BaseSampler | None" = None,
) -> "optuna.Study":
    import optuna
    from optuna.trial import TrialState, create_trial

    states = {"complete": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=sampler)
    start = values_of(task.space, task.settings)
    for trial in finished:
        values = trial.values or start
        if values is None:
            continue  # the city's settings lie outside of the space
        study.add_trial(
            create_trial(
                state=states[trial.state],
                value=trial.loss,
                params=values,
                distributions=_distributions(task.space, values),
                intermediate_values=dict(enumerate(trial.epochs, start=1)),
            )
        )
    for tried in running:
        study.add_trial(
            create_trial(state=TrialState.RUNNING, params=dict(tried), distributions=_distributions(task.space, tried))
        )
    return study


def _distributions(space: Space, values: Mapping[str, Value]) -> "dict[str, optuna.distributions.BaseDistribution]":
    return {name: _distribution(space[name]) for name in values}


def _distribution(parameter: Parameter) -> "optuna.distributions.BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match parameter:
        case Continuous(low=low, high=high, log=log):
            return FloatDistribution(low, high, log)
        case Integer(low=first, high=last, log=log, step=step):
            return IntDistribution(first, last, log, step)
        case Categorical(options=options):
            return CategoricalDistribution(options)
    raise TypeError(f"There is no such parameter: {parameter!r}")


def _suggest(trial: "optuna.Trial", name: str, parameter: Parameter) -> Value:
    match parameter:
        case Continuous(low=low, high=high, log=log):
            return trial.suggest_float(name, low, high, log=log)
        case Integer(low=first, high=last, log=log, step=step):
            return trial.suggest_int(name, first, last, log=log, step=step)
        case Categorical(options=options):
            return cast(Value, trial.suggest_categorical(name, options))
    raise TypeError(f"There is no such parameter: {parameter!r}")


def stop_rule(
    task: TuningTask, finished: Sequence[Trial], deadline: float | None, given_up: Event
) -> Callable[[list[float]], None]:
    """What ends a trial by its epochs: worse than half of the others by then (Golovin et al. 2017), or out of time."""
    import optuna
    from optuna.trial import TrialState, create_trial

    pruner = optuna.pruners.MedianPruner(n_startup_trials=MIN_COMPARED_TRIALS, n_warmup_steps=MIN_EPOCHS)
    study = study_of(task, finished)

    def after_epoch(losses: list[float]) -> None:
        if given_up.is_set():
            raise TrainingStoppedError("the search was given up")
        if deadline is not None and monotonic() > deadline:
            raise TrainingStoppedError("the time was up")
        so_far = create_trial(state=TrialState.RUNNING, intermediate_values=dict(enumerate(losses, start=1)))
        if pruner.prune(study, so_far):
            raise TrainingStoppedError(f"after epoch {len(losses)} it was worse than half of the trials before")

    return after_epoch


def _require_complete(start: Trial) -> None:
    if start.state != "complete":
        raise SearchFailedError(f"The settings that the search starts at cannot be fitted: {start.reason}")


def _numbered(log: Callable[[str], None], number: int) -> Callable[[str], None]:
    return lambda line: log(f"trial {number}: {line}")


def progress_line(number: int, trial: Trial, finished: Sequence[Trial], budget: Budget, seconds_left: float) -> str:
    """One line on the trial that has just finished, by its number."""
    best = best_of(finished)
    at = finished.index(best) + 1
    loss = trial.state if trial.loss is None else f"log loss {trial.loss:.6f}"
    why = f" ({trial.reason})" if trial.reason else ""
    to_come = max(budget.trials - len(finished), 0) * fmean(one.seconds for one in finished) / budget.parallel
    left = max(min(to_come, seconds_left), 0.0) / 60
    return (
        f"trial {number}/{budget.trials}: {loss}{why}, best so far {best.loss:.6f} (trial {at}), "
        f"{trial.seconds:.1f} s, at most {left:.1f} min left"
    )
