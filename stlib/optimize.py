"""Two optimizers behind one interface: both change the pixels of an image to lower a loss.

`value_and_gradient(image)` returns the losses, a dict of scalars with "total" among them, and the gradient
of the total with respect to the image, (1, h, w, 3). `on_step(image, losses)` sees every image whose loss was
computed, starting image included. Both return the image after `steps` evaluations, its values in [0, 1].
"""

import numpy as np
import tensorflow as tf

BETA_1, BETA_2, EPSILON = 0.9, 0.99, 1e-7


def adam(value_and_gradient, image, steps, on_step, learning_rate=0.02):
    """Adam (Kingma & Ba 2015, algorithm 1, in Keras' form) with clipping to [0, 1] after each step.

    The learning rate is about the change of a pixel in one step.
    """
    m = v = tf.zeros_like(image)
    for t in range(1, steps + 1):
        losses, gradient = value_and_gradient(image)
        on_step(image, losses)
        image, m, v = _adam_step(image, gradient, m, v, float(t), learning_rate)
    return image


IMAGE, SCALAR = tf.TensorSpec((1, None, None, 3)), tf.TensorSpec(())


@tf.function(input_signature=[IMAGE] * 4 + [SCALAR] * 2)  # one trace for all sizes
def _adam_step(image, gradient, m, v, t, learning_rate):
    m = BETA_1 * m + (1 - BETA_1) * gradient
    v = BETA_2 * v + (1 - BETA_2) * tf.square(gradient)
    rate = learning_rate * tf.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)  # bias correction
    return tf.clip_by_value(image - rate * m / (tf.sqrt(v) + EPSILON), 0, 1), m, v


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
