"""Checks of appendix A6: joined statistics, the margin of a chain, the side of tiles from a seam, the cheapest side."""

import numpy as np

from stlib.checks.exercise import Exercise, Law, but

# --- statistics of unequal tiles, joined


def joined(reports, weigh=lambda M: M, between=True, finish=lambda moments, mean: moments - np.outer(mean, mean)):
    share = [weigh(M) / sum(weigh(M) for M, _, _ in reports) for M, _, _ in reports]
    mean = sum(s * mean for s, (_, mean, _) in zip(share, reports))
    moments = sum(s * (C + between * np.outer(m, m)) for s, (_, m, C) in zip(share, reports))
    return mean, finish(moments, mean)


def total(reports):
    return sum(M for M, _, _ in reports)


def reports(*counts, N=3, seed=0):
    rng = np.random.default_rng(seed)
    tiles = [rng.normal(rng.normal(0, 2, N), rng.uniform(0.5, 2, N), (count, N)) for count in counts]
    return [(len(F), F.mean(0), np.cov(F.T, bias=True)) for F in tiles]


joined_statistics = Exercise(
    right=joined,
    cases={
        "four unequal tiles are joined": (reports(40, 8, 20, 4),),
        "their order does not matter": (reports(40, 8, 20, 4)[::-1],),
        "tiles of one position each, whose covariances are 0": (reports(1, 1, 1, 1, 1, seed=1),),
        "one tile is the whole picture": (reports(30, N=4, seed=2),),
        "a last narrow tile changes little": (reports(400, 400, 2, N=2, seed=3),),
    },
    result="it returns a mean (N,) and a covariance (N, N)",
    mistakes={
        "unequal tiles do not count alike: weight each by its M.": but(joined, weigh=lambda M: 1),
        "the number of positions is the weight, not its square.": but(joined, weigh=lambda M: M**2),
        "what the tiles' means differ by is missing: add mean mean^T to each C first, take it away at the end.":
            but(joined, between=False, finish=lambda moments, mean: moments),
        "the covariance lacks the tiles' own means: C + mean mean^T are the moments that add.":
            but(joined, between=False),
        "that is G / M: take mean mean^T away at the end.": but(joined, finish=lambda moments, mean: moments),
        "divide the sums by the positions of all tiles.": lambda reports: [x * total(reports) for x in joined(reports)],
        "the covariance divides by M here, not by M - 1.":
            lambda reports: (joined(reports)[0], joined(reports)[1] * total(reports) / (total(reports) - 1)),
        "a covariance has (N, N) entries: the variances alone are not enough.":
            lambda reports: (joined(reports)[0], np.diag(np.diag(joined(reports)[1]))),
        "the first tile is not the picture: go over all of them.": lambda reports: joined(reports[:1]),
        "the last tile is left out, narrow as it may be.": lambda reports: joined(reports[:-1] or reports),
    },
    hint="M (C + mean mean^T) is the tile's Gram matrix, M mean its sum: add both, divide by all M.",
)  # fmt: skip


# --- the margin of a chain of layers


