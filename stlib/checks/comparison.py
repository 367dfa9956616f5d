"""Checks of appendix A1: normalizations, covariance, AdaIN and maximum mean discrepancy."""

import numpy as np

from stlib.checks.report import check


@check
def layer_factor(factor):
    """Check `factor(N, M)`: what the mean form of the Gram loss is multiplied by to give the paper's."""
    w = np.array([[float(factor(N, M)) for M in (6, 12)] for N in (2, 3, 8)])  # (N, M)
    right = np.array([_paper(N, 6) / _mean(N, 6) for N in (2, 3, 8)])  # for one layer: N^2 / 4
    hint = "divide one normalization by the other: a quotient of two numbers above 0."
    yield "it is a number above 0", np.isfinite(w).all() and (w > 0).all(), hint
    hint = "both forms divide by M^2, so M cancels."
    yield "it is the same for any number of positions", np.allclose(w[:, 0], w[:, 1]), hint
    hint = "write both factors c as fractions, divide the paper's by the other, and cancel: some of N is left."
    for wrong, name in (
        (1 / right, "upside down: divide the paper's factor by that of the mean form."),
        (4 * right, "four times too large: the paper's factor has a 4 in its denominator."),
        (np.sqrt(4 * right) / 4, "N / 4: squaring G / (N M) divides by N^2, and the mean over N^2 entries again."),
        (np.ones(3) / 4, "1/4, without N: the mean is over N^2 entries, which divides by N^2 once more."),
    ):
        hint = f"it is {name}" if np.allclose(w[:, 0], wrong) else hint
    yield "it turns the mean form into the paper's, for 2, 3 and 8 channels", np.allclose(w[:, 0], right), hint


@check
def covariance_from_gram(covariance):
    """Check `covariance(G, mean, M)`: Gram matrix (N, N), means (N) and number of positions to the covariance."""
    F = _cloud(12, 4, seed=0)
    G, mean, M = F.T @ F, F.mean(0), len(F)
    given = G.copy(), mean.copy()
    C, right = np.asarray(covariance(G, mean, M)), np.cov(F.T, bias=True)
    hint = f"it has shape {C.shape}: the means enter as a table of all their products, np.outer(mean, mean)."
    yield "the result has shape (N, N)", C.shape == (4, 4), hint
    unchanged = np.array_equal(G, given[0]) and np.array_equal(mean, given[1])
    yield "the arguments are unchanged", unchanged, "G -= ... or G /= ... writes into the argument: use G - ... ."
    hint = "for each pair of channels: the mean of the product, minus the product of the means."
    for wrong, name in (
        (G / M, "G / M alone is the mean of the products: the product of the means is still to be subtracted."),
        (G - np.outer(mean, mean), "divide G by the number of positions before you subtract."),
        ((G - np.outer(mean, mean)) / M, "only G is a sum over positions: divide it by M, not the means."),
        (G / M + np.outer(mean, mean), "the product of the means is subtracted, not added."),
        (G / M - mean * mean, "mean * mean has one number a channel: np.outer(mean, mean) has one a pair."),
        (G / M - mean @ mean, "mean @ mean is one number in all: np.outer(mean, mean) has one a pair."),
        (G / M - mean, "the means are to be multiplied with each other before they are subtracted."),
        (np.cov(F.T), "divide by M, not by M - 1: a Gram matrix per position is a plain mean."),
        (np.corrcoef(F.T), "that is the correlation: do not divide by the deviations."),
    ):
        hint = name if _close(C, wrong) else hint
    yield "it is the covariance of the channels", _close(C, right), hint
    F = F + 3.0
    hint = "moving the whole cloud must change nothing: take both G and the means from the arguments."
    yield "it stays when the cloud is moved", _close(covariance(F.T @ F, F.mean(0), M), right), hint


