"""Adam on the bands of a picture larger than memory: the numbers of optimize.adam_on_bands, some rows at a time.

That one holds the bands, their gradient, two moments of each, and all of them twice: 15 times the picture. Here they
change in place, and what the network does not need while it runs waits in files.
"""

import math
import tempfile

import numpy as np
import tensorflow as tf

from stlib import optimize, pyramid

VALUES = 2**20  # about so many at a time


class Rows:
    """A float32 array whose rows wait in a temporary file, which vanishes with this object, whatever happens.

    Slices are read and written: rows[2:4] is an array, rows[2:4] = array changes the file. As an array it is a batch.
    """

    def __init__(self, array, folder=None):
        self.shape, self.file = array.shape, tempfile.TemporaryFile(dir=folder)
        self[:] = array  # now, so that a full disk is known at the start

    def _find(self, rows):
        start, stop, _ = rows.indices(len(self))
        self.file.seek(4 * start * math.prod(self.shape[1:]))
        return stop - start, *self.shape[1:]

    def __len__(self):
        return self.shape[0]

    def __array__(self, dtype=None, copy=None):
        return self[:][None]

    def __getitem__(self, rows):
        array = np.empty(self._find(rows), np.float32)
        self.file.readinto(array)
        return array

    def __setitem__(self, rows, array):
        self._find(rows)
        self.file.write(np.ascontiguousarray(array, np.float32))


def adam_on_bands(value_and_gradient, image, steps, on_step, learning_rate=0.02, state=None, folder=None):
    """As optimize.adam_on_bands. folder: of the temporary files; None is the system's."""
    state = {} if state is None else state
    if not state:
        bands = pyramid.split(image)
        state.update(t=1, bands=bands, m=map(np.zeros_like, bands), v=map(np.zeros_like, bands))
        del bands
    for name in ("bands", "m", "v"):
        state[name] = [Rows(band[0], folder) for band in state[name]]
    for t in range(state["t"], steps + 1):
        losses, gradient = value_and_gradient(image)
        on_step(image, losses)
        del image  # room for the next one
        gradient = np.array(gradient[0])
        change(state["bands"], gradient, state["m"], state["v"], t, learning_rate)
        del gradient
        image, state["t"] = tf.constant(join(state["bands"])[None]), t + 1
    return image


def change(bands, gradient, m, v, t, learning_rate):
    """One step of Adam on all bands. gradient: of the image, (h, w, 3); it is used up."""
    for rows in pieces(gradient.shape):
        gradient[rows] = tf.matmul(gradient[rows], pyramid.OPPONENT, transpose_b=True)
    for k, rate in enumerate(optimize.BAND_RATES):
        if k:
            gradient = np.asarray(_shrink(gradient[None], bands[k].shape[:2]))[0]
        for rows in pieces(gradient.shape):
            step, m[k][rows], v[k][rows] = _adam(gradient[rows], m[k][rows], v[k][rows], t, rate * learning_rate)
            bands[k][rows] -= step


def join(bands):
    """As pyramid.join, of bands (h, w, 3)."""
    image = bands[-1][:]
    for band in bands[-2::-1]:
        image = np.array(tf.image.resize(image, band.shape[:2]))
        for rows in pieces(image.shape):
            image[rows] += band[rows]
    for rows in pieces(image.shape):
        image[rows] = tf.matmul(image[rows], pyramid.OPPONENT)
    return image


def pieces(shape):
    """Slices of rows that hold about VALUES values each."""
    count = max(1, VALUES // math.prod(shape[1:]))
    return [slice(top, top + count) for top in range(0, shape[0], count)]


@tf.function(input_signature=[optimize.IMAGE, tf.TensorSpec((2,), tf.int32)])
def _shrink(gradient, size):
    """The gradient with respect to a band that pyramid.enlarge enlarged."""
    small = tf.zeros((1, size[0], size[1], 3))
    with tf.GradientTape() as tape:
        tape.watch(small)
        large = pyramid.enlarge(small, gradient)
    return tape.gradient(large, small, gradient)


@tf.function(input_signature=[tf.TensorSpec((None, None, 3))] * 3 + [optimize.SCALAR] * 2)
def _adam(gradient, m, v, t, learning_rate):
    step, m, v = optimize._adam_step(gradient, m, v, t, learning_rate)
    return optimize.COLOR_RATES * step, m, v
