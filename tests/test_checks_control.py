"""The checks of appendix A4 accept right answers, however written, and say of wrong ones what is wrong."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import rejected, unsolved
from scipy import ndimage

from stlib import checks


def accepted(check, answer, capsys):
    assert check(answer), capsys.readouterr().out


def mixed(styles, weights, normalize=lambda w: np.array(w) / np.sum(w)):
    return {k: sum(w * style[k] for w, style in zip(normalize(weights), styles)) for k in styles[0]}


def mixed_by_tensorflow(styles, weights):
    w = tf.constant(weights, tf.float64) / sum(weights)
    return {k: tf.einsum("s,sij->ij", w, tf.stack([style[k] for style in styles])) for k in styles[0]}


def mixed_in_place(styles, weights):
    for style, weight in zip(styles, weights):
        for layer in style:
            style[layer] *= weight / sum(weights)
    return {k: sum(style[k] for style in styles) for k in styles[0]}


MIX_MISTAKES = {
    "not normalized": (lambda s, w: mixed(s, w, np.array), "need not sum to 1"),
    "reversed": (lambda s, w: mixed(s, w[::-1]), "the wrong styles"),
    "all alike": (lambda s, w: mixed(s, np.ones(len(w))), "all styles count alike"),
    "two only": (lambda s, w: mixed(s[:2], w[:2]), "the third style is missing"),
    "by the number": (lambda s, w: mixed(s, w, lambda w: np.array(w) / len(w)), "not by the number of styles"),
    "softmax": (lambda s, w: mixed(s, w, lambda w: np.exp(w) / np.exp(w).sum()), "no softmax"),
    "squared": (lambda s, w: mixed(s, w, lambda w: np.square(w) / np.sum(np.square(w))), "weight times matrix"),
    "three only": (lambda s, w: mixed([s[0], s[1], s[2]], w), "IndexError"),
    "a list": (lambda s, w: list(mixed(s, w).values()), "return a dict"),
    "one layer": (lambda s, w: {"fine": mixed(s, w)["fine"]}, "a matrix for each layer"),
    "in place": (mixed_in_place, "writes into a style"),
}


@pytest.mark.parametrize("answer", [mixed, mixed_by_tensorflow])
def test_mixed_targets_accepts(answer, capsys):
    accepted(checks.mixed_targets, answer, capsys)


@pytest.mark.parametrize("mistake", MIX_MISTAKES)
def test_mixed_targets_rejects(mistake, capsys):
    answer, hint = MIX_MISTAKES[mistake]
    rejected(checks.mixed_targets, answer, hint, capsys)


def moments(F, T, weigh=np.square, finish=np.sqrt):
    share = (weigh(T) / np.sum(weigh(T)))[..., None]
    mean = np.sum(share * F, (0, 1))
    return np.stack([mean, finish(np.sum(share * (F - mean) ** 2, (0, 1)))])


def moments_by_average(F, T):
    F, weight = F.reshape(-1, F.shape[-1]), np.ravel(T) ** 2
    mean, square = np.average(F, 0, weight), np.average(F**2, 0, weight)
    return [mean, np.sqrt(square - mean**2)]


def moments_by_tensorflow(F, T):
    return tf.stack(
        [x if k == 0 else tf.sqrt(x) for k, x in enumerate(tf.nn.weighted_moments(F, (0, 1), T[..., None] ** 2))]
    )


def moments_not_divided(F, T):
    weight = T[..., None] ** 2
    mean = np.mean(weight * F, (0, 1))
    return np.stack([mean, np.sqrt(np.mean(weight * (F - mean) ** 2, (0, 1)))])


def moments_in_place(F, T):
    T **= 2
    return moments(F, T, np.array)


MOMENT_MISTAKES = {
    "no guide": (lambda F, T: moments(F, np.ones_like(T)), "all positions count alike"),
    "T for T squared": (lambda F, T: moments(F, T, np.array), "0.5 counts a quarter"),
    "cut out": (lambda F, T: moments(F, T > 0, np.float64), "instead of cutting out"),
    "not divided": (moments_not_divided, "then divide by the sum of T^2"),
    "variance": (lambda F, T: moments(F, T, finish=np.array), "that is the variance"),
    "deviation of all": (lambda F, T: np.stack([moments(F, T)[0], F.std((0, 1))]), "the deviation of all positions"),
    "transposed": (lambda F, T: moments(F, T).T, "it has shape (3, 2)"),
    "one number": (lambda F, T: moments(F, T).mean(1), "it has shape (2,)"),
    "in place": (moments_in_place, "writes into its argument"),
}


@pytest.mark.parametrize("answer", [moments, moments_by_average, moments_by_tensorflow])
def test_guided_moments_accepts(answer, capsys):
    accepted(checks.guided_moments, answer, capsys)


@pytest.mark.parametrize("mistake", MOMENT_MISTAKES)
def test_guided_moments_rejects(mistake, capsys):
    answer, hint = MOMENT_MISTAKES[mistake]
    rejected(checks.guided_moments, answer, hint, capsys)


def content_map(masks, weights, divide=np.mean):
    c = np.ones(masks.shape[1:])
    for k in np.argsort(weights):
        c[masks[k] == 1] = weights[k]
    return c / divide(c)


def map_by_maximum(masks, weights):
    inside = np.max(np.asarray(weights)[:, None, None] * masks, axis=0)
    c = np.where(masks.any(axis=0), inside, 1)
    return tf.constant(c / c.mean())


def last_wins(masks, weights):
    c = np.ones(masks.shape[1:])
    for mask, weight in zip(masks, weights):
        c[mask == 1] = weight
    return c / c.mean()


def of_mean_one(c):
    return c / c.mean()


def scaled(masks, weights):
    return np.asarray(weights)[:, None, None] * masks


def map_in_place(masks, weights):
    for k, weight in enumerate(weights):
        masks[k] *= weight
    c = np.where(masks.any(0), masks.max(0), 1)
    return c / c.mean()


MAP_MISTAKES = {
    "mean not 1": (lambda m, w: content_map(m, w, lambda c: 1), "divide the map by its mean"),
    "largest is 1": (lambda m, w: content_map(m, w, np.max), "divide the map by its mean"),
    "0 outside": (lambda m, w: of_mean_one(scaled(m, w).max(0)), "not 0"),
    "added to 1": (lambda m, w: of_mean_one(1 + scaled(m, w).max(0)), "the weight takes its place"),
    "at least 1": (lambda m, w: of_mean_one(np.maximum(1, scaled(m, w).max(0))), "no np.maximum with 1"),
    "multiplied": (lambda m, w: of_mean_one(np.where(m == 1, scaled(m, w), 1).prod(0)), "you multiply them"),
    "added": (lambda m, w: of_mean_one(np.where(m.any(0), scaled(m, w).sum(0), 1)), "you add them"),
    "last wins": (last_wins, "the last mask wins"),
    "one per mask": (lambda m, w: np.stack([content_map(m[k : k + 1], w[k : k + 1]) for k in range(3)]), "(3, 6, 8)"),
    "in place": (map_in_place, "writes into its argument"),
}


@pytest.mark.parametrize("answer", [content_map, map_by_maximum])
def test_content_map_accepts(answer, capsys):
    accepted(checks.content_map, answer, capsys)


@pytest.mark.parametrize("mistake", MAP_MISTAKES)
def test_content_map_rejects(mistake, capsys):
    answer, hint = MAP_MISTAKES[mistake]
    rejected(checks.content_map, answer, hint, capsys)


def signed_distance(mask):
    inside, outside = (ndimage.distance_transform_edt(m) for m in (mask, ~mask))
    return np.where(mask, inside - 0.5, 0.5 - outside)


def guides(mask, width, finish=np.sqrt, distance=signed_distance):
    share = np.clip(0.5 + distance(mask) / width, 0, 1)
    return finish(np.stack([share, 1 - share]))


def guides_by_tensorflow(mask, width):
    share = tf.clip_by_value(0.5 + tf.constant(signed_distance(mask)) / width, 0, 1)
    return tf.sqrt(tf.stack([share, 1 - share]))


def whole_pixels(mask):
    return ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)


def one_sided(mask):
    return ndimage.distance_transform_edt(mask) - 4


def guides_in_place(mask, width):
    T = guides(mask, width)
    mask[:] = ~mask
    return T


GUIDE_MISTAKES = {
    "shares, no roots": (lambda m, w: guides(m, w, np.array), "take the roots"),
    "halved": (lambda m, w: guides(m, w, lambda s: 0.5 * s), "or the border counts"),
    "swapped": (lambda m, w: guides(~m, w), "swap the two"),
    "inside only": (lambda m, w: guides(m, w, distance=one_sided), "beside the border the shares are"),
    "border on a pixel": (lambda m, w: guides(m, w, distance=whole_pixels), "the step at the border is twice"),
    "hard": (lambda m, w: np.float64([m, ~m]), "it does not fade"),
    "twice as wide": (lambda m, w: guides(m, 2 * w), "twice as far"),
    "half as wide": (lambda m, w: guides(m, w / 2), "falls evenly"),
    "one guide": (lambda m, w: guides(m, w)[0], "np.stack of two guides"),
    "not clipped": (
        lambda m, w: np.stack([0.5 + signed_distance(m) / w, 0.5 - signed_distance(m) / w]),
        "clip the share",
    ),
    "in place": (guides_in_place, "writes into its argument"),
}


@pytest.mark.parametrize("answer", [guides, guides_by_tensorflow])
def test_feathered_guides_accepts(answer, capsys):
    accepted(checks.feathered_guides, answer, capsys)


@pytest.mark.parametrize("mistake", GUIDE_MISTAKES)
def test_feathered_guides_rejects(mistake, capsys):
    answer, hint = GUIDE_MISTAKES[mistake]
    rejected(checks.feathered_guides, answer, hint, capsys)


CHECKS = [checks.mixed_targets, checks.guided_moments, checks.content_map, checks.feathered_guides]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("answer", [unsolved, None, ...])
def test_unsolved_says_so(check, answer, capsys):
    rejected(check, answer, "Not solved yet", capsys)
