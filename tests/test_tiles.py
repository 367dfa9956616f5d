"""Tiles give the loss and the gradient of the whole, for every shape, layer and weight."""

import functools
import re
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from conftest import load_once

from stlib import optimize
from stlib.large import rows, tiles
from stlib.large.parts import cut_map, cut_network, margin
from stlib.large.tiles import LARGEST, Tiles, bytes_needed, choose_side, smallest_side
from stlib.losses import total_variation_loss
from stlib.network import build_vgg, feature_extractor
from stlib.scales import OWN, fitted, plan
from stlib.settings import CONTENT_LAYERS, OUTSIDE, RECIPES, STYLE_LAYERS, Settings
from stlib.stylize import _compile, _in_turns, _moves, stylize

STYLE = tuple(RECIPES["slim"]["style_layers"].items())
WEIGHTS = {"content": 0.03, "style": 1.0, "total_variation": 0.7}
STAY = tf.constant([4, 4])


def pictures(shape, style_shape=(53, 71)):
    """A photo, a painting, and an image with values outside [0, 1], in batches."""
    rng = np.random.default_rng(0)
    smooth = tf.image.resize(rng.uniform(-0.2, 1.2, (1, 9, 7, 3)), shape)
    photo, painting = (tf.constant(rng.uniform(size=(1, *s, 3)), tf.float32) for s in (shape, style_shape))
    return 0.7 * np.clip(smooth, 0, 1) + 0.3 * photo, painting, smooth + rng.normal(0, 0.1, (1, *shape, 3))


def assert_equal(ours, whole):
    """Measured over all tests: losses to 3e-7, gradients to 7e-7 of their length, 7e-7 of the largest value."""
    for name, loss in whole[0].items():
        np.testing.assert_allclose(ours[0][name], loss, rtol=1e-5, atol=1e-12)
    difference = np.abs(ours[1] - whole[1])
    assert np.linalg.norm(difference) < 1e-5 * np.linalg.norm(whole[1])
    assert difference.max() < 1e-5 * np.abs(whole[1]).max()


def both(network, content, style, statistics, side, shape, moves=(STAY,), weights=WEIGHTS, room=0):
    """Compare the tiles with the whole after each of the moves, the targets included."""
    photo, painting, image = pictures(shape)
    ours = Tiles(network, content, style, statistics, side, room=room)
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


@pytest.mark.parametrize(("statistics", "moves"), [("split", _moves("pyramid", 0)), ("gram", [STAY])])
def test_an_odd_size_after_all_moves(statistics, moves, network):
    both(network, CONTENT_LAYERS, STYLE, statistics, 24, (75, 116), moves)


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


