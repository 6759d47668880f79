"""Comparison of the private parts of Dagster that are patched with the ones that the patches were written for."""

import hashlib
import inspect
from importlib import import_module
from importlib.metadata import version
from operator import attrgetter
from typing import Any, Final

KNOWN_VERSIONS: Final = "1.13.14 to 1.13.29"


class DagsterChangedError(RuntimeError):
    """The installed Dagster has another function where a patch belongs."""


def known(place: str, *, parameters: str, sources: tuple[str, ...], purpose: str) -> Any:
    """The function or method that a patch replaces or builds on, if it is one that the patch is known to fit.

    Args:
        place: Its module and name, `dagster.module:Class.method`.
        parameters: Names of its parameters, separated by commas.
        sources: Hashes of its source in the known versions (see `source_hash`).
        purpose: What the patch is for.

    Raises:
        DagsterChangedError: It is gone, or its parameters or its source are others.
    """
    module, _, name = place.partition(":")
    try:
        function = attrgetter(name)(import_module(module))
    except (ImportError, AttributeError) as error:
        raise DagsterChangedError(_message(place, purpose, "it is gone")) from error
    names = ", ".join(inspect.signature(function).parameters)
    if names != parameters:
        raise DagsterChangedError(_message(place, purpose, f"its parameters are ({names}), not ({parameters})"))
    source = source_hash(function)
    if source not in sources:
        raise DagsterChangedError(_message(place, purpose, f"its source has the hash {source}, not {sources}"))
    return function


def source_hash(function: Any) -> str:
    """First twelve digits of the SHA-256 of the function's source."""
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]


def _message(place: str, purpose: str, change: str) -> str:
    return (
        f"Dagster {version('dagster')} has changed {place}: {change}. shotspotter_assets patches it: {purpose}."
        f" Install a Dagster that is known to fit ({KNOWN_VERSIONS}), or read the new source and, if the patch"
        " in shotspotter_assets/dagster_patches still fits, add what is new to it there."
    )
