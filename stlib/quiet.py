"""TensorFlow greets when it is imported, in words that look like an error and that no setting of its own turns off."""

import contextlib
import os


@contextlib.contextmanager
def quiet():
    """Drop what libraries print on stderr, also those that are not written in Python."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)