LAYERS = {  # content layers, style layers with weights, pooling
    "several, average pooling": (
        ("block2_conv2", "block4_conv1"),
        (("block1_conv2", 1.0), ("block4_conv1", 2.0), ("block5_conv1", 1.0)),
        "average",
    ),
    "a weight of zero": (CONTENT_LAYERS, tuple((k, float(k != "block4_conv1")) for k in STYLE_LAYERS), "max"),
    "all before the cut": (("block2_conv1",), (("block1_conv1", 1.0), ("block3_conv1", 0.5)), "max"),
    "the cut and beyond": (("block3_pool",), (("block3_pool", 1.0), ("block4_pool", 2.0)), "max"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, network):
    content, style, pooling = LAYERS[name]
    both(network if pooling == "max" else load_once("slim", pooling), content, style, "split", 24, (83, 110))


@pytest.mark.parametrize("weights", [dict.fromkeys(WEIGHTS, 0.0) | {name: 1.0} for name in WEIGHTS])
def test_one_loss_alone(weights, network):
    both(network, CONTENT_LAYERS, STYLE, "split", 32, (50, 70), _moves("pyramid", 3)[1:2], weights)


@pytest.mark.parametrize(("room", "count"), [(1e5, 0), (5e5, 1), (1e7, 5), (1e9, 17)])
def test_tiles_that_are_computed_once(room, count, network):
    """None; one of two of the last part; those and some of the first part; all."""
    shape = (75, 116)
    both(network, CONTENT_LAYERS, STYLE, "split", 24, shape, room=room)
    keep = Tiles(network, CONTENT_LAYERS, STYLE, "split", 24, room=room)._tiles_to_keep(shape)
    assert len(keep) == count


def test_vgg16():
    network = load_once("vgg16")
    both(network, CONTENT_LAYERS, tuple(RECIPES["vgg16"]["style_layers"].items()), "split", 16, (45, 61))


def test_guides_and_mixed_targets_of_lesson_a4(network):
    """Two regions, one with a mix of two paintings, and content weights, against the lesson's own formulas."""
    (photo, painting, image), rng = pictures((75, 116)), np.random.default_rng(1)
    features = feature_extractor(network, (*CONTENT_LAYERS, *STYLE_LAYERS))
    shares, R = dict(STYLE), 2
    masks = np.float32(rng.uniform(size=(R, 75, 116, 1)) > 0.4)

    def guide(masks, F):
        T = tf.image.resize(masks, F.shape[1:3], "area")
        return T / tf.sqrt(tf.reduce_sum(T**2, axis=(1, 2, 3), keepdims=True))

    def guided_gram(F, T):
        guided = tf.reshape(T * F, (T.shape[0], -1, F.shape[-1]))
        return tf.matmul(guided, guided, transpose_a=True)

    P, S = features(photo), features(painting)
    T = {k: guide(masks, P[k]) for k in shares}
    c = {k: tf.constant(rng.uniform(0, 30, (1, *P[k].shape[1:3], 1)), tf.float32) for k in CONTENT_LAYERS}
    plain, mixed = (
        {k: guided_gram(G[k], guide(np.ones((1, 9, 9, 1), np.float32), G[k])) for k in shares} for G in (S, P)
    )
    A = {k: tf.concat([plain[k], 0.3 * plain[k] + 0.7 * mixed[k]], 0) for k in shares}
    with tf.GradientTape() as tape:
        tape.watch(image)
        inside = tf.clip_by_value(image, 0, 1)
        seen = image + tf.stop_gradient(inside - image)
        F = features(seen)
        square = {k: tf.reduce_sum((guided_gram(F[k], T[k]) - A[k]) ** 2, (1, 2)) for k in shares}
        errors = {k: square[k] / tf.reduce_sum(A[k] ** 2, (1, 2)) for k in shares}
        losses = {
            "content": sum(tf.reduce_sum(c[k] * (F[k] - P[k]) ** 2) / tf.reduce_sum(P[k] ** 2) for k in CONTENT_LAYERS),
            "style": sum(shares[k] * tf.reduce_mean(errors[k]) for k in shares) / sum(shares.values()),
            "total_variation": total_variation_loss(seen),
        }
        losses["total"] = sum(WEIGHTS[name] * loss for name, loss in losses.items())
        total = losses["total"] + OUTSIDE * tf.reduce_mean((image - inside) ** 2)
    ours = Tiles(network, CONTENT_LAYERS, STYLE, "gram", 24, guided=True)
    P = ours.content_targets(photo, STAY)
    assert_equal(
        ours.value_and_gradient(image, STAY, P, A, WEIGHTS, {"T": T, "c": c}), (losses, tape.gradient(total, image))
    )


def test_repeats_are_identical_and_one_trace_serves_all_sizes(network):
    ours, results = Tiles(network, CONTENT_LAYERS, STYLE, "split", 32), []
    for shape in ((50, 70), (50, 70), (47, 33)):
        photo, painting, image = pictures(shape)
        P, A = ours.content_targets(photo, STAY), ours.style_targets(painting)
        results.append(ours.value_and_gradient(image, STAY, P, A, WEIGHTS))
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])
    for part in ours.parts:
        for function in (part.features, part.moments, part.sums, part.gradient):
            assert function.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("name", ["slim", "vgg16"])
