"""The picture as a sum of bands: taken apart and put together, the adjoint, and Adam's steps on the bands."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from stlib import optimize, pyramid

SHAPES = [(1, 1), (2, 3), (1, 9), (8, 8), (15, 17), (32, 24), (33, 31), (16, 300), (300, 16), (101, 64)]
OPPONENT = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])


def upsampling(n, to):
    """The matrix (to, n) of linear interpolation between the centers of n pixels."""
    places = np.clip((np.arange(to) + 0.5) * n / to - 0.5, 0, n - 1)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(n)))


def join(bands):
    """`pyramid.join` in NumPy and float64: a matrix for the rows, one for the columns, and the rotation."""
    image = bands[-1]
    for band in bands[-2::-1]:
        rows, columns = (upsampling(image.shape[axis], band.shape[axis]) for axis in (1, 2))
        image = band + np.einsum("yi,bijc,xj->byxc", rows, image, columns)
    return image @ OPPONENT


def adjoint(gradient, shapes):
    """What the transposes of these matrices make of the gradient of the picture: one gradient for each band."""
    gradients = [gradient @ OPPONENT.T]
    for shape in shapes[1:]:
        g = gradients[-1]
        rows, columns = (upsampling(shape[axis], g.shape[axis]) for axis in (1, 2))
        gradients.append(np.einsum("yi,byxc,xj->bijc", rows, g, columns))
    return gradients


def random_image(rng, shape):
    return rng.uniform(size=(1, *shape, 3)).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_join_is_the_inverse_of_split(shape, rng):
    image = random_image(rng, shape)
    bands = pyramid.split(image)
    assert np.abs(pyramid.join(bands) - image).max() < 1e-6
    assert [band.shape[1:] for band in bands] == [(*(-(-side // 2**k) for side in shape), 3) for k in range(5)]


@pytest.mark.parametrize("levels", [1, 2, 7])
def test_any_number_of_levels(levels, rng):
    image = random_image(rng, (21, 34))
    bands = pyramid.split(image, levels)
    assert len(bands) == levels and np.abs(pyramid.join(bands) - image).max() < 1e-6


def test_split_and_join_are_linear(rng):
    x, y = random_image(rng, (19, 26)), random_image(rng, (19, 26))
    for both, one, other in zip(pyramid.split(2 * x - 3 * y), pyramid.split(x), pyramid.split(y)):
        assert np.allclose(both, 2 * one - 3 * other, atol=1e-5)
    bands, others = pyramid.split(x), [rng.normal(size=band.shape).astype(np.float32) for band in pyramid.split(y)]
    sums = [2 * band - 3 * other for band, other in zip(bands, others)]
    assert np.allclose(pyramid.join(sums), 2 * pyramid.join(bands) - 3 * pyramid.join(others), atol=1e-5)


def test_any_bands_make_a_picture_the_last_one_its_broad_forms(rng):
    bands = [np.zeros((1, side, side, 3), np.float32) for side in (32, 16, 8, 4, 2)]
    bands[-1] = np.full((1, 2, 2, 3), [0.5 * 3**0.5, 0, 0], np.float32)
    assert np.allclose(pyramid.join(bands), 0.5, atol=1e-6)  # brightness alone is gray


def test_opponent_colors_are_a_rotation():
    assert np.allclose(pyramid.OPPONENT, OPPONENT)
    assert np.allclose(OPPONENT @ OPPONENT.T, np.eye(3))


def test_a_flat_gray_picture_is_in_the_coarsest_band_without_color():
    *fine, coarse = pyramid.split(np.full((1, 40, 50, 3), 0.3, np.float32))
    assert all(np.abs(band).max() < 1e-6 for band in fine)
    assert np.allclose(coarse[..., 0], 0.3 * 3**0.5) and np.abs(coarse[..., 1:]).max() < 1e-6


@pytest.mark.parametrize("shape", [(1, 1), (15, 17), (16, 300), (33, 31)])
def test_join_is_these_matrices_and_its_gradient_their_transposes(shape, rng):
    bands = [rng.normal(size=band.shape) for band in pyramid.split(random_image(rng, shape))]
    y = rng.normal(size=(1, *shape, 3))
    tensors = [tf.constant(band, tf.float32) for band in bands]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        image = pyramid.join(tensors)
    gradients = tape.gradient(image, tensors, tf.constant(y, tf.float32))
    assert np.allclose(image, join(bands), atol=1e-5)
    expected = adjoint(y, [band.shape for band in bands])
    for gradient, right in zip(gradients, expected):
        assert np.allclose(gradient, right, atol=1e-4)
    inner = sum(np.sum(band * g) for band, g in zip(bands, expected))  # <A b, y> = <b, A^T y>
    assert np.isclose(np.sum(join(bands) * y), inner)


def test_adam_on_bands_is_keras_adam_on_each_band_and_channel(rng):
    start, goal = random_image(rng, (20, 23)), random_image(rng, (20, 23))
    seen = []
    rate, steps = 0.02, 6
    image = optimize.adam_on_bands(
        lambda x: ({"total": tf.reduce_sum(tf.square(x - goal)) / 2}, x - goal),
        tf.constant(start), steps, lambda x, losses: seen.append(float(losses["total"])), rate,
    )  # fmt: skip
    variables = [[keras.Variable(band[..., c]) for c in range(3)] for band in pyramid.split(start)]
    optimizers = [
        [keras.optimizers.Adam(rate * own * color, beta_2=0.99) for color in (1, 0.5, 0.5)]
        for own in (0.5, 0.75, 1, 1, 1)
    ]
    for step in range(steps):
        bands = [np.stack([each.numpy() for each in band], -1) for band in variables]
        x = join(bands)
        assert np.isclose(seen[step], np.sum((x - goal) ** 2) / 2, rtol=1e-4)
        for g, band, own in zip(adjoint(x - goal, [band.shape for band in bands]), variables, optimizers):
            for c in range(3):
                own[c].apply([np.float32(g[..., c])], [band[c]])
    expected = join([np.stack([each.numpy() for each in band], -1) for band in variables])
    assert len(seen) == steps and np.abs(image - expected).max() < 1e-4


def test_a_step_moves_a_region_as_easily_as_a_pixel():
    """Where the goal is brighter everywhere, one step on bands goes further than one on pixels."""
    start, goal = tf.fill((1, 64, 64, 3), 0.2), tf.fill((1, 64, 64, 3), 0.9)
    for minimize, least in ((optimize.adam, 0.0199), (optimize.adam_on_bands, 0.04)):
        image = minimize(lambda x: ({"total": 0.0}, x - goal), start, 1, lambda *seen: None, 0.02)
        assert np.mean(image - start) > least
