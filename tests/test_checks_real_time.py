"""The checks of appendix A5 accept right answers, however written, and say of wrong ones what is wrong."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from conftest import rejected, unsolved

from stlib import checks


def writes(kernel, stride, count):
    total = [0] * (stride * (count - 1) + kernel)
    for k in range(count):
        for i in range(kernel):
            total[k * stride + i] += 1
    return total


def writes_by_tensorflow(kernel, stride, count):
    length = stride * (count - 1) + kernel
    return tf.nn.conv1d_transpose(
        tf.ones((1, count, 1)), tf.ones((kernel, 1, 1)), (1, length, 1), stride, padding="VALID"
    )[0, :, 0].numpy()  # fmt: skip


def overwritten(kernel, stride, count):
    return np.minimum(writes(kernel, stride, count), 1)


def right_sums(kernel, stride, count):
    """As long and with as many writes as it should, at stride 1 from the start."""
    total = np.zeros(stride * (count - 1) + kernel)
    total[: count + kernel - 1] = np.convolve(np.ones(count), np.ones(kernel))[: len(total)]
    return total


WRITES_MISTAKES = {
    "cut off": (lambda k, s, n: writes(k, s, n)[: s * n], "cut the end off"),
    "no overlap": (lambda k, s, n: np.ones(k * n), "copies without overlap"),
    "one number": (lambda k, s, n: k / s, "it has shape ()"),
    "overwritten": (overwritten, "do not overwrite"),
    "stride 1": (right_sums, "stride positions apart"),
}


@pytest.mark.parametrize("answer", [writes, writes_by_tensorflow])
def test_transposed_writes_accepts(answer, capsys):
    assert checks.transposed_writes(answer), capsys.readouterr().out


@pytest.mark.parametrize("mistake", WRITES_MISTAKES)
def test_transposed_writes_rejects(mistake, capsys):
    rejected(checks.transposed_writes, *WRITES_MISTAKES[mistake], capsys)


def norm(F, gamma, beta, epsilon=1e-5, axes=(1, 2)):
    return gamma * (F - F.mean(axes, keepdims=True)) / np.sqrt(F.var(axes, keepdims=True) + epsilon) + beta


def norm_by_loops(F, gamma, beta, epsilon=1e-5):
    G = np.empty(F.shape)
    for b, c in np.ndindex(len(F), F.shape[-1]):
        x = F[b, ..., c]
        G[b, ..., c] = (x - x.mean()) * (x.var() + epsilon) ** -0.5 * gamma[c] + beta[c]
    return G


def norm_by_tensorflow(F, gamma, beta, epsilon=1e-5):
    mean, variance = tf.nn.moments(F, axes=(1, 2), keepdims=True)
    return tf.nn.batch_normalization(F, mean, variance, beta, gamma, epsilon)


def norm_in_place(F, gamma, beta, epsilon=1e-5):
    F -= F.mean(axis=(1, 2), keepdims=True)
    return norm(F, gamma, beta, epsilon)


def by_variance(F, gamma, beta, epsilon=1e-5):
    return gamma * (F - F.mean((1, 2), keepdims=True)) / (F.var((1, 2), keepdims=True) + epsilon) + beta


NORM_MISTAKES = {
    "batch": (lambda *a: norm(*a, axes=(0, 1, 2)), "that is batch normalization"),
    "layer": (lambda *a: norm(*a, axes=(1, 2, 3)), "over the channels too"),
    "one axis": (lambda *a: norm(*a, axes=(1,)), "over one axis only"),
    "no gamma, beta": (lambda F, gamma, beta, e=1e-5: norm(F, 1, 0, e), "gamma and beta are missing"),
    "beta first": (lambda F, gamma, beta, e=1e-5: gamma * (norm(F, 1, 0, e) + beta), "after gamma"),
    "swapped": (lambda F, gamma, beta, e=1e-5: norm(F, beta, gamma, e), "the other way round"),
    "variance": (by_variance, "take its root"),
    "no epsilon": (lambda F, gamma, beta, e=1e-5: norm(F, gamma, beta, 0), "epsilon goes under the root"),
    "fixed epsilon": (lambda F, gamma, beta, e=1e-5: norm(F, gamma, beta), "use the argument epsilon"),
    "in place": (norm_in_place, "writes into the argument"),
    "shape": (lambda F, *a: norm(F, *a).reshape(2, 20, 3), "it has shape"),
}


@pytest.mark.parametrize("answer", [norm, norm_by_loops, norm_by_tensorflow])
def test_instance_normalization_accepts(answer, capsys):
    assert checks.instance_normalization(answer), capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("mistake", NORM_MISTAKES)
def test_instance_normalization_rejects(mistake, capsys):
    rejected(checks.instance_normalization, *NORM_MISTAKES[mistake], capsys)


def flicker(frames, region):
    return np.std(frames, axis=0)[region].mean()


def flicker_by_sums(frames, region):
    frames = np.stack(frames)[:, region]  # (T, positions, 3)
    return np.mean(np.sqrt(np.mean((frames - frames.mean(axis=0)) ** 2, axis=0)))


def flicker_by_tensorflow(frames, region):
    return tf.reduce_mean(tf.boolean_mask(tf.math.reduce_std(tf.stack(frames), axis=0), region))


def flicker_in_place(frames, region):
    for frame in frames:
        frame *= region[..., None]
    return np.std(frames, axis=0).sum() / region.sum() / 3


FLICKER_MISTAKES = {
    "map": (lambda frames, region: np.std(frames, axis=0), "it has shape"),
    "over the picture": (lambda frames, region: np.std(frames), "not over the picture"),
    "all of it": (lambda frames, region: np.std(frames, axis=0).mean(), "index with the mask"),
    "outside": (lambda frames, region: flicker(frames, ~region), "index with the mask"),
    "variance": (lambda frames, region: np.var(frames, axis=0)[region].mean(), "that is the variance"),
    "root last": (lambda f, region: np.var(f, axis=0)[region].mean() ** 0.5, "the root comes first"),
    "gray": (lambda f, region: np.std(np.mean(f, -1), axis=0)[region].mean(), "gray frames"),
    "mean first": (lambda frames, region: np.std([f[region].mean() for f in frames]), "each pixel by itself"),
    "ddof": (lambda f, region: np.std(f, axis=0, ddof=1)[region].mean(), "not by one less"),
    "steps": (lambda f, region: np.abs(np.diff(f, axis=0)).mean(0)[region].mean(), "from frame to frame"),
    "sum": (lambda f, region: np.std(f, axis=0)[region].sum(), "that is the sum"),
    "median": (lambda f, region: np.median(np.std(f, axis=0)[region]), "that is the median"),
    "in place": (flicker_in_place, "writes into the frames"),
}


@pytest.mark.parametrize("answer", [flicker, flicker_by_sums, flicker_by_tensorflow])
def test_flicker_accepts(answer, capsys):
    assert checks.flicker(answer), capsys.readouterr().out


@pytest.mark.parametrize("mistake", FLICKER_MISTAKES)
def test_flicker_rejects(mistake, capsys):
    rejected(checks.flicker, *FLICKER_MISTAKES[mistake], capsys)


def greedy(sizes, part, parts):
    loads, owner = np.zeros(parts), {}
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        owner[name] = int(np.argmin(loads))
        loads[owner[name]] += sizes[name]
    return [name for name in owner if owner[name] == part - 1]


def sorted_by_turns(sizes, part, parts):
    return sorted(sizes, key=lambda name: (sizes[name], name))[part - 1 :: parts]


def in_blocks(sizes, part, parts):
    return np.array_split(sorted(sizes), parts)[part - 1]


def emptied(sizes, part, parts):
    names = greedy(sizes, part, parts)
    for name in names:
        del sizes[name]
    return names


def best_of_all(sizes, part, parts):
    """The best division where all can be tried, else the rule."""
    names = sorted(sizes)
    if len(names) > 8:
        return greedy(sizes, part, parts)
    divisions = itertools.product(range(parts), repeat=len(names))
    best = min(divisions, key=lambda owners: max(np.bincount(owners, [sizes[name] for name in names])))
    return [name for name, owner in zip(names, best) if owner == part - 1]


SHARD_MISTAKES = {
    "by turns": (lambda sizes, part, parts: sorted(sizes)[part - 1 :: parts], "to the part that has least"),
    "in blocks": (in_blocks, "to the part that has least"),
    "all to the first": (lambda s, part, parts: list(s) if part == 1 else [], "to the part that has least"),
    "from 0": (lambda s, part, parts: greedy(s, (part % parts) + 1, parts) if part < parts else [], "runs from 1"),
    "rest lost": (lambda s, p, n: sorted(s)[(p - 1) * (len(s) // n) : p * (len(s) // n)][:9], "runs from 1"),
    "everything": (lambda sizes, part, parts: list(sizes), "leave the others' files alone"),
    "order of the dict": (lambda s, part, parts: list(s)[part - 1 :: parts], "let names decide"),
    "ties": (lambda s, p, n: sorted(s, key=s.get)[p - 1 :: n], "let names decide"),
    "emptied": (emptied, "work on a copy"),
    "sorted, by turns": (lambda s, p, n: sorted(s, key=lambda k: (-s[k], k))[p - 1 :: n], "to the part that has least"),
    "smallest first, by turns": (sorted_by_turns, "to the part that has least"),
}


@pytest.mark.parametrize("answer", [greedy, best_of_all])
def test_fair_shards_accepts(answer, capsys):
    assert checks.fair_shards(answer), capsys.readouterr().out


@pytest.mark.parametrize("mistake", SHARD_MISTAKES)
def test_fair_shards_rejects(mistake, capsys):
    rejected(checks.fair_shards, *SHARD_MISTAKES[mistake], capsys)


@pytest.mark.parametrize(
    "check", [checks.transposed_writes, checks.instance_normalization, checks.flicker, checks.fair_shards]
)
@pytest.mark.parametrize("answer", [unsolved, None, ...])
def test_unsolved_says_so(check, answer, capsys):
    rejected(check, answer, "Not solved yet", capsys)
