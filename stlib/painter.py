"""The painter: a network that has learned one style and paints any photo in a single pass.

Johnson, Alahi & Fei-Fei, *Perceptual losses for real-time style transfer and super-resolution*, 2016, with the instance
normalization of Ulyanov, Vedaldi & Lempitsky, *Instance normalization: the missing ingredient for fast stylization*,
2016, and two dilated blocks (Yu & Koltun, *Multi-scale context aggregation by dilated convolutions*, 2016). Notebook A5
builds it step by step; stlib.training.painter trains it.
"""

import functools

import keras
import numpy as np
import tensorflow as tf
from scipy.ndimage import gaussian_filter

from stlib import images
from stlib import weights as files
from stlib.optimize import compiled

WIDTHS = (16, 32, 64)  # channels at full, half and quarter size
DILATIONS = (1, 1, 2, 4, 1, 1)  # of the residual blocks at quarter size; 4: each weight four positions from the next
MINIMUM_SIDE, STRIDE = 20, 4  # pixels; 20: five positions, of which four are mirrored at the edge
GRAIN, PATTERN = 0.06, 512  # standard deviation of the grain for pictures that stand still; side of its pattern


def build_painter():
    """Build a painter with random weights: a Keras model from (B, h, w, 3) in [0, 1] to the same; 4 divides h and w."""
    image = keras.Input((None, None, 3))
    x = _convolution(image, WIDTHS[0], 5, name="in")
    for k, width in enumerate(WIDTHS[1:], start=1):
        x = _convolution(x, width, 3, strides=2, name=f"down{k}")
    for k, dilation in enumerate(DILATIONS, start=1):
        residue = _convolution(x, WIDTHS[-1], 3, dilation=dilation, name=f"residual{k}a")
        x = x + _convolution(residue, WIDTHS[-1], 3, dilation=dilation, activation=None, name=f"residual{k}b")
    for k, width in enumerate(WIDTHS[-2::-1], start=1):
        x = _convolution(_enlarge(x), width, 3, name=f"up{k}")
    x = keras.ops.pad(x, [[0, 0], [2, 2], [2, 2], [0, 0]], mode="reflect")
    x = keras.layers.Conv2D(3, 5, activation="sigmoid", name="out")(x)
    return keras.Model(image, x, name="painter")


def _enlarge(x):
    """Twice as large: each pixel repeated, then twice the mean of neighbors, which is bilinear interpolation.

    UpSampling2D's own cannot be compiled for pictures of any size.
    """
    x = keras.layers.UpSampling2D(2, interpolation="nearest")(x)
    x = keras.ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect")
    for _ in range(2):
        x = keras.layers.AveragePooling2D(2, strides=1)(x)
    return x


def _convolution(x, width, kernel, strides=1, dilation=1, activation="relu", name=None):
    """Reflection padding, convolution without bias, instance normalization, activation."""
    pad = dilation * (kernel // 2)
    x = keras.ops.pad(x, [[0, 0], [pad, pad], [pad, pad], [0, 0]], mode="reflect")  # zeros would draw a frame
    x = keras.layers.Conv2D(width, kernel, strides, dilation_rate=dilation, use_bias=False, name=name)(x)
    x = keras.layers.GroupNormalization(groups=-1, epsilon=1e-5, name=f"{name}_norm")(x)  # one group for each channel
    return keras.layers.Activation(activation)(x) if activation else x


def load_painter(name):
    """Load a painter, a Keras model as `build_painter` makes it.

    name: one of weights.PAINTERS, such as "starry_night", or the path of a file that the training of one wrote (.npz).
    Raises ValueError or FileNotFoundError in one sentence.
    """
    painter, arrays = build_painter(), files.read_painter(name)
    shapes = {variable.path: tuple(variable.shape) for variable in painter.variables}
    if {variable: values.shape for variable, values in arrays.items()} != shapes:
        raise ValueError(f"{name} holds other arrays than a painter: give a file that the training of a painter wrote.")
    painter.set_weights([arrays[variable] for variable in shapes])
    return painter


@functools.lru_cache(maxsize=1)
def grain_pattern():
    """Smooth noise, float32 (512, 512, 3), mean 0, standard deviation 1, that goes on at the opposite edge."""
    rng, total = np.random.default_rng(0), np.zeros((PATTERN, PATTERN, 3))
    for sigma in (1.5, 4):  # pixels
        blurred = gaussian_filter(rng.standard_normal(total.shape), (sigma, sigma, 0), mode="wrap")
        total += blurred / blurred.std()
    return np.float32((total - total.mean()) / total.std())


def paint(image, painter, grain=0):
    """Paint a float image (h, w, 3) in [0, 1]: one pass, the same size back. Raises ValueError in one sentence.

    grain: standard deviation of a fixed pattern that is added before, GRAIN for a picture that stands still. In an even
        area all positions look alike to a convolution, so a sky would have no strokes: grain tells them apart (Ulyanov
        et al., *Texture networks*, 2016, add noise inside). In a film, strokes of the sky would stick to the screen.
    What 4 does not divide is painted with its edge mirrored and cut again. Instance normalization takes away what all
    pixels have in common: of a black, a white and a gray picture a painter makes the same.
    """
    image = images.as_image(image)
    height, width = image.shape[:2]
    if min(height, width) < MINIMUM_SIDE:
        raise ValueError(f"The image has {width} x {height} pixels; a painter needs {MINIMUM_SIDE} on the short side.")
    if grain:
        tiles = (-(-height // PATTERN), -(-width // PATTERN), 1)
        image = image + np.float32(grain) * np.tile(grain_pattern(), tiles)[:height, :width]
    padded = np.pad(image, ((0, -height % STRIDE), (0, -width % STRIDE), (0, 0)), mode="reflect")
    return _compile(painter)(padded[None])[0, :height, :width].numpy()


@functools.lru_cache(maxsize=8)
def _compile(painter):
    return compiled(painter, input_signature=[tf.TensorSpec((1, None, None, 3))])
