"""Checks of lesson 02: preprocessing, the values that see a pixel, content targets, average pooling."""

import functools
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from stlib.checks.exercise import Exercise, Law

MEAN = np.array([103.939, 116.779, 123.68], np.float32)  # of blue, green and red


def prepare(image):
    return image[..., ::-1] * 255 - MEAN


def invert(x):
    return ((x + MEAN) / 255)[..., ::-1]


def use(pair, which, x):
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError("give two functions: (my_preprocess, my_inverse)")
    preprocess, inverse = pair
    return preprocess(x) if which == "there" else inverse(x)


IMAGE, BATCH = (np.random.default_rng(0).uniform(size=(*n, 4, 5, 3)).astype(np.float32) for n in ((), (2,)))

preprocess_and_inverse = Exercise(
    right=(prepare, invert),
    call=use,
    cases={
        "my_preprocess gives BGR, 0..255, minus the mean": ("there", IMAGE),
        "my_preprocess works for a batch too": ("there", BATCH),
        "my_inverse brings the image back": ("back", prepare(IMAGE)),
        "the round trip works for a batch": ("back", prepare(BATCH)),
    },
    result="both keep the shape, of an image and of a batch",
    mistakes={
        "the colors are still in the order RGB: reverse the last axis.": (lambda x: x * 255 - MEAN, invert),
        "multiply by 255 first, then subtract the mean.": (lambda x: x[..., ::-1] - MEAN, invert),
        "the mean is not subtracted.": (lambda x: x[..., ::-1] * 255, invert),
        "the mean is for BGR: reverse the colors first.": (lambda x: prepare(x[..., ::-1])[..., ::-1], invert),
        "it is upside down: reverse the last axis, [..., ::-1].": (lambda x: x[::-1] * 255 - MEAN, invert),
        "it is mirrored: reverse the last axis, [..., ::-1].": (lambda x: x[:, ::-1] * 255 - MEAN, invert),
        "in a batch another axis is reversed: [..., ::-1].": (lambda x: x[:, :, ::-1] * 255 - MEAN, invert),
        "the colors come out as BGR: reverse the last axis here too.": (prepare, lambda x: (x + MEAN) / 255),
        "undo the steps in the opposite order: the mean first.": (prepare, lambda x: (x[..., ::-1] + MEAN) / 255),
        "the values come out in 0..255: divide by 255.": (prepare, lambda x: (x + MEAN)[..., ::-1]),
        "the mean is not added back.": (prepare, lambda x: x[..., ::-1] / 255),
        "add the mean before you divide.": (prepare, lambda x: (x / 255 + MEAN)[..., ::-1]),
        "in a batch another axis is reversed: [..., ::-1] here too.": (prepare, lambda x: (x + MEAN)[:, :, ::-1] / 255),
    },
    hint="reverse the last axis, multiply by 255, subtract IMAGENET_MEAN; back: undo each, the last one first.",
    atol=1e-3,
)  # fmt: skip


# --- which values see a pixel


def watchers(stack, q):
    """The first and the last value of the last layer that a change of pixel q reaches, followed layer by layer."""
    reached = np.arange(q + 400) == q
    for kernel, stride in stack:
        reached = np.lib.stride_tricks.sliding_window_view(reached, kernel)[::stride].any(axis=1)
    p = np.flatnonzero(reached)
    return p[0], p[-1]


def span(stack, p):
    """The first and the last pixel that value p sees."""
    first, last = p, p
    for kernel, stride in reversed(stack):
        first, last = first * stride, last * stride + kernel - 1
    return first, last


