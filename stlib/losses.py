"""The losses of Gatys, Ecker & Bethge, *Image Style Transfer Using Convolutional Neural Networks*, CVPR 2016.

F, P: features, (M, N) or any (..., N): M positions, N channels. The paper's F is the transpose.
G, A: Gram matrices, (N, N). x: an image or a batch of them, (..., h, w, 3).
All take arrays or tensors, float32 or float64, and return tensors of that type.
"""

import tensorflow as tf


def gram_matrix(F):
    """G = F^T F, (N, N): products of channels summed over all positions, not normalized (equation 3)."""
    F = tf.convert_to_tensor(F)
    return _gram_matrix(tf.reshape(F, (-1, F.shape[-1])))  # of (M, N)


@tf.custom_gradient
def _gram_matrix(F):
    G = tf.matmul(F, F, transpose_a=True)  # (N, N)
    # F (D + D^T), where D is the gradient with respect to G: one product where TensorFlow's own rule takes two.
    return G, lambda D: tf.matmul(F, D + tf.transpose(D))


def gram_per_position(F):
    """G / M: does not depend on the size of the image, where the paper's sum does."""
    F = tf.convert_to_tensor(F)
    return gram_matrix(F) / tf.cast(tf.size(F) / F.shape[-1], F.dtype)


def split_statistics(F):
    """The two parts of G / M apart, (N + 1, N): the covariance of the channels, and ||mean|| mean below it.

    G / M = covariance + mean mean^T. Apart, an error in the one cannot hide behind an error in the other.
    Not in the paper. Both parts have the units of G / M, so that one relative error serves both.
    """
    F = tf.convert_to_tensor(F)
    return split_moments(gram_per_position(F), tf.reduce_mean(F, tf.range(tf.rank(F) - 1)))


def split_moments(moments, mean):
    """`split_statistics` from what it needs to know of F: G / M, (N, N), and the mean over all positions, (N,)."""
    covariance = moments - tf.tensordot(mean, mean, 0)  # (N, N)
    # A layer that is zero everywhere has no direction: the square root's gradient would be infinite there.
    norm = tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(mean)), 1e-12))
    return tf.concat([covariance, norm * mean[None]], 0)


def content_loss(F, P):
    """1/2 sum (F - P)^2 (equation 1)."""
    return 0.5 * tf.reduce_sum(tf.square(F - P))


def style_loss(F, A):
    """1 / (4 N^2 M^2) sum (G - A)^2 at one layer (equation 4); A is the Gram matrix of as many positions."""
    F = tf.convert_to_tensor(F)
    N = F.shape[-1]
    M = tf.cast(tf.size(F) / N, F.dtype)
    return tf.reduce_sum(tf.square(gram_matrix(F) - A)) / (4 * N**2 * M**2)


def relative_error(x, target):
    """sum (x - target)^2 / sum target^2: 0 for a perfect match, 1 for x = 0; it has no units.

    Not in the paper: `stylize` uses it so that weights carry over between networks, layers and sizes.
    A target of zeros would divide by zero, so the divisor is at least 1e-12.
    """
    scale = tf.reduce_sum(tf.square(target))
    return tf.reduce_sum(tf.square(x - target)) / tf.maximum(scale, tf.cast(1e-12, scale.dtype))


def total_variation_loss(x):
    """Mean of the squared differences between neighboring pixels, down plus across.

    Not in the paper; Mahendran & Vedaldi, *Understanding deep image representations by inverting them*, 2015.
    """
    x = tf.convert_to_tensor(x)
    height, width, channels = tf.unstack(tf.shape(x)[-3:])
    x = tf.reshape(x, (-1, height, width, channels))
    # tf.slice(x, begin, size) with -1 for "up to the end": on a CPU its gradient takes a quarter of that of x[:, 1:]
    down = tf.slice(x, (0, 1, 0, 0), (-1, -1, -1, -1)) - tf.slice(x, (0, 0, 0, 0), (-1, height - 1, -1, -1))
    across = tf.slice(x, (0, 0, 1, 0), (-1, -1, -1, -1)) - tf.slice(x, (0, 0, 0, 0), (-1, -1, width - 1, -1))
    return tf.reduce_mean(tf.square(down)) + tf.reduce_mean(tf.square(across))
