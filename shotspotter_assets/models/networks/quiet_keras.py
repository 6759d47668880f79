"""Keras on TensorFlow, imported without the notices that TensorFlow's libraries print; everything here imports it from here.

They are of CUDA, oneDNN and the processor, printed while the libraries load, before any setting for their log is read. With
TF_CPP_MIN_LOG_LEVEL below 3 they are shown.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final

NOTICE: Final = re.compile(
    r"^(WARNING: All log messages before absl::InitializeLog|[IWEF]\d{4} |\d{4}-\d\d-\d\d [\d:.]+: [IWEF] |To enable the following)"
)
"""Begins a line of the libraries' own log."""

STDERR: Final = 2


@contextmanager
def without_notices() -> Iterator[None]:
    """Print what is written to the process's error stream meanwhile, but for notices; all of it if there is an error."""
    sys.stderr.flush()
    stream = os.dup(STDERR)
    shown = ""
    try:
        with tempfile.TemporaryFile("w+", errors="replace") as written:
            os.dup2(written.fileno(), STDERR)
            try:
                yield
            except BaseException:
                shown = "".join(_text(written))
                raise
            else:
                shown = "".join(line for line in _text(written) if not NOTICE.match(line))
            finally:
                os.dup2(stream, STDERR)
    finally:
        os.close(stream)
        sys.stderr.write(shown)


def _text(file: IO[str]) -> list[str]:
    sys.stderr.flush()
    file.seek(0)
    return file.readlines()


if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") >= "3":
    with without_notices():
        import keras
        from keras import ops
else:
    import keras
    from keras import ops

__all__ = ["keras", "ops"]
