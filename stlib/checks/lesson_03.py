"""Checks of lesson 03: Gram matrices and distances of style."""

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


def shuffled(features):
    return np.random.default_rng(1).permutation(rows(features)).reshape(features.shape)


def centered(features):
    return rows(features) - rows(features).mean(0)


F = random(4, 3, 5)
STEPS = "400 positions take as many steps as 1: whole matrices or channels are. Loop, and add np.outer(f, f)."

gram_by_loops = Exercise(
    right=lambda f: sum(np.outer(each, each) for each in rows(f)),
    cases={"it is the sum of the products of the channels": (F,), "so it is for one position": (random(1, 1, 3),)},
    result="the result has shape (N, N)",
    laws=(
        Law("shuffled positions leave it as it is", lambda g: close(g(shuffled(F)), g(F)),
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
        "you subtract the means: that is a covariance, a Gram matrix is not centered.": lambda f: gram(centered(f)),
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


# --- a distance of style that does not see brightness

TEXTURE = np.random.default_rng(0)
STRIPES = np.float32(0.3 + 0.3 * (np.arange(24) % 4 < 2)[:, None, None] * np.ones((1, 24, 3)))
STRIPES += np.float32(0.05 * TEXTURE.uniform(size=STRIPES.shape))
BLOTS = np.float32(np.kron(TEXTURE.uniform(0.2, 0.7, (6, 6, 3)), np.ones((4, 4, 1))))


def two_layers(batch):
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


def standard(x):
    return (x - np.mean(x)) / np.std(x)


def distance(image, style, features, prepare=standard, prepare_style=None, statistic=lambda f: gram(f) / len(rows(f))):
    G, A = features(prepare(image)[None]), features((prepare_style or prepare)(style)[None])
    G, A = ({layer: statistic(np.asarray(f)) for layer, f in each.items()} for each in (G, A))
    return np.mean([np.sum((G[k] - A[k]) ** 2) / np.sum(A[k] ** 2) for k in A])


def of_pixels(image, style, features):
    C, D = (np.cov(rows(standard(x)).T) for x in (image, style))
    return np.sum((C - D) ** 2) / np.sum(D**2)


def from_afar(image, style, features):
    return distance(image, style, features) + abs(np.std(style) - np.std(BLOTS))


def between(distance, image=STRIPES, style=BLOTS):
    return float(np.squeeze(np.asarray(distance(image.copy(), style.copy(), two_layers))))


def is_zero(image):
    return lambda d: abs(between(d, BLOTS, image)) < 0.01 * between(d)


def keeps(image, style):
    """That the distance of two images is that of stripes and blots."""
    return lambda d: np.isclose(between(d, image, style), between(d), rtol=2e-3)


style_distance = Exercise(
    right=distance,
    unique=False,
    cases={"two textures": (STRIPES, BLOTS, two_layers)},
    laws=(
        Law("two textures are some way apart", lambda d: np.isfinite(between(d)) and between(d) > 0,
            "return one number above 0 for two styles.", (lambda *_: 0.0, lambda *_: np.nan)),
        Law("an image is at distance 0 from itself", is_zero(BLOTS), "compare Gram with Gram matrix.",
            (but(distance, prepare_style=lambda x: 3 * x), lambda *_: 1.0)),
        Law("a darker image (pixels times 0.3) is as far away", keeps(0.3 * STRIPES, BLOTS),
            "bring both images to one mean and one deviation first: 0.5 + 0.2 * (x - x.mean()) / x.std().",
            (but(distance, prepare=lambda x: x),
             but(distance, prepare=lambda x: x, statistic=lambda f: gram(f) / np.trace(gram(f))))),
        Law("a lighter image (pixels plus 0.4) is as far away", keeps(STRIPES + 0.4, BLOTS),
            "subtract the mean of the pixels before you divide by their deviation.",
            (but(distance, prepare=lambda x: x / x.std()),)),
        Law("so it is with a darker style", keeps(STRIPES, 0.6 * BLOTS + 0.1),
            "treat the style as you treat the image: the same mean, the same deviation.", (from_afar,)),
        Law("a shifted image is at distance 0", is_zero(np.roll(BLOTS, (6, 10), (0, 1))),
            "shifting an image moves its texture elsewhere: compare Gram matrices, not pixels or features.",
            (lambda i, s, f: np.var(standard(i) - standard(s[:24, :24])), but(distance, statistic=lambda f: f))),
        Law("a style tiled to twice its size is at distance 0", is_zero(np.tile(BLOTS, (2, 2, 1))),
            "divide each Gram matrix by its own number of positions: the style may have any size.",
            (but(distance, statistic=gram),)),
        Law("the same pixels in another order are some way apart", lambda d: not is_zero(shuffled(BLOTS))(d),
            "the colors are equal and the textures are not: compare Gram matrices of features, not of pixels.",
            (of_pixels,)),
    ),
    mistakes={"the mean is gone; now divide by the deviation too.": but(distance, prepare=lambda x: x - x.mean())},
)  # fmt: skip


# --- a blend of two styles


def blend(A, B, t):
    return {layer: (1 - t) * A[layer] + t * B[layer] for layer in A}


def mix(of_A, of_B):
    return lambda A, B, t: {layer: of_A(t) * A[layer] + of_B(t) * B[layer] for layer in A}


A, B = ({"first": scale * gram(random(5, 4, seed=13 + scale)), "second": scale * gram(random(6, 6, seed=scale))}
        for scale in (1, 5))  # fmt: skip

blended_styles = Exercise(
    right=blend,
    cases={"t = 0 gives A": (A, B, 0.0), "t = 1 gives B": (A, B, 1.0), "half way is the mean": (A, B, 0.5),
           "a quarter of the way lies on the straight line": (A, B, 0.25)},
    result="there is a matrix (N, N) for each layer",
    mistakes={
        "the ends are swapped: t is the share of B.": lambda A, B, t: blend(B, A, t),
        "at t = 1 nothing of A may be left: multiply A by (1 - t).": mix(lambda t: 1, lambda t: t),
        "at t = 0 nothing of B may be left, and all of A: which factors?": mix(lambda t: 1, lambda t: 1),
        "half way each number is the mean of the two: (1 - t) and t.": mix(lambda t: (1 - t) ** 2, lambda t: t**2),
        "factors from 0 up, no differences: an eigenvalue is below 0.": mix(lambda t: 1 - t, lambda t: -t),
        "no powers: add the matrices with factors.": lambda A, B, t: {k: A[k] ** (1 - t) * B[k] ** t for k in A},
        "return a dict, with a matrix for each layer of A.": lambda A, B, t: blend(A, B, t)["first"],
        "a layer is missing: {layer: ... for layer in A}.": lambda A, B, t: {"first": blend(A, B, t)["first"]},
        "blend whole matrices, not diagonals.": lambda A, B, t: {k: np.diag(G) for k, G in blend(A, B, t).items()},
    },
    hint="the factors are (1 - t) and t.",
)  # fmt: skip
