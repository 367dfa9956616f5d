"""Checks of lesson 03: Gram matrices and distances of style."""

import numpy as np

from stlib.checks.report import check


@check
def gram_by_loops(gram):
    """Check `gram(features)`: features (h, w, N) to their Gram matrix (N, N), not divided by anything."""
    F = _random(4, 3, 5)
    M, given = F.reshape(-1, 5), F.copy()  # positions in rows
    G, right = np.asarray(gram(F)), M.T @ M
    yield "the result has shape (N, N)", G.shape == (5, 5), _about_shape(G.shape, N=5, M=12)
    yield "it is symmetric", _close(G, G.T), "G[i, j] and G[j, i] are the same product: fill both halves of the matrix."
    yield "the argument is unchanged", np.array_equal(F, given), "work on a copy: your code writes into its argument."
    lowest = np.linalg.eigvalsh(G).min()
    yield (
        "it is positive semi-definite",
        lowest > -1e-3,
        f"one eigenvalue is {lowest:.2g}: square nothing, center nothing.",
    )
    shuffled = np.random.default_rng(1).permutation(M).reshape(F.shape)
    hint = "the order of the positions counts in your answer: start from zeros and add (+=) a product for each of them."
    yield "shuffled positions leave it as it is", _close(gram(shuffled), G), hint
    hint = "s times the features must give s * s times the matrix: multiply a channel by a channel, once."
    yield "features times 3 give 9 times the matrix", _close(gram(3 * F), 9 * G), hint
    yield "it is the sum of the products of the channels", _close(G, right), _about_factor(G, M, right)


@check
def gram_per_position(gram):
    """Check `gram(features)`: a batch (B, h, w, N) to one Gram matrix per position for each image, (B, N, N)."""
    F = _random(2, 4, 3, 5)
    M, given = F.reshape(2, 12, 5), F.copy()
    sums = np.einsum("bki,bkj->bij", M, M)
    G = np.asarray(gram(F))
    hint = _about_shape(G.shape, N=5, M=12)
    if G.shape == (5, 5):
        hint = "the images of the batch are added up: keep the batch axis, with a letter of its own in einsum."
    yield "the result has shape (B, N, N)", G.shape == (2, 5, 5), hint
    yield "the argument is unchanged", np.array_equal(F, given), "work on a copy: your code writes into its argument."
    tiled = np.asarray(gram(np.tile(F, (1, 2, 2, 1))))
    hint = "four copies side by side have four times the positions: divide by h * w of the features you are given."
    yield "tiling the features leaves it as it is", _close(tiled, G), hint
    hint = "the matrices are a constant times what they should be: divide by the positions h * w, by nothing else."
    for size, name in (
        (2 * 12, "B * h * w"),
        (12 * 5, "h * w * N"),
        (12 * 25, "h * w * N * N"),
        (2 * 60, "all numbers"),
    ):
        if _close(G * size, sums):
            hint = f"you divide by {name}: each image has h * w positions."
    if _close(np.swapaxes(G, 1, 2)[::-1] * 12, sums):
        hint = "the images of the batch have changed places."
    yield "each matrix is the image's own sum over its positions, divided by h * w", _close(G, sums / 12), hint


@check
def style_distance(distance):
    """Check `distance(image, style, features)`, which must not see brightness: pixels times s, or plus c."""
    rng = np.random.default_rng(0)
    stripes = np.float32(0.3 + 0.3 * (np.arange(24) % 4 < 2)[:, None, None] * np.ones((1, 24, 3)))
    stripes += np.float32(0.05 * rng.uniform(size=stripes.shape))
    blots = np.float32(np.kron(rng.uniform(0.2, 0.7, (6, 6, 3)), np.ones((4, 4, 1))))
    given = stripes.copy(), blots.copy()

    def between(image, style):
        return float(np.squeeze(np.asarray(distance(image, style, _features))))

    apart = between(stripes, blots)
    yield (
        "two textures are some way apart",
        np.isfinite(apart) and apart > 0,
        "return one number above 0 for two styles.",
    )
    yield "an image is at distance 0 from itself", _zero(between(blots, blots), apart), "compare Gram with Gram matrix."
    scaled, shifted = between(0.3 * stripes, blots), between(stripes + 0.4, blots)
    hint = (
        "bring both images to one mean and one deviation before their features: 0.5 + 0.2 * (x - x.mean()) / x.std()."
    )
    if _close(shifted, apart):
        hint = "the mean is gone; now divide by the deviation too, (x - x.mean()) / x.std()."
    yield "a darker image (pixels times 0.3) is as far away", _close(scaled, apart), hint
    hint = "subtract the mean of the pixels before you divide by their deviation."
    yield "a lighter image (pixels plus 0.4) is as far away", _close(shifted, apart), hint
    hint = "treat the style as you treat the image: the same mean, the same deviation."
    yield "so it is with a darker style", _close(between(stripes, 0.6 * blots + 0.1), apart), hint
    hint = "shifting an image moves its texture elsewhere: compare Gram matrices, not pixels or features."
    yield "a shifted image is at distance 0", _zero(between(np.roll(blots, (6, 10), (0, 1)), blots), apart), hint
    hint = "divide each Gram matrix by its own number of positions: the style may have any size."
    yield (
        "a style tiled to twice its size is at distance 0",
        _zero(between(blots, np.tile(blots, (2, 2, 1))), apart),
        hint,
    )
    unchanged = np.array_equal(stripes, given[0]) and np.array_equal(blots, given[1])
    yield "the arguments are unchanged", unchanged, "x -= ... writes into the argument: use x = x - ... ."


