"""Rows of JSON, and paths to the values in them."""

import re
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Annotated, Any, Final

from pydantic import AfterValidator

Row = dict[str, Any]  # a row of JSON
PLAIN_KEY: Final = re.compile(r"[\w:@]*\w")  # a literal key; any other path is a JMESPath


def finder(path: str, keys: Collection[str] = ()) -> Callable[[Any], Any]:
    """Return a function that looks up a plain key, one of `keys`, or a JMESPath in a row; it returns None for nothing."""
    if path not in keys and not PLAIN_KEY.fullmatch(path):
        with suppress(ValueError):  # of a name with blanks, which these rows do not have
            return _search(path)
    return lambda row: row.get(path) if isinstance(row, dict) else None


def check_path(path: str) -> str:
    """Return a path to a value; raise ValueError if it is neither a plain key nor a JMESPath."""
    if not PLAIN_KEY.fullmatch(path):
        _search(path)
    return path


def _search(path: str) -> Callable[[Any], Any]:
    """Return a function that looks up a JMESPath, None for nothing; raise ValueError if the path is not one."""
    import jmespath

    try:
        compiled = jmespath.compile(path)
    except jmespath.exceptions.JMESPathError as error:
        raise ValueError(f"{path!r} is not a JMESPath: {' '.join(str(error).split())}") from None

    def search(content: Any) -> Any:
        try:
            return compiled.search(content)
        except (jmespath.exceptions.JMESPathError, TypeError):  # A function of the path does not take this type.
            return None

    return search


JmesPath = Annotated[str, AfterValidator(check_path)]
