"""The checks of lesson 01: right answers written in several ways pass, typical mistakes get the hint that helps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from stlib import checks
from stlib.checks import convolutions

RNG = np.random.default_rng(0)


def refused(capsys, check, answer, phrase):
    """Whether the check refuses the answer with a hint that contains the phrase."""
    assert check(answer) is False
    printed = capsys.readouterr().out
    assert phrase in printed, printed


# --- a kernel that finds diagonals


@pytest.mark.parametrize(
    "kernel",
    [
        3 * np.eye(3) - 1,
        [[2, -1, -1], [-1, 2, -1], [-1, -1, 2]],
        [[1, -1, 0], [-1, 2, -1], [0, -1, 1]],
        tf.constant(np.eye(5) - 0.2),
        np.eye(3) / 3 - 1 / 9,
    ],
)
def test_diagonal_accepts(kernel):
    assert checks.diagonal_kernel(kernel) is True


@pytest.mark.parametrize(
    ("kernel", "phrase"),
    [
        (np.zeros((3, 3)), "zeros"),  # the starter
        (np.eye(3), "subtract their mean"),
        (3 * np.eye(3)[::-1] - 1, "np.fliplr"),
        (1 - 3 * np.eye(3), "sign"),
        (np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]), "border between two areas"),
        (np.array([[0, 1, 2], [-1, 0, 1], [-2, -1, 0]]), "border between two areas"),
        (np.array([[-1, -1, -1], [2, 2, 2], [-1, -1, -1]]), "border between two areas"),
        (np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]), "lower the numbers"),
        (3 * np.eye(3).ravel() - 1, "three rows"),
        ([[1, -1], [-1, 1]], "shape is (2, 2)"),
        ("diagonal", "raised"),
    ],
)
def test_diagonal_refuses(capsys, kernel, phrase):
    refused(capsys, checks.diagonal_kernel, kernel, phrase)


# --- convolution with stride


def loops(image, kernels, stride):
    k = len(kernels)
    h, w = ((side - k) // stride + 1 for side in image.shape[:2])
    y = np.zeros((h, w, kernels.shape[3]))
    for i in range(h):
        for j in range(w):
            window = image[i * stride : i * stride + k, j * stride : j * stride + k]
            y[i, j] = np.einsum("abc,abcn->n", window, kernels)
    return y


def tensorflow(image, kernels, stride):
    return tf.nn.conv2d(image[None], kernels, stride, "VALID")[0]


def dense_first(image, kernels, stride):
    return loops(image, kernels, 1)[::stride, ::stride]


def in_place(image, kernels, stride):
    y = loops(image, kernels, stride)
    image *= 0
    return y


def starter(*arguments):
    raise NotImplementedError


def test_the_reference_is_tensorflows_convolution():
    for _ in range(20):
        k, stride = (int(n) for n in RNG.integers(1, 5, 2))
        h, w = (int(n) for n in RNG.integers(k, 16, 2))
        n_in, n_out = (int(n) for n in RNG.integers(1, 5, 2))
        image, kernels = RNG.normal(size=(h, w, n_in)), RNG.normal(size=(k, k, n_in, n_out))
        expected = tensorflow(image, kernels, stride)
        np.testing.assert_allclose(convolutions._strided(image, kernels, stride), expected, atol=1e-5)


@pytest.mark.parametrize("conv", [loops, tensorflow, dense_first])
def test_convolution_accepts(conv):
    assert checks.strided_convolution(conv) is True


@pytest.mark.parametrize(
    ("conv", "phrase"),
    [
        (starter, "Not solved yet"),
        (lambda x, w, s: None, "Not solved yet"),
        (..., "Not solved yet"),
        (lambda x, w, s: loops(x, w[::-1, ::-1], s), "flip the kernel"),
        (lambda x, w, s: loops(x, w.transpose(1, 0, 2, 3), s), "transposed"),
        (lambda x, w, s: loops(x[..., :1], w[:, :, :1], s), "only the first input channel"),
        (
            lambda x, w, s: np.stack([loops(x[..., c : c + 1], w[:, :, c : c + 1], s) for c in range(x.shape[2])], 2),
            "sum over the input channels is missing",
        ),
        (lambda x, w, s: loops(x, w, s)[None], "batch axis"),
        (lambda x, w, s: loops(x, w, s)[..., 0], "output channels are missing"),
        (lambda x, w, s: loops(x, w, 1), "the stride is not used"),
        (lambda x, w, s: loops(x, w, 1)[: (len(x) - len(w)) // s + 1, : (x.shape[1] - len(w)) // s + 1], "i * stride"),
        (lambda x, w, s: tf.nn.conv2d(x[None], w, s, "SAME")[0], "with padding"),
        (lambda x, w, s: loops(x, w, s) / w[..., 0].size, "average over the window"),
        (lambda x, w, s: np.maximum(loops(x, w, s), 0), "ReLU"),
        (lambda x, w, s: loops(x, w, s)[:-1], "windows fit"),
        (lambda x, w, s: loops(x, w, s).transpose(1, 0, 2), "swapped"),
        (lambda x, w, s: 2 * loops(x, w, s), "twice"),
        (in_place, "writes into its arguments"),
        (lambda x, w: x, "raised TypeError"),
    ],
)
def test_convolution_refuses(capsys, conv, phrase):
    refused(capsys, checks.strided_convolution, conv, phrase)


# --- size and parameters of a stack


def by_keras(shape, stack):
    model = keras.Sequential([keras.Input(shape)])
    for kind, *settings in stack:
        if kind == "pool":
            model.add(keras.layers.MaxPooling2D(settings[0]))
        else:
            filters, k, stride, padding = settings
            model.add(keras.layers.Conv2D(filters, k, stride, padding))
    return model.output_shape[1:], model.count_params()


def by_formula(shape, stack, bias=1, inputs=True, positions=False, rounding=0, pool=0, swap=False, padded=True):
    """The right answer, or with another setting a typical mistake."""
    (h, w, n), parameters = shape, 0
    for kind, *settings in stack:
        if kind == "pool":
            h, w, parameters = h // settings[0], w // settings[0], parameters + pool
            continue
        filters, k, s, padding = settings
        p = (k - 1) // 2 if padding == "same" and padded else 0
        h, w = ((side + 2 * p - k + rounding) // s + 1 for side in (h, w))
        parameters += (k * k * (n if inputs else 1) + bias) * filters * (h * w if positions else 1)
        n = filters
    return ((w, h, n) if swap else (h, w, n)), parameters


def test_the_stacks_are_what_keras_says():
    for _, shape, stack in convolutions.STACKS:
        assert convolutions._stack(shape, stack)[:2] == by_keras(shape, stack)


@pytest.mark.parametrize("summary", [by_keras, by_formula, lambda *a: [list(by_formula(*a)[0]), by_formula(*a)[1]]])
def test_stack_accepts(summary):
    assert checks.stack_summary(summary) is True


@pytest.mark.parametrize(
    ("summary", "phrase"),
    [
        (lambda shape, stack: (shape, 0), "one for each filter"),  # the starter
        (lambda shape, stack: ..., "Not solved yet"),
        (starter, "Not solved yet"),
        (lambda *a: by_formula(*a, bias=0), "biases are missing"),
        (lambda *a: by_formula(*a, inputs=False), "all input channels"),
        (lambda *a: by_formula(*a, positions=True), "do not multiply by the output size"),
        (lambda *a: by_formula(*a, pool=1), "nothing to learn"),
        (lambda *a: by_formula(*a, swap=True), "height and width are swapped"),
        (lambda *a: by_formula(*a, padded=False), "the size stays"),
        (lambda *a: by_formula(*a, rounding=1), "rounding down"),
        (lambda *a: by_formula(*a)[0], "expected a pair"),
        (lambda shape, stack: ((*shape[:2], by_formula(shape, stack)[0][2]), 0), "the size of the input"),
    ],
)
def test_stack_refuses(capsys, summary, phrase):
    refused(capsys, checks.stack_summary, summary, phrase)


# --- a classifier without color


def stripes(count, rng):
    """Three kinds of patches: level, upright and diagonal stripes, each of any brightness and color."""
    x, labels = [], np.arange(3 * count) % 3
    i, j = np.mgrid[:32, :32]
    for label in labels:
        wave = 0.2 * np.sin((i, j, i + j)[label] + rng.uniform(0, 6))
        x.append(np.clip(rng.uniform(0.3, 0.7) + wave[..., None] * rng.uniform(0.6, 1, 3), 0, 1))
    return np.float32(x), labels


TRAINING, NEW = stripes(40, np.random.default_rng(1)), stripes(25, np.random.default_rng(2))


def neighbors(features, x, labels, x_other):
    a, b = features(x), features(x_other)
    return labels[((b[:, None] - a[None]) ** 2).sum(-1).argmin(axis=1)]


def edges(x):
    g = x.mean(axis=-1)
    return np.stack([np.abs(np.diff(g, axis=1)).mean((1, 2)), np.abs(np.diff(g, axis=2)).mean((1, 2))], axis=1)


def by_edges(x, labels, x_other):
    return neighbors(edges, x, labels, x_other)


def by_network(x, labels, x_other):
    keras.utils.set_random_seed(0)
    gray, gray_other = (each.mean(axis=-1, keepdims=True) for each in (x, x_other))
    layers = [keras.layers.Conv2D(8, 3, activation="relu"), keras.layers.GlobalAveragePooling2D()]
    network = keras.Sequential([keras.Input((32, 32, 1)), *layers, keras.layers.Dense(3, activation="softmax")])
    network.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    network.fit(10 * (gray - 0.5), labels, epochs=25, verbose=0)
    return network.predict(10 * (gray_other - 0.5), verbose=0).argmax(axis=1)


@pytest.mark.parametrize(
    "classifier", [by_edges, by_network, lambda *a: by_edges(*a).tolist(), lambda *a: tf.constant(by_edges(*a))]
)
def test_classifier_accepts(classifier):
    assert checks.patch_classifier((classifier, TRAINING, NEW)) is True


@pytest.mark.parametrize(
    ("classifier", "phrase"),
    [
        (lambda *a: neighbors(lambda x: x.mean(axis=(1, 2, 3))[:, None], *a), "its accuracy is"),  # starter
        (lambda *a: neighbors(lambda x: edges(x[..., :1]) + 10 * x[:, 0, 0, :2], *a), "average the three channels"),
        (lambda x, labels, x_other: np.eye(3)[by_edges(x, labels, x_other)], "np.argmax"),
        (lambda x, labels, x_other: labels, "it labels the training patches"),
        (lambda x, labels, x_other: by_edges(x, labels, x_other) + 1, "it also returns"),
        (lambda x, labels, x_other: (by_edges(x, labels, x_other) + 1) % 3, "That is chance"),
        (lambda x, labels, x_other: np.zeros(len(x_other), int), "That is chance"),
        (starter, "Not solved yet"),
        (lambda *a: ..., "Not solved yet"),
    ],
)
def test_classifier_refuses(capsys, classifier, phrase):
    refused(capsys, checks.patch_classifier, (classifier, TRAINING, NEW), phrase)
