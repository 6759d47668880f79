import os
import subprocess
import sys

import pytest

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
