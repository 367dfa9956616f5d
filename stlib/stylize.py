"""The whole method: paint the content of one image in the style of another.

Gatys, Ecker & Bethge 2016, left in three places, each flagged where it happens: relative losses instead of the
paper's, a total variation loss, and several scales from coarse to fine instead of one.
"""

import functools
import os
import warnings
from dataclasses import dataclass

import numpy as np
import psutil
import tensorflow as tf

from stlib import images, optimize
from stlib.losses import gram_per_position, relative_error, total_variation_loss
from stlib.network import check_layers, feature_extractor, floats_per_pixel, load_vgg19, minimum_side

CONTENT_LAYERS = ("block4_conv2",)
STYLE_LAYERS = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1")
WEIGHTS = ("content", "style", "total_variation")
STEPS = (80, 60, 50, 40, 40)  # one number for each scale, the last at full size

CHOICES = {"optimizer": ("adam", "lbfgs"), "init": ("content", "style", "noise", "image")}


@dataclass
class Result:
    """What `stylize` returns.

    image: float32 (h, w, 3) in [0, 1].
    history: dict of arrays with a value for each step: "content", "style", "total_variation", "total", "scale".
    settings: the keyword arguments, so that `stylize(content, style, network, **settings)` paints it again.
    interrupted: True if it ended early, by Ctrl-C or because the loss was no longer finite.
    """

    image: np.ndarray
    history: dict
    settings: dict
    interrupted: bool


@dataclass
class Progress:
    """What a callback gets: `step` of `total` and `scale` of `scales`, from 1; `losses`, a dict of floats."""

    step: int
    total: int
    scale: int
    scales: int
    losses: dict
    batch: tf.Tensor

    def image(self):
        """The picture that has these losses, float32 (h, w, 3), at the size of its scale."""
        return self.batch[0].numpy()


def stylize(
    content,
    style,
    network=None,
    *,
    size=320,
    content_weight=0.05,
    style_weight=1.0,
    total_variation_weight=2.0,
    content_layers=CONTENT_LAYERS,
    style_layers=STYLE_LAYERS,
    init="content",
    steps=STEPS,
    optimizer="adam",
    learning_rate=0.02,
    seed=0,
    callback=None,
):
    """Paint `content` in the style of `style` and return a Result.

    content, style: float images (h, w, 3), RGB in [0, 1]. network: from `load_vgg19`; None loads the default.
    size: longest side of the result in pixels; `style` is used at the same size.
    content_weight, style_weight, total_variation_weight: factors of losses that have no units.
    init: where to start, "content", "style", "noise" (drawn with `seed`) or an image.
    steps: how many at each scale, coarse to fine, each scale 1.41 times the last; one number is one scale.
    optimizer: "adam", with `learning_rate`, or "lbfgs", whose steps are evaluations of the loss.
    callback: called with a Progress after each evaluation of the loss.
    Ctrl-C returns the picture so far. Raises ValueError in one sentence for input that cannot work.
    """
    content, style = images.check_image(content, "content"), images.check_image(style, "style")
    network = _default_network(os.environ.get("STLIB_WEIGHTS")) if network is None else network
    settings = dict(
        size=size, content_weight=content_weight, style_weight=style_weight,
        total_variation_weight=total_variation_weight, content_layers=_tuple(content_layers),
        style_layers=_tuple(style_layers), init=init if isinstance(init, str) else "image", steps=_tuple(steps),
        optimizer=optimizer, learning_rate=learning_rate, seed=seed,
    )  # fmt: skip
    shapes, style_shapes = plan(content, style, network, settings)
    steps, layers = settings["steps"], (settings["content_layers"], settings["style_layers"])
    weights = {name: float(settings[f"{name}_weight"]) for name in WEIGHTS}
    compute_targets, value_and_gradient = _compile(network, *layers)
    minimize = optimize.lbfgs if optimizer == "lbfgs" else functools.partial(optimize.adam, learning_rate=learning_rate)

    image, rows, interrupted = _start(init, content, style, shapes[0], seed), [], False

    def on_step(batch, losses):
        nonlocal image
        losses = {name: float(loss) for name, loss in losses.items()}
        if not np.isfinite(losses["total"]):
            raise FloatingPointError(losses["total"])
        image = batch[0].numpy()  # the last good picture
        rows.append(losses | {"scale": scale})
        if callback:
            callback(Progress(len(rows), sum(steps), scale, len(steps), losses, batch))

    try:
        for scale, count in enumerate(steps, start=1):
            P, A = compute_targets(
                images.resize(content, shapes[scale - 1])[None], images.resize(style, style_shapes[scale - 1])[None]
            )
            batch = tf.constant(images.resize(image, shapes[scale - 1])[None])
            losses_at = functools.partial(value_and_gradient, P=P, A=A, weights=weights)
            batch = minimize(losses_at, batch, count, on_step)
            if not np.isfinite(batch).all():
                raise FloatingPointError(np.nan)
            image = batch[0].numpy()
    except KeyboardInterrupt:
        interrupted = True
    except FloatingPointError as loss:
        interrupted = True
        warnings.warn(
            f"The loss became {loss} at step {len(rows) + 1} of {sum(steps)}: the picture before it is returned; "
            "try a smaller learning rate or smaller weights.",
            stacklevel=2,
        )
    history = {name: np.array([row[name] for row in rows]) for name in (*weights, "total", "scale")}
    return Result(images.resize(image, shapes[-1]), history, settings, interrupted)