def test_margins_are_needed_and_computed(name):
    """3x3 convolutions: 2 x 1, 2 x 2 and 3 x 4 pixels, up to a multiple of 8; then 3 x 1 and 1 x 2 positions."""
    chains = cut_network(load_once(name), STYLE_LAYERS)
    assert [margin(chain) for chain in chains] == [24, 6]
    assert [chain[-1].name for chain in chains] == ["block3_pool", "block5_conv1"]
    assert [margin(chain) for chain in cut_network(build_vgg(widths=[2] * 5), ["block5_conv4"])] == [24, 12]
    assert [margin(chain) for chain in cut_network(load_once(name), ["block1_conv1"])] == [1]


@pytest.mark.parametrize("missing", [0, 1])
def test_a_narrower_margin_shows(missing, network, monkeypatch):
    photo, painting, image = pictures((75, 116))
    ours = Tiles(network, CONTENT_LAYERS, STYLE, "split", 24)
    P, A = ours.content_targets(photo, STAY), ours.style_targets(painting)
    right = ours.value_and_gradient(image, STAY, P, A, WEIGHTS)[1]
    part = ours.parts[missing]
    monkeypatch.setattr(part, "margin", part.margin - part.coarsest)
    wrong = ours.value_and_gradient(image, STAY, P, A, WEIGHTS)[1]
    assert np.linalg.norm(wrong - right) > 1e-4 * np.linalg.norm(right)  # measured: 0.02 for both