def up_count(length, side):
    return -(-length // side)


def up(seen, stride):
    return up_count(seen, stride) * stride


def chained(chain, half=lambda k: k // 2, pooled=lambda p, j: 0, grow=lambda j, p: j * p, finish=up):
    """The right margin; each setting is the place of a mistake."""
    seen, stride = 0, 1
    for kind, size in chain:
        if kind == "conv":
            seen += half(size) * stride
        else:
            seen += pooled(size, stride)
            stride = grow(stride, size)
    return finish(seen, stride)


CONV, POOL = ("conv", 3), ("pool", 2)
TO_BLOCK5 = 2 * [CONV, CONV, POOL] + 2 * [CONV, CONV, CONV, POOL] + [CONV]

chain_margin = Exercise(
    right=chained,
    cases={
        "64 pixels for the chain up to block5_conv1": (TO_BLOCK5,),
        "one convolution needs 1 pixel, one of 7 x 7 needs 3": [([CONV],), ([("conv", 7)],)],
        "kernels of 1 x 1 and of 5 x 5 among others": ([("conv", 1), ("conv", 5), POOL, ("conv", 1), CONV],),
        "poolings of 3 x 3, and one at the end": [
            ([CONV, ("pool", 3), CONV, ("pool", 3)],), ([CONV, ("pool", 3), ("conv", 5)],), ([CONV, CONV, POOL, POOL],)
        ],
        "where it is a multiple already, it stays": ([CONV, CONV, POOL, CONV, CONV, CONV],),
        "0 for poolings alone, and for no layer at all": [([POOL, POOL],), ([],)],
    },
    result="it is one number",
    mistakes={
        "round up to a multiple of the last stride, so that inner borders lie on pooling's grid.":
            but(chained, finish=lambda seen, stride: seen),
        "round up, not down: what is missing shows.": but(chained, finish=lambda seen, stride: seen // stride * stride),
        "a multiple stays as it is: -(-seen // stride) * stride rounds up.":
            but(chained, finish=lambda seen, stride: (seen // stride + 1) * stride),
        "a convolution sees (kernel - 1) / 2 positions on each side; you count both sides.":
            but(chained, half=lambda k: k - 1),
        "a 3 x 3 kernel sees 1 position further on each side: kernel // 2.": but(chained, half=lambda k: k),
        "each kernel has its own size: kernel // 2, not 1.": but(chained, half=lambda k: 1),
        "after a pooling, a position is as many pixels as its stride: multiply.":
            lambda chain: up(sum(k // 2 for kind, k in chain if kind == "conv"), chained(chain, finish=lambda s, j: j)),
        "pooling on an aligned grid sees nothing beyond its own pixels.": but(chained, pooled=lambda p, j: p // 2 * j),
        "strides multiply, they do not add.": but(chained, grow=lambda j, p: j + p),
        "a pooling multiplies the stride by its own size, not always by 2.": but(chained, grow=lambda j, p: 2 * j),
        "a position of the last layer is 1: begin at the image, where the stride is 1.": lambda c: chained(c[::-1]),
        "that is the receptive field: the margin is what lies beyond the value's own pixels, on one side.":
            but(chained, finish=lambda seen, stride: 2 * seen + stride),
        "the margin in pixels is asked for, not in positions.":
            but(chained, finish=lambda seen, stride: -(-seen // stride)),
    },
    hint="go through the chain with `seen = 0` and `stride = 1`: a convolution adds kernel // 2 * stride to `seen`.",
    rtol=0, atol=0,
)  # fmt: skip


# --- the side of tiles, found from their seams


def lines(F, F_tiles, axis, threshold=1e-4, join=np.all):
    return join(np.abs(F - F_tiles).max(-1) > threshold * np.abs(F).max(), axis=axis)


def run(wrong):
    """Where the first run of True begins and ends."""
    start = int(np.argmax(wrong))
    return start, start + int(np.argmin([*wrong[start:], False]))


def middle(wrong):
    return sum(run(wrong)) // 2


def starts(wrong):
    return np.flatnonzero(np.diff([0, *wrong]) == 1)


def side_of(F, F_tiles, axes=(0, 1), pick=middle, **how):
    """The right side; pick: what is told of the lines that are wrong, along the first axis that has any."""
    for axis in axes:
        wrong = lines(F, F_tiles, axis, **how)
        if wrong.any():
            return pick(wrong)
    return 0


def tiled(shape, side, width, seed=0, noise=1e-7, N=3):
    """Features (h, w, N) of a whole and of tiles; `width` positions on both sides of a border are wrong."""
    rng = np.random.default_rng(seed)
    F = rng.uniform(0, 50, (*shape, N))
    near = [np.zeros(length, bool) for length in shape]
    for each, length in zip(near, shape):
        for border in range(side, length, side):
            each[max(border - width, 0) : border + width] = True
    wrong = near[0][:, None] | near[1][None]
    F_tiles = F * (1 + noise * rng.uniform(-1, 1, F.shape)) + 5 * wrong[..., None] * rng.uniform(0.1, 1, F.shape)
    F_tiles[..., 0] = F[..., 0] * (1 + noise)  # a channel that looks at one position only is right everywhere
    return F, F_tiles


found_side = Exercise(
    right=side_of,
    cases={
        "12 x 18 positions in six tiles of 6": tiled((12, 18), 6, 1),
        "wider bands do not change it": [tiled((20, 30), 10, 3, seed=1), tiled((24, 24), 12, 4, seed=2)],
        "one border down and across": tiled((16, 16), 8, 2, seed=3),
        "a narrow last tile, a picture of odd size": [tiled((25, 37), 8, 2, seed=4), tiled((13, 21), 9, 1, seed=5)],
        "one row of tiles, one column of tiles": [tiled((7, 33), 9, 2, seed=6), tiled((33, 7), 9, 2, seed=6)],
        "0 where only rounding differs, or nothing": [tiled((9, 11), 20, 1, seed=7), tiled((9, 9), 20, 1, noise=0)],
    },
    result="it is one number",
    mistakes={
        "that is where the band begins: the border is in its middle.": but(side_of, pick=lambda wrong: run(wrong)[0]),
        "that is the last position of the left side: the border lies behind it, tiles count from 0.":
            but(side_of, pick=lambda wrong: middle(wrong) - 1),
        "that is where the band ends: the border is in its middle.": but(side_of, pick=lambda wrong: run(wrong)[1]),
        "that is how wide the band is; where it is tells the side.":
            but(side_of, pick=lambda wrong: int(np.diff(run(wrong))[0])),
        "rounding differs too: ask for more than, say, 1e-4 of the largest feature.": but(side_of, threshold=0),
        "a column is a seam if all of its rows are wrong: any column crosses seams.": but(side_of, join=np.any),
        "there may be one column of tiles only: look along the rows as well.": but(side_of, axes=(0,)),
        "there may be one row of tiles only: look along the columns as well.": but(side_of, axes=(1,)),
        "the last tile may be narrow: length over number of tiles is not the side.":
            but(side_of, pick=lambda wrong: len(wrong) // (1 + len(starts(wrong)))),
        "you count the seams: where the first one is tells the side.":
            but(side_of, pick=lambda wrong: len(starts(wrong))),
        "the first border tells the side; the last is several sides away.":
            but(side_of, pick=lambda wrong: len(wrong) - middle(wrong[::-1])),
        "from one seam to the next works only if there are two: the first one is a side from the edge.":
            but(side_of, pick=lambda wrong: np.diff(starts(wrong))[0] if len(starts(wrong)) > 1 else 0),
        "one channel may be right everywhere: take the largest difference over all of them.":
            lambda F, F_tiles: side_of(F[..., :1], F_tiles[..., :1]),
        "one row is not enough: it may lie in a band, or the seams run the other way.":
            lambda F, F_tiles: side_of(F[len(F) // 2][None], F_tiles[len(F) // 2][None], axes=(0,)),
    },
    hint="mark what is wrong, (h, w); find columns, or else rows, that are wrong all along; halve the first band.",
    rtol=0, atol=0,
)  # fmt: skip


# --- the cheapest side


def read(side, margin):
    return (side + 2 * margin) ** 2


def cheapest(height, width, stride, margin, room, count=up_count, holds=read, price=read, fits=np.less_equal, pick=min):
    """The right side; each setting is the place of a mistake."""
    sides = range(stride, max(height, width) + stride, stride)
    found = [side for side in sides if fits(holds(side, margin), room)]
    costs = [count(height, side) * count(width, side) * price(side, margin) for side in found]
    return pick((side for side, cost in zip(found, costs) if cost == min(costs)), default=0)


def fitting(height, width, stride, margin, room):
    """The sides that fit, from small to large."""
    return [s for s in range(stride, max(height, width) + stride, stride) if read(s, margin) <= room]


def in_steps_of_1(height, width, stride, margin, room):
    return cheapest(height, width, 1, margin, room)


TIGHT = (1000, 700, 8, 24, 150_000)

cheapest_side = Exercise(
    right=cheapest,
    cases={
        "1,000 x 1,000 pixels, where 480 would fit and 336 is cheaper": (1000, 1000, 16, 64, 608**2),
        "a tile of exactly `room` positions is allowed": (512, 512, 16, 64, 384**2),
        "odd sides, a last narrow tile": [(997, 613, 8, 24, 150_000), (333, 1201, 8, 24, 60_000), TIGHT],
        "a long, narrow picture: few large tiles would read much that is not there": (100, 1000, 4, 4, 600**2),
        "a small picture takes one tile": [(60, 90, 8, 24, 10**6), (8, 8, 8, 24, 10**6)],
        "without a margin, equally cheap sides: the smallest": (96, 192, 8, 0, 96**2),
        "0 where not even one position with its margins fits": (500, 500, 16, 64, 20_000),
    },
    result="it is one number",
    laws=(
        Law("the side is a multiple of the stride, and the tile with its margins fits",
            lambda answer: answer(*TIGHT) in (0, *fitting(*TIGHT)),
            "(side + 2 * margin)**2 must be at most `room`, and side % stride must be 0.",
            (but(cheapest, holds=lambda s, m: s**2), in_steps_of_1, lambda *given: 404)),
    ),
    mistakes={
        "the largest that fits is not always cheapest: its last tiles may be almost all margin.":
            lambda *given: max(fitting(*given), default=0),
        "a tile is held with its margins: (side + 2 * margin)**2 positions.": but(cheapest, holds=lambda s, m: s**2),
        "there is a margin on both sides: 2 * margin.":
            but(cheapest, holds=lambda s, m: (s + m) ** 2, price=lambda s, m: (s + m) ** 2),
        "a tile reads its margins too: (side + 2 * margin)**2 is its cost.": but(cheapest, price=lambda s, m: s**2),
        "count tiles rounded up: the last narrow one is a tile, too.": but(cheapest, count=lambda n, s: n // s or 1),
        "there is no part of a tile: round its numbers up.": but(cheapest, count=lambda n, s: n / s),
        "try multiples of the stride only.": in_steps_of_1,
        "a tile that needs exactly `room` fits: <=.": but(cheapest, fits=np.less),
        "of equally cheap sides the smallest is asked for.": but(cheapest, pick=max),
        "tiles need not divide the picture: the last one may be narrow.":
            lambda h, w, *rest: max((s for s in fitting(h, w, *rest) if h % s == w % s == 0), default=0),
        "the fewest tiles may read more than some smaller ones: multiply by what each reads.":
            lambda h, w, *rest: min(fitting(h, w, *rest), default=0, key=lambda s: up_count(h, s) * up_count(w, s)),
        "height and width have their own numbers of tiles.": lambda h, w, *rest: cheapest(max(h, w), max(h, w), *rest),
    },
    hint="for each multiple of the stride that fits: tiles down times tiles across times (side + 2 * margin)**2.",
    rtol=0, atol=0,
)  # fmt: skip
