"""Keys and values of city files that are deprecated or removed, each with what to write instead."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final


@dataclass(frozen=True)
class Retired:
    """A key, or a value of a key, that files should no longer have."""

    instead: str  # what to write, as an imperative
    refused_from: str  # version from which files with it are refused
    warned_since: str = ""  # version from which it is accepted with a warning; empty if it was refused at once

    def is_refused(self, program: str) -> bool:
        """Return True if a version of the program refuses it; a deprecated key is refused at a major version."""
        return not self.warned_since or _major(program) >= _major(self.refused_from)

    def message(self, program: str) -> str:
        """Return the version that refuses it, and what to write instead."""
        if self.is_refused(program):
            return f"removed in {self.refused_from}; {self.instead}"
        return f"deprecated since {self.warned_since}, refused from {self.refused_from} on; {self.instead}"


_PATIENCE: Final = "write patience: {answer_seconds: 300, retries: 5}, the time for one answer and the retries"
_TIMES: Final = ("backoff_seconds", "connect_seconds", "longest_wait_seconds", "read_seconds", "total_seconds")
_KINDS: Final = "write kind: socrata or kind: arcgis, which know their publishers' answers"
RETIRED: Final[Mapping[str, Retired]] = {
    "forecast": Retired("write targets: {NAME: [EVENT, ...]}", "1.0.0"),
    "retraining = hourly": Retired("write weekly or daily; nowcasts use the newest alerts with either", "1.0.0"),
    "limits.max_rows": Retired("leave it out; memory_mb and seconds are the limits", "1.0.0"),
    "limits.max_answer_mb": Retired("leave it out; memory_mb and seconds are the limits", "1.0.0"),
    "*source*.preset = socrata": Retired(_KINDS, "1.0.0"),
    "*source*.preset = arcgis": Retired(_KINDS, "1.0.0"),
    **{f"*source*.patience.{key}": Retired(_PATIENCE, "1.0.0") for key in _TIMES},
    "forecasters.residual_conv_lstm": Retired("write the settings of network", "1.0.0"),
    "serves = residual_conv_lstm": Retired("write serves: network", "1.0.0"),
    "forecasters.*.starts_at_regression": Retired("write start: regression or start: nothing", "1.0.0"),
    "forecasters.*.channels = location": Retired("leave out this channel, which showed no gain", "1.0.0"),
    "forecasters.residual_boosting.seed": Retired("leave it out; the seed is fixed", "1.0.0"),
}
"""Retired parts by dotted key, `key = value` for a value; `*` stands for any names."""


def retired_in(content: Any, retired: Mapping[str, Retired] = RETIRED) -> Iterator[tuple[str, Retired]]:
    """Yield the retired parts of a file's content with their names, such as `limits.max_rows`."""
    for name in dict.fromkeys(_names(content, "")):
        for pattern, part in retired.items():
            if fnmatchcase(name, pattern):
                yield name, part


def _names(content: Any, name: str) -> Iterator[str]:
    """Yield the dotted keys of a part of a file, and `key = value` for its values."""
    if isinstance(content, dict):
        for key, below in content.items():
            inner = f"{name}.{key}".lstrip(".")
            yield inner
            yield from _names(below, inner)
    elif isinstance(content, list):
        for item in content:
            yield from _names(item, name)
    else:
        yield f"{name} = {content}"


def _major(program: str) -> int:
    return int(program.partition(".")[0])
