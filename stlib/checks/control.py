"""Checks of appendix A4: a mix of several styles, guided moments, a content-weight map, feathered guides."""

import numpy as np

from stlib.checks.report import check

IN_PLACE = "your code writes into its argument: build a new array."


@check
def mixed_targets(mix):
    """Check `mix(styles, weights)`: a list of dicts layer -> Gram matrix and their weights to one dict."""
    styles = [{"fine": _gram(4, k), "coarse": _gram(6, k + 10)} for k in range(3)]
    given = [{layer: G.copy() for layer, G in style.items()} for style in styles]
    mixed = mix(styles, [1, 1, 2])
    hint = "return a dict with a matrix for each layer: {layer: ... for layer in styles[0]}."
    yield "there is a matrix for each layer", isinstance(mixed, dict) and mixed.keys() == styles[0].keys(), hint
    unchanged = all(np.array_equal(a[layer], b[layer]) for a, b in zip(styles, given) for layer in a)
    yield "the arguments are unchanged", unchanged, "your code writes into a style: build new matrices."
    right = {layer: sum(w * style[layer] for w, style in zip((0.25, 0.25, 0.5), styles)) for layer in mixed}
    hint = "add up weight times matrix over the styles, then divide by the sum of the weights."
    for wrong, name in (
        ((1, 1, 2), "the weights need not sum to 1: divide each by their sum."),
        ((0.5, 0.25, 0.25), "the weights are paired with the wrong styles: zip(weights, styles)."),
        ((1 / 3, 1 / 3, 1 / 3), "all styles count alike: use the weights."),
        ((0.5, 0.5, 0), "the third style is missing: go over the whole list, however long it is."),
        ((1 / 3, 1 / 3, 2 / 3), "divide by the sum of the weights, not by the number of styles."),
        (np.exp((1, 1, 2)) / np.exp((1, 1, 2)).sum(), "no softmax: divide the weights themselves by their sum."),
    ):
        if all(_close(mixed[k], sum(w * style[k] for w, style in zip(wrong, styles))) for k in mixed):
            hint = name
    yield "weights 1, 1, 2 give a quarter, a quarter, a half", all(_close(mixed[k], right[k]) for k in mixed), hint
    only = mix(styles, [0, 5, 0])
    hint = "a weight of 0 takes its style out, and any weight above 0 alone gives that style."
    yield "weights 0, 5, 0 give the second style", all(_close(only[k], styles[1][k]) for k in only), hint
    pair = mix(styles[:2], [0.25, 0.75])
    right = {layer: 0.25 * styles[0][layer] + 0.75 * styles[1][layer] for layer in pair}
    yield "two styles work as well", all(_close(pair[k], right[k]) for k in pair), "go over the list, not over three."


@check
def guided_moments(moments):
    """Check `moments(F, T)`: features (h, w, N) and a guide (h, w) to mean and deviation of each channel, (2, N)."""
    rng = np.random.default_rng(0)
    F, T = rng.normal(1, 2, (6, 8, 3)), rng.choice([0.5, 1.0], (6, 8))
    T[:, :3] = 0
    given = F.copy(), T.copy()
    found = np.asarray(moments(F, T))
    hint = f"it has shape {found.shape}: np.stack([mean, deviation]), each with a number for every channel."
    yield "the result has shape (2, N)", found.shape == (2, 3), hint
    yield "the arguments are unchanged", np.array_equal(F, given[0]) and np.array_equal(T, given[1]), IN_PLACE
    right = _moments(F, T**2)
    hint = "sum T^2 times F over the positions, then divide by the sum of T^2."
    for weight, name in (
        (np.ones_like(T), "all positions count alike: weight them by T^2."),
        (T, "a guide enters a Gram matrix squared: weight by T^2, so that 0.5 counts a quarter."),
        (np.float64(T > 0), "a guide of 0.5 is not 1: weight by T^2 instead of cutting out where T > 0."),
    ):
        hint = name if _close(found[0], _moments(F, weight)[0]) else hint
    yield "the mean is weighted by T^2", _close(found[0], right[0]), hint
    hint = "the mean of the squared differences from the *guided* mean, weighted in the same way; then the root."
    if _close(found[1], right[1] ** 2):
        hint = "that is the variance: take its root."
    elif _close(found[1], F.std((0, 1))):
        hint = "that is the deviation of all positions: weight the squared differences too."
    yield "and so is the deviation", _close(found[1], right[1]), hint
    hint = "divide by the sum of T^2: only the ratios of a guide count."
    yield "a guide three times as large gives the same", _close(moments(F, 3 * T), right), hint
    F[:, :3] = 1e3
    yield "what lies outside has no say", _close(moments(F, T), right), "where T is 0, F must not count."