@check
def adain_batch(adain):
    """Check `adain(F, S, strength)`: batches (B, h, w, N); each image of F gets means and deviations of its own S."""
    F, S = _cloud(2, 4, 3, 5, seed=1), 4 + 3 * _cloud(2, 6, 2, 5, seed=2)
    F[1] *= 2
    given = F.copy(), S.copy()
    moved = np.asarray(adain(F, S, 1.0))
    hint = f"it has shape {moved.shape}: shift and stretch F; mean and deviation of S have no height and width."
    yield "the result has the shape of F", moved.shape == F.shape, hint
    unchanged = np.array_equal(F, given[0]) and np.array_equal(S, given[1])
    yield "the arguments are unchanged", unchanged, "F -= ... or F /= ... writes into the argument: use F = F - ... ."
    image, channels = (1, 2), (1, 2, 3)  # axes to average over: right, and for a layer norm
    hint = "S gives the mean: (F - mean of F) / deviation of F * deviation of S + mean of S."
    if _close(moved.mean((0, 1, 2)), S.mean((0, 1, 2))):
        hint = "only the mean over the batch is right: average over height and width, not over the images."
    elif _close(moved.mean(channels), S.mean(channels)):
        hint = "all channels are moved alike: average over height and width, not over the channels."
    elif _close(moved, F):
        hint = "strength 1 must change F fully: a strength of 0 leaves it as it is."
    yield "each channel of each image has the mean of S", _close(moved.mean(image), S.mean(image)), hint
    hint = "divide by the deviation of F and multiply by that of S."
    if _close(moved.std(image), S.var(image) / F.std(image)):
        hint = "you divide and multiply by variances: take their square roots."
    elif _close(moved.std(image), F.std(image)):
        hint = "only the mean is moved: " + hint
    yield "and the deviation of S", _close(moved.std(image), S.std(image)), hint
    hint = "keep each position's place: the same shift and stretch for all positions of a channel."
    yield "a second time changes nothing", _close(adain(moved, S, 1.0), moved), hint
    yield "strength 0 gives F", _close(adain(F, S, 0.0), F), "return (1 - strength) * F + strength * moved."
    hint = "half strength is half way: (1 - strength) * F + strength * moved."
    yield "strength 0.5 is half way", _close(adain(F, S, 0.5), (F + moved) / 2), hint
    F[..., 0] = 0.0
    hint = "a silent channel has deviation 0: add a small number such as 1e-6 to what you divide by."
    with np.errstate(all="ignore"):
        yield "a channel of zeros gives numbers, no NaN", np.isfinite(adain(F, S, 1.0)).all(), hint


@check
def unbiased_mmd(mmd):
    """Check `mmd(x, y, kernel)`: MMD^2 of clouds (m, N) and (n, N) without each point's similarity to itself."""
    x, y = _cloud(7, 3, seed=3), _cloud(5, 3, seed=4) + 1
    value = np.asarray(mmd(x, y, _quadratic))
    yield "it is one number", value.size == 1 and np.isfinite(value).all(), f"it has shape {value.shape}: take means."
    value = float(value.squeeze())
    within = [_quadratic(a, a) for a in (x, y)]
    xx, yy = ((K.sum() - np.trace(K)) / (len(K) * (len(K) - 1)) for K in within)
    short = [(K.sum() - np.trace(K)) / len(K) ** 2 for K in within]
    across = _quadratic(x, y).mean()
    hint = "mean over m != n within x, the same within y, minus twice the mean across."
    for wrong, name in (
        (within[0].mean() + within[1].mean() - 2 * across, "that is the biased estimate: leave out the diagonals."),
        (sum(short) - 2 * across, "without the diagonal m (m - 1) pairs are left: divide by that, not by m^2."),
        (xx + yy - across, "the pairs across count twice: within x, within y, minus 2 times across."),
        (xx + yy + 2 * across, "similarity across is subtracted, not added."),
        (np.sqrt(abs(xx + yy - 2 * across)), "that is the square root: the squared MMD is asked for."),
    ):
        hint = name if np.isclose(value, wrong) else hint
    yield "it is right for 7 and 5 points and (x . y)^2", np.isclose(value, xx + yy - 2 * across), hint
    hint = "use the kernel you are given, for all three sums."
    means = x.mean(0) - y.mean(0)
    noise = sum(a.var(0, ddof=1).sum() / len(a) for a in (x, y))  # what the bias adds for a linear kernel
    yield "it is right for x . y", np.isclose(mmd(x, y, lambda a, b: a @ b.T), means @ means - noise), hint
    draws = [mmd(_cloud(6, 3, seed=2 * k), _cloud(6, 3, seed=2 * k + 1), _quadratic) for k in range(400)]
    error = np.std(draws) / 20
    hint = "for clouds drawn alike some estimates must be below 0: do not clip them, take no absolute values."
    yield "for clouds drawn alike it is 0 on average", abs(np.mean(draws)) < 4 * error, hint


def _paper(N, M):
    return 1 / (4 * N**2 * M**2)


def _mean(N, M):
    return 1 / N**2 / (N * M) ** 2


def _quadratic(x, y):
    return (x @ y.T) ** 2


def _cloud(*shape, seed):
    return np.random.default_rng(seed).normal(0.3, 1, shape)


def _close(x, y):
    return np.shape(x) == np.shape(y) and np.allclose(x, y, rtol=2e-3, atol=2e-3)
