"""Keras on TensorFlow, imported without the notices that TensorFlow's libraries print; all networks import Keras from here.

The libraries print notices on CUDA, oneDNN and the processor while they load, before they read any setting of their log.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
STDERR = 2
_stream = os.dup(STDERR)
with tempfile.TemporaryFile() as _notices:
    sys.stderr.flush()
    os.dup2(_notices.fileno(), STDERR)
    try:
        import keras
        from keras import ops
    except BaseException:
        _notices.seek(0)
        os.write(_stream, _notices.read())
        raise
    finally:
        os.dup2(_stream, STDERR)
        os.close(_stream)

__all__ = ["keras", "load_model", "ops", "save_model"]


def save_model(model: keras.Model) -> bytes:
    """Content of the `.keras` file of a network, without optimizer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        model.save(path)
        return path.read_bytes()


def load_model(content: bytes) -> keras.Model:
    """The network of a `.keras` file; safe mode, so that a file cannot bring code."""
    import shotspotter_assets.models.networks.peephole_conv_lstm  # noqa: F401  (registers the layer)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        path.write_bytes(content)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