@check
def content_map(weight_map):
    """Check `weight_map(masks, weights)`: masks (K, h, w) of 0 and 1 and a weight for each to c (h, w), mean 1."""
    masks = np.zeros((3, 6, 8))
    masks[0, :3, :4], masks[1, 2:5, 2:6], masks[2, 5, :] = 1, 1, 1
    weights = [4.0, 10.0, 0.5]
    given = masks.copy()
    c = np.asarray(weight_map(masks, weights))
    yield "the result has shape (h, w)", c.shape == (6, 8), f"it has shape {c.shape}: one weight for each position."
    yield "the arguments are unchanged", np.array_equal(masks, given), IN_PLACE
    hint = "what no mask covers has weight 1 before you divide, not 0: start from np.ones."
    yield "every weight is above 0", np.isfinite(c).all() and (c > 0).all(), hint
    hint = f"its mean is {c.mean():.3g}: divide the map by its mean at the end, so that alpha keeps its meaning."
    yield "the mean is 1", np.isclose(c.mean(), 1), hint
    c = c / c[4, 7]  # in no mask
    hint = "where one mask lies alone its weight counts, relative to 1 outside."
    if np.isclose(c[0, 0], 5):
        hint = "you add the weight to the 1: inside, the weight takes its place."
    yield "a weight of 4 counts four times the outside", np.isclose(c[0, 0], 4), hint
    hint = "a weight below 1 frees a region: no np.maximum with 1."
    yield "a weight of 0.5 counts half", np.isclose(c[5, 0], 0.5), hint
    overlap, hint = c[2, 2], "where masks overlap, the largest of their weights counts."
    for wrong, name in (
        (40, "you multiply them."),
        (14, "you add them."),
        (13, "you add them."),
        (4, "the first wins."),
    ):
        hint += f" Now {name}" if np.isclose(overlap, wrong) else ""
    yield "where two overlap, the larger counts", np.isclose(overlap, 10), hint
    other = np.asarray(weight_map(masks[[1, 0, 2]], [10.0, 4.0, 0.5]))
    hint = "the last mask wins, whatever its weight: take the largest, in any order."
    yield "the order of the masks does not matter", np.allclose(other / other[4, 7], c), hint


@check
def feathered_guides(guides):
    """Check `guides(mask, width)`: a mask (h, w) of True and False to two guides (2, h, w) that fade."""
    mask = np.zeros((10, 40), bool)
    mask[:, :20] = True
    given, width = mask.copy(), 8
    T = np.asarray(guides(mask, width))
    yield "the result has shape (2, h, w)", T.shape == (2, 10, 40), f"it has shape {T.shape}: np.stack of two guides."
    yield "the argument is unchanged", np.array_equal(mask, given), IN_PLACE
    yield "all values lie from 0 to 1", np.isfinite(T).all() and T.min() >= 0 and T.max() <= 1, "clip the share first."
    hint = "T[0]**2 + T[1]**2 must be 1 everywhere, or the border counts less or more."
    if np.allclose(T.sum(0), 1):
        hint = "T[0] + T[1] is 1, but guides count squared: take the roots of the shares."
    yield "the squares sum to 1 at each pixel", np.allclose((T**2).sum(0), 1, atol=1e-5), hint
    share = T[0, 5] ** 2
    hint = "the first guide belongs to where the mask is True: swap the two."
    yield "deep inside only the first counts, deep outside the second", share[2] > 0.99 and share[37] < 0.01, hint
    hint = f"beside the border the shares are {share[19]:.3f} and {share[20]:.3f}: their mean should be 0.5."
    yield "at the border both count one half", abs(share[19:21].mean() - 0.5) < 0.02, hint
    right = np.clip(0.5 + (19.5 - np.arange(40)) / width, 0, 1)
    hint = "the share T^2 falls evenly, from 1 to 0 within `width` pixels: 0.5 + signed distance / width, clipped."
    if set(np.round(share, 3)) <= {0.0, 0.5, 1.0}:
        hint = "it does not fade: " + hint
    elif np.allclose(share, np.clip(0.5 + (19.5 - np.arange(40)) / (2 * width), 0, 1), atol=0.08):
        hint = "it fades twice as far as asked for: width / 2 to each side."
    elif np.isclose(share[19] - share[20], 2 / width, atol=0.01):
        hint = "the step at the border is twice the others: the first pixel is half a pixel from it, not a whole one."
    yield "the share falls evenly over 8 pixels", np.allclose(share, right, atol=0.02), hint
    corner = np.zeros((30, 30), bool)
    corner[:12, :12] = True
    swapped = np.asarray(guides(~corner, width))[::-1]
    hint = "measure the distance to the border inside as outside: distance_transform_edt of mask and of ~mask."
    yield "the opposite mask swaps the two", np.allclose(swapped, guides(corner, width), atol=0.02), hint


def _gram(N, seed):
    F = np.random.default_rng(seed).normal(0.3, 1, (9, N))
    return F.T @ F / 9


def _moments(F, weight):
    share = (weight / weight.sum())[..., None]
    mean = (share * F).sum((0, 1))
    return np.stack([mean, np.sqrt((share * (F - mean) ** 2).sum((0, 1)))])


def _close(x, y):
    return np.shape(x) == np.shape(y) and np.allclose(x, y, rtol=2e-3, atol=1e-4)
