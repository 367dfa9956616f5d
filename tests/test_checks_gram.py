"""The checks of lesson 03 accept right answers, however written, and say of wrong ones what is wrong."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import rejected, unsolved

from stlib import checks
from stlib.checks import gram as lesson


def outer_products(features):
    return sum(np.outer(f, f) for f in features.reshape(-1, features.shape[-1]))


def by_pairs(features):
    rows = features.reshape(-1, features.shape[-1])
    return [[float(np.sum(a * b)) for b in rows.T] for a in rows.T]


def by_tensorflow(features):
    F = tf.reshape(tf.constant(features), (-1, features.shape[-1]))
    return tf.matmul(F, F, transpose_a=True)


def rows(features):
    return features.reshape(-1, features.shape[-1])


def centered(features):
    F = rows(features) - rows(features).mean(0)
    return F.T @ F


def in_place(features):
    features *= 1.5
    return rows(features).T @ rows(features) / 2.25


def last_position(features):
    return np.outer(rows(features)[-1], rows(features)[-1])


GRAM_MISTAKES = {
    "transposed": (lambda f: rows(f) @ rows(f).T, "multiply positions by positions"),
    "missing sum": (lambda f: np.einsum("hwi,hwj->hwij", f, f), "a sum is missing"),
    "one axis not summed": (lambda f: np.einsum("hwi,hwj->hij", f, f), "a sum is missing"),
    "batch axis kept": (lambda f: (rows(f).T @ rows(f))[None], "a sum is missing"),
    "diagonal as a vector": (lambda f: (rows(f) ** 2).sum(0), "one number a channel"),
    "diagonal as a matrix": (lambda f: np.diag((rows(f) ** 2).sum(0)), "only the diagonal"),
    "upper half": (lambda f: np.triu(rows(f).T @ rows(f)), "both halves"),
    "per position": (lambda f: rows(f).T @ rows(f) / len(rows(f)), "divide by the number of positions"),
    "per channel": (lambda f: rows(f).T @ rows(f) / f.shape[-1], "divide by the number of channels"),
    "factor 2": (lambda f: 2 * rows(f).T @ rows(f), "a factor 2"),
    "covariance": (centered, "that is a covariance"),
    "overwritten": (last_position, "(+=)"),
    "negative": (lambda f: -rows(f).T @ rows(f), "eigenvalue"),
    "root": (lambda f: np.diag(np.sqrt((rows(f) ** 2).sum(0))), "s * s"),
    "in place": (in_place, "writes into its argument"),
    "an error": (lambda f: f.T @ f, "your code raised ValueError"),
}  # fmt: skip


@pytest.mark.parametrize("answer", [outer_products, by_pairs, by_tensorflow])
def test_gram_by_loops_accepts(answer, capsys):
    assert checks.gram_by_loops(answer)
    assert "All of it holds" in capsys.readouterr().out


@pytest.mark.parametrize("mistake", GRAM_MISTAKES)
def test_gram_by_loops_rejects(mistake, capsys):
    answer, hint = GRAM_MISTAKES[mistake]
    rejected(checks.gram_by_loops, answer, hint, capsys)


def sums(f):
    return np.einsum("bhwi,bhwj->bij", f, f)


def batch_by_loop(features):
    return np.stack([rows(f).T @ rows(f) / len(rows(f)) for f in features])


def batch_by_tensorflow(features):
    F = tf.reshape(tf.constant(features), (features.shape[0], -1, features.shape[-1]))
    return tf.matmul(F, F, transpose_a=True) / F.shape[1]


def batch_in_place(features):
    features /= np.sqrt(features.shape[1] * features.shape[2])
    return sums(features)


BATCH_MISTAKES = {
    "not divided": (sums, "divide by h * w"),
    "a fixed size": (lambda f: sums(f) / 12, "divide by h * w"),
    "batch summed": (lambda f: np.einsum("bhwi,bhwj->ij", f, f), "keep the batch axis"),
    "divided by B too": (lambda f: sums(f) / np.prod(f.shape[:3]), "you divide by B * h * w"),
    "divided by N too": (lambda f: sums(f) / np.prod(f.shape[1:]), "you divide by h * w * N"),
    "divided by all": (lambda f: sums(f) / f.size, "you divide by all numbers"),
    "factor 2": (lambda f: 2 * batch_by_loop(f), "a constant times"),
    "transposed": (lambda f: np.einsum("bhwi,bvui->bhwvu", f, f).reshape(2, 12, -1), "positions by positions"),
    "missing sum": (lambda f: np.einsum("bhwi,bhwj->bhij", f, f), "a sum is missing"),
    "batch reversed": (lambda f: batch_by_loop(f[::-1]), "changed places"),
    "in place": (batch_in_place, "writes into its argument"),
}  # fmt: skip


@pytest.mark.parametrize("answer", [batch_by_loop, batch_by_tensorflow])
def test_gram_per_position_accepts(answer, capsys):
    assert checks.gram_per_position(answer)


@pytest.mark.parametrize("mistake", BATCH_MISTAKES)
def test_gram_per_position_rejects(mistake, capsys):
    answer, hint = BATCH_MISTAKES[mistake]
    rejected(checks.gram_per_position, answer, hint, capsys)


def matrices(features, image):
    return {k: rows(f).T @ rows(f) / len(rows(f)) for k, f in features(np.float32(image)[None]).items()}


def distance(image, style, features, prepare=lambda x: (x - x.mean()) / x.std(), prepare_style=None, describe=matrices):
    G, A = describe(features, prepare(image)), describe(features, (prepare_style or prepare)(style))
    return np.mean([np.sum((G[k] - A[k]) ** 2) / np.sum(A[k] ** 2) for k in A])


def distance_by_channel(image, style, features):
    return distance(image, style, features, lambda x: 0.5 + 0.2 * (x - x.mean((0, 1))) / x.std((0, 1)))


def distance_by_tensorflow(image, style, features):
    grams = []
    for x in (image, style):
        x = tf.constant(x, tf.float32)
        x = (x - tf.reduce_mean(x)) / tf.math.reduce_std(x)
        F = {k: tf.convert_to_tensor(f) for k, f in features(x[None]).items()}
        grams.append({k: tf.einsum("bhwi,bhwj->ij", f, f) / (f.shape[1] * f.shape[2]) for k, f in F.items()})
    return tf.add_n([tf.reduce_sum(tf.abs(grams[0][k] - grams[1][k])) for k in grams[0]])


def sums_only(features, image):
    return {k: rows(f).T @ rows(f) for k, f in features(np.float32(image)[None]).items()}


def normal(features, image):
    return {k: G / np.trace(G) for k, G in matrices(features, image).items()}


def distance_in_place(image, style, features):
    for x in (image, style):
        x -= x.mean()
        x /= x.std()
    return distance(image, style, features)


def pixels(image, style, features):
    a, b = ((x - x.mean()) / x.std() for x in (image, style[: image.shape[0], : image.shape[1]]))
    return np.mean((a - b) ** 2)


DISTANCE_MISTAKES = {
    "plain": (lambda i, s, f: distance(i, s, f, lambda x: x), "one mean and one deviation"),
    "mean only": (lambda i, s, f: distance(i, s, f, lambda x: x - x.mean()), "divide by the deviation too"),
    "deviation only": (lambda i, s, f: distance(i, s, f, lambda x: x / x.std()), "subtract the mean"),
    "Gram normalized": (lambda i, s, f: distance(i, s, f, lambda x: x, describe=normal), "one mean and one deviation"),
    "image only": (lambda i, s, f: distance(i, s, f, prepare_style=lambda x: 3 * x), "compare Gram with Gram"),
    "pixels": (pixels, "moves its texture elsewhere"),
    "not per position": (lambda i, s, f: distance(i, s, f, describe=sums_only), "its own number of positions"),
    "always 0": (lambda i, s, f: 0.0, "one number above 0"),
    "no batch axis": (lambda i, s, f: np.sum(f(i)["fine"] - f(s)["fine"]), "features(image[None])"),
    "in place": (distance_in_place, "x -= ..."),
}  # fmt: skip


@pytest.mark.parametrize("answer", [distance, distance_by_channel, distance_by_tensorflow])
def test_style_distance_accepts(answer, capsys):
    assert checks.style_distance(answer), capsys.readouterr().out


@pytest.mark.parametrize("mistake", DISTANCE_MISTAKES)
def test_style_distance_rejects(mistake, capsys):
    answer, hint = DISTANCE_MISTAKES[mistake]
    rejected(checks.style_distance, answer, hint, capsys)


def blend(A, B, t):
    return {layer: (1 - t) * A[layer] + t * B[layer] for layer in A}


def blend_from(A, B, t):
    return {layer: tf.constant(A[layer]) + t * (tf.constant(B[layer]) - A[layer]) for layer in B}


def blend_in_place(A, B, t):
    for layer in A:
        A[layer] *= 1 - t
        A[layer] += t * B[layer]
    return A


def blend_replacing(A, B, t):
    for layer in A:
        A[layer] = (1 - t) * A[layer] + t * B[layer]
    return A


BLEND_MISTAKES = {
    "swapped": (lambda A, B, t: blend(B, A, t), "the ends are swapped"),
    "A not faded": (lambda A, B, t: {k: A[k] + t * B[k] for k in A}, "multiply A by (1 - t)"),
    "plain sum": (lambda A, B, t: {k: A[k] + B[k] for k in A}, "nothing of B may be left"),
    "squared share": (lambda A, B, t: {k: (1 - t) ** 2 * A[k] + t**2 * B[k] for k in A}, "the mean of the two"),
    "powers": (lambda A, B, t: {k: A[k] ** (1 - t) * B[k] ** t for k in A}, "no powers"),
    "difference": (lambda A, B, t: {k: (1 - t) * A[k] - t * B[k] for k in A}, "no differences"),
    "one layer": (lambda A, B, t: (1 - t) * A["first"] + t * B["first"], "a dict with a matrix for each layer"),
    "first layer only": (lambda A, B, t: {"first": blend(A, B, t)["first"]}, "a dict with a matrix for each layer"),
    "diagonals": (lambda A, B, t: {k: np.diag(v) for k, v in blend(A, B, t).items()}, "blend whole matrices"),
    "in place": (blend_in_place, "build a new dict"),
    "replaced": (blend_replacing, "build a new dict"),
}  # fmt: skip


@pytest.mark.parametrize("answer", [blend, blend_from])
def test_blended_styles_accepts(answer, capsys):
    assert checks.blended_styles(answer), capsys.readouterr().out


@pytest.mark.parametrize("mistake", BLEND_MISTAKES)
def test_blended_styles_rejects(mistake, capsys):
    answer, hint = BLEND_MISTAKES[mistake]
    rejected(checks.blended_styles, answer, hint, capsys)


CHECKS = [checks.gram_by_loops, checks.gram_per_position, checks.style_distance, checks.blended_styles]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("answer", [unsolved, None, ...])
def test_unsolved_says_so(check, answer, capsys):
    rejected(check, answer, "Not solved yet", capsys)


def test_features_of_the_distance_check_see_brightness_and_texture():
    image = np.random.default_rng(0).uniform(size=(24, 24, 3)).astype(np.float32)
    plain = distance(0.6 * image, image, lesson._features, prepare=lambda x: x)
    assert plain > 0.05
    assert distance(np.roll(image, (6, 10), (0, 1)), image, lesson._features) < 1e-3
