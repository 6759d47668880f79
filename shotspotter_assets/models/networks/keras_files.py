"""Networks as the bytes of `.keras` files, and back."""

import tempfile
from pathlib import Path

import shotspotter_assets.models.networks.peephole_conv_lstm  # noqa: F401  (registers the layer)
from shotspotter_assets.models.networks.quiet_keras import keras


def save_model(model: keras.Model) -> bytes:
    """The network as the bytes of a `.keras` file, without optimizer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        model.save(path)
        return path.read_bytes()


def load_model(data: bytes) -> keras.Model:
    """The network in the bytes of a `.keras` file; safe mode, so a file cannot bring code of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        path.write_bytes(data)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
