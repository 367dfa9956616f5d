"""Three optimizers behind one interface: each changes an image to lower a loss.

`value_and_gradient(image)` returns the losses, a dict of scalars with "total" among them, and the gradient
of the total with respect to the image, (1, h, w, 3). `on_step(image, losses)` sees every image whose loss was
computed, starting image included. All return the image after `steps` evaluations.
"""

import functools

import numpy as np
import tensorflow as tf

from stlib import pyramid

# Without AutoGraph, which looks for `if` and `for` of tensors to translate: there are none, and it takes a second.
compiled = functools.partial(tf.function, autograph=False)

BETA_1, BETA_2, EPSILON = 0.9, 0.99, 1e-7
BAND_RATES = (0.5, 0.75, 1.0, 1.0, 1.0)  # fine to coarse: slow fine bands keep grain out
COLOR_RATES = tf.constant([1.0, 0.5, 0.5])  # of brightness and the two color channels: eyes see color coarsely


def adam_on_bands(value_and_gradient, image, steps, on_step, learning_rate=0.02, state=None):
    """Adam on the bands of a Laplacian pyramid in opponent colors; the image is their sum.

    One step can move the color of a whole region as easily as that of a pixel. The learning rate is about the change
    of brightness in one step in a coarse band. Values may leave [0, 1]: the loss has to pull them back.
    state: {"t": the next step, "bands", "m", "v"}, to go on from with its `image`; kept up to date, empty at the start.
    """
    state = {} if state is None else state
    if not state:
        bands = pyramid.split(image)
        zeros = [tf.zeros_like(band) for band in bands]
        state.update(t=1, bands=bands, m=zeros, v=zeros)
    for t in range(state["t"], steps + 1):
        losses, gradient = value_and_gradient(image)
        on_step(image, losses)
        image, *after = _bands_step(state["bands"], gradient, state["m"], state["v"], float(t), learning_rate)
        state.update(zip(("bands", "m", "v"), after), t=t + 1)
    return image


def adam(value_and_gradient, image, steps, on_step, learning_rate=0.02):
    """Adam (Kingma & Ba 2015, algorithm 1, in Keras' form) on the pixels, with clipping to [0, 1] after each step.

    The learning rate is about the change of a pixel in one step.
    """
    m = v = tf.zeros_like(image)
    for t in range(1, steps + 1):
        losses, gradient = value_and_gradient(image)
        on_step(image, losses)
        image, m, v = _pixels_step(image, gradient, m, v, float(t), learning_rate)
    return image


IMAGE, SCALAR = tf.TensorSpec((1, None, None, 3)), tf.TensorSpec(())  # one trace for all sizes
BANDS = [IMAGE] * pyramid.LEVELS


@compiled(input_signature=[BANDS, IMAGE, BANDS, BANDS, SCALAR, SCALAR])
def _bands_step(bands, gradient, m, v, t, learning_rate):
    with tf.GradientTape() as tape:
        tape.watch(bands)
        image = pyramid.join(bands)
    gradients = tape.gradient(image, bands, gradient)  # the adjoint of join, applied to the gradient of the image
    bands, m, v = list(bands), list(m), list(v)
    for k, rate in enumerate(BAND_RATES):
        step, m[k], v[k] = _adam_step(gradients[k], m[k], v[k], t, rate * learning_rate)
        bands[k] -= COLOR_RATES * step
    return pyramid.join(bands), bands, m, v


@compiled(input_signature=[IMAGE] * 4 + [SCALAR] * 2)
def _pixels_step(image, gradient, m, v, t, learning_rate):
    step, m, v = _adam_step(gradient, m, v, t, learning_rate)
    return tf.clip_by_value(image - step, 0, 1), m, v


def _adam_step(gradient, m, v, t, learning_rate):
    """What Adam subtracts, and its new moments."""
    m = BETA_1 * m + (1 - BETA_1) * gradient
    v = BETA_2 * v + (1 - BETA_2) * tf.square(gradient)
    rate = learning_rate * tf.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)  # bias correction
    return rate * m / (tf.sqrt(v) + EPSILON), m, v


class _Enough(Exception):
    pass


def lbfgs(value_and_gradient, image, steps, on_step):
    """SciPy's L-BFGS-B (Byrd et al. 1995), pixels bound to [0, 1]; a step is one evaluation of the loss.

    Bounds belong inside the method: clipping afterwards would spoil its picture of the curvature.
    Returns the best image seen, sooner than after `steps` if the loss stops falling.
    """
    from scipy.optimize import Bounds, minimize  # here, because it takes longer to import than all of stlib

    best, best_loss, evaluations = image, np.inf, 0

    def function(x):
        nonlocal best, best_loss, evaluations
        if evaluations == steps:
            raise _Enough
        evaluations += 1
        candidate = tf.constant(x.reshape(image.shape), tf.float32)
        losses, gradient = value_and_gradient(candidate)
        on_step(candidate, losses)
        total = float(losses["total"])
        if total < best_loss:
            best, best_loss = candidate, total
        return total, np.float64(gradient).ravel()

    x = np.float64(image).ravel()
    try:
        options = dict(maxiter=steps, maxfun=steps + 1, ftol=0, gtol=0)
        minimize(function, x, jac=True, method="L-BFGS-B", bounds=Bounds(0, 1), options=options)
    except _Enough:
        pass
    return best
