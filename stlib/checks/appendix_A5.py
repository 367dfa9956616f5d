"""Checks of appendix A5: transposed convolutions, instance normalization, flicker, shards."""

import functools
import itertools

import numpy as np

from stlib.checks.exercise import IN_PLACE, UNCHANGED, Exercise, Law, but

# --- writes of a transposed convolution


def written(kernel, stride, count, add=True):
    """Values spread out with gaps, convolved with ones."""
    spread = np.zeros(stride * (count - 1) + 1)
    spread[::stride] = 1
    writes = np.convolve(spread, np.ones(kernel))
    return writes if add else np.minimum(writes, 1)


transposed_writes = Exercise(
    right=written,
    cases={
        "(3, 2, 3) gives 1 1 2 1 2 1 1": (3, 2, 3),
        "so it is where copies touch, overlap or leave gaps": [(2, 2, 4), (5, 2, 4), (2, 3, 3), (3, 1, 5)],
        "so it is for a single value": (4, 2, 1),
    },
    result="there are as many positions as are reached",
    mistakes={
        "stride * count positions cut the last copy off.": lambda k, s, n: written(k, s, n)[: s * n],
        "count * kernel positions would be copies without overlap.": lambda k, s, n: np.ones(k * n),
        "where copies overlap, add (+=), do not overwrite.": lambda k, s, n: written(k, s, n, add=False),
        "the copies begin stride positions apart, not next to each other.":
            lambda k, s, n: np.pad(written(k, 1, n), (0, (s - 1) * (n - 1))),
        "a number for each position is asked for, not their mean.": lambda k, s, n: k / s,
    },
    hint="the copy of value k covers the positions from k * stride to k * stride + kernel - 1.",
)  # fmt: skip


# --- instance normalization


def normalized(F, gamma, beta, epsilon=1e-5, axes=(1, 2), root=np.sqrt):
    return gamma * (F - F.mean(axes, keepdims=True)) / root(F.var(axes, keepdims=True) + epsilon) + beta


def over(*axes):
    return lambda *arguments: normalized(*arguments, axes=axes)


FEATURES = np.random.default_rng(0).normal(1, 2, (2, 4, 5, 3)) * (1, 3, 0.1) * [[[[1]]], [[[2]]]] + [[[[0]]], [[[5]]]]
FEATURES[0, ..., 1] = 7  # the same everywhere
GAMMA, BETA = np.array([1, 2, 0.5]), np.array([0.5, 3, -1])

instance_normalization = Exercise(
    right=normalized,
    cases={
        "each channel of each picture has mean beta and deviation gamma": (FEATURES, GAMMA, BETA, 1e-5),
        "epsilon is added to the variance": (FEATURES / 100, GAMMA, BETA, 0.01),
    },
    result="the result has the shape of F",
    mistakes={
        "you average over the batch too: that is batch normalization; axes 1 and 2 only.": over(0, 1, 2),
        "you average over the channels too: axes 1 and 2 only.": over(1, 2, 3),
        "you average over one axis only: height and width, axes 1 and 2.": over(1),
        "you average over the channels: axes 1 and 2.": over(3),
        "gamma and beta are missing.": lambda F, gamma, beta, e: normalized(F, 1, 0, e),
        "beta is added after gamma has multiplied.": lambda F, gamma, beta, e: gamma * normalized(F, 1, beta, e),
        "gamma is the factor and beta the shift, not the other way round.": lambda F, g, b, e: normalized(F, b, g, e),
        "you divide by the variance: take its root.": lambda *arguments: normalized(*arguments, root=np.array),
        "a channel of one value gives NaN: epsilon goes under the root.": lambda *a: normalized(*a[:3], 0),
        "use the argument epsilon.": lambda F, gamma, beta, e: normalized(F, gamma, beta),
        "epsilon stands under the root, not beside it: sqrt(variance + epsilon).":
            lambda F, gamma, beta, e: normalized(F, gamma, beta, 0, root=lambda x: np.sqrt(x) + e),
        "it has another shape: use keepdims=True, return all axes.": lambda *a: normalized(*a).reshape(2, 20, 3),
    },
    hint="gamma multiplies what has deviation 1; then beta is added.",
    rtol=1e-3, atol=1e-3,
)  # fmt: skip


