"""Checks of appendix A4: the mix of a picture, guided moments, a content-weight map, feathered guides."""

import numpy as np
from scipy.ndimage import distance_transform_cdt
from scipy.ndimage import distance_transform_edt as edt

from stlib.checks.exercise import Exercise, Law, but

# --- which mix a picture was painted with


def product(X, Y):
    return np.sum(X * Y)


def mix_of(G, A, B, part=lambda D, E: product(D, E) / product(E, E), join=np.mean):
    """The mean over the layers of the t at which |D - t E| is smallest, with D = G - A, E = B - A."""
    return join([part(G[layer] - A[layer], B[layer] - A[layer]) for layer in A])


def by(part):
    return lambda *grams: mix_of(*grams, part)


def grams(seed, sizes=((4, 1.0), (6, 30.0), (8, 0.5))):
    rng = np.random.default_rng(seed)
    return {N: F.T @ F / 9 for N, scale in sizes for F in [scale * rng.normal(0.3, 1, (9, N))]}


def between(A, B, *ts):
    return {layer: (1 - t) * A[layer] + t * B[layer] for (layer, t) in zip(A, ts)}


A, B, OTHER = map(grams, range(3))

found_mix = Exercise(
    right=mix_of,
    cases={
        "it is 0 for A, and 1 for B": [(A, A, B), (B, A, B)],
        "it is 0.3 for 0.7 A + 0.3 B, and beyond B 1.6": [(between(A, B, *3 * [t]), A, B) for t in (0.3, 1.6)],
        "on the other side of A it is below 0": (between(A, B, *3 * [-0.5]), A, B),
        "layers with 0.1, 0.9 and 0.5 give 0.5, however strong one of them is": (between(A, B, 0.1, 0.9, 0.5), A, B),
        "Gram matrices that fit no blend get the nearest one": [(OTHER, A, B), (grams(7), A, B)],
    },
    result="it is one number",
    mistakes={
        "it is 1 - t: the blend is (1 - t) A + t B.": lambda *grams: 1 - mix_of(*grams),
        "take A away from G too: D = G - A.": lambda G, A, B: mix_of({layer: G[layer] + A[layer] for layer in A}, A, B),
        "each layer has its own t: divide before you average, or the strongest decides.":
            lambda *grams: mix_of(*({"all": np.concatenate([*map(np.ravel, X.values())])} for X in grams)),
        "the mean over the layers, not the sum.": but(mix_of, join=np.sum),
        "one number is asked for: the mean of the layers' t.": but(mix_of, join=list),
        "a layer is left out: the mean of all of them.": but(mix_of, join=lambda ts: ts[0]),
        "it may lie beyond A and B: no clipping.": lambda *grams: np.clip(mix_of(*grams), 0, 1),
        "a ratio of lengths is always positive, and takes for the mix what lies beside: D . E / E . E.":
            by(lambda D, E: np.sqrt(product(D, D) / product(E, E))),
        "how near G is to A and to B is not yet t: D . E / E . E.":
            by(lambda D, E: product(D, D) ** 0.5 / (product(D, D) ** 0.5 + product(D - E, D - E) ** 0.5)),
        "divide by E . E, the square of the length.": by(lambda D, E: product(D, E) / product(E, E) ** 0.5),
        "the derivative is -2 D . E + 2 t E . E: divide by E . E, not by D . D.":
            by(lambda D, E: product(D, E) / max(product(D, D), 1e-12)),
        "a mean of ratios of entries blows up where A and B agree: D . E / E . E.":
            by(lambda D, E: np.mean(D / E)),
        "that is a cosine, 1 for all on the line: D . E / E . E.":
            by(lambda D, E: product(D, E) / max((product(D, D) * product(E, E)) ** 0.5, 1e-12)),
        "the sign is wrong: t grows from A to B.": lambda *grams: -mix_of(*grams),
        "-2 D . E + 2 t E . E = 0: the 2 cancels.": lambda *grams: 2 * mix_of(*grams),
    },
    hint="|D - t E|^2 = D . D - 2 t D . E + t^2 E . E, where D . E sums the products of all entries.",
)  # fmt: skip


# --- guided moments


