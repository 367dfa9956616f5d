"""Checks of appendix A5: transposed convolutions, instance normalization, flicker, shards."""

import itertools

import numpy as np

from stlib.checks.report import check


@check
def transposed_writes(writes):
    """Check `writes(kernel, stride, count)`: how often a transposed convolution writes each position of a line."""
    cases = {(3, 2, 3): 7, (2, 2, 4): 8, (5, 2, 4): 11, (4, 2, 1): 4, (2, 3, 3): 8, (3, 1, 5): 7}
    answers = {case: np.asarray(writes(*case)) for case in cases}
    given = answers[3, 2, 3]
    hint = f"for (3, 2, 3) it has shape {given.shape}, expected (7,): the last copy begins at stride * (count - 1)."
    if given.shape == (6,):
        hint = "stride * count positions cut the end off: the last value's copy is kernel entries long."
    elif given.shape == (9,):
        hint = "count * kernel positions would be copies without overlap: they begin stride positions apart."
    yield "there are as many positions as are reached", all(answers[k].shape == (n,) for k, n in cases.items()), hint
    sums = all(answers[case].sum() == case[0] * case[2] for case in cases)
    hint = "each of the count values writes kernel times: where copies overlap, add (+=), do not overwrite."
    yield "there are count * kernel writes in all", sums, hint
    hint = "the copy of value k covers the positions from k * stride to k * stride + kernel - 1."
    if np.array_equal(given[:5], [1, 2, 3, 2, 1]):
        hint = "the copies begin stride positions apart, not next to each other."
    yield "each position has its count", all(np.array_equal(answers[case], _writes(*case)) for case in cases), hint


@check
def instance_normalization(norm):
    """Check `norm(F, gamma, beta, epsilon)`: each channel of each picture of (B, h, w, N) by itself."""
    rng = np.random.default_rng(0)
    F = np.float32(rng.normal(1, 2, (2, 4, 5, 3)) * (1, 3, 0.1)) + np.float32([[[[0]]], [[[5]]]])
    F[1] *= 2
    F[0, ..., 1] = 7  # the same everywhere
    gamma, beta, given = np.float32([1, 2, 0.5]), np.float32([0, 3, -1]), F.copy()
    G = np.asarray(norm(F, gamma, beta, 1e-5))
    yield "the result has the shape of F", G.shape == F.shape, f"it has shape {G.shape}: use keepdims=True."
    yield "the argument is unchanged", np.array_equal(F, given), "F -= ... writes into the argument: use F = F - ... ."
    yield (
        "no number is NaN",
        np.isfinite(G).all(),
        "a channel that is the same everywhere: epsilon goes under the root.",
    )
    hint = "gamma multiplies what has deviation 1; then beta is added."
    for axes, mistake in (
        ((0, 1, 2), "you average over the batch too: that is batch normalization; axes 1 and 2 only."),
        ((1, 2, 3), "you average over the channels too: axes 1 and 2 only."),
        ((1,), "you average over one axis only: height and width, axes 1 and 2."),
        ((3,), "you average over the channels: axes 1 and 2."),
    ):
        hint = mistake if _close(G, _normalized(F, gamma, beta, axes=axes)) else hint
    if _close(G, _normalized(F, 1, 0)):
        hint = "gamma and beta are missing."
    elif _close(G, gamma * (_normalized(F, 1, 0) + beta)):
        hint = "beta is added after gamma has multiplied."
    elif _close(G, _normalized(F, beta, gamma)):
        hint = "gamma is the factor and beta the shift: you have them the other way round."
    elif _close(G, gamma * (F - F.mean((1, 2), keepdims=True)) / (F.var((1, 2), keepdims=True) + 1e-5) + beta):
        hint = "you divide by the variance: take its root."
    yield "each channel has mean beta and deviation gamma", _close(G, _normalized(F, gamma, beta)), hint
    weak = F / 100
    right = _normalized(weak, gamma, beta, epsilon=0.01)
    hint = "use the argument epsilon, under the root: sqrt(variance + epsilon)."
    yield "epsilon is added to the variance", _close(norm(weak, gamma, beta, 0.01), right), hint


