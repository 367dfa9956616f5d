"""Checks of lesson 03: Gram matrices, and errors from less than features."""

import sys

import numpy as np

from stlib.checks.exercise import Exercise, Law, but


def random(*shape, seed=0):
    return np.float32(np.random.default_rng(seed).normal(0.3, 1, shape))


def rows(features):
    return np.reshape(features, (-1, np.shape(features)[-1]))


def gram(features):
    return rows(features).T @ rows(features)


def close(x, y):
    return np.shape(x) == np.shape(y) and np.allclose(x, y, rtol=2e-3, atol=1e-4)


def steps(function, argument):
    """How many steps of Python a call takes."""
    count, before = 0, sys.gettrace()

    def trace(frame, event, _):
        nonlocal count
        count, frame.f_trace_opcodes = count + 1, True
        return trace

    sys.settrace(trace)
    try:
        function(argument)
    finally:
        sys.settrace(before)
    return count


F = random(4, 3, 5)
SHUFFLED = np.random.default_rng(1).permutation(rows(F)).reshape(F.shape)
STEPS = "400 positions take as many steps as 1: whole matrices or channels are. Loop, and add np.outer(f, f)."

gram_by_loops = Exercise(
    right=lambda f: sum(np.outer(each, each) for each in rows(f)),
    cases={"it is the sum of the products of the channels": (F,), "so it is for one position": (random(1, 1, 3),)},
    result="the result has shape (N, N)",
    laws=(
        Law("shuffled positions leave it as it is", lambda g: close(g(SHUFFLED), g(F)),
            "the order of the positions counts: start from zeros and add (+=) a product for each of them.",
            (lambda f: np.outer(rows(f)[0], rows(f)[-1]), lambda f: gram(f[:1]))),
        Law("features times 3 give 9 times the matrix", lambda g: close(g(3 * F), 9 * np.asarray(g(F))),
            "s times the features must give s * s times the matrix: multiply a channel by a channel, once.",
            (lambda f: np.diag(np.sqrt((rows(f) ** 2).sum(0))), lambda f: np.ones((f.shape[-1],) * 2))),
        Law("it loops over the positions", lambda g: steps(g, random(20, 20, 3)) - steps(g, random(1, 1, 3)) > 399,
            STEPS, (gram, lambda f: np.einsum("hwi,hwj->ij", f, f))),
    ),
    mistakes={
        "you multiply positions by positions; the rows must be channels, F^T F.": lambda f: rows(f) @ rows(f).T,
        "a sum is missing, over all positions.": lambda f: np.einsum("hwi,hwj->hwij", f, f),
        "a sum is missing: over both height and width.": lambda f: np.einsum("hwi,hwj->hij", f, f),
        "a sum is missing, or an axis is too many: return (N, N).": lambda f: gram(f)[None],
        "one number a channel: multiply every channel by every other one too.": lambda f: (rows(f) ** 2).sum(0),
        "only the diagonal is filled: multiply channels by each other.": lambda f: np.diag((rows(f) ** 2).sum(0)),
        "G[i, j] and G[j, i] are the same product: fill both halves of the matrix.": lambda f: np.triu(gram(f)),
        "it is not positive semi-definite, an eigenvalue is below 0: a sign is wrong.": lambda f: -gram(f),
        "only the last position counts: add (+=), do not overwrite.": lambda f: np.outer(rows(f)[-1], rows(f)[-1]),
        "you divide by the number of positions: the plain sum is asked for.": lambda f: gram(f) / len(rows(f)),
        "you divide by the number of channels: the plain sum is asked for.": lambda f: gram(f) / f.shape[-1],
        "you divide by all the numbers in F: the plain sum is asked for.": lambda f: gram(f) / f.size,
        "you have a factor 2 too many.": lambda f: 2 * gram(f),
        "you have a factor 1/2 too many.": lambda f: gram(f) / 2,
        "you subtract the means: that is a covariance, a Gram matrix is not centered.":
            lambda f: gram(f - f.mean((0, 1))),
        "you subtract and divide: that is a covariance, neither is asked for.": lambda f: np.cov(rows(f).T, bias=True),
    },
    hint="G[i, j] is the sum over all positions of channel i times channel j.",
)  # fmt: skip


def sums(f):
    return np.einsum("bhwi,bhwj->bij", f, f)


def per_position(f):
    return sums(f) / (f.shape[1] * f.shape[2])


BATCH = random(2, 4, 3, 5)