# --- flicker of a scene that moves


def followed(frames, steps):
    """The columns of the scene that all frames show, in each of them."""
    first, last = max(steps), min(steps) + frames[0].shape[1]
    return [frame[:, first - step : last - step] for frame, step in zip(frames, steps)]


def flickering(frames, steps, spread=np.std, total=np.mean, follow=followed):
    return total(spread(follow(frames, steps), axis=0))


def turned(frames, steps):
    return [np.roll(frame, step, axis=1) for frame, step in zip(frames, steps)]


def pan(seed, steps, noise=0.1, width=12):
    """Frames of a scene of noise, each with noise of its own, more of it at the left and the bottom."""
    rng = np.random.default_rng(seed)
    scene, start = rng.uniform(size=(14, 40, 3)), 12
    own = noise * np.linspace(1, 0.1, width)[:, None] * np.linspace(0.2, 1, 14)[:, None, None]
    return [
        scene[:, start + step : start + step + width] + own * rng.normal(size=(14, width, 3)) for step in steps
    ], steps


flicker = Exercise(
    right=flickering,
    cases={
        "of a camera at rest it is the mean deviation": pan(1, [0, 0, 0, 0]),
        "windows of one picture give 0": [pan(2, [0, 2, 4, 6], noise=0), pan(3, [3, 1, 4, 1], noise=0)],
        "a camera that pans to the right does not count": pan(4, [0, 1, 2, 3, 4]),
        "nor does one that pans to the left, or both ways": [pan(5, [0, -2, -4]), pan(6, [2, -3, 1, 0])],
        "nor does it matter where it begins": pan(7, [5, 7, 8]),
    },
    result="it is one number",
    mistakes={
        "that is the deviation at the screen: cut the same columns of the scene out of all frames.":
            but(flickering, follow=lambda frames, steps: frames),
        "the frames are cut alike, but at the same columns of the screen: the step decides where.":
            but(flickering, follow=lambda frames, steps: [x[:, : x.shape[1] - np.ptp(steps)] for x in frames]),
        "the wrong way: column c of the scene is column c - step of a frame.":
            lambda frames, steps: flickering(frames, [-step for step in steps]),
        "np.roll brings the other edge back in: cut off what not all frames show.": but(flickering, follow=turned),
        "steps may fall, be negative or begin elsewhere than at 0: cut by the largest and the smallest.":
            but(flickering, follow=lambda frames, steps: [x[:, max(steps) :] for x in turned(frames, steps)]),
        "the camera pans along the columns, axis 1 of a frame.":
            lambda frames, steps: flickering([x.swapaxes(0, 1) for x in frames], steps),
        "take the mean over the columns and colors.": but(flickering, total=np.array),
        "the deviation over the frames, axis 0: a scene with contrast does not flicker.":
            lambda frames, steps: np.std(followed(frames, steps)),
        "that is the variance: take its root.": but(flickering, spread=np.var),
        "you average variances and take the root at the end: the root comes first.":
            but(flickering, spread=np.var, total=lambda variances: np.mean(variances) ** 0.5),
        "gray frames flicker less: each color by itself.":
            lambda frames, steps: flickering([frame.mean(-1, keepdims=True) for frame in frames], steps),
        "divide by the number of frames, not one less.": but(flickering, spread=but(np.std, ddof=1)),
        "those are changes from frame to frame: take np.std.":
            but(flickering, spread=lambda frames, axis: np.abs(np.diff(frames, axis=axis)).mean(axis)),
        "that is the sum over the columns: take the mean.": but(flickering, total=np.sum),
        "that is the median: take the mean.": but(flickering, total=np.median),
        "some of the columns are missing: from max(steps) to min(steps) + width.":
            but(flickering, follow=lambda frames, steps: [x[:, 1:-1] for x in followed(frames, steps)]),
    },
    hint="column c of the scene is column c - step of a frame; all show those from max(steps) to min(steps) + width.",
)  # fmt: skip


