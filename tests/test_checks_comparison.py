"""The checks of appendix A1 accept right answers, however written, and say of wrong ones what is wrong."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import rejected, unsolved

from stlib import checks


def factor(N, M):
    return N**2 / 4


def factor_as_quotient(N, M):
    return (N**4 * M**2) / (2 * N * M) ** 2


FACTOR_MISTAKES = {
    "upside down": (lambda N, M: 4 / N**2, "upside down"),
    "without the 4": (lambda N, M: N**2, "four times too large"),
    "mean forgotten": (lambda N, M: 1 / 4, "without N"),
    "N for N squared": (lambda N, M: N / 4, "N / 4"),
    "M kept": (lambda N, M: N**2 * M**2 / 4, "M cancels"),
    "only the paper's": (lambda N, M: 1 / (4 * N**2 * M**2), "M cancels"),
    "another power": (lambda N, M: N**3 / 4, "write both factors"),
    "negative": (lambda N, M: -(N**2) / 4, "above 0"),
}


def covariance(G, mean, M):
    return G / M - np.outer(mean, mean)


def covariance_by_loops(G, mean, M):
    N = len(mean)
    return [[float(G[i, j] / M - mean[i] * mean[j]) for j in range(N)] for i in range(N)]


def covariance_by_tensorflow(G, mean, M):
    return tf.constant(G) / M - tf.einsum("i,j->ij", mean, mean)


def covariance_in_place(G, mean, M):
    G /= M
    G -= np.outer(mean, mean)
    return G


def correlation(G, mean, M):
    C = covariance(G, mean, M)
    return C / np.sqrt(np.outer(np.diag(C), np.diag(C)))


COVARIANCE_MISTAKES = {
    "not centered": (lambda G, mean, M: G / M, "still to be subtracted"),
    "sum": (lambda G, mean, M: G - np.outer(mean, mean), "by the number of positions"),
    "all divided": (lambda G, mean, M: (G - np.outer(mean, mean)) / M, "not the means"),
    "added": (lambda G, mean, M: G / M + np.outer(mean, mean), "not added"),
    "by element": (lambda G, mean, M: G / M - mean * mean, "one number a channel"),
    "inner product": (lambda G, mean, M: G / M - mean @ mean, "one number in all"),
    "means themselves": (lambda G, mean, M: G / M - mean, "multiplied with each other"),
    "M - 1": (lambda G, mean, M: covariance(G, mean, M) * M / (M - 1), "not by M - 1"),
    "correlation": (correlation, "do not divide by the deviations"),
    "diagonal": (lambda G, mean, M: np.diag(covariance(G, mean, M)), "it has shape (4,)"),
    "in place": (covariance_in_place, "writes into the argument"),
}


def moments(x, axes=(1, 2), spread=np.std):
    return np.mean(x, axes, keepdims=True), spread(x, axes, keepdims=True)


def adain(F, S, strength, moments=moments):
    (mean, deviation), (goal_mean, goal_deviation) = moments(F), moments(S)
    return F + strength * ((F - mean) / np.maximum(deviation, 1e-6) * goal_deviation + goal_mean - F)


def adain_by_loops(F, S, strength):
    result = np.empty_like(F)
    for b in range(F.shape[0]):
        for i in range(F.shape[-1]):
            f, s = F[b, ..., i], S[b, ..., i]
            result[b, ..., i] = (f - f.mean()) / (f.std() + 1e-6) * s.std() + s.mean()
    return (1 - strength) * F + strength * result


def adain_by_tensorflow(F, S, strength):
    (mean, variance), (goal_mean, goal_variance) = (tf.nn.moments(x, (1, 2), keepdims=True) for x in (F, S))
    return (1 - strength) * F + strength * ((F - mean) * tf.sqrt(goal_variance / (variance + 1e-6)) + goal_mean)


def adain_in_place(F, S, strength):
    F -= F.mean((1, 2), keepdims=True)
    return F


def adain_with_nan(F, S, strength):
    (mean, deviation), (goal_mean, goal_deviation) = moments(F), moments(S)
    return (1 - strength) * F + strength * ((F - mean) / deviation * goal_deviation + goal_mean)


def mean_only(F, S, strength):
    return F + strength * (S.mean((1, 2), keepdims=True) - F.mean((1, 2), keepdims=True))


ADAIN_MISTAKES = {
    "whole batch": (lambda F, S, t: adain(F, S, t, lambda x: moments(x, (0, 1, 2))), "not over the images"),
    "layer norm": (lambda F, S, t: adain(F, S, t, lambda x: moments(x, (1, 2, 3))), "not over the channels"),
    "variances": (lambda F, S, t: adain(F, S, t, lambda x: moments(x, spread=np.var)), "square roots"),
    "mean only": (mean_only, "only the mean is moved"),
    "swapped": (lambda F, S, t: adain(S, F, t), "it has shape (2, 6, 2, 5)"),
    "shift forgotten": (lambda F, S, t: adain(F, S, t) - t * moments(S)[0], "S gives the mean"),
    "strength upside down": (lambda F, S, t: adain(F, S, 1 - t), "strength 1 must change F"),
    "no strength": (lambda F, S, t: adain(F, S, 1), "strength * moved"),
    "squared strength": (lambda F, S, t: adain(F, S, t**2), "half way"),
    "shuffled": (lambda F, S, t: adain(F, S, t)[:, ::-1], "each position's place"),
    "NaN": (adain_with_nan, "a silent channel"),
    "in place": (adain_in_place, "writes into the argument"),
}


def pairs_within(K):
    return (K.sum() - np.trace(K)) / (len(K) * (len(K) - 1))


def mmd(x, y, kernel, within=pairs_within, across=2):
    return within(kernel(x, x)) - across * kernel(x, y).mean() + within(kernel(y, y))


def mmd_by_loops(x, y, kernel):
    def k(a, b):
        return float(np.squeeze(kernel(a[None], b[None])))

    def within(x):
        return np.mean([k(a, b) for m, a in enumerate(x) for n, b in enumerate(x) if m != n])

    return within(x) + within(y) - 2 * np.mean([k(a, b) for a in x for b in y])


def mmd_by_tensorflow(x, y, kernel):
    def within(K):
        off = tf.linalg.set_diag(K, tf.zeros(len(K), K.dtype))
        return tf.reduce_sum(off) / (len(K) * (len(K) - 1))

    return within(kernel(x, x)) + within(kernel(y, y)) - 2 * tf.reduce_mean(kernel(x, y))


def short(K):
    return (K.sum() - np.trace(K)) / K.size


def clipped(x, y, kernel):
    return max(mmd(x, y, kernel), 0)


def own_kernel(x, y, kernel):
    return mmd(x, y, lambda a, b: (a @ b.T) ** 2)


MMD_MISTAKES = {
    "biased": (lambda x, y, k: mmd(x, y, k, np.mean), "leave out the diagonals"),
    "m squared": (lambda x, y, k: mmd(x, y, k, short), "m (m - 1) pairs"),
    "across once": (lambda x, y, k: mmd(x, y, k, across=1), "count twice"),
    "added": (lambda x, y, k: mmd(x, y, k, across=-2), "subtracted, not added"),
    "root": (lambda x, y, k: np.sqrt(abs(mmd(x, y, k))), "square root"),
    "sums": (lambda x, y, k: mmd(x, y, k, np.sum), "mean over m != n"),
    "own kernel": (own_kernel, "the kernel you are given"),
    "clipped": (clipped, "do not clip"),
    "a matrix": (lambda x, y, k: k(x, y), "take means"),
    "not squares": (lambda x, y, k: (k(x, x) - k(x, y)).mean(), "your code raised ValueError"),
}  # fmt: skip


ANSWERS = {
    checks.layer_factor: (factor, factor_as_quotient),
    checks.covariance_from_gram: (covariance, covariance_by_loops, covariance_by_tensorflow),
    checks.adain_batch: (adain, adain_by_loops, adain_by_tensorflow),
    checks.unbiased_mmd: (mmd, mmd_by_loops, mmd_by_tensorflow),
}
MISTAKES = {
    checks.layer_factor: FACTOR_MISTAKES,
    checks.covariance_from_gram: COVARIANCE_MISTAKES,
    checks.adain_batch: ADAIN_MISTAKES,
    checks.unbiased_mmd: MMD_MISTAKES,
}


@pytest.mark.parametrize("check, answer", [(check, answer) for check in ANSWERS for answer in ANSWERS[check]])
def test_accepts(check, answer, capsys):
    assert check(answer), capsys.readouterr().out
    assert "All of it holds" in capsys.readouterr().out


@pytest.mark.parametrize("check, mistake", [(check, mistake) for check in MISTAKES for mistake in MISTAKES[check]])
def test_rejects(check, mistake, capsys):
    rejected(check, *MISTAKES[check][mistake], capsys)


@pytest.mark.parametrize("check", ANSWERS)
@pytest.mark.parametrize("answer", [unsolved, None, ...])
def test_unsolved_says_so(check, answer, capsys):
    rejected(check, answer, "Not solved yet", capsys)