gram_per_position = Exercise(
    right=per_position,
    cases={"each matrix is the image's own sum over its positions, divided by h * w": (BATCH,),
           "so it is in a batch of one": (random(1, 2, 5, 4),)},
    result="the result has shape (B, N, N)",
    laws=(
        Law("tiling the features leaves it as it is", lambda g: close(g(np.tile(BATCH, (1, 2, 2, 1))), g(BATCH)),
            "four copies side by side have four times the positions: divide by h * w of the features you are given.",
            (sums, lambda f: sums(f) / 12)),
    ),
    mistakes={
        "the images are added up: keep the batch axis, a letter of its own in einsum.": lambda f: sums(f).sum(0),
        "the images are added up: keep the batch axis, divide by h * w.": lambda f: sums(f).sum(0) / f[..., 0].size,
        "you divide by B * h * w: each image has h * w positions.": lambda f: sums(f) / np.prod(f.shape[:3]),
        "you divide by h * w * N: each image has h * w positions.": lambda f: sums(f) / np.prod(f.shape[1:]),
        "you divide by h * w * N * N: each image has h * w positions.": lambda f: per_position(f) / f.shape[3] ** 2,
        "you divide by all numbers: each image has h * w positions.": lambda f: sums(f) / f.size,
        "it is twice as large: divide by the positions h * w, by nothing else.": lambda f: 2 * per_position(f),
        "you multiply positions by positions: the rows must be channels.": lambda f: [rows(x) @ rows(x).T for x in f],
        "a sum is missing: over both height and width.": lambda f: np.einsum("bhwi,bhwj->bhij", f, f),
        "a sum is missing, over all positions.": lambda f: np.einsum("bhwi,bhwj->bhwij", f, f),
        "the images of the batch have changed places.": lambda f: per_position(f[::-1]),
    },
    hint="the matrices are a constant times what they should be: divide by the positions h * w, by nothing else.",
)  # fmt: skip


# --- the error to a target that any strength may reach


def dot(G, A):
    return np.sum(np.asarray(G, float) * A)


def least(G, A):
    """The smallest relative error of s G to A, by least squares."""
    s = np.linalg.lstsq(np.reshape(G, (-1, 1)), np.ravel(A), rcond=None)[0]
    return np.sum((s * G - A) ** 2) / dot(A, A)


def with_factor(s):
    """The relative error at another factor."""
    return lambda G, A: np.sum((s(G, A) * G - A) ** 2) / dot(A, A)


def share(G, A):
    return dot(G, A) ** 2 / (dot(G, G) * dot(A, A))


GRAMS = [gram(random(4, 6, 3, seed=seed)) for seed in (1, 2)]
SHARP, WIDE = np.diag([1.0, 1.0]), np.diag([1.0, 3.0])

strength_free_error = Exercise(
    right=least,
    cases={
        "it is 0.2 for diag(1, 1) and diag(1, 3)": (SHARP, WIDE),
        "so it is the other way round": (WIDE, SHARP),
        "it is 0 for equal matrices, and for three times, or a thousandth of, the target":
            [(s * GRAMS[0], GRAMS[0]) for s in (1, 3, 1e-3)],
        "it is 1 where no channel of one responds in the other": (np.diag([2.0, 0, 0]), np.diag([0, 1.0, 5.0])),
        "it is the least error for others, however strong": [(s * GRAMS[0], GRAMS[1]) for s in (1, 0.1, 50)],
    },
    result="it returns one number",
    mistakes={
        "this is the relative error itself, with s = 1: let s be free.": with_factor(lambda G, A: 1),
        "the derivative of s * s * sum G^2 is 2 * s * sum G^2: the 2 is lost.":
            with_factor(lambda G, A: 2 * dot(G, A) / dot(G, G)),
        "the derivative of -2 * s * sum GA is -2 * sum GA: the 2 is lost.":
            with_factor(lambda G, A: dot(G, A) / dot(G, G) / 2),
        "s belongs to G: the sum of G^2 divides, not that of A^2.": with_factor(lambda G, A: dot(G, A) / dot(A, A)),
        "the sign of s is wrong: the sums are positive, so s is.": with_factor(lambda G, A: -dot(G, A) / dot(G, G)),
        "equal traces are not yet the smallest error: set the derivative to zero.":
            with_factor(lambda G, A: np.trace(A) / np.trace(G)),
        "equal sums of squares are not yet the smallest error: set the derivative to zero.":
            with_factor(lambda G, A: np.sqrt(dot(A, A) / dot(G, G))),
        "the error is relative: divide by the sum of A^2.": lambda G, A: least(G, A) * dot(A, A),
        "you divide by the sum of G^2: the target is A.": lambda G, A: least(G, A) * dot(A, A) / dot(G, G),
        "this is the factor s: put it into the error.": lambda G, A: dot(G, A) / dot(G, G),
        "this is what is alike, a squared cosine: the error is what is missing to 1.": share,
        "a square is missing: put s into the error once more.": lambda G, A: 1 - np.sqrt(share(G, A)),
        "it is the root of the error: leave the squares.": lambda G, A: np.sqrt(np.maximum(least(G, A), 0)),
        "the sum runs over all entries, off the diagonal too.": lambda G, A: least(np.diag(G), np.diag(A)),
        "a sum is missing: one number for both matrices.": lambda G, A: 1 - share(G, A) * np.ones(len(G)),
    },
    hint="s = (sum GA) / (sum G^2); put it into sum (s G - A)^2 / (sum A^2).",
    atol=1e-5,
)  # fmt: skip


