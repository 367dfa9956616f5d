"""The picture as a sum of bands: a Laplacian pyramid in opponent colors, another set of unknowns for the same loss.

Burt & Adelson, *The Laplacian pyramid as a compact image code*, 1983. As unknowns of style transfer: Kolkin, Salavon &
Shakhnarovich, *Style transfer by relaxed optimal transport and self-similarity*, 2019. Not in Gatys et al. 2016.
image: (1, h, w, 3), RGB; bands: from fine to coarse, (1, h, w, 3), (1, h/2, w/2, 3), ..., in opponent channels.
"""

import tensorflow as tf

LEVELS = 5
# Brightness, red minus blue, magenta minus green: rows of length 1 at right angles, so the transpose is the inverse.
OPPONENT = tf.constant([[1, 1, 1], [1, 0, -1], [1, -2, 1]], tf.float32) / tf.sqrt([[3.0], [2.0], [6.0]])


def split(image, levels=LEVELS):
    """Take an image apart: each band is what halving loses, the last is what is left. `join` is the inverse."""
    image, bands = tf.matmul(image, OPPONENT, transpose_b=True), []
    for _ in range(levels - 1):
        height, width = tf.shape(image)[1], tf.shape(image)[2]
        half = tf.image.resize(image, ((height + 1) // 2, (width + 1) // 2), antialias=True)
        bands.append(image - enlarge(half, image))
        image = half
    return [*bands, image]


def join(bands):
    """Add the bands up, from coarse to fine, and return to RGB: linear in every band."""
    image = bands[-1]
    for band in bands[-2::-1]:
        image = band + enlarge(image, band)
    return tf.matmul(image, OPPONENT)


def enlarge(image, band):
    """Resample `image` to the size of `band`, bilinearly."""
    return tf.image.resize(image, tf.shape(band)[1:3])