@pytest.mark.parametrize(("side", "stride", "margin"), [(8, 8, 24), (48, 8, 24), (6, 2, 6), (5, 1, 2)])
def test_each_position_belongs_to_one_tile(side, stride, margin):
    for shape in ((1, 300), (7, 8), (16, 24), (97, 63), (stride * 9 + 1, side * 4)):
        for at in (1, stride):
            count = np.zeros([length // at for length in shape], int)
            for tile in cut_map(shape, side, stride, margin):
                count[tile.own_at(at)] += 1
            assert (count == 1).all()
        for tile in cut_map(shape, side, stride, margin):
            for read, own, length in zip(tile.read, tile.own, shape):
                assert read.start == max(own.start - margin, 0) and read.stop == min(own.stop + margin, length)
                assert read.start % stride == 0 and (read.stop % stride == 0 or read.stop == length)


def test_content_targets_in_a_file(network, monkeypatch, tmp_path):
    """The file is gone after an exception as well."""
    photo, painting, image = pictures((70, 66))
    ours = Tiles(network, CONTENT_LAYERS, STYLE, "split", 32, folder=tmp_path)
    P = ours.content_targets(photo, STAY)
    A = ours.style_targets(painting)
    whole = _compile(network, CONTENT_LAYERS, STYLE, "split")
    expected = whole[2](image, STAY, whole[0](photo, STAY), A, WEIGHTS)
    assert_equal(ours.value_and_gradient(image, STAY, P, A, WEIGHTS), expected)
    monkeypatch.setattr(ours.parts[1], "gradient", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        ours.value_and_gradient(image, STAY, P, A, WEIGHTS)
    del P
    assert not list(tmp_path.iterdir())


def test_choose_side(network):
    layers, shape = (*CONTENT_LAYERS, *STYLE_LAYERS), (3072, 4096)
    side = choose_side(network, layers, shape, 0.9e9)
    assert side % 8 == 0 and 256 <= side < LARGEST
    assert bytes_needed(network, layers, shape, side) <= 0.9e9 < bytes_needed(network, layers, shape, side + 8)
    assert choose_side(network, layers, shape, 0.95e9) > side
    assert choose_side(network, layers, (30, 40), 64e9) == LARGEST
    assert choose_side(network, layers, shape, 1e8) == 0


def test_a_picture_that_does_not_fit_is_painted_in_tiles(network, lake, starry, capsys):
    """The same picture: over some steps rounding grows, for Adam's step is as large for a small gradient."""
    settings = dict(size=360, steps=(2, 4))
    whole = stylize(lake, starry, network, **settings)
    assert "stylize:" not in capsys.readouterr().out
    tiled = stylize(lake, starry, network, memory=OWN + 9e7, **settings)
    assert re.fullmatch(
        r"stylize: about \d+ s with slim, the largest sizes in tiles of \d+ pixels\n", capsys.readouterr().out
    )
    assert tiled.settings["memory"] == OWN + 9e7
    np.testing.assert_allclose(tiled.history["total"], whole.history["total"], rtol=1e-3)
    assert np.abs(tiled.image - whole.image).mean() < 1e-3


def test_a_scale_fits_into_what_earlier_ones_left(network, lake, starry, monkeypatch):
    scale = plan(lake, starry, network, Settings(size=320, memory=7.4e8))[-1]
    layers = {*CONTENT_LAYERS, *dict(STYLE)}
    needed = functools.partial(bytes_needed, network, layers, max(scale.shape, scale.style_shape, key=np.prod))

    def held(memory):
        process = SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=memory))
        monkeypatch.setattr("psutil.Process", lambda: process)
        return fitted(scale)

    assert held(OWN / 2) == scale and scale.room > 0
    assert held(OWN + scale.room / 2) == scale._replace(room=scale.room / 2)
    smaller = held(OWN + scale.room + 5e6)
    assert smaller.side < scale.side and smaller.room == 0
    assert needed(smaller.side) <= needed(scale.side) - 5e6
    assert held(1e12).side == smallest_side(network, layers)


def test_a_step_holds_the_gradient_alone(monkeypatch):
    """12 bytes a pixel, and what one tile and some rows take: picture, bands and moments wait in files."""
    monkeypatch.setattr(rows, "VALUES", 2**12)
    monkeypatch.setattr(tiles, "ROWS", 4)
    photo, painting, image = pictures((360, 480))
    ours, peaks = Tiles(build_vgg(widths=[4] * 5), CONTENT_LAYERS, STYLE, "split", 96), []
    P, A = ours.content_targets(photo, STAY), ours.style_targets(painting)

    def on_step(image, losses):
        peaks.append(tracemalloc.get_traced_memory()[1] / (360 * 480))
        if len(peaks) == 2:  # all is compiled
            tracemalloc.start()

    rows.adam_on_bands(lambda image: ours.value_and_gradient(image, STAY, P, A, WEIGHTS), image, 4, on_step)
    tracemalloc.stop()
    assert peaks[-1] < 22  # measured: 18; the picture or the gradient once more would be 12 more


@pytest.mark.parametrize("shape", [(16, 16), (45, 61), (1, 40)])
def test_adam_by_rows_is_adam_on_bands(shape, monkeypatch, tmp_path):
    """However many rows at a time. Rounding grows where a gradient is nearly 0."""
    monkeypatch.setattr(rows, "VALUES", 500)
    target, start = (tf.random.stateless_uniform((1, *shape, 3), [0, seed]) for seed in (1, 2))
    seen = []

    def value_and_gradient(image):
        image = np.asarray(image)
        return {"total": np.sum((image - target) ** 2)}, 2 * (image - target)

    for minimize in (optimize.adam_on_bands, functools.partial(rows.adam_on_bands, folder=tmp_path)):
        seen.append([])
        seen[-1].append(minimize(value_and_gradient, start, 7, lambda image, losses: seen[-1].append(image)))
    for one, other in zip(*seen):
        assert np.abs(np.asarray(one) - np.asarray(other)).max() < 1e-3  # measured: 4e-5
    assert not list(tmp_path.iterdir())


def test_paints_the_same_picture(network):
    """Ten steps of the recipe: rounding grows, the pictures stay alike."""
    photo, painting, _ = pictures((75, 90))
    results = []
    for engine, minimize in (
        (_compile(network, CONTENT_LAYERS, STYLE, "split"), optimize.adam_on_bands),
        (Tiles(network, CONTENT_LAYERS, STYLE, "split", 40), rows.adam_on_bands),
    ):
        if isinstance(engine, Tiles):
            engine = engine.content_targets, engine.style_targets, engine.value_and_gradient
        moves = [(move, engine[0](photo, move)) for move in _moves("pyramid", 0)]
        losses_at = _in_turns(engine[2], moves, engine[1](painting), WEIGHTS)
        results.append(minimize(losses_at, photo, 10, lambda *_: None))
    assert np.abs(results[0] - results[1]).mean() < 2e-3  # measured: 7e-4, and 0.016 at one pixel