# --- the error to a target, from dot products of positions


def from_positions(FF, FS, SS, cross=2.0, power=2, reduce=np.mean, by=lambda own, target: target):
    """The relative error of G / M to A / M_A; each setting is the place of a mistake."""
    own, both, target = (reduce(np.asarray(each, float) ** power) for each in (FF, FS, SS))
    return (own - cross * both + target) / by(own, target)


def products(F, S):
    return F @ F.T, F @ S.T, S @ S.T


def from_gram(FF, FS, SS):
    """The right answer another way: from features that have these dot products."""
    values, V = np.linalg.eigh(np.block([[FF, FS], [FS.T, SS]]).astype(float))
    X = V * np.sqrt(np.maximum(values, 0))
    G, A = (x.T @ x / len(x) for x in (X[: len(FF)], X[len(FF) :]))
    return np.sum((G - A) ** 2) / np.sum(A**2)


IMAGE, PAINTING = np.abs(random(6, 4, seed=3)), np.abs(random(9, 4, seed=4))

error_from_positions = Exercise(
    right=from_gram,
    cases={
        "it is 1.09 for one position each, (1, 2) and (3, 0)": products(np.float32([[1, 2]]), np.float32([[3, 0]])),
        "it is 0 for equal features in another order": products(PAINTING, PAINTING[::-1]),
        "it is the relative error for 6 and 9 positions": products(IMAGE, PAINTING),
        "so it is for 9 and 6": products(PAINTING, IMAGE),
        "and for features of both signs": products(random(5, 3, seed=5), random(8, 3, seed=6)),
        "a painting tiled to twice its positions changes nothing": products(IMAGE, np.tile(PAINTING, (2, 1))),
    },
    result="it returns one number",
    mistakes={
        "square each dot product: the sum of ff^T times ss^T is (f . s)^2.": but(from_positions, power=1),
        "expanding (G - A)^2 gives -2 GA: the mixed sum counts twice.": but(from_positions, cross=1.0),
        "the mixed sum is subtracted: (G - A)^2 = G^2 - 2 GA + A^2.": but(from_positions, cross=-2.0),
        "the mixed sum is missing: with it, equal features get 0.": but(from_positions, cross=0.0),
        "G / M: divide each sum by its two numbers of positions, as a mean does.": but(from_positions, reduce=np.sum),
        "divide by the numbers of positions once for each index, k and l.":
            but(from_positions, reduce=lambda x: x.sum() / len(x)),
        "the error is relative: divide by the painting's own sum.": but(from_positions, by=lambda own, target: 1),
        "you divide by the image's own sum: the painting is the target.": but(from_positions, by=lambda own, _: own),
        "it is the root of the error: leave the squares.": lambda *tables: np.sqrt(np.maximum(from_gram(*tables), 0)),
        "a sum is missing: over all pairs of positions.": lambda FF, FS, SS: from_gram(FF, FS, SS) * np.ones(len(FF)),
        "sum over all pairs, not only over each position with itself.":
            lambda *tables: from_positions(*(np.diag(each) for each in tables)),
    },
    hint="mean of FF^2 - 2 * mean of FS^2 + mean of SS^2, divided by the mean of SS^2.",
    rtol=1e-3, atol=1e-5,
)  # fmt: skip
