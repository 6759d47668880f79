"""A search space as SageMaker's ranges, and the texts that it suggests as values of the space."""

import json
from collections.abc import Mapping
from typing import Any

from shotspotter_assets.models.tuning.space import Categorical, Continuous, Integer, Parameter, Space, Value, is_active


def parameter_ranges(space: Space) -> dict[str, Any]:
    """`ParameterRanges` of a tuning job.

    It has no conditions, so a parameter that has one is always suggested, and is left out where it does not hold; it has no
    steps, so that whole numbers with a step are categories.
    """
    ranges: dict[str, list[dict[str, Any]]] = {"Continuous": [], "Integer": [], "Categorical": []}
    for name, parameter in space.items():
        match parameter:
            case Continuous(low=low, high=high, log=log) | Integer(low=low, high=high, log=log, step=1):
                scale = "Logarithmic" if log else "Linear"
                bounds = {"MinValue": repr(low), "MaxValue": repr(high), "ScalingType": scale}
                ranges[type(parameter).__name__].append({"Name": name, **bounds})
            case _:
                ranges["Categorical"].append({"Name": name, "Values": list(_options(parameter))})
    return {f"{kind}ParameterRanges": listed for kind, listed in ranges.items() if listed}


def suggested_values(space: Space, hyperparameters: Mapping[str, str]) -> dict[str, Value]:
    """The values of the parameters whose conditions hold; other hyperparameters are passed over.

    Raises:
        KeyError, ValueError: a parameter is missing, or its text is no value of it.
    """
    values: dict[str, Value] = {}
    for name, parameter in space.items():
        if is_active(parameter, values):
            values[name] = _value(parameter, hyperparameters[name].strip('"'))
    return values


def _value(parameter: Parameter, text: str) -> Value:
    match parameter:
        # Within the bounds, which a text may miss by a rounding.
        case Continuous(low=low, high=high):
            return min(max(float(text), low), high)
        case Integer(low=first, high=last, step=1):
            return min(max(round(float(text)), first), last)
        case _:
            return _options(parameter)[text]


def _options(parameter: Parameter) -> dict[str, Value]:
    """The values of a parameter that has few, by their texts."""
    match parameter:
        case Categorical(options=options):
            return {_text(option): option for option in options}
        case Integer(low=low, high=high, step=step):
            return {_text(value): value for value in range(low, high + 1, step)}
    raise TypeError(f"There is no such parameter: {parameter!r}")


def _text(value: Value) -> str:
    return value if isinstance(value, str) else json.dumps(value)
