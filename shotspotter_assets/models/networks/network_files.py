"""Networks as the content of `.keras` files."""

import tempfile
from pathlib import Path

import shotspotter_assets.models.networks.peephole_conv_lstm  # noqa: F401  (registers the layer)
from shotspotter_assets.models.networks.quiet_keras import keras


def save_model(model: keras.Model) -> bytes:
    """Return the content of the `.keras` file of a network, without optimizer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        model.save(path)
        return path.read_bytes()


def load_model(content: bytes) -> keras.Model:
    """Return the network of a `.keras` file; safe mode, so that a file cannot bring code."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        path.write_bytes(content)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
