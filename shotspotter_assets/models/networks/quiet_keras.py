"""Keras on TensorFlow with one thread an operation and without the notices of its libraries; all networks import Keras from here.

The libraries print notices on CUDA, oneDNN and the processor while they load, before they read any setting of their log.
"""

import ctypes
import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Least CPU for networks this small; read when TensorFlow starts its pools. One thread between operations can lock up a training.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
# Each step of a training frees arrays of megabytes that the next one asks for: glibc keeps them, because giving them back to the
# system and taking them again costs a page fault per 4 KiB. Other C libraries have no such settings.
if hasattr(libc := ctypes.CDLL(None), "mallopt"):
    M_TRIM_THRESHOLD = -1
    M_MMAP_MAX = -4
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, 2**28)
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

__all__ = ["keras", "ops"]
