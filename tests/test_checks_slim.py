"""The checks of appendix A3 accept right answers, however written, and say of wrong ones what is wrong."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import rejected, unsolved

from stlib import checks

CONVOLUTIONS = (2, 2, 4, 4, 1)


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
    "block 5 whole": (lambda *a: count(*a, convolutions=(2, 2, 4, 4, 4)), "one convolution"),
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


def fold(kernel, bias, gamma, beta, mean, variance, epsilon):
    factor = gamma / np.sqrt(variance + epsilon)
    return kernel * factor, beta + (bias - mean) * factor


def fold_by_channel(kernel, bias, gamma, beta, mean, variance, epsilon):
    new_kernel, new_bias = np.zeros_like(kernel), []
    for j in range(len(bias)):
        factor = gamma[j] / (variance[j] + epsilon) ** 0.5
        new_kernel[..., j] = factor * kernel[..., j]
        new_bias.append(factor * bias[j] - factor * mean[j] + beta[j])
    return new_kernel, new_bias


def fold_by_tensorflow(kernel, bias, gamma, beta, mean, variance, epsilon):
    factor = tf.constant(gamma) * tf.math.rsqrt(variance + epsilon)
    return factor * kernel, tf.nn.batch_normalization(bias, mean, variance, beta, gamma, epsilon)


def fold_in_place(kernel, bias, gamma, beta, mean, variance, epsilon):
    kernel *= gamma / np.sqrt(variance + epsilon)
    return kernel, fold(kernel, bias, gamma, beta, mean, variance, epsilon)[1]


def wrong_factor(factor):
    return lambda k, b, gamma, beta, mean, v, e: (k * factor(gamma, v, e), beta + (b - mean) * factor(gamma, v, e))


def wrong_bias(new_bias):
    def answer(k, b, gamma, beta, mean, v, e):
        factor = gamma / np.sqrt(v + e)
        return k * factor, new_bias(b, beta, mean, factor)

    return answer


FOLD_MISTAKES = {
    "in place": (fold_in_place, "writes into its argument"),
    "wrong axis": (lambda k, *a: (fold(k.swapaxes(2, 3), *a)[0].swapaxes(2, 3), fold(k, *a)[1]), "the last axis"),
    "no epsilon": (wrong_factor(lambda gamma, v, e: gamma / np.sqrt(v)), "epsilon is missing"),
    "no root": (wrong_factor(lambda gamma, v, e: gamma / (v + e)), "the root of"),
    "epsilon outside": (wrong_factor(lambda gamma, v, e: gamma / (np.sqrt(v) + e)), "under the root"),
    "no gamma": (wrong_factor(lambda gamma, v, e: 1 / np.sqrt(v + e)), "gamma is missing"),
    "multiplied": (wrong_factor(lambda gamma, v, e: gamma * np.sqrt(v + e)), "gamma / sqrt"),
    "no bias": (wrong_bias(lambda b, beta, mean, f: beta - mean * f), "passes through the normalization"),
    "bias not scaled": (wrong_bias(lambda b, beta, mean, f: b + beta - mean * f), "multiplied by the factor"),
    "no mean": (wrong_bias(lambda b, beta, mean, f: b * f + beta), "-mean * factor"),
    "sign": (wrong_bias(lambda b, beta, mean, f: (b + mean) * f + beta), "sign is wrong"),
    "no beta": (wrong_bias(lambda b, beta, mean, f: (b - mean) * f), "beta is missing"),
    "beta scaled": (wrong_bias(lambda b, beta, mean, f: (b - mean + beta) * f), "after the factor"),
    "other": (wrong_bias(lambda b, beta, mean, f: 0 * b), "collect what does not depend on x"),
    "one factor": (lambda k, b, *a: (k.sum(-1), b), "one factor and one bias"),
}  # fmt: skip


@pytest.mark.parametrize("answer", [fold, fold_by_channel, fold_by_tensorflow])
def test_folded_normalization_accepts(answer, capsys):
    assert checks.folded_normalization(answer), capsys.readouterr().out


@pytest.mark.parametrize("mistake", FOLD_MISTAKES)
def test_folded_normalization_rejects(mistake, capsys):
    rejected(checks.folded_normalization, *FOLD_MISTAKES[mistake], capsys)


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
    "check", [checks.multiply_adds, checks.folded_normalization, checks.rescaled_pair, checks.best_readout]
)
@pytest.mark.parametrize("answer", [unsolved, None, ...])
def test_unsolved_says_so(check, answer, capsys):
    rejected(check, answer, "Not solved yet", capsys)
