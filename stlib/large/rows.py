"""Adam on the bands of a picture larger than memory: the numbers of optimize.adam_on_bands, some rows at a time.

That one holds the bands, their gradient, two moments of each, and all of them twice: 15 times the picture. Here the
picture, its bands and their moments wait in files, of which some rows are read; only the gradient is held.
"""

import ctypes
import functools
import math
import sys
import tempfile

import numpy as np
import tensorflow as tf
from scipy.sparse import csr_array

from stlib import optimize, pyramid

VALUES = 2**20  # about so many at a time


class Rows:
    """A float32 array whose rows wait in a temporary file, which vanishes with this object, whatever happens.

    Slices are read and written: rows[2:4] is an array, rows[2:4] = array changes the file. As an array it is a batch.
    """

    def __init__(self, array, folder=None):
        self.shape, self.file = array.shape, tempfile.TemporaryFile(dir=folder)
        for rows in pieces(self.shape):  # now, so that a full disk is known at the start
            self[rows] = array[rows]

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


def give_back():
    """Give memory that was freed back to the system. Linux's allocator keeps it, in gaps of the last scale's sizes."""
    if sys.platform == "linux":
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)


def zeros(shape, folder):
    """Rows of zeros."""
    return Rows(np.broadcast_to(np.float32(0), shape), folder)


def picture(image):
    """The picture (h, w, 3) of a batch, to read rows of; Rows as they are."""
    return image if isinstance(image, Rows) else np.asarray(image)[0]


def pieces(shape):
    """Slices of rows that hold about VALUES values each."""
    count = max(1, VALUES // math.prod(shape[1:]))
    return [slice(top, min(top + count, shape[0])) for top in range(0, shape[0], count)]


def to_files(state, folder):
    """Put the arrays in the state of optimize.adam_on_bands, batches, into Rows."""
    for name in set(state) & {"bands", "m", "v"}:
        state[name] = [Rows(picture(band), folder) for band in state[name]]


def adam_on_bands(value_and_gradient, image, steps, on_step, learning_rate=0.02, state=None, folder=None):
    """As optimize.adam_on_bands. image: a batch, or Rows, as which it is seen and returned after the first step.

    state: as there, of Rows. folder: of the temporary files; None is the system's.
    """
    state = {} if state is None else state
    if not state:
        bands = split(picture(image), folder)
        state.update(t=1, bands=bands, **{name: [zeros(band.shape, folder) for band in bands] for name in "mv"})
    for t in range(state["t"], steps + 1):
        losses, gradient = value_and_gradient(image)
        on_step(image, losses)
        change(state["bands"], picture(gradient), state["m"], state["v"], t, learning_rate)
        del gradient  # room for the next one
        give_back()
        image, state["t"] = join(state["bands"], folder), t + 1
    return image


def change(bands, gradient, m, v, t, learning_rate):
    """One step of Adam on all bands. gradient: of the image, (h, w, 3), RGB."""
    for k, rate in enumerate(optimize.BAND_RATES):
        if k:  # with respect to a band that pyramid.enlarge enlarged
            gradient, large = np.empty(bands[k].shape, np.float32), gradient
            for rows in pieces(gradient.shape):
                gradient[rows] = resample(large, *adjoint(large.shape, gradient.shape), rows)
        for rows in pieces(gradient.shape):
            slope = tf.matmul(gradient[rows], pyramid.OPPONENT, transpose_b=True)
            step, m[k][rows], v[k][rows] = _adam(slope, m[k][rows], v[k][rows], t, rate * learning_rate)
            bands[k][rows] -= step


def split(image, folder=None):
    """As pyramid.split, of an image (h, w, 3) or Rows, into Rows."""
    band, bands = Rows(image, folder), []
    for rows in pieces(band.shape):
        band[rows] = tf.matmul(band[rows], pyramid.OPPONENT, transpose_b=True)
    for _ in range(pyramid.LEVELS - 1):
        half = zeros([(length + 1) // 2 for length in band.shape[:2]] + [3], folder)
        for rows in pieces(half.shape):
            half[rows] = resample(band, *matrices(half.shape, band.shape), rows)
        for rows in pieces(band.shape):
            band[rows] -= resample(half, *matrices(band.shape, half.shape), rows)
        bands.append(band)
        band = half
    return [*bands, band]


def join(bands, folder=None):
    """As pyramid.join, of Rows."""
    image = bands[-1]
    for band in bands[-2::-1]:
        image, small = zeros(band.shape, folder), image
        for rows in pieces(band.shape):
            image[rows] = band[rows] + resample(small, *matrices(band.shape, small.shape), rows)
    for rows in pieces(image.shape):
        image[rows] = tf.matmul(image[rows], pyramid.OPPONENT)
    return image


def resample(image, down, across, rows):
    """Some rows of an image (h, w, 3) resampled to (h', w', 3); down, across: sparse matrices, (h', h) and (w', w)."""
    down = down[rows]
    read = slice(down.indices.min(), down.indices.max() + 1)
    image = image[read]
    strip = (down[:, read] @ image.reshape(len(image), -1)).reshape(-1, image.shape[1], 3)
    strip = across @ strip.swapaxes(0, 1).reshape(image.shape[1], -1)
    return strip.reshape(across.shape[0], -1, 3).swapaxes(0, 1)


@functools.lru_cache(maxsize=32)  # more than the sides of all bands
def _matrix(new, old):
    """Those of tf.image.resize along one side, (new, old), antialiased where it shrinks: triangles of sum 1."""
    wide = np.float32(max(1, old / new))
    # The center of each new position, in old ones, in float32, as TensorFlow does.
    center = (np.arange(new, dtype=np.float32)[:, None] + np.float32(0.5)) * np.float32(old / new) - np.float32(0.5)
    near = np.floor(center) + np.arange(1 - np.ceil(wide), np.ceil(wide) + 1)
    height = np.maximum(0, 1 - np.abs(near - center) / wide) * ((near >= 0) & (near < old))
    k, j = np.nonzero(height)
    values = (height / height.sum(1, keepdims=True))[k, j]
    return csr_array((np.float32(values), (k, np.int32(near[k, j]))), shape=(new, old))


def matrices(new, old):
    """From a shape (h, w, ...) to a new one: the sparse matrices that resample, down and across."""
    return [_matrix(*pair) for pair in zip(new[:2], old[:2])]


@functools.lru_cache(maxsize=8)
def adjoint(large, small):
    """Those with which the gradient of the large image becomes the small one's."""
    return [each.T.tocsr() for each in matrices(large, small)]


@optimize.compiled(input_signature=[tf.TensorSpec((None, None, 3))] * 3 + [optimize.SCALAR] * 2)
def _adam(gradient, m, v, t, learning_rate):
    step, m, v = optimize._adam_step(gradient, m, v, t, learning_rate)
    return optimize.COLOR_RATES * step, m, v
