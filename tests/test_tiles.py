"""Tiles give the loss and the gradient of the whole, for every shape, layer and weight."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from stlib import optimize, rows, tiles
from stlib.losses import relative_error, total_variation_loss
from stlib.network import build_vgg, feature_extractor, load_network
from stlib.stylize import CONTENT_LAYERS, OUTSIDE, RECIPES, STYLE_LAYERS, _compile, _moves
from stlib.parts import cut_map, cut_network, margin
from stlib.tiles import Tiles

STYLE = tuple(RECIPES["slim"]["style_layers"].items())
WEIGHTS = {"content": 0.03, "style": 1.0, "total_variation": 0.7}
STAY = tf.constant([4, 4])
load_network = functools.cache(load_network)


def pictures(shape, style_shape=(53, 71)):
    """A photo, a painting, and an image with values outside [0, 1], in batches."""
    rng = np.random.default_rng(0)
    smooth = tf.image.resize(rng.uniform(-0.2, 1.2, (1, 9, 7, 3)), shape)
    photo, painting = (tf.constant(rng.uniform(size=(1, *s, 3)), tf.float32) for s in (shape, style_shape))
    return 0.7 * np.clip(smooth, 0, 1) + 0.3 * photo, painting, smooth + rng.normal(0, 0.1, (1, *shape, 3))


def assert_equal(ours, whole):
    """Measured over all tests: losses to 5e-7, gradients to 1e-6."""
    for name, loss in whole[0].items():
        np.testing.assert_allclose(ours[0][name], loss, rtol=1e-5, atol=1e-12)
    difference = np.abs(ours[1] - whole[1])
    assert np.linalg.norm(difference) < 1e-5 * np.linalg.norm(whole[1])
    assert difference.max() < 1e-5 * np.abs(whole[1]).max()


def both(network, content, style, statistics, side, shape, moves=(STAY,), weights=WEIGHTS):
    """Compare the tiles with the whole after each of the moves, the targets included."""
    photo, painting, image = pictures(shape)
    ours = Tiles(network, content, style, statistics, side)
    content_targets, style_targets, value_and_gradient = _compile(network, content, style, statistics)
    A, A_whole = ours.style_targets(painting), style_targets(painting)
    for layer in A_whole:
        np.testing.assert_allclose(A[layer], A_whole[layer], rtol=1e-4, atol=1e-5 * np.abs(A_whole[layer]).max())
    for move in moves:
        P = ours.content_targets(photo, move)
        whole = value_and_gradient(image, move, content_targets(photo, move), A_whole, weights)
        assert_equal(ours.value_and_gradient(image, move, P, A, weights), whole)
        start = ours.value_and_gradient(photo, move, P, A, weights)[0]
        assert start["content"] < 1e-10  # the photo itself
    return ours


@pytest.mark.parametrize("statistics", ["split", "gram"])
def test_all_moves_at_an_odd_size(statistics, network):
    both(network, CONTENT_LAYERS, STYLE, statistics, 48, (101, 147), _moves("pyramid", 0))


SHAPES = {  # height and width, side
    "one tile": ((45, 61), 512),
    "one row of tiles": ((40, 150), 64),
    "a last tile of a row of positions": ((104, 61), 48),
    "a last tile narrower than a position": ((103, 98), 32),
    "the smallest tiles": ((33, 42), 8),
    "the smallest picture": ((16, 16), 8),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name, network):
    shape, side = SHAPES[name]
    both(network, CONTENT_LAYERS, STYLE, "split", side, shape)


LAYERS = {  # content layers, style layers with weights
    "several": (("block2_conv2", "block4_conv1"), (("block1_conv2", 1.0), ("block4_conv1", 2.0), ("block5_conv1", 1.0))),
    "weights of zero": (CONTENT_LAYERS, tuple((layer, float(layer != "block4_conv1")) for layer in STYLE_LAYERS)),
    "all before the cut": (("block2_conv1",), (("block1_conv1", 1.0), ("block3_conv1", 0.5))),
    "the cut itself": (("block3_pool",), (("block3_pool", 1.0),)),
    "the cut's and one beyond": (("block3_pool",), (("block2_pool", 1.0), ("block3_pool", 1.0), ("block4_pool", 1.0))),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_layers(name, pooling):
    content, style = LAYERS[name]
    if pooling == "average" and "cut" in name:
        pytest.skip("tested with max pooling")
    both(load_network("slim", pooling), content, style, "split", 40, (83, 90))


@pytest.mark.parametrize("weights", [dict.fromkeys(WEIGHTS, 0.0) | {name: 1.0} for name in WEIGHTS])
def test_one_loss_alone(weights, network):
    both(network, CONTENT_LAYERS, STYLE, "split", 32, (50, 70), _moves("pyramid", 3)[1:2], weights)


def test_vgg16():
    network = load_network("vgg16")
    both(network, CONTENT_LAYERS, tuple(RECIPES["vgg16"]["style_layers"].items()), "split", 32, (61, 75))
