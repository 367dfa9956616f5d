"""The whole method: paint the content of one image in the style of another.

Gatys, Ecker & Bethge 2016, left in five places, each flagged where it happens: relative losses instead of the paper's,
a total variation loss, several scales from coarse to fine instead of one, the bands of a pyramid instead of the pixels
as unknowns, and a picture that moves a little under the network.
"""

import functools
import itertools
import os
import warnings
from dataclasses import asdict, dataclass

import numpy as np
import tensorflow as tf

from stlib import checkpoint, images, optimize, progress
from stlib.large import rows as by_rows
from stlib.large import tiles
from stlib.losses import gram_per_position, relative_error, split_statistics, total_variation_loss
from stlib.network import feature_extractor, load_network
from stlib.scales import fitted, plan
from stlib.settings import GENTLER, LARGE, OUTSIDE, REACH, TERMS, Settings, as_tuple

STATISTICS = {"gram": gram_per_position, "split": split_statistics}
METHODS = {"pyramid": optimize.adam_on_bands, "adam": optimize.adam, "lbfgs": optimize.lbfgs}


@dataclass
class Result:
    """What `stylize` returns.

    image: float32 (h, w, 3) in [0, 1].
    history: dict of arrays with a value for each step: "content", "style", "total_variation", "total", "scale".
    settings: the keyword arguments, so that `stylize(content, style, network, **settings)` paints it again.
    interrupted: True if it ended early, by Ctrl-C or because the loss was no longer finite.
    diverged: True if it was the loss.
    """

    image: np.ndarray
    history: dict
    settings: dict
    interrupted: bool
    diverged: bool = False


@dataclass
class Progress:
    """What a callback gets: `step` of `total` and `scale` of `scales`, from 1; `losses`, a dict of floats."""

    step: int
    total: int
    scale: int
    scales: int
    losses: dict
    batch: tf.Tensor  # or, in tiles, large.rows.Rows

    def image(self):
        """The picture that has these losses, float32 (h, w, 3) in [0, 1], at the size of its scale."""
        return _inside(self.batch)


def stylize(content, style, network=None, *, init="content", callback=None, resume=None, **settings):
    """Paint `content` in the style of `style` and return a Result.

    content, style: float images (h, w, 3), RGB in [0, 1].
    network: from `load_network`; None loads the default. Of two in a tuple, the second paints the scales above 1,024
        pixels: what a large picture looks like is decided before, so a quicker one does.
    init: where to start, "content", "style", "noise" (drawn with `seed`) or an image.
    callback: called with a Progress after each evaluation of the loss; without one, a picture that is painted in
        tiles is announced with the time that it will take.
    resume: path of a file where a long run keeps its state, about once a minute. If it is there, the run goes on
        from it, to the same picture. Remove it when the picture is saved. With the method "pyramid" only.
    settings: size, steps, content_weight, style_weight, ...: those of settings.Settings.
    Ctrl-C returns the picture so far. Raises ValueError in one sentence for input that cannot work.
    """
    content, style = images.as_image(content, "content"), images.as_image(style, "style")
    network = _default_network(os.environ.get("STLIB_NETWORK")) if network is None else network
    settings = Settings(init=init if isinstance(init, str) else "image", **settings)
    scales = plan(content, style, network, settings)
    callback = callback or (progress.teller("stylize", scales) if any(scale.side for scale in scales) else None)
    settings = scales[0].settings if len(as_tuple(network)) == 1 else settings
    total = sum(scale.steps for scale in scales)
    image = _start(init, content, style, scales[0].shape, settings.seed)[None]
    interrupted = diverged = False
    kept = resume and _checkpoint(resume, settings, network, content, style, image)
    first, rows, state = kept.begun if kept and kept.begun else (1, [], {})
    folder = kept and kept.path.parent  # of temporary files: the system's may be small, or held in memory
    image = state.pop("image", image)

    def on_step(batch, losses):
        nonlocal image
        losses = {name: float(loss) for name, loss in losses.items()}
        if not np.isfinite(losses["total"]):
            raise FloatingPointError(losses["total"])
        if kept:
            kept.renew(number, rows, batch, state)
        rows.append(losses | {"scale": number})
        image = batch  # the last good picture
        if callback:
            callback(Progress(len(rows), total, number, len(scales), losses, batch))

    try:
        for number in range(first, len(scales) + 1):
            scale = scales[number - 1]
            if scale.side:
                by_rows.give_back()
            if not state:
                image = images.resize(_inside(image), scale.shape)[None]
            if scale.side:
                image = by_rows.Rows(image[0], folder)
                by_rows.to_files(state, folder)
            image = _paint(scale, content, style, image, on_step, state, folder)
            state.clear()  # the next scale has other bands
    except KeyboardInterrupt:
        interrupted = True
    except FloatingPointError as loss:
        interrupted = diverged = True
        warnings.warn(
            f"The loss became {loss} at step {len(rows) + 1} of {total}: the picture before it is returned; "
            "try a smaller learning rate or smaller weights.",
            stacklevel=2,
        )
    if scales[-1].side:
        by_rows.give_back()
    history = {name: np.array([row[name] for row in rows]) for name in (*TERMS, "total", "scale")}
    return Result(images.resize(_inside(image), scales[-1].shape), history, asdict(settings), interrupted, diverged)