@check
def flicker(measure):
    """Check `measure(frames, region)`: deviation over time, of each pixel and color, mean over a region."""
    rng = np.random.default_rng(1)
    still = rng.uniform(size=(6, 8, 3))
    frames = [still + 0.1 * rng.normal(size=(6, 8, 3)) * np.linspace(0.1, 1, 8)[:, None] for _ in range(5)]
    region, given = np.zeros((6, 8), bool), [frame.copy() for frame in frames]
    region[2:5, 1:6] = True
    answer = np.asarray(measure(frames, region))
    yield (
        "it is one number",
        answer.size == 1,
        f"it has shape {answer.shape}: take the mean over the region and colors.",
    )
    hint = "a still film has no flicker: take the deviation over the frames (axis 0), not over the picture."
    yield "frames that are all alike give 0", np.allclose(measure([still] * 4, region), 0, atol=1e-7), hint
    unchanged = all(np.array_equal(frame, before) for frame, before in zip(frames, given))
    yield "the frames are unchanged", unchanged, "your code writes into the frames: build new arrays."
    moved = [frame.copy() for frame in frames]
    for k, frame in enumerate(moved):
        frame[~region] = k
    hint = "what lies outside counts in your answer: index with the mask, deviation[region]."
    yield "what moves outside is no matter", np.allclose(measure(moved, region), answer), hint
    deviation = np.std(frames, axis=0)[region]
    hint = "np.std(frames, axis=0), then the region, then the mean: divide by the pixels of the region."
    for wrong, mistake in (
        (np.var(frames, axis=0)[region].mean(), "that is the variance: take its root."),
        (np.sqrt(np.mean(deviation**2)), "you average variances and take the root at the end: the root comes first."),
        (np.std(np.mean(frames, axis=-1), axis=0)[region].mean(), "gray frames flicker less: each color by itself."),
        (
            np.std([frame[region].mean() for frame in frames]),
            "the region's mean hardly flickers: each pixel by itself.",
        ),
        (np.std(frames, axis=0, ddof=1)[region].mean(), "divide by the number of frames, not by one less."),
        (np.abs(np.diff(frames, axis=0))[:, region].mean(), "those are steps from frame to frame: take np.std."),
        (deviation.sum(), "that is the sum over the region: take the mean."),
        (np.median(deviation), "that is the median over the region: take the mean."),
    ):
        hint = mistake if np.allclose(answer, wrong) else hint
    yield "it is the mean deviation in the region", np.allclose(answer, deviation.mean()), hint


@check
def fair_shards(shard):
    """Check `shard(sizes, part, parts)`: names for each of the parts, every file once, no part too large."""
    rng = np.random.default_rng(2)
    sizes = {f"{k:02}.jpg": int(size) for k, size in enumerate(rng.permutation([900, 850, 800] + 27 * [10]))}
    given = dict(sizes)
    shares = [list(shard(sizes, part, 3)) for part in (1, 2, 3)]
    names = [name for share in shares for name in share]
    yield "the dict is unchanged", sizes == given, "your code takes names out of the dict: work on a copy."
    hint = "part runs from 1 to parts, and a rest that parts does not divide must go somewhere."
    yield "every file is in some part", set(names) == set(sizes), hint
    yield "no file is in two parts", len(names) == len(set(names)), "each machine must leave the others' files alone."
    backwards = dict(reversed(sizes.items()))
    same = all(set(shard(backwards, part, 3)) == set(shares[part - 1]) for part in (1, 2, 3))
    hint = "sort before you deal, and let names decide between equal sizes; no random numbers, no hash()."
    yield "a dict in another order gives the same parts", same, hint
    few = sorted(name for part in range(1, 6) for name in shard({"a": 4, "b": 9}, part, 5))
    yield "two files for five machines are painted once", few == ["a", "b"], "some parts are empty lists then."
    worst = 0
    for numbers in ((2, 1, 1), (900, 1, 1), (3, 3, 2, 2, 2), (1, 6, 1, 6, 1, 6, 1), (6, 5, 5, 1, 1, 1, 1, 1)):
        case = {f"{k}.jpg": size for k, size in enumerate(numbers)}
        for parts in (2, 3):
            heaviest = max(sum(case[name] for name in shard(case, part, parts)) for part in range(1, parts + 1))
            worst = max(worst, heaviest / _best_division(numbers, parts))
    hint = f"a part holds {worst:.2f} times that: give each file, the largest first, to the part that has least."
    yield "no part exceeds 4/3 of the best division's largest", worst < 4 / 3 + 1e-9, hint


def _best_division(numbers, parts):
    """Bytes of the largest part in the best of all divisions."""
    divisions = itertools.product(range(parts), repeat=len(numbers))
    return min(max(np.bincount(owners, numbers)) for owners in divisions)


def _writes(kernel, stride, count):
    """Values spread out with gaps, convolved with ones."""
    spread = np.zeros(stride * (count - 1) + 1)
    spread[::stride] = 1
    return np.convolve(spread, np.ones(kernel))


def _normalized(F, gamma, beta, epsilon=1e-5, axes=(1, 2)):
    F = np.float64(F)
    return gamma * (F - F.mean(axes, keepdims=True)) / np.sqrt(F.var(axes, keepdims=True) + epsilon) + beta


def _close(x, y):
    return np.shape(x) == np.shape(y) and np.allclose(x, y, rtol=1e-3, atol=1e-3)
