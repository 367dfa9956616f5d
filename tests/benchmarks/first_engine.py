"""The engine that speed is compared with: pixels, five scales, one tape, as `stylize` painted at first.

The widths are those of the first slim network (VGG19's layout, a quarter of its channels); its weights, which are not
kept, would take as long as these random ones.
"""

import numpy as np
import tensorflow as tf

from stlib import images
from stlib.losses import relative_error, total_variation_loss
from stlib.network import build_vgg, feature_extractor
from stlib.settings import CONTENT_LAYERS, STYLE_LAYERS

STEPS = (80, 60, 50, 40, 40)
WIDTHS = (16, 32, 64, 128, 128)
IMAGE, SCALAR = tf.TensorSpec((1, None, None, 3)), tf.TensorSpec(())


def first_engine():
    """Return a function (content, style, size) -> image, compiled for all sizes at its first call."""
    features = feature_extractor(build_vgg(widths=WIDTHS), CONTENT_LAYERS + STYLE_LAYERS)
    P_spec = {layer: tf.TensorSpec((1, None, None, features.output[layer].shape[-1])) for layer in CONTENT_LAYERS}
    A_spec = {layer: tf.TensorSpec((features.output[layer].shape[-1],) * 2) for layer in STYLE_LAYERS}

    def gram_per_position(F):
        F = tf.reshape(F, (-1, F.shape[-1]))
        return tf.matmul(F, F, transpose_a=True) / tf.cast(tf.shape(F)[0], F.dtype)

    @tf.function(input_signature=[IMAGE, IMAGE])
    def targets(content, style):
        F, S = features(content), features(style)
        return {k: F[k] for k in CONTENT_LAYERS}, {k: gram_per_position(S[k]) for k in STYLE_LAYERS}

    @tf.function(input_signature=[IMAGE, P_spec, A_spec])
    def value_and_gradient(image, P, A):
        with tf.GradientTape() as tape:
            tape.watch(image)
            F = features(image)
            content = tf.reduce_mean([relative_error(F[k], P[k]) for k in CONTENT_LAYERS])
            style = tf.reduce_mean([relative_error(gram_per_position(F[k]), A[k]) for k in STYLE_LAYERS])
            total = 0.05 * content + style + 2.0 * total_variation_loss(image)
        return total, tape.gradient(total, image)

    @tf.function(input_signature=[IMAGE] * 4 + [SCALAR])
    def adam_step(image, gradient, m, v, t):
        m, v = 0.9 * m + 0.1 * gradient, 0.99 * v + 0.01 * tf.square(gradient)
        rate = 0.02 * tf.sqrt(1 - 0.99**t) / (1 - 0.9**t)
        return tf.clip_by_value(image - rate * m / (tf.sqrt(v) + 1e-7), 0, 1), m, v

    def paint(content, style, size):
        image = content
        for k, count in zip(range(len(STEPS) - 1, -1, -1), STEPS):
            shape, style_shape = (
                tuple(max(16, round(side * 2 ** (-k / 2))) for side in images.fit(each.shape, size))
                for each in (content, style)
            )
            P, A = targets(images.resize(content, shape)[None], images.resize(style, style_shape)[None])
            batch = tf.constant(images.resize(image, shape)[None])
            m = v = tf.zeros_like(batch)
            for t in range(1, count + 1):
                total, gradient = value_and_gradient(batch, P, A)
                assert np.isfinite(float(total))
                batch, m, v = adam_step(batch, gradient, m, v, float(t))
            image = batch[0].numpy()
        return image

    return paint