def _paint(scale, content, style, batch, on_step, state, folder):
    """Paint at one scale, from `batch` on; return the last. state, folder: see large.rows.adam_on_bands."""
    content_targets, style_targets, value_and_gradient = _losses(scale, folder)

    def targets():  # photo and painting at this size are not kept: they may be large
        photo = images.resize(content, scale.shape)[None]
        moves = _moves(scale.settings.method, scale.settings.seed)
        return [(move, content_targets(photo, move)) for move in moves]

    A = style_targets(images.resize(style, scale.style_shape)[None])
    factors = {name: float(getattr(scale.settings, f"{name}_weight")) for name in TERMS}
    losses_at = _in_turns(value_and_gradient, targets(), A, factors, state.get("t", 1))
    batch = batch if scale.side else tf.constant(batch)
    batch = _minimizer(scale, state, folder)(losses_at, batch, scale.steps, on_step)
    if not np.isfinite(batch).all():
        raise FloatingPointError(np.nan)
    return batch


def _inside(batch):
    """The picture of a batch cut to [0, 1], an array (h, w, 3)."""
    return np.clip(np.asarray(batch)[0], 0, 1)


@functools.lru_cache(maxsize=1)
def _default_network(name):
    return load_network(name)


def _losses(scale, folder):
    """Three functions of images of any size: the two targets, and the losses with their gradient; tiled if need be."""
    settings = scale.settings
    how = scale.network, settings.content_layers, tuple(settings.style_layers.items()), settings.statistics
    if scale.side is None:
        return _compile(*how)
    scale = fitted(scale)
    large = tiles.Tiles(*how, scale.side, folder=folder, room=scale.room)
    return large.content_targets, large.style_targets, large.value_and_gradient


def _minimizer(scale, state, folder):
    """The method with its settings. state: see optimize.adam_on_bands; folder: of temporary files."""
    method, rate = scale.settings.method, scale.settings.learning_rate
    rate *= GENTLER if max(scale.shape) > LARGE else 1
    if method != "pyramid":
        return METHODS[method] if method == "lbfgs" else functools.partial(METHODS[method], learning_rate=rate)
    if scale.side:
        return functools.partial(by_rows.adam_on_bands, learning_rate=rate, state=state, folder=folder)
    return functools.partial(optimize.adam_on_bands, learning_rate=rate, state=state)


def _checkpoint(path, settings, network, content, style, start):
    if settings.method != "pyramid":
        raise ValueError(f"A checkpoint is kept by the method 'pyramid' only, and method is {settings.method!r}.")
    made = dict(content=content, style=style, start=start if settings.init == "image" else np.zeros(0))
    made = {name: checkpoint.digest(each) for name, each in made.items()} | asdict(settings)
    made["network"] = checkpoint.digest(*checkpoint.weights_of(network))
    del made["memory"]  # tiles give the same picture
    return checkpoint.Checkpoint(path, made)


