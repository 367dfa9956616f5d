"""The checks of appendix A3 accept right answers, however written, and say of wrong ones what is wrong."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import rejected, unsolved

from stlib import checks

CONVOLUTIONS = (2, 2, 3, 3, 1)


def count(widths, height, width, colors=3, places=9, convolutions=CONVOLUTIONS, shrink=lambda h, w: (h // 2, w // 2)):
    total, read = 0, colors
    for N, number in zip(widths, convolutions):
        total += height * width * places * N * (read + (number - 1) * N)
        read, (height, width) = N, shrink(height, width)
    return total


def count_from_shapes(widths, height, width):
    """Ask TensorFlow for the shapes."""
    x, total = tf.zeros((1, height, width, 3)), 0
    for block, (N, number) in enumerate(zip(widths, CONVOLUTIONS)):
        x = tf.nn.max_pool2d(x, 2, 2, "VALID") if block else x
        for _ in range(number):
            total += np.prod(x.shape) * 9 * N
            x = tf.zeros((*x.shape[:3], N))
    return total


def always_previous(widths, height, width):
    total, read = 0, 3
    for N, number in zip(widths, CONVOLUTIONS):
        total, read, height, width = total + height * width * 9 * N * read * number, N, height // 2, width // 2
    return total


def with_biases(widths, height, width):
    return count(widths, height, width) + sum(
        height // 2**k * (width // 2**k) * N * number for k, (N, number) in enumerate(zip(widths, CONVOLUTIONS))
    )


COUNT_MISTAKES = {
    "parameters": (lambda widths, h, w: count(widths, 1, 1, shrink=lambda h, w: (h, w)), "does not depend on the size"),
    "no pooling": (lambda *a: count(*a, shrink=lambda h, w: (h, w)), "a quarter of the positions"),
    "one side": (lambda *a: count(*a, shrink=lambda h, w: (h // 2, w)), "halve both sides"),
    "rounded up": (lambda *a: count(*a, shrink=lambda h, w: (-(-h // 2), -(-w // 2))), "rounds an odd side down"),
    "not rounded": (lambda *a: count(*a, shrink=lambda h, w: (h / 2, w / 2)), "rounds an odd side down"),
    "no 9": (lambda *a: count(*a, places=1), "a factor 9"),
    "no colors": (lambda widths, h, w: count(widths, h, w, colors=widths[0]), "3 channels"),
    "block 5 whole": (lambda *a: count(*a, convolutions=(2, 2, 3, 3, 3)), "one convolution"),
    "VGG19": (lambda *a: count(*a, convolutions=(2, 2, 4, 4, 1)), "as in VGG16"),
    "previous channels": (always_previous, "only the first convolution"),
    "biases": (with_biases, "leave them out"),
    "something else": (lambda *a: 2 * count(*a), "follow one 3 x 3 convolution"),
    "a list": (lambda *a: [count(*a)], "a single whole number"),
}  # fmt: skip


@pytest.mark.parametrize("answer", [count, count_from_shapes])
def test_multiply_adds_accepts(answer, capsys):
    assert checks.multiply_adds(answer), capsys.readouterr().out


@pytest.mark.parametrize("mistake", COUNT_MISTAKES)
def test_multiply_adds_rejects(mistake, capsys):
    rejected(checks.multiply_adds, *COUNT_MISTAKES[mistake], capsys)


def merge(kernel, bias, R, c):
    return np.einsum("ij,hwjo->hwio", R, kernel), bias + np.einsum("j,hwjo->o", c, kernel)


def merge_by_places(kernel, bias, R, c):
    new_kernel, new_bias = np.zeros((3, 3, len(R), len(bias))), bias.copy()
    for i in range(3):
        for j in range(3):
            new_kernel[i, j] = R @ kernel[i, j]
            new_bias += c @ kernel[i, j]
    return new_kernel, new_bias


def merge_by_tensorflow(kernel, bias, R, c):
    return tf.matmul(R, kernel), bias + tf.linalg.matvec(tf.reduce_sum(kernel, (0, 1)), c, transpose_a=True)


def merge_in_place(kernel, bias, R, c):
    bias += np.einsum("j,hwjo->o", c, kernel)
    return R @ kernel, bias


def wrong_bias(new_bias):
    """new_bias: a function of the bias and of what c adds to it."""
    return lambda kernel, bias, R, c: (R @ kernel, new_bias(bias, np.einsum("j,hwjo->o", c, kernel)))


MERGE_MISTAKES = {
    "in place": (merge_in_place, "build new arrays"),
    "all channels": (lambda kernel, bias, R, c: (kernel, bias), "reads the n channels of F"),
    "transposed": (lambda *a: (merge(*a)[0].swapaxes(2, 3), merge(*a)[1]), "reads the n channels of F"),
    "bias for each place": (lambda *a: (merge(*a)[0], np.zeros((3, 3, 3))), "one number for each channel"),
    "mirrored": (lambda *a: (merge(*a)[0][::-1, ::-1], merge(*a)[1]), "the places are mirrored"),
    "no predictor": (lambda kernel, bias, R, c: (kernel[:, :, :2], bias), "it is R @ kernel[i, j]"),
    "no constant": (wrong_bias(lambda bias, constant: bias), "it belongs into the bias"),
    "no bias": (wrong_bias(lambda bias, constant: constant), "own bias is missing"),
    "sign": (wrong_bias(lambda bias, constant: bias - constant), "sign of what c adds"),
    "mean": (wrong_bias(lambda bias, constant: bias + constant / 9), "their mean is too little"),
    "middle": (lambda k, b, R, c: (R @ k, b + c @ k[1, 1]), "not at the middle one alone"),
    "other": (wrong_bias(lambda bias, constant: 0 * bias), "collect what is without F"),
}  # fmt: skip


@pytest.mark.parametrize("answer", [merge, merge_by_places, merge_by_tensorflow])
def test_merged_predictor_accepts(answer, capsys):
    assert checks.merged_predictor(answer), capsys.readouterr().out


@pytest.mark.parametrize("mistake", MERGE_MISTAKES)
def test_merged_predictor_rejects(mistake, capsys):
    rejected(checks.merged_predictor, *MERGE_MISTAKES[mistake], capsys)


def rescale(first, second, s):
    return (first[0] * s, first[1] * s), (second[0] / s[:, None], second[1])


def rescale_by_channel(first, second, factors):
    (kernel, bias), (next_kernel, next_bias) = ([np.array(each) for each in pair] for pair in (first, second))
    for i, factor in enumerate(factors):
        kernel[..., i] *= factor
        bias[i] *= factor
        next_kernel[:, :, i] /= factor
    return [kernel, bias], [next_kernel, next_bias]


def rescale_by_tensorflow(first, second, factors):
    s = tf.constant(factors)
    return (s * first[0], s * first[1]), (tf.einsum("abij,i->abij", second[0], 1 / s), second[1])


def rescale_in_place(first, second, s):
    first[1][:] *= s
    return (first[0] * s, first[1]), (second[0] / s[:, None], second[1])


RESCALE_MISTAKES = {
    "first bias": (lambda a, b, s: ((a[0] * s, a[1]), rescale(a, b, s)[1]), "bias needs the factors"),
    "first axis": (lambda a, b, s: ((a[0] * s[:, None], a[1] * s), rescale(a, b, s)[1]), "go to the last axis"),
    "divided": (lambda a, b, s: rescale(a, b, 1 / s), "you divide"),
    "mean factor": (lambda a, b, s: rescale(a, b, np.full(4, s.mean())), "multiply kernel and bias"),
    "second forgotten": (lambda a, b, s: (rescale(a, b, s)[0], b), "take the factors back"),
    "second axis": (lambda a, b, s: (rescale(a, b, s)[0], (b[0] / s, b[1])), "factors[:, None]"),
    "second multiplied": (lambda a, b, s: (rescale(a, b, s)[0], (b[0] * s[:, None], b[1])), "must divide"),
    "second bias": (lambda a, b, s: (rescale(a, b, s)[0], (b[0] / s[:, None], b[1] / s)), "bias stays as it is"),
    "in place": (rescale_in_place, "build new arrays"),
}  # fmt: skip


@pytest.mark.parametrize("answer", [rescale, rescale_by_channel, rescale_by_tensorflow])
def test_rescaled_pair_accepts(answer, capsys):
    assert checks.rescaled_pair(answer), capsys.readouterr().out


@pytest.mark.parametrize("mistake", RESCALE_MISTAKES)
def test_rescaled_pair_rejects(mistake, capsys):
    rejected(checks.rescaled_pair, *RESCALE_MISTAKES[mistake], capsys)


def fit(S, T):
    S = np.column_stack([S, np.ones(len(S))])
    return S @ np.linalg.lstsq(S, T, rcond=None)[0]


def readout(S, T):
    return np.var(T - fit(S, T), axis=0) / np.var(T, axis=0)


def readout_by_normal_equations(S, T):
    S, T = S - S.mean(0), T - T.mean(0)
    return ((T - S @ np.linalg.solve(S.T @ S, S.T @ T)) ** 2).sum(0) / (T**2).sum(0)


def readout_by_tensorflow(S, T):
    S, T = tf.constant(S - S.mean(0)), tf.constant(T - T.mean(0))
    rest = T - S @ tf.linalg.lstsq(S, T, fast=False)
    return tf.reduce_sum(rest**2, 0) / tf.reduce_sum(T**2, 0)


def no_constant(S, T):
    return np.var(T - S @ np.linalg.lstsq(S, T, rcond=None)[0], axis=0) / np.var(T, axis=0)


READOUT_MISTAKES = {
    "explained": (lambda S, T: 1 - readout(S, T), "the explained part"),
    "no constant": (no_constant, "a column of ones"),
    "mean square": (lambda S, T: np.var(T - fit(S, T), axis=0) / np.mean(T**2, axis=0), "not by its mean square"),
    "not divided": (lambda S, T: np.var(T - fit(S, T), axis=0), "divide by its variance"),
    "deviation": (lambda S, T: np.sqrt(readout(S, T)), "square it"),
    "averaged": (lambda S, T: np.mean(readout(S, T)), "one number for each channel"),
    "each position": (lambda S, T: (T - fit(S, T)) ** 2, "one number for each channel"),
    "no read-out": (lambda S, T: np.ones(T.shape[1]), "the explained part, or the fit itself"),
}  # fmt: skip


@pytest.mark.parametrize("answer", [readout, readout_by_normal_equations, readout_by_tensorflow])
def test_best_readout_accepts(answer, capsys):
    assert checks.best_readout(answer), capsys.readouterr().out


@pytest.mark.parametrize("mistake", READOUT_MISTAKES)
def test_best_readout_rejects(mistake, capsys):
    rejected(checks.best_readout, *READOUT_MISTAKES[mistake], capsys)


@pytest.mark.parametrize(
    "check", [checks.multiply_adds, checks.merged_predictor, checks.rescaled_pair, checks.best_readout]
)
@pytest.mark.parametrize("answer", [unsolved, None, ...])
def test_unsolved_says_so(check, answer, capsys):
    rejected(check, answer, "Not solved yet", capsys)
