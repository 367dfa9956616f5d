"""Checks of appendix A1: normalizations, covariance, AdaIN and maximum mean discrepancy."""

import numpy as np

from stlib.checks.exercise import Exercise, but


def cloud(*shape, seed):
    return np.random.default_rng(seed).normal(0.3, 1, shape)


# --- one normalization from another

layer_factor = Exercise(
    right=lambda N, M: (1 / (4 * N**2 * M**2)) / (1 / N**2 / (N * M) ** 2),
    cases={
        "it turns the mean form into the paper's, for 2, 3 and 8 channels": [(N, 6) for N in (2, 3, 8)],
        "so it does for any number of positions": [(N, M) for N in (2, 3, 8) for M in (1, 12)],
    },
    result="it is a number",
    mistakes={
        "upside down: divide the paper's factor by that of the mean form.": lambda N, M: 4 / N**2,
        "four times too large: the paper's factor has a 4 in its denominator.": lambda N, M: N**2,
        "it is 1/4, without N: the mean is over N^2 entries, which divides by N^2 once more.": lambda N, M: 1 / 4,
        "N / 4: squaring G / (N M) divides by N^2, the mean over N^2 entries again.": lambda N, M: N / 4,
        "both forms divide by M^2, so M cancels.": lambda N, M: N**2 * M**2 / 4,
        "that is the paper's factor alone: divide it by that of the mean form, M cancels.":
            lambda N, M: 1 / (4 * N**2 * M**2),
        "a quotient of two numbers above 0 is above 0.": lambda N, M: -(N**2) / 4,
    },
    hint="write both factors c as fractions, divide the paper's by the other, and cancel: some of N is left.",
)  # fmt: skip


# --- a covariance from a Gram matrix


def covariance(G, mean, M):
    return G / M - np.outer(mean, mean)


F = cloud(12, 4, seed=0)

covariance_from_gram = Exercise(
    right=covariance,
    cases={
        "it is the covariance of the channels": (F.T @ F, F.mean(0), 12),
        "it stays when the cloud is moved": ((F + 3).T @ (F + 3), F.mean(0) + 3, 12),
    },
    result="the result has shape (N, N)",
    mistakes={
        "the product of the means is still to be subtracted.": lambda G, mean, M: G / M,
        "divide G by the number of positions before you subtract.": lambda G, mean, M: G - np.outer(mean, mean),
        "only G is a sum over positions: not the means.": lambda G, mean, M: (G - np.outer(mean, mean)) / M,
        "the product of the means is subtracted, not added.": lambda G, mean, M: G / M + np.outer(mean, mean),
        "mean * mean has one number a channel: np.outer has one a pair.": lambda G, mean, M: G / M - mean * mean,
        "mean @ mean is one number in all: np.outer has one a pair.": lambda G, mean, M: G / M - mean @ mean,
        "the means are to be multiplied with each other first.": lambda G, mean, M: G / M - mean,
        "divide by M, not by M - 1.": lambda G, mean, M: covariance(G, mean, M) * M / (M - 1),
        "that is the correlation: do not divide by the deviations.":
            lambda *a: (C := covariance(*a)) / np.sqrt(np.outer(np.diag(C), np.diag(C))),
        "only the diagonal is there: np.outer(mean, mean).": lambda G, mean, M: np.diag(covariance(G, mean, M)),
    },
    hint="for each pair of channels: the mean of the product, minus the product of the means.",
)  # fmt: skip


# --- AdaIN


def moments(x, axes=(1, 2), spread=np.std):
    return np.mean(x, axes, keepdims=True), spread(x, axes, keepdims=True)


def adain(F, S, strength, axes=(1, 2), spread=np.std, floor=1e-6, shift=True, of=lambda t: t):
    """AdaIN; each setting is the place of a mistake."""
    (mean, deviation), (new_mean, new_deviation) = moments(F, axes, spread), moments(S, axes, spread)
    moved = (F - mean) / (deviation + floor) * new_deviation + (new_mean if shift else 0)
    return (1 - of(strength)) * F + of(strength) * moved


FIRST, SECOND = cloud(2, 4, 3, 5, seed=1) * [[[[1]]], [[[2]]]], 4 + 3 * cloud(2, 6, 2, 5, seed=2)
SILENT = FIRST * [0, 1, 1, 1, 1]