def _in_turns(value_and_gradient, moves, A, factors, t=1):
    """The function of the image that is minimized: each evaluation sees the image after the next of the moves.

    t: the first step, from 1.
    """
    moves = itertools.islice(itertools.cycle(moves), t - 1, None)

    def losses_at(image):
        move, P = next(moves)
        return value_and_gradient(image, move, P, A, factors)

    return losses_at


def _moves(method, seed):
    """Where the picture is cut from its padded self: max pooling looks at a fixed grid, and would print it.

    Four moves, one to each place of a 2 x 2 grid, as pooling has it.
    """
    if method != "pyramid":
        return [tf.constant([REACH, REACH])]  # where it is
    random = np.random.default_rng(seed).integers(0, REACH, (4, 2))
    return [tf.constant(move, tf.int32) for move in 2 * random + [[0, 0], [0, 1], [1, 0], [1, 1]]]


def moved(image, move):
    """Images (B, h, w, 3) with mirrored borders of REACH pixels, cut to their size from row and column `move` on."""
    padded = tf.pad(image, [[0, 0], [REACH, REACH], [REACH, REACH], [0, 0]], "REFLECT")
    return tf.slice(padded, tf.concat([[0], move, [0]], 0), tf.shape(image))


@functools.lru_cache(maxsize=8)  # a trace takes longer than many steps: make it once for a network and its layers
def _compile(network, content_layers, style_layers, statistics):
    """Return three compiled functions for images of any size: the two targets, and the losses with their gradient.

    style_layers: pairs of a name and a weight.
    """
    style_weights, statistics = dict(style_layers), STATISTICS[statistics]
    features = feature_extractor(network, (*content_layers, *style_weights))
    content_features = feature_extractor(network, content_layers)
    image, move = optimize.IMAGE, tf.TensorSpec((2,), tf.int32)
    P_spec = {layer: tf.TensorSpec((1, None, None, features.output[layer].shape[-1])) for layer in content_layers}
    A_spec = {layer: tf.TensorSpec((None, features.output[layer].shape[-1])) for layer in style_weights}

    @optimize.compiled(input_signature=[image, move])
    def content_targets(content, move):
        return content_features(moved(content, move))

    @optimize.compiled(input_signature=[image])
    def style_targets(style):
        S = features(style)
        return {layer: statistics(S[layer]) for layer in style_weights}

    @optimize.compiled(input_signature=[image, move, P_spec, A_spec, {name: optimize.SCALAR for name in TERMS}])
    def value_and_gradient(image, move, P, A, factors):
        with tf.GradientTape() as tape:
            tape.watch(image)
            inside = tf.clip_by_value(image, 0, 1)
            seen = image + tf.stop_gradient(inside - image)  # what the network sees; the gradient as if not clipped
            F = features(moved(seen, move))
            losses = {  # relative, where the paper's have units that no weight outlives
                "content": tf.reduce_mean([relative_error(F[layer], P[layer]) for layer in content_layers]),
                "style": tf.add_n(
                    [w * relative_error(statistics(F[layer]), A[layer]) for layer, w in style_weights.items()]
                )
                / sum(style_weights.values()),
                "total_variation": total_variation_loss(seen),
            }
            losses["total"] = tf.add_n([factors[name] * loss for name, loss in losses.items()])
            total = losses["total"] + OUTSIDE * tf.reduce_mean(tf.square(image - inside))
        return losses, tape.gradient(total, image)

    return content_targets, style_targets, value_and_gradient


def _start(init, content, style, shape, seed):
    if not isinstance(init, str):
        return images.resize(images.as_image(init, "init"), shape)
    if init == "noise":
        return np.random.default_rng(seed).uniform(size=(*shape, 3)).astype(np.float32)
    if init == "image":
        raise ValueError("init is 'image', which stands for an image of your own: give that image itself.")
    return images.resize(content if init == "content" else style, shape)
