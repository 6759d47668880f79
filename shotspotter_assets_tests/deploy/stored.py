"""Comparison of what two deployments have stored."""

import re
from collections.abc import Mapping
from typing import Final

TIMES: Final = re.compile(rb'"(issued_at|checked_at|seconds_to_train)": [^,\n]+')
"""What records say of the clock; all else is the same where the same was made."""


def without_times(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files, by path, without the times in their records."""
    return {name: TIMES.sub(b"", text) if name.endswith(".json") else text for name, text in files.items()}