def rule(start=1, less=1, early=False, strides=True, clip=True, low=lambda x, j: -(-x // j), reach=1, high=0):
    """The rule with a mistake."""

    def rule(stack, q):
        r, j = start, 1
        for kernel, stride in stack:
            following = j * stride if strides else 1
            r += (kernel - less) * (following if early else j)
            j = following
        first = low(q - r + reach, j)
        return max(0, first) if clip else first, q // j + high

    return rule


RNG = np.random.default_rng(0)
VGG16 = [*[(3, 1), (3, 1), (2, 2)] * 2, *[(3, 1)] * 3, (2, 2), (3, 1), (3, 1)]

values_that_see = Exercise(
    right=watchers,
    cases={
        "one 3x3 convolution, pixel 10: values 8 to 10": ([(3, 1)], 10),
        "one 2x2 pooling: one value for each pixel": [([(2, 2)], 10), ([(2, 2)], 11)],
        "a pooling between two convolutions, pixel 10: values 2 to 5": ([(3, 1), (2, 2), (3, 1)], 10),
        "no value before the first: pixel 3 of that stack": ([(3, 1), (2, 2), (3, 1)], 3),
        "VGG16 up to block4_conv2, pixel 112": (VGG16, 112),
        "20 random stacks and pixels": [
            ([(int(RNG.integers(s, 6)), s) for s in map(int, RNG.integers(1, 4, size=4))], int(RNG.integers(0, 90)))
            for _ in range(20)
        ],
    },
    result="it is a pair of numbers, (first, last)",
    mistakes={
        "there is no value before 0: max(0, ...).": rule(clip=False),
        "the first value sees q with its last pixel, p j + r - 1: do not forget the - 1.": rule(reach=0),
        "p j + r - 1 must reach q: round the first one up, not down.": rule(low=lambda x, j: x // j),
        "last is the last value that sees q, not the one after it.": rule(high=1),
        "one value alone sees one pixel: start with a field of 1, not 0.": rule(start=0),
        "after a stride, neighbors lie further apart: a kernel adds k - 1 jumps.": rule(strides=False),
        "a stride counts for the layers after it: first the field, then change the jump.": rule(early=True),
        "a kernel of size k adds k - 1 jumps, because it already stands on one value.": rule(less=0),
        "these are the pixels that value q sees: the question is turned around.": span,
        "return the first and the last, not first and number.":
            lambda stack, q: (watchers(stack, q)[0], watchers(stack, q)[1] - watchers(stack, q)[0] + 1),
        "the first one comes first.": lambda stack, q: watchers(stack, q)[::-1],
        "a pair is asked for, not their number.": lambda stack, q: np.ptp(watchers(stack, q)) + 1,
    },
    hint="p sees q if p j <= q and q <= p j + r - 1: solve both for p.",
    rtol=0, atol=0,
)  # fmt: skip


# --- a small network with two poolings, and its features in NumPy

LAYERS = ["block1_conv1", "block2_conv1", "block3_conv1"]


@functools.cache
def network():
    x = image = keras.Input((None, None, 3))
    rng = np.random.default_rng(0)
    for k, (layer, channels) in enumerate(zip(LAYERS, (4, 5, 3))):
        x = keras.layers.MaxPooling2D(2, name=f"block{k}_pool")(x) if k else x
        x = keras.layers.Conv2D(channels, 3, padding="same", activation="relu", name=layer)(x)
    model = keras.Model(image, x)
    initial = [rng.normal(size=w.shape).astype(np.float32) for w in model.get_weights()]
    initial[0] /= 100  # inputs are about 100
    for bias in initial[1::2]:
        bias += 1
    model.set_weights(initial)
    model.trainable = False
    return model, initial


def convolve(x, kernel, bias):
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    h, w = x.shape[:2]
    return np.maximum(sum(padded[a : a + h, b : b + w] @ kernel[a, b] for a in range(3) for b in range(3)) + bias, 0)


def pooled(x, reduce):
    h, w, n = x.shape
    return reduce(x[: h // 2 * 2, : w // 2 * 2].reshape(h // 2, 2, w // 2, 2, n), axis=(1, 3))


def features(image, poolings=(np.max, np.max), prepare=prepare, weights=None, pool=pooled):
    """The features of an image (h, w, 3) at all layers; each setting is the place of a mistake."""
    weights = network()[1] if weights is None else weights
    F = {LAYERS[0]: convolve(prepare(image), *weights[:2])}
    for k, reduce in enumerate(poolings, start=1):
        F[LAYERS[k]] = convolve(pool(F[LAYERS[k - 1]], reduce), *weights[2 * k : 2 * k + 2])
    return F


# --- a content target

PHOTO, X = np.random.default_rng(1).uniform(size=(2, 9, 10, 3)).astype(np.float32)
TWICE = {"prepare": lambda image: prepare(prepare(image))}
RGB = {"prepare": lambda image: image * 255 - MEAN}
PLAIN = {"prepare": lambda image: image}


def target(distance=lambda F, P: np.square(F - P).sum() / 2, at=lambda layer: layer, **settings):
    """A content target in NumPy, with a mistake."""
    return lambda _, photo, layer: (
        lambda x: distance(*(features(np.asarray(i), **settings)[at(layer)] for i in (x, photo)))
    )


def value(answer, photo, layer, x):
    loss = answer(network()[0], photo, layer)
    if loss is not None and not callable(loss):
        raise TypeError("return the function loss itself, not its value")
    return loss and loss(tf.constant(x))


def convolutions(answer):
    """How many convolutions one value of the loss takes, the first two layers being needed."""
    loss, count = answer(network()[0], PHOTO.copy(), "block2_conv1"), 0
    convolve = keras.layers.Conv2D.call

    def counting(self, *inputs, **settings):
        nonlocal count
        count += 1
        return convolve(self, *inputs, **settings)

    with mock.patch.object(keras.layers.Conv2D, "call", counting):
        loss(tf.constant(X))
    return count


def followed(answer):
    """Whether the tape follows the loss of an answer."""
    with tf.GradientTape() as tape:
        x = tf.Variable(X)
        value = answer(network()[0], PHOTO.copy(), "block2_conv1")(x)
    return tf.is_tensor(value) and tape.gradient(value, x) is not None


def by_keras(compute=lambda F, P: tf.nn.l2_loss(F() - P())):
    """A content target in Keras; compute takes the features of x and of the photo as functions."""

    def content_target(net, photo, layer):
        F = keras.Model(net.input, net.get_layer(layer).output)
        P = F(prepare(photo)[None])
        return lambda x: compute(lambda: F(x[None, ..., ::-1] * 255 - MEAN), lambda: P)

    return content_target


def anew(net, photo, layer):
    F = keras.Model(net.input, net.get_layer(layer).output)
    return lambda x: tf.nn.l2_loss(F(x[None, ..., ::-1] * 255 - MEAN) - F(prepare(photo)[None]))


content_target = Exercise(
    right=by_keras(),
    call=value,
    cases={"it is 0 for the photo itself": [(PHOTO, layer, PHOTO) for layer in LAYERS]}
    | {f"it is the content loss at {layer}": (PHOTO, layer, X) for layer in LAYERS},
    result="it returns a function, whose value is a single number",
    laws=(
        Law("the target is computed once, before the loss", lambda answer: convolutions(answer) <= 2,
            "each value of the loss runs the network on the photo anew: compute the target before.", (anew,)),
        Law("it has a gradient", followed,
            "the tape cannot follow NumPy: compute the loss with TensorFlow, and do not call .numpy() in it.",
            (by_keras(lambda F, P: np.float32(tf.nn.l2_loss(F() - P()))), target())),
    ),
    mistakes={
        "it is twice the content loss: the factor 1/2 is missing.": target(lambda F, P: np.square(F - P).sum()),
        "it is the mean of the squares: half their sum is asked for.": target(lambda F, P: np.square(F - P).mean()),
        "it is divided by the number of values: half the sum.": target(lambda F, P: np.square(F - P).mean() / 2),
        "it sums absolute values: square the differences.": target(lambda F, P: np.abs(F - P).sum() / 2),
        "sum over everything, positions too: one number.": target(lambda F, P: np.square(F - P).sum(-1)[None] / 2),
        "the target must be the features of the photo.": target(lambda F, P: np.square(F).sum() / 2),
        "the image was not preprocessed: use feature_extractor.": target(**PLAIN),
        "the colors are in the order RGB, not BGR.": target(**RGB),
        "the image is preprocessed twice.": target(**TWICE),
        "read the features at the layer asked for.": target(at=lambda layer: "block2_conv1"),
    },
    hint="half the sum of squared differences between the features of x and of the photo at this layer.",
    rtol=1e-3, atol=0.1,
)  # fmt: skip


# --- an extractor with average pooling


def extractor(**settings):
    """An extractor in NumPy: average pooling, or a mistake."""
    settings = {"poolings": (np.mean, np.mean)} | settings
    return lambda net, layers: (
        lambda x: {k: F[None] for k, F in features(np.asarray(x)[0], **settings).items() if k in layers}
    )


def same(x, reduce):
    """Pooling with padding: a border that is left over counts."""
    h, w, _ = x.shape
    x = np.pad(x, ((0, h % 2), (0, w % 2), (0, 0)), constant_values=np.nan)
    return pooled(x, np.nanmean)


def damaging(net, layers):
    F = extractor()(net, layers)
    net.set_weights([2 * w for w in net.get_weights()])
    return F


def unharmed(answer):
    net, weights = network()
    answer(net, LAYERS)
    as_before = all(map(np.array_equal, net.get_weights(), weights))
    net.set_weights(weights)
    return as_before


def extract(answer, layers, image):
    net, weights = network()
    F = answer(net, list(layers))(tf.constant(image[None]))
    net.set_weights(weights)  # whatever the answer did to it: a law asks
    if not isinstance(F, dict):
        raise TypeError("its outputs must be a dict: layer name -> activations")
    return {layer: np.asarray(each)[0] for layer, each in F.items()}


def everywhere(reduce):
    return extractor(poolings=(reduce, reduce))


WIDE = np.random.default_rng(2).uniform(size=(16, 20, 3)).astype(np.float32)
SHAPES = (3, 3, 3, 4), 4, (3, 3, 4, 5), 5, (3, 3, 5, 3), 3
OTHERS = [np.random.default_rng(9).normal(size=shape) for shape in SHAPES]  # other weights

average_pooling = Exercise(
    right=extractor(),
    call=extract,
    cases={
        "before the first pooling nothing changes": (LAYERS[:1], WIDE),
        "after each pooling come the features of averages": (LAYERS, WIDE),
        "so they do on odd sizes": (LAYERS, WIDE[:15, :19]),
        "inside a constant image nothing changes": (LAYERS[1:], np.full((16, 16, 3), 0.7, np.float32)),
    },
    result="it gives a dict of the layers asked for; pooling halves the sides",
    laws=(Law("the network itself is as before", unharmed, "build a new model, leave this one alone.", (damaging,)),),
    mistakes={
        "call preprocess on the image first.": extractor(**PLAIN),
        "RGB goes in: it must be BGR.": extractor(**RGB),
        "the image is preprocessed twice.": extractor(**TWICE),
        "the convolutions must have the weights of the network: call its own layers.": extractor(weights=OTHERS),
        "it still takes the maximum: put AveragePooling2D where it pools.": everywhere(np.max),
        "only the first pooling averages: replace every one.": extractor(poolings=(np.mean, np.max)),
        "only the last pooling averages: replace every one.": extractor(poolings=(np.max, np.mean)),
        "it is the sum of four values: the average divides by 4.": everywhere(np.sum),
        "it is the minimum of four values: the average was asked for.": everywhere(np.min),
        "it takes one of four values: average all.": everywhere(lambda x, axis: x[:, 0, :, 0]),
        'padding="same" keeps what is left over at an odd side: the network drops it.': extractor(pool=same),
        "AveragePooling2D(2) has strides of 2, not 1.":
            extractor(pool=lambda x, _: (x[1:, 1:] + x[1:, :-1] + x[:-1, 1:] + x[:-1, :-1]) / 4),
        "pool by 2 x 2, not over the whole image.": extractor(pool=lambda x, _: x.mean((0, 1), keepdims=True)),
        "its outputs must be a dict of all layers asked for: layer name -> activations.": lambda *_: lambda x: {},
    },
    hint="check the order of the layers; the convolutions must be the network's own.",
    rtol=1e-3, atol=1e-3,
)  # fmt: skip