def moments(F, T, weigh=np.square, finish=np.sqrt, shares=True):
    share = (weigh(T) / (np.sum(weigh(T)) if shares else T.size))[..., None]
    mean = np.sum(share * F, (0, 1))
    return np.stack([mean, finish(np.sum(share * (F - mean) ** 2, (0, 1)))])


RNG = np.random.default_rng(0)
MAPS, GUIDE = RNG.normal(1, 2, (6, 8, 3)), RNG.choice([0.5, 1.0], (6, 8)) * (np.arange(8) > 2)

guided_moments = Exercise(
    right=moments,
    cases={
        "mean and deviation are weighted by T^2": (MAPS, GUIDE),
        "a guide three times as large gives the same": (MAPS, 3 * GUIDE),
        "what lies outside has no say": (np.where(GUIDE[..., None] > 0, MAPS, 1e3), GUIDE),
    },
    result="the result has shape (2, N)",
    mistakes={
        "all positions count alike: weight them by T^2.": but(moments, weigh=np.ones_like),
        "a guide enters squared: weight by T^2, so that 0.5 counts a quarter.": but(moments, weigh=np.array),
        "a guide of 0.5 is not 1: weight by T^2 instead of cutting out.": but(moments, weigh=lambda T: T > 0),
        "sum T^2 times F over the positions, then divide by the sum of T^2.": but(moments, shares=False),
        "that is the variance: take its root.": but(moments, finish=np.array),
        "the deviation is that of all positions: weight the squared differences too.":
            lambda F, T: np.stack([moments(F, T)[0], F.std((0, 1))]),
        "mean and deviation are the rows: np.stack([mean, deviation]).": lambda F, T: moments(F, T).T,
        "a number for every channel: average over height and width only.": lambda F, T: moments(F, T).mean(1),
    },
    hint="the squared differences are those from the *guided* mean, weighted in the same way; then the root.",
)  # fmt: skip


# --- a map of content weights


def weighed(masks, weights, outside=1.0, join=np.max, divide=np.mean, floor=-np.inf):
    nothing = {np.max: -np.inf, np.sum: 0, np.prod: 1}[join]
    inside = [np.where(mask == 1, weight, nothing) for mask, weight in zip(masks, weights)]
    c = np.maximum(np.where(np.any(masks, axis=0), join(inside, axis=0), outside), floor)
    return c / divide(c)


def in_order(masks, weights, first=False):
    c = np.ones(masks.shape[1:])
    for k in range(len(masks))[:: -1 if first else 1]:
        c[masks[k] == 1] = weights[k]
    return c / c.mean()


MASKS = np.zeros((3, 6, 8))
MASKS[0, :3, :4] = MASKS[1, 2:5, 2:6] = MASKS[2, 5] = 1

content_map = Exercise(
    right=weighed,
    cases={
        "inside a mask its weight counts, 1 outside, divided by the mean": (MASKS, [4.0, 10.0, 0.5]),
        "the order of the masks does not matter": (MASKS[[1, 2, 0]], [10.0, 0.5, 4.0]),
        "where only weights below 1 are, the mean is 1 as well": (MASKS[:2], [0.2, 0.1]),
        "one mask that covers all gives 1 everywhere": (np.ones((1, 6, 8)), [3.0]),
    },
    result="the result has shape (h, w)",
    mistakes={
        "divide the map by its mean at the end, so that alpha keeps its meaning.": but(weighed, divide=lambda c: 1),
        "divide by the mean also where it is below 1.": but(weighed, divide=lambda c: max(1, c.mean())),
        "divide by the mean also where it is above 1.": but(weighed, divide=lambda c: min(1, c.mean())),
        "divide the map by its mean, not by its largest value.": but(weighed, divide=np.max),
        "divide the map by its mean, not by its sum.": but(weighed, divide=np.sum),
        "what no mask covers has weight 1 before you divide, not 0: start from np.ones.": but(weighed, outside=0),
        "you add the weight to the 1: inside, the weight takes its place.": lambda m, w: weighed(m, 1 + np.array(w)),
        "a weight below 1 frees a region: no np.maximum with 1.": but(weighed, floor=1),
        "where masks overlap, the largest of their weights counts: you multiply them.": but(weighed, join=np.prod),
        "where masks overlap, the largest of their weights counts: you add them.": but(weighed, join=np.sum),
        "the last mask wins, whatever its weight: take the largest, in any order.": in_order,
        "the first mask wins, whatever its weight: take the largest.": lambda m, w: in_order(m, w, first=True),
        "one weight for each position, not a map for each mask.": lambda m, w: np.stack([weighed(m, w)] * len(m)),
    },
    hint="start from ones, put the larger weights last, and divide by the mean at the end.",
)  # fmt: skip


