"""Nothing of TensorFlow's notices is printed by a program that trains a network; errors and what others print are."""

import os
import subprocess
import sys

import pytest

from shotspotter_assets.models.networks.quiet_keras import without_notices

PROGRAM = """
import numpy as np
from shotspotter_assets.models.networks.quiet_keras import keras
model = keras.Sequential([keras.layers.Dense(1)])
model.compile(loss="mse")
model.fit(np.zeros((2, 2)), np.zeros((2, 1)), verbose=0)
print("trained")
"""


@pytest.mark.slow
def test_a_program_that_trains_prints_nothing_else() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("trained\n", "")


NOTICES = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    "I0000 00:00:1795606577.618066   26357 port.cc:153] oneDNN custom operations are on.\n"
    "E0000 00:00:1795606591.200890   26357 cuda_platform.cc:52] failed call to cuInit\n"
)


def test_what_others_print_meanwhile_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    with without_notices():
        os.write(2, f"{NOTICES}Out of disk\n".encode())
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "Out of disk\nafter\n"


def test_an_error_is_shown_with_all_that_was_printed(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with without_notices():
            os.write(2, NOTICES.encode())
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert capfd.readouterr().err == NOTICES