# --- shards

SIZES = np.random.default_rng(2).permutation([900, 850, 800] + 27 * [10])
FILES = {f"{k:02}.jpg": int(size) for k, size in enumerate(SIZES)}
TWO = {"a": 4, "b": 9}
HARD = [(2, 1, 1), (900, 1, 1), (3, 3, 2, 2, 2), (1, 6, 1, 6, 1, 6, 1), (6, 5, 5, 1, 1, 1, 1, 1)]


@functools.cache
def best_division(numbers, parts):
    """Bytes of the largest part in the best of all divisions."""
    return min(max(np.bincount(owners, numbers)) for owners in itertools.product(range(parts), repeat=len(numbers)))


def dealt(sizes, part, parts):
    """The largest file first, always to the machine that has least; names decide between equals."""
    loads, names = [0] * parts, [[] for _ in range(parts)]
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        least = loads.index(min(loads))
        loads[least] += sizes[name]
        names[least].append(name)
    return names[part - 1]


def shares(shard, sizes=FILES, parts=3):
    return [list(shard(dict(sizes), part, parts)) for part in range(1, parts + 1)]


def names(shard, **case):
    return sorted(itertools.chain(*shares(shard, **case)))


def unharmed(shard):
    sizes = dict(FILES)
    shard(sizes, 1, 3)
    return sizes == FILES


def worst(shard):
    """The largest part in units of the best division's largest, in the worst of the hard cases."""
    ratios = []
    for numbers, parts in itertools.product(HARD, (2, 3)):
        sizes = {f"{k}.jpg": size for k, size in enumerate(numbers)}
        largest = max(sum(map(sizes.get, share)) for share in shares(shard, sizes, parts))
        ratios.append(largest / best_division(numbers, parts))
    return max(ratios)


def by_turns(order):
    return lambda sizes, part, parts: order(sizes)[part - 1 :: parts]


def by_size(sizes):
    return sorted(sizes, key=lambda name: (-sizes[name], name))


fair_shards = Exercise(
    right=dealt,
    unique=False,
    laws=(
        Law(UNCHANGED, unharmed, IN_PLACE, (lambda sizes, *rest: [sizes.pop(s) and s for s in dealt(sizes, *rest)],)),
        Law("every file is in some part", lambda shard: {*names(shard)} == {*FILES},
            "part runs from 1 to parts, and a rest that parts does not divide must go somewhere.",
            (lambda s, part, parts: dealt(s, part % parts + 1, parts) if part < parts else [],
             lambda s, p, n: sorted(s)[(p - 1) * (len(s) // n) : p * (len(s) // n)][:9])),
        Law("no file is in two parts", lambda shard: len(names(shard)) == len(FILES),
            "each machine must leave the others' files alone.", (lambda sizes, part, parts: list(sizes),)),
        Law("a dict in another order gives the same parts",
            lambda shard: [*map(set, shares(shard))] == [*map(set, shares(shard, dict(reversed(FILES.items()))))],
            "sort before you deal, and let names decide between equal sizes; no random numbers, no hash().",
            (by_turns(list), by_turns(lambda s: sorted(s, key=s.get)))),
        Law("two files for five machines are painted once", lambda deal: names(deal, sizes=TWO, parts=5) == [*TWO],
            "some parts are empty lists then.", (lambda s, p, n: dealt(s, p, n) or sorted(s)[:1],)),
        Law("no part exceeds 4/3 of the best division's largest", lambda shard: worst(shard) < 4 / 3 + 1e-9,
            lambda shard: f"a part holds {worst(shard):.2f} times that: give each file, the largest first, to the part "
            "that has least.", (by_turns(sorted), by_turns(by_size), by_turns(lambda s: by_size(s)[::-1]),
             lambda s, p, n: list(np.array_split(sorted(s), n)[p - 1]), lambda s, p, n: list(s) if p == 1 else [])),
    ),
)  # fmt: skip
