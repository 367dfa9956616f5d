"""The checks of lesson 04 accept right answers, however written, and say of wrong ones what is wrong."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import unsolved

from stlib import checks


def content(F, P, m):
    return m[:, None] * (F - P)


def content_by_loops(F, P, m):
    return [[m[k] * (F[k, i] - P[k, i]) for i in range(F.shape[1])] for k in range(F.shape[0])]


def content_by_tape(F, P, m):
    F = tf.constant(F, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(F)
        loss = 0.5 * tf.reduce_sum(tf.constant(m, tf.float32)[:, None] * tf.square(F - tf.constant(P, tf.float32)))
    return tape.gradient(loss, F)


def content_in_place(F, P, m):
    F -= P
    return m[:, None] * F


CONTENT_MISTAKES = {
    "no map": (lambda F, P, m: F - P, "multiplied by m[k]"),
    "map squared": (lambda F, P, m: m[:, None] ** 2 * (F - P), "you multiply by m twice"),
    "map inside the square": (lambda F, P, m: m[:, None] * F - P, "the gradient has a factor F - P"),
    "map not a column": (lambda F, P, m: m * (F - P), "your code raised ValueError"),
    "sign": (lambda F, P, m: m[:, None] * (P - F), "points uphill, away from P"),
    "factor 2": (lambda F, P, m: 2 * content(F, P, m), "the 1/2 of the loss cancels"),
    "mean": (lambda F, P, m: content(F, P, m) / F.size, "you divide by the size of F"),
    "per position": (lambda F, P, m: content(F, P, m) / len(F), "you divide by the positions"),
    "transposed": (lambda F, P, m: content(F, P, m).T, "the paper's F is the transpose"),
    "the loss": (lambda F, P, m: 0.5 * np.sum(content(F, P, m) ** 2), "one number for each number of F"),
    "absolute": (lambda F, P, m: m[:, None] * np.sign(F - P), "which terms of the sum contain it"),
    "in place": (content_in_place, "writes into its argument"),
}


def variation(x):
    gradient = np.zeros_like(x)
    for axis in (0, 1):
        pull = np.sign(np.diff(x, axis=axis))
        pad = [(0, 0)] * 3
        pad[axis] = (1, 1)
        gradient -= np.diff(np.pad(pull, pad), axis=axis) / pull.size
    return gradient


def variation_by_tape(x):
    x = tf.constant(x, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_mean(tf.abs(x[1:] - x[:-1])) + tf.reduce_mean(tf.abs(x[:, 1:] - x[:, :-1]))
    return tape.gradient(loss, x)


def spread(slope, divide=True, axes=(0, 1)):
    """A gradient of total variation, right or wrong."""

    def gradient(x):
        g = np.zeros_like(x)
        for axis in axes:
            pull = slope(np.diff(x, axis=axis))
            pull = np.swapaxes(pull / (pull.size if divide else 1), 0, axis)
            np.swapaxes(g, 0, axis)[1:] += pull
            np.swapaxes(g, 0, axis)[:-1] -= pull
        return g

    return gradient


def one_sided(x):
    g, down = np.zeros_like(x), np.sign(np.diff(x, axis=0))
    g[1:] += down / down.size
    return g


def variation_in_place(x):
    g = variation(x)
    x -= g
    return g


VARIATION_MISTAKES = {
    "squares": (spread(lambda d: 2 * d), "this is the gradient of squares"),
    "sums": (spread(np.sign, divide=False), "divide by the number of differences"),
    "down only": (spread(np.sign, axes=(0,)), "one direction is missing"),
    "across only": (spread(np.sign, axes=(1,)), "one direction is missing"),
    "factor 2": (spread(lambda d: 2 * np.sign(d)), "without a 2"),
    "sign": (spread(lambda d: -np.sign(d)), "the sign is turned round"),
    "one pixel of two": (one_sided, "subtract it here"),
    "absolute value itself": (spread(np.abs), "pixel k stands in two differences"),
    "0 / 0": (spread(lambda d: d / np.abs(d)), "np.sign(0) is 0"),
    "differences only": (lambda x: np.sign(np.diff(x, axis=0)), "one number a pixel"),
    "in place": (variation_in_place, "writes into its argument"),
}

BALANCE_MISTAKES = {
    "unchanged": (lambda a, b, s: (a, b), "the ratio is the old one"),
    "both by s": (lambda a, b, s: (a / s, b / s), "the ratio is the old one"),
    "turned round": (lambda a, b, s: (a * s**2, b * s**4), "you turned it round"),
    "by s": (lambda a, b, s: (a / s, b / s**2), "you corrected by s:"),
    "style only": (lambda a, b, s: (a, b / s**4), "content grew by s^2 itself"),
    "numbers": (lambda a, b, s: (a / 4, b / 16) if s != 1 else (a, b), "for s = 2 only"),
    "fixed weights": (lambda a, b, s: (s**2, 1000), "one pair of weights only"),
    "always divided": (lambda a, b, s: (a / 4, b / 16), "with s = 1 nothing has changed"),
    "subtracted": (lambda a, b, s: (a - s**2, b - s**4), "above zero"),
    "one number": (lambda a, b, s: a / b * s**2, "return new_alpha, new_beta"),
}


def style(F, A):
    return 4 * F @ (F.T @ F / len(F) - A) / (len(F) * np.sum(A**2))


def style_by_einsum(F, A):
    D = np.einsum("ki,kj->ij", F, F) / F.shape[0] - A
    return np.einsum("mj,jn->mn", F, D) * 4 / F.shape[0] / np.square(A).sum()


def style_by_tape(F, A):
    F = tf.constant(F)
    with tf.GradientTape() as tape:
        tape.watch(F)
        loss = tf.reduce_sum(tf.square(tf.matmul(F, F, transpose_a=True) / F.shape[0] - A)) / tf.reduce_sum(A**2)
    return tape.gradient(loss, F)


def style_in_place(F, A):
    A -= F.T @ F / len(F)
    return -4 * F @ A / len(F)


STYLE_MISTAKES = {
    "transposed": (lambda F, A: style(F, A).T, "the paper's F is the transpose"),
    "one term": (lambda F, A: style(F, A) / 2, "the product rule gives two terms"),
    "no 4": (lambda F, A: style(F, A) / 4, "2 from the square, 2 from the two terms"),
    "no 1/M": (lambda F, A: style(F, A) * len(F), "its derivative is divided by M too"),
    "no 1/M, one term": (lambda F, A: style(F, A) * len(F) / 2, "two factors are missing"),
    "not relative": (lambda F, A: style(F, A) * np.sum(A**2), "divide by the sum of A^2"),
    "the paper's": (lambda F, A: F @ (F.T @ F / len(F) - A) / F.size**2, "the paper's factors"),
    "G as a sum": (lambda F, A: F @ (F.T @ F - A) / F.size**2, "compare it with G / M"),
    "sign": (lambda F, A: -style(F, A), "points uphill"),
    "squared difference": (lambda F, A: F @ (F.T @ F / len(F) - A) ** 2, "as it is, with its sign"),
    "without F": (lambda F, A: F.T @ F / len(F) - A, "one number for each number of F"),
    "in place": (style_in_place, "writes into its argument"),
}

ANSWERS = {
    checks.content_gradient: (content, content_by_loops, content_by_tape),
    checks.absolute_variation_gradient: (variation, variation_by_tape, spread(np.sign)),
    checks.balanced_weights: (
        lambda a, b, s: (a / s**2, b / s**4),
        lambda a, b, s: (a * s**2, b),
        lambda a, b, s: tf.constant([a, b / s**2]),
    ),
    checks.relative_style_gradient: (style, style_by_einsum, style_by_tape),
}
MISTAKES = {
    checks.content_gradient: CONTENT_MISTAKES,
    checks.absolute_variation_gradient: VARIATION_MISTAKES,
    checks.balanced_weights: BALANCE_MISTAKES,
    checks.relative_style_gradient: STYLE_MISTAKES,
}


@pytest.mark.parametrize(("check", "answer"), [(check, answer) for check in ANSWERS for answer in ANSWERS[check]])
def test_accepts(check, answer, capsys):
    assert check(answer), capsys.readouterr().out
    assert "All of it holds" in capsys.readouterr().out


@pytest.mark.parametrize(("check", "mistake"), [(check, mistake) for check in MISTAKES for mistake in MISTAKES[check]])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # 0 / 0 is one of the mistakes
def test_rejects(check, mistake, capsys):
    answer, hint = MISTAKES[check][mistake]
    assert check(answer) is False
    out = capsys.readouterr().out
    assert hint in out, out


@pytest.mark.parametrize("check", ANSWERS)
@pytest.mark.parametrize("answer", [unsolved, None, ...])
def test_unsolved_says_so(check, answer, capsys):
    assert check(answer) is False
    assert "Not solved yet" in capsys.readouterr().out