adain_batch = Exercise(
    right=adain,
    cases={
        "each channel of each image has mean and deviation of S": (FIRST, SECOND, 1.0),
        "strength 0 gives F": (FIRST, SECOND, 0.0),
        "strength 0.5 is half way": (FIRST, SECOND, 0.5),
        "a channel of zeros takes the mean of S, no NaN": (SILENT, SECOND, 1.0),
    },
    result="the result has the shape of F",
    mistakes={
        "average over height and width, not over the images.": but(adain, axes=(0, 1, 2)),
        "average over height and width, not over the channels.": but(adain, axes=(1, 2, 3)),
        "you divide and multiply by variances: take their square roots.": but(adain, spread=np.var),
        "only the mean is moved: divide by the deviation of F, multiply by that of S.":
            lambda F, S, t: F + t * (moments(S)[0] - moments(F)[0]),
        "F and S are swapped: shift and stretch F, S has no place in it.": lambda F, S, t: adain(S, F, t),
        "S gives the mean: ... + mean of S.": but(adain, shift=False),
        "strength 1 must change F fully, strength 0 not at all.": but(adain, of=lambda t: 1 - t),
        "no strength: return (1 - strength) * F + strength * moved.": but(adain, of=lambda t: 1),
        "half strength is half way: (1 - strength) * F + strength * moved.": but(adain, of=np.square),
        "keep each position's place: one shift and stretch for a channel.": lambda *a: adain(*a)[:, ::-1],
        "a silent channel has deviation 0: add a small number, 1e-6, to what you divide by.": but(adain, floor=0),
    },
    hint="(F - mean of F) / deviation of F * deviation of S + mean of S, for each channel of each image.",
    rtol=2e-3, atol=2e-3,
)  # fmt: skip


# --- MMD without bias


def pairs(K):
    """The mean over pairs of different points."""
    return (K.sum() - np.trace(K)) / (len(K) * (len(K) - 1))


def mmd(x, y, kernel, within=pairs, across=2):
    return within(kernel(x, x)) + within(kernel(y, y)) - across * kernel(x, y).mean()


def quadratic(x, y):
    return (x @ y.T) ** 2


X, Y = cloud(7, 3, seed=3), cloud(5, 3, seed=4) + 1
ALIKE = [(cloud(6, 3, seed=2 * k), cloud(6, 3, seed=2 * k + 1), quadratic) for k in range(9)]

unbiased_mmd = Exercise(
    right=mmd,
    cases={
        "it is right for 7 and 5 points and (x . y)^2": (X, Y, quadratic),
        "it is right for x . y": (X, Y, lambda x, y: x @ y.T),
        "for clouds drawn alike some values are below 0": ALIKE,
    },
    result="it is one number",
    mistakes={
        "that is the biased estimate: leave out the diagonals.": lambda x, y, k: mmd(x, y, k, np.mean),
        "without the diagonal m (m - 1) pairs are left, not m^2.":
            lambda x, y, k: mmd(x, y, k, lambda K: (K.sum() - np.trace(K)) / K.size),
        "the pairs across count twice: minus 2 times across.": lambda x, y, k: mmd(x, y, k, across=1),
        "similarity across is subtracted, not added.": lambda x, y, k: mmd(x, y, k, across=-2),
        "that is the square root: the squared MMD is asked for.": lambda x, y, k: np.sqrt(abs(mmd(x, y, k))),
        "mean over m != n, not the sum.": lambda x, y, k: mmd(x, y, k, lambda K: K.sum() - np.trace(K)),
        "take means, not all sums.": lambda x, y, k: mmd(x, y, k, np.sum),
        "use the kernel you are given, for all three sums.": lambda x, y, k: mmd(x, y, quadratic),
        "do not clip: some estimates must be below 0.": lambda x, y, k: max(mmd(x, y, k), 0),
        "take no absolute values: some estimates must be below 0.": lambda x, y, k: abs(mmd(x, y, k)),
        "it has a value for each pair: take means.": lambda x, y, k: k(x, y),
    },
    hint="mean over m != n within x, the same within y, minus twice the mean across.",
)  # fmt: skip