@functools.lru_cache(maxsize=1)
def _default_network(weights):
    return load_vgg19(weights)


@functools.lru_cache(maxsize=8)  # a trace takes longer than many steps: make it once for a network and its layers
def _compile(network, content_layers, style_layers):
    """Return two compiled functions for images of any size: the targets, and the losses with their gradient."""
    features = feature_extractor(network, content_layers + style_layers)
    channels = {layer: features.output[layer].shape[-1] for layer in content_layers + style_layers}
    P_spec = {layer: tf.TensorSpec((1, None, None, channels[layer])) for layer in content_layers}
    A_spec = {layer: tf.TensorSpec((channels[layer], channels[layer])) for layer in style_layers}
    weights_spec = {name: optimize.SCALAR for name in WEIGHTS}

    @tf.function(input_signature=[optimize.IMAGE, optimize.IMAGE])
    def compute_targets(content, style):
        F, S = features(content), features(style)
        return {layer: F[layer] for layer in content_layers}, {
            layer: gram_per_position(S[layer]) for layer in style_layers
        }

    @tf.function(input_signature=[optimize.IMAGE, P_spec, A_spec, weights_spec])
    def value_and_gradient(image, P, A, weights):
        with tf.GradientTape() as tape:
            tape.watch(image)
            F = features(image)
            losses = {  # relative, where the paper's have units that no weight outlives
                "content": tf.reduce_mean([relative_error(F[layer], P[layer]) for layer in content_layers]),
                "style": tf.reduce_mean(
                    [relative_error(gram_per_position(F[layer]), A[layer]) for layer in style_layers]
                ),
                "total_variation": total_variation_loss(image),
            }
            losses["total"] = tf.add_n([weights[name] * loss for name, loss in losses.items()])
        return losses, tape.gradient(losses["total"], image)

    return compute_targets, value_and_gradient


def plan(content, style, network, settings):
    """Check all input of `stylize`; return the shapes of content and style at each scale, or raise ValueError."""
    layers = settings["content_layers"], settings["style_layers"]
    check_layers(network, layers[0])
    check_layers(network, layers[1])
    for name in (*(f"{name}_weight" for name in WEIGHTS), "learning_rate"):
        value = settings[name]
        if not (isinstance(value, (int, float, np.number)) and np.isfinite(value) and value >= 0):
            raise ValueError(f"{name} is {value!r}, expected a number from 0 up.")
    if not any(settings[f"{name}_weight"] for name in WEIGHTS):
        raise ValueError("All weights are 0, so there is nothing to optimize: give at least style_weight=1.")
    steps = settings["steps"]
    if not steps or not all(isinstance(count, (int, np.integer)) and count >= 1 for count in steps):
        raise ValueError(f"steps is {steps!r}, expected whole numbers from 1 up, such as {STEPS}.")
    for name, choices in CHOICES.items():
        if settings[name] not in choices:
            raise ValueError(f"{name} is {settings[name]!r}, expected one of {', '.join(map(repr, choices))}.")
    minimum = minimum_side(network, layers[0] + layers[1])
    shapes, style_shapes = (
        _scales(image.shape, settings["size"], len(steps), minimum, name)
        for image, name in ((content, "content"), (style, "style"))
    )
    _check_memory(network, layers[0] + layers[1], shapes[-1], style_shapes[-1], settings["optimizer"])
    return shapes, style_shapes


def _check_memory(network, layers, shape, style_shape, optimizer):
    # Measured at 320 to 1536 px: 740 bytes a pixel with slim (73 activations), 2,280 with VGG19 (290); 1,100 more
    # with L-BFGS-B. Some room on top.
    per_pixel = 300 + 8 * floats_per_pixel(network, layers) + (1200 if optimizer == "lbfgs" else 0)
    needed = per_pixel * max(shape[0] * shape[1], style_shape[0] * style_shape[1])
    free = psutil.virtual_memory().available
    if needed > free:
        largest = int(max(shape) * (free / needed) ** 0.5)
        raise ValueError(
            f"Size {max(shape)} needs about {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free: "
            f"take a size of at most {largest}, or close other programs."
        )


def _scales(shape, size, count, minimum, name):
    """Heights and widths from coarse to fine, the last with longest side `size`, no side under `minimum`."""
    full = images.fit(shape, size)
    if min(full) < minimum:
        raise ValueError(
            f"The {name} image is {full[1]} x {full[0]} pixels at size {size}, and the deepest layer needs {minimum} "
            f"on the short side: take a size of at least {-(-minimum * max(full) // min(full))}, or shallower layers."
        )
    factors = [max(2 ** (-k / 2), minimum / min(full)) for k in reversed(range(count))]
    return [tuple(max(minimum, round(side * factor)) for side in full) for factor in factors]


def _start(init, content, style, shape, seed):
    if not isinstance(init, str):
        return images.resize(images.check_image(init, "init"), shape)
    if init == "noise":
        return np.random.default_rng(seed).uniform(size=(*shape, 3)).astype(np.float32)
    if init == "image":
        raise ValueError("init is 'image', which stands for an image of your own: give that image itself.")
    return images.resize(content if init == "content" else style, shape)


def _tuple(value):
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)