@check
def blended_styles(blend):
    """Check `blend(A, B, t)`: dicts layer -> Gram matrix, from A at t = 0 to B at t = 1."""
    F = [np.maximum(_random(*shape, seed=seed), 0) for seed, shape in enumerate([(5, 4), (6, 6)] * 2, 13)]
    A, B = {"first": _gram(F[0]), "second": _gram(F[1])}, {"first": 5 * _gram(F[2]), "second": 5 * _gram(F[3])}
    given = [{layer: G.copy() for layer, G in style.items()} for style in (A, B)]
    ends = blend(A, B, 0.0), blend(A, B, 1.0)
    hint = "return a dict with a matrix for each layer of A: {layer: ... for layer in A}."
    yield (
        "there is a matrix for each layer",
        all(isinstance(end, dict) and end.keys() == A.keys() for end in ends),
        hint,
    )
    half = blend(A, B, 0.5)
    unchanged = all(np.array_equal(G[layer], old[layer]) for G, old in zip((A, B), given) for layer in old)
    yield (
        "the arguments are unchanged",
        unchanged,
        "build a new dict of new matrices: your code writes into its argument.",
    )
    shapes = all(np.shape(half[layer]) == A[layer].shape for layer in A)
    yield (
        "each matrix keeps its shape (N, N)",
        shapes,
        "blend whole matrices, not sums, diagonals or single numbers of them.",
    )
    lowest = min(np.linalg.eigvalsh(np.nan_to_num(_mean(half[layer]))).min() for layer in A)
    hint = f"an eigenvalue is {lowest:.2g}: add the matrices with factors from 0 up; no powers, no differences."
    yield "half way it is positive semi-definite", lowest > -1e-3, hint
    hint = "at t = 0 nothing of B may be left, and all of A: what are the factors of A and B then?"
    if all(_close(ends[0][layer], B[layer]) for layer in A):
        hint = "the ends are swapped: t is the share of B."
    yield "t = 0 gives A", all(_close(ends[0][layer], A[layer]) for layer in A), hint
    hint = "at t = 1 nothing of A may be left: multiply A by (1 - t)."
    yield "t = 1 gives B", all(_close(ends[1][layer], B[layer]) for layer in A), hint
    hint = "half way each number is the mean of the two: use the factors (1 - t) and t."
    yield "half way is the mean", all(_close(half[layer], (A[layer] + B[layer]) / 2) for layer in A), hint


def _random(*shape, seed=0):
    return np.float32(np.random.default_rng(seed).normal(0.3, 1, shape))


def _gram(F):
    return F.T @ F / len(F)


def _mean(G):
    return (np.asarray(G) + np.transpose(G)) / 2


def _close(x, y):
    return np.shape(x) == np.shape(y) and np.allclose(x, y, rtol=2e-3, atol=1e-4)


def _zero(distance, apart):
    return abs(distance) < 0.01 * apart


def _features(batch):
    """Two layers of a small network of differences between neighbors, round the edges too; brightness counts."""
    x = np.asarray(batch, np.float32)
    if x.ndim != 4 or x.shape[0] != 1:
        raise ValueError(f"features wants a batch (1, h, w, 3), not {x.shape}: features(image[None])")
    layers = {}
    for layer in ("fine", "coarse"):
        steps = [x - np.roll(x, shift, axis) for axis in (1, 2) for shift in (1, -1)]
        layers[layer] = np.maximum(np.concatenate([x - 0.1, *steps], -1), 0)
        x = (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4
    return layers


def _about_shape(shape, N, M):
    """What a wrong shape of a Gram matrix says."""
    if M in shape[-2:]:
        return f"it has shape {shape}: you multiply positions by positions; the rows must be channels, F^T F."
    if shape[-2:] == (N, N):
        return f"it has shape {shape}: a sum is missing, over all positions."
    if shape[-1:] == (N,):
        return f"it has shape {shape}, one number a channel: multiply every channel by every other one too."
    return f"it has shape {shape}: lay the positions in rows, F.reshape(-1, N), and multiply channels by channels."


def _about_factor(G, M, right):
    """What a Gram matrix says that is symmetric and quadratic but not right."""
    for factor, mistake in ((len(M), "divide by the number of positions"), (M.size, "divide by all the numbers in F"),
                            (M.shape[1], "divide by the number of channels"), (0.5, "have a factor 2 too many"),
                            (2, "have a factor 1/2 too many")):  # fmt: skip
        if _close(G * factor, right):
            return f"you {mistake}: here the plain sum of the products is asked for."
    centered = M - M.mean(0)
    if _close(G, centered.T @ centered) or _close(G * len(M), centered.T @ centered):
        return "you subtract the mean of each channel: that is a covariance; the Gram matrix is not centered."
    if _close(G, np.diag(np.diag(right))):
        return "only the diagonal is filled: multiply every channel by every other one too."
    return "G[i, j] is the sum over all positions of channel i times channel j."