# --- feathered guides


def signed(mask):
    """The straight distance of each pixel to the border, above 0 inside."""
    places, inside = np.indices(mask.shape).reshape(2, -1).T, np.ravel(mask)
    apart = np.sqrt(((places[:, None] - places[None]) ** 2).sum(-1))
    far = np.where(inside[:, None] != inside[None], apart, np.inf).min(1) - 0.5
    return np.where(inside, far, -far).reshape(mask.shape)


def guides(mask, width, finish=np.sqrt, distance=signed, shift=0.5):
    share = np.clip(shift + distance(mask) / width, 0, 1)
    return finish(np.stack([share, 1 - share]))


def by_transform(far):
    """The signed distance from a transform, also where it has nothing to measure to."""
    return lambda mask: np.where(mask, far(mask) - 0.5, 0.5 - far(~mask))


def unclipped(mask, width):
    return np.stack([0.5 + signed(mask) / width, 0.5 - signed(mask) / width])


LEFT, CORNER, RIM = np.arange(24) + 0 * np.zeros((5, 1)) < 12, np.zeros((14, 14), bool), np.zeros((6, 9), bool)
CORNER[:6, :6] = True

feathered_guides = Exercise(
    right=guides,
    cases={
        "the share falls evenly over 8 pixels, and is a half at the border": (LEFT, 8),
        "around a corner it falls with the straight distance": (CORNER, 6),
        "the opposite mask swaps the two": (~CORNER, 6),
        "a mask that is False everywhere leaves all to the second, True to the first": [(RIM, 4), (~RIM, 4)],
    },
    result="the result has shape (2, h, w)",
    laws=(
        Law("all values lie from 0 to 1", lambda guides: np.all(np.abs(np.asarray(guides(LEFT, 8)) - 0.5) <= 0.5),
            "clip the share first; the root of less than 0 is no number.",
            (unclipped, lambda mask, width: np.sqrt(np.maximum(unclipped(mask, width), 0)))),
    ),
    mistakes={
        "guides count squared: the squares sum to 1, take the roots of the shares.": but(guides, finish=np.array),
        "T[0]**2 + T[1]**2 must be 1 everywhere, or the border counts less.": but(guides, finish=lambda s: 0.5 * s),
        "the first guide belongs to where the mask is True: swap the two.": lambda mask, width: guides(~mask, width),
        "it does not fade: 0.5 + signed distance / width, clipped.": lambda mask, width: np.float64([mask, ~mask]),
        "it fades twice as far as asked for: width / 2 to each side.": lambda mask, width: guides(mask, 2 * width),
        "it fades half as far as asked for: over `width` pixels in all.": lambda mask, width: guides(mask, width / 2),
        "it fades outside alone: measure inside too, the border has one half.":
            but(guides, shift=1, distance=lambda mask: -edt(~mask)),
        "it fades inside alone: measure outside too, the border has one half.": but(guides, shift=0, distance=edt),
        "it fades outside alone, from half a pixel on: measure inside too.":
            but(guides, shift=1, distance=lambda mask: np.minimum(signed(mask), 0)),
        "the step at the border is twice the others: it is half a pixel away.":
            but(guides, distance=lambda mask: edt(mask) - edt(~mask)),
        "np.stack of two guides.": lambda mask, width: guides(mask, width)[0],
        "steps along rows and columns are not the straight distance.":
            but(guides, distance=by_transform(but(distance_transform_cdt, metric="taxicab"))),
        "without a border there is no distance: ask mask.any(), mask.all().": but(guides, distance=by_transform(edt)),
        "the share falls by the same amount from pixel to pixel.": but(guides, finish=lambda s: np.sin(s * np.pi / 2)),
    },
    hint="the share T^2 falls evenly, from 1 to 0 within `width` pixels: 0.5 + signed distance / width, clipped.",
    atol=1e-2,
)  # fmt: skip
