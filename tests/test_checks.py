"""The checks of all exercises: right answers pass however written, each mistake gets its own hint, nothing else passes.

The mistakes and laws are declared with the exercises (stlib/checks); here stand right answers, written in other ways.
"""

import ast
import contextlib
import itertools
import re

import keras
import nbformat
import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT
from scipy import ndimage

from stlib import checks, images, network
from stlib.checks import lesson_01, lesson_02, lesson_04, lesson_05
from stlib.checks.exercise import IN_PLACE, Exercise, apply
from stlib.language import translate

EXERCISES = {name: each for name, each in vars(checks).items() if isinstance(each, Exercise)}


def foreign(answer):
    """The same answer, as if it were the reader's own."""
    if isinstance(answer, tuple):
        return tuple(map(foreign, answer))
    return (lambda *arguments, **settings: answer(*arguments, **settings)) if callable(answer) else answer


def rows(features):
    return np.reshape(features, (-1, np.shape(features)[-1]))


def least_by_search(G, A):
    """The smallest of the parabola through three relative errors."""
    at = [tf.reduce_sum(tf.square(s * tf.constant(G, tf.float64) - A)) for s in (-1.0, 0.0, 1.0)]
    curve, slope = (at[0] + at[2]) / 2 - at[1], (at[2] - at[0]) / 2
    return (at[1] - slope**2 / (4 * curve)) / at[1]


def gram_by_tensorflow(features):
    G = tf.zeros((features.shape[-1],) * 2)
    for f in tf.reshape(features, (-1, features.shape[-1])):
        G += tf.tensordot(f, f, 0)
    return G


def stack_by_keras(shape, stack):
    model = keras.Sequential([keras.Input(shape)])
    for kind, *settings in stack:
        model.add(keras.layers.MaxPooling2D(*settings) if kind == "pool" else keras.layers.Conv2D(*settings))
    return model.output_shape[1:], model.count_params()


def watchers_backwards(stack, q):
    """All values whose span, followed back to the pixels, holds pixel q."""
    spans = [lesson_02.span(stack, p) for p in range(q + 1)]
    seeing = [p for p, (first, last) in enumerate(spans) if first <= q <= last]
    return np.int64(seeing[0]), np.int64(seeing[-1])


def compiled_target(net, photo, layer):
    cut = keras.Model(net.input, net.get_layer(layer).output)
    P = cut.predict(network.preprocess(photo)[None], verbose=0)
    return tf.function(lambda x: tf.nn.l2_loss(cut(network.preprocess(x)[None]) - P))


def cloned_extractor(net, layers):
    def clone(layer):
        if isinstance(layer, keras.layers.MaxPooling2D):
            return keras.layers.AveragePooling2D(2, name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    copy = keras.models.clone_model(net, clone_function=clone)
    copy.set_weights(net.get_weights())
    return network.feature_extractor(copy, layers)


def content_by_projection(F, P):
    """The matrix I - 1/M, which takes the mean away, applied twice: it is its own adjoint, and its own square."""
    away = np.eye(len(F)) - 1 / len(F)
    return tf.linalg.matmul(away.T @ away, F - P)


def style_by_einsum(F, A):
    D = np.einsum("ki,kj->ij", F, F) / F.shape[0] - A
    return np.einsum("mj,jn->mn", F, D) * 4 / F.shape[0] / np.square(A).sum()


def momentum_by_matrix(mu, t):
    """What a velocity tends to, u = mu u + 1 (or 1 - mu u), less what is left of the way from 0 to it."""
    ends = 1 / (1 - np.array([mu, -mu]))
    return ends - ends * np.array([mu, -mu]) ** t


def by_power_iteration(H):
    x = np.arange(1.0, len(H) + 1)
    for _ in range(500):
        x = H @ x / np.linalg.norm(H @ x)
    return float(2 / (x @ H @ x))


def stop_later(history, limit):
    """Waits 60 steps instead of 20."""
    losses = np.array(history)
    if len(losses) >= limit or np.isnan(losses[-1]) or np.isinf(losses[-1]):
        return np.bool_(True)
    lowest = np.minimum.accumulate(losses[np.isfinite(losses)])
    return len(lowest) > 80 and lowest[-1] > 0.999 * lowest[-61]


def nearest_by_axes(painted, photo, w):
    """In axes of which the first is w: take it from the photo, the two across from the painted picture."""
    axes = np.linalg.qr(np.column_stack([w, np.eye(3)]))[0]
    share = np.float32(axes[:, :1] @ axes[:, :1].T)
    return tf.matmul(images.resize(photo, painted.shape[:2]), share) + tf.matmul(painted, np.eye(3) - share)


def smoothly(painted, photo, keep, width):
    places = np.argwhere(keep)
    far = [min((np.hypot(*(places - at).T)), default=np.inf) for at in np.ndindex(keep.shape)]
    t = tf.cast(tf.clip_by_value(np.reshape(far, (*keep.shape, 1)) / width, 0, 1), tf.float32)
    return photo + t * t * (3 - 2 * t) * (painted - photo)


def again_by_name(path, pictures, network, paint):
    saved = images.load_metadata(path)
    if not saved or saved["network"] != network.name:
        raise ValueError("no settings in this file, or another network's")
    saved |= {name: images.load(pictures[saved[name]]) for name in ("content", "style")} | {"network": network}
    return paint(**saved)


def adain_by_tensorflow(F, S, strength):
    (mean, variance), (goal_mean, goal_variance) = (tf.nn.moments(x, (1, 2), keepdims=True) for x in (F, S))
    return (1 - strength) * F + strength * ((F - mean) * tf.sqrt(goal_variance / (variance + 1e-6)) + goal_mean)


def mmd_by_loops(x, y, kernel):
    def mean(x, y, same):
        values = [kernel(a[None], b[None]) for i, a in enumerate(x) for j, b in enumerate(y) if not same or i != j]
        return float(np.mean(values))

    return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)


def damped_by_bisection(s, y, b):
    low, high = 0.0, 1.0  # of theta: s . r falls from b s . s
    for _ in range(60):
        theta = (low + high) / 2
        enough = np.vdot(s, theta * y + (1 - theta) * b * s) >= 0.2 * b * np.vdot(s, s)
        low, high = (theta, high) if enough else (low, theta)
    return tf.constant(high * y + (1 - high) * b * s)


def count_from_shapes(widths, height, width):
    x, total = tf.zeros((1, height, width, 3)), 0
    for block, (N, number) in enumerate(zip(widths, (2, 2, 3, 3, 1))):
        x = tf.nn.max_pool2d(x, 2, 2, "VALID") if block else x
        for _ in range(number):
            total += np.prod(x.shape) * 9 * N
            x = tf.zeros((*x.shape[:3], N))
    return total


def readout_by_normal_equations(S, T):
    S, T = S - S.mean(0), T - T.mean(0)
    return tf.constant(((T - S @ np.linalg.solve(S.T @ S, S.T @ T)) ** 2).sum(0) / (T**2).sum(0))


def moments_by_average(F, T):
    F, weight = F.reshape(-1, F.shape[-1]), np.ravel(T) ** 2
    mean, square = np.average(F, 0, weight), np.average(F**2, 0, weight)
    return [mean, np.sqrt(square - mean**2)]


def mix_by_least_squares(G, A, B):
    columns = [((B[k] - A[k]).reshape(-1, 1), np.ravel(G[k] - A[k])) for k in reversed(A)]
    return np.concatenate([np.linalg.lstsq(E, D, rcond=None)[0] for E, D in columns]).mean()


def map_by_maximum(masks, weights):
    inside = np.max(np.asarray(weights)[:, None, None] * masks, axis=0)
    c = np.where(masks.any(axis=0), inside, 1)
    return tf.constant(c / c.mean())


def guides_by_transform(mask, width):
    share = tf.constant(float(mask.all()), shape=mask.shape, dtype=tf.float64)
    if mask.any() and not mask.all():
        inside, outside = map(ndimage.distance_transform_edt, (mask, ~mask))
        share = tf.clip_by_value(0.5 + np.where(mask, inside - 0.5, 0.5 - outside) / width, 0, 1)
    return tf.sqrt(tf.stack([share, 1 - share]))


def writes_by_tensorflow(kernel, stride, count):
    values, ones, length = tf.ones((1, count, 1)), tf.ones((kernel, 1, 1)), stride * (count - 1) + kernel
    return tf.nn.conv1d_transpose(values, ones, (1, length, 1), stride, padding="VALID")[0, :, 0]


def norm_by_tensorflow(F, gamma, beta, epsilon=1e-5):
    mean, variance = tf.nn.moments(F, axes=(1, 2), keepdims=True)
    return tf.nn.batch_normalization(F, mean, variance, beta, gamma, epsilon)


def flicker_by_scene(frames, steps):
    """On a canvas of the whole scene, NaN where a frame does not show it."""
    canvas = np.full((len(frames), frames[0].shape[0], np.ptp(steps) + frames[0].shape[1], 3), np.nan)
    for place, frame, step in zip(canvas, frames, steps):
        place[:, step - min(steps) :][:, : frame.shape[1]] = frame
    return tf.constant(np.nanmean(canvas.std(axis=0)))


def best_of_all(sizes, part, parts):
    """The best division where all can be tried, else by turns."""
    names = sorted(sizes)
    if len(names) > 8:
        return [name for k, name in enumerate(names) if k % parts == part - 1]
    divisions = itertools.product(range(parts), repeat=len(names))
    best = min(divisions, key=lambda owners: max(np.bincount(owners, [sizes[name] for name in names])))
    return [name for name, owner in zip(names, best) if owner == part - 1]


def join_pairwise(reports):
    """Two at a time, with the difference of their means."""
    (M, mean, C), *rest = reports
    for n, other, D in rest:
        step, C = other - mean, (M * C + n * D) / (M + n) + M * n / (M + n) ** 2 * np.outer(other - mean, other - mean)
        mean, M = mean + n / (M + n) * step, M + n
    return mean, C


def join_by_ones(reports):
    """Of columns (F, 1): one matrix with all sums, as the notebook has it."""
    total = 0
    for M, mean, C in reports:
        row = np.append(mean, 1.0)
        total = total + M * (np.pad(C, (0, 1)) + tf.tensordot(row, row, 0))
    total /= total[-1, -1]
    return total[-1, :-1], total[:-1, :-1] - tf.tensordot(total[-1, :-1], total[-1, :-1], 0)


def margin_by_pixels(chain):
    """Follow the first and the last pixel that one value sees, from the deepest layer to the image."""
    stride = int(np.prod([size for kind, size in chain if kind == "pool"]))
    first = last = 1000  # a position of the deepest layer
    for kind, size in reversed(chain):
        first, last = (
            (first - size // 2, last + size // 2) if kind == "conv" else (first * size, last * size + size - 1)
        )
    return np.ceil(max(1000 * stride - first, last - (1001 * stride - 1)) / stride) * stride


def margin_by_recursion(chain):
    """In units of the next layer: what the rest of the chain needs, as many pixels as the first pooling makes of it."""

    def seen(chain):
        if not chain:
            return 0
        (kind, size), *rest = chain
        return size // 2 + seen(rest) if kind == "conv" else size * seen(rest)

    stride = np.prod([size for kind, size in chain if kind == "pool"], dtype=int)
    return tf.constant(next(m for m in range(0, 10**6, stride) if m >= seen(chain)))


def side_from_left(F, F_tiles):
    """The clean stretch before the first border, and half of the band behind it."""
    wrong = np.any(np.abs(F - F_tiles) > 1e-3, axis=2)
    for each in (wrong, wrong.T):
        marks = "".join(".#"[int(column.all())] for column in each.T)
        found = re.match(r"(\.*)(#+)", marks)
        if found:
            return len(found[1]) + len(found[2]) / 2
    return 0


def side_by_trial(F, F_tiles):
    """The side whose borders, and no other places, are wrong."""
    wrong = np.linalg.norm(F - F_tiles, axis=-1) > 1e-3
    for side, width in itertools.product(range(1, max(wrong.shape)), range(1, max(wrong.shape))):
        near = [np.zeros(n, bool) for n in wrong.shape]
        for each in near:
            for border in range(side, len(each), side):
                each[max(border - width, 0) : border + width] = True
        if wrong.any() and 3 * width <= side and np.array_equal(wrong, near[0][:, None] | near[1]):
            return np.int64(side)
    return 0


def side_by_listing(height, width, stride, margin, room):
    """Count the tiles by cutting; the price of each in a table."""
    table = {}
    for side in range(stride, max(height, width) + stride, stride):
        tiles = [(top, left) for top in range(0, height, side) for left in range(0, width, side)]
        if side + 2 * margin <= np.sqrt(room):
            table.setdefault(len(tiles) * (side + 2 * margin) ** 2, side)
    return table[min(table)] if table else 0


def side_by_arrays(height, width, stride, margin, room):
    sides = np.arange(stride, max(height, width) + stride, stride)
    positions = np.square(sides + 2 * margin)
    price = np.ceil(height / sides) * np.ceil(width / sides) * positions
    price[positions > room] = np.inf
    return tf.constant(sides[np.argmin(price)] if np.isfinite(price).any() else 0)


RIGHT = {
    "preprocess_and_inverse": [
        (lambda x: tf.reverse(x, [-1]) * 255 - lesson_02.MEAN, lambda x: tf.reverse(x + lesson_02.MEAN, [-1]) / 255),
        [lambda x: np.stack([x[..., 2 - k] * 255.0 - lesson_02.MEAN[k] for k in range(3)], axis=-1),
         lambda x: x[..., [2, 1, 0]] / 255 + lesson_02.MEAN[::-1] / 255],
    ],
    "values_that_see": [watchers_backwards, lambda stack, q: [tf.constant(p) for p in watchers_backwards(stack, q)]],
    "content_target": [compiled_target],
    "average_pooling": [cloned_extractor],
    "diagonal_kernel": [[[2, -1, -1], [-1, 2, -1], [-1, -1, 2]], [[1, -1, 0], [-1, 2, -1], [0, -1, 1]],
                        tf.constant(np.eye(5) - 0.2), np.eye(3) / 3 - 1 / 9],
    "strided_convolution": [lambda x, w, s: tf.nn.conv2d(x[None], w, s, "VALID")[0]],
    "stack_summary": [stack_by_keras],
    "five_strangers": [{n.lower(): f"({k.upper()})" for n, k in reversed(lesson_01.STRANGERS.items())}],
    "gram_by_loops": [gram_by_tensorflow, lambda f: sum(map(np.outer, rows(f), rows(f)))],
    "gram_per_position": [
        lambda f: np.stack([rows(x).T @ rows(x) / len(rows(x)) for x in f]),
        lambda f: tf.einsum("bhwi,bhwj->bij", f, f) / f[0, ..., 0].size,
    ],
    "strength_free_error": [
        least_by_search,
        lambda G, A: 1 - (np.vdot(G, A) / np.linalg.norm(G) / np.linalg.norm(A)) ** 2,
    ],
    "error_from_positions": [
        lambda FF, FS, SS: 1 + (np.mean(FF**2) - 2 * np.mean(FS**2)) / np.mean(SS**2),
        lambda *tables: tf.tensordot([1.0, -2.0, 1.0], x := [tf.reduce_mean(t**2) for t in tables], 1) / x[2],
    ],
    "broken_gradients": [{n: f"({k.upper()})" for n, k in reversed(lesson_04.BROKEN.items())}],
    "content_gradient": [content_by_projection, lambda F, P: [[*row] for row in F - P - np.mean(F - P, axis=0)]],
    "balanced_weights": [lambda a, b, s: (a * s**2, b), lambda a, b, s: tf.constant([a, b / s**2])],
    "relative_style_gradient": [style_by_einsum],
    "broken_programs": [{n: f"({k.upper()})" for n, k in reversed(lesson_05.BROKEN.items())}],
    "momentum": [momentum_by_matrix],
    "largest_stable_step": [lambda H: 2 / np.linalg.norm(H, 2), by_power_iteration],
    "stopping_rule": [stop_later],
    "kept_channel": [nearest_by_axes],
    "mixed_style": [lambda a, b, s: tf.concat([b[: round(s * len(a))], a[: len(a) - round(s * len(a))]], axis=0),
                    lambda a, b, s: np.where(np.arange(a.shape[1])[:, None] < (1 - s) * a.shape[1], a, b)],
    "kept_region": [smoothly],
    "made_again": [again_by_name],
    "layer_factor": [lambda N, M: (N * N) ** 2 * M**2 / (2 * N * M) ** 2],
    "covariance_from_gram": [lambda G, mean, M: tf.constant(G) / M - tf.einsum("i,j->ij", mean, mean),
                             lambda G, mean, M: [[x / M - a * b for x, b in zip(r, mean)] for r, a in zip(G, mean)]],
    "adain_batch": [adain_by_tensorflow],
    "unbiased_mmd": [mmd_by_loops],
    "secant_rates": [lambda s, y: [np.linalg.lstsq(y[:, None], s)[0][0], 1 / np.linalg.lstsq(s[:, None], y)[0][0]],
                     lambda s, y: np.array([np.vdot(s, y) / np.linalg.norm(y) ** 2, np.vdot(s, s) / np.vdot(y, s)])],
    "damped_pair": [damped_by_bisection],
    "projected_gradient": [
        lambda x, g: max(min(b, a) if b > 0 else min(-b, 1 - a) for a, b in zip(x, g)),
        lambda x, g: tf.reduce_max(tf.abs(tf.clip_by_value(x - g, 0, 1) - x)),
    ],
    "boxed_lbfgs": [],
    "multiply_adds": [count_from_shapes],
    "merged_predictor": [lambda k, b, R, c: (tf.matmul(R, k), b + c @ k.sum((0, 1)))],
    "rescaled_pair": [
        lambda a, b, s: [[s * a[0], s * a[1]], [tf.einsum("abij,i->abij", b[0], 1 / tf.constant(s)), b[1]]]
    ],
    "best_readout": [readout_by_normal_equations],
    "found_mix": [
        mix_by_least_squares,
        lambda G, A, B: np.mean([np.vdot(G[k] - A[k], E / np.linalg.norm(E) ** 2) for k in A for E in [B[k] - A[k]]]),
    ],
    "guided_moments": [moments_by_average],
    "content_map": [map_by_maximum],
    "feathered_guides": [guides_by_transform],
    "transposed_writes": [writes_by_tensorflow],
    "instance_normalization": [norm_by_tensorflow],
    "flicker": [flicker_by_scene],
    "fair_shards": [best_of_all],
    "joined_statistics": [join_pairwise, join_by_ones],
    "chain_margin": [margin_by_pixels, margin_by_recursion],
    "found_side": [side_from_left, side_by_trial],
    "cheapest_side": [side_by_listing, side_by_arrays],
}  # fmt: skip


def names_in(tree):
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def is_constant(node):
    """A line like RATE = 0.02 or MEAN = np.array([...])."""
    return isinstance(node, ast.Assign) and names_in(node.targets[0]) == {ast.unparse(node.targets[0])} and (
        ast.unparse(node.targets[0]).isupper() and names_in(node.value) <= {"np"}
    )  # fmt: skip


def solutions():
    """The functions that the notebooks' solutions give as answers, with all definitions of their notebook."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        trees = [ast.parse(re.sub(r"^[%!].*$", "", cell.source, flags=re.M)) for cell in code]
        kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef)
        kept = [n for tree in trees for n in tree.body if isinstance(n, kinds) or is_constant(n)]
        defined = {node.name for node in kept if isinstance(node, ast.FunctionDef)}
        for cell, tree in zip(code, trees):
            if "solution" in cell.metadata.get("tags", []):
                call = tree.body[-1].test
                if call.func.attr in EXERCISES and names_in(call.args[0]) <= defined:
                    yield pytest.param(kept, call, id=call.func.attr)


@pytest.mark.parametrize("definitions, call", [*solutions()])
def test_the_notebooks_solution_passes(definitions, call, capsys):
    names = {}
    for each in definitions:
        with contextlib.suppress(NameError):  # of what is computed and not defined
            exec(compile(ast.Module([each], []), "notebook", "exec"), names)
    assert eval(ast.unparse(call), names), capsys.readouterr().out


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answers_pass(name, capsys):
    for answer in [foreign(EXERCISES[name].right), *RIGHT[name]]:
        assert EXERCISES[name](answer) is True, capsys.readouterr().out
        assert "All of it holds" in capsys.readouterr().out


MISTAKES = [pytest.param(name, hint, wrong, id=f"{name}: {hint}")
            for name, exercise in EXERCISES.items() for hint, wrong in exercise.mistakes.items()]  # fmt: skip
BREACHES = [pytest.param(name, law, wrong, id=f"{name}: {law.statement}")
            for name, exercise in EXERCISES.items() for law in exercise.laws for wrong in law.broken_by]  # fmt: skip


@pytest.mark.parametrize("name", EXERCISES)
def test_it_speaks_chinese(name, monkeypatch):
    monkeypatch.setenv("STLIB_LANGUAGE", "zh_CN")
    exercise = EXERCISES[name]
    texts = [exercise.result, exercise.hint, *exercise.cases, *exercise.mistakes]
    for law in exercise.laws:
        with np.errstate(all="ignore"):
            advice = [law.advice(exercise.seen(wrong)) for wrong in law.broken_by] if callable(law.hint) else [law.hint]
        texts += [law.statement, *advice]
    for text in filter(None, texts):
        assert re.search("[一-鿿]", translate(f"NO   {text}").removeprefix(translate("NO   "))), text
        assert not re.search(r"\b(the|is|it|of|are)\b", translate(text)), translate(text)


@pytest.mark.parametrize("name, hint, answer", MISTAKES)
def test_a_mistake_gets_its_own_hint(name, hint, answer, capsys):
    """So no two mistakes of an exercise coincide in all cases."""
    assert EXERCISES[name](foreign(answer)) is False
    assert f"Hint: {hint}\n" in capsys.readouterr().out


@pytest.mark.parametrize("name, law, answer", BREACHES)
def test_a_law_is_broken(name, law, answer, capsys):
    assert EXERCISES[name](foreign(answer)) is False
    out = capsys.readouterr().out
    assert f"NO   {law.statement}\n     Hint: " in out, out
    assert law.advice(EXERCISES[name].seen(answer)) in out or any(hint in out for hint in EXERCISES[name].mistakes), out


@pytest.mark.parametrize("name", EXERCISES)
def test_each_law_can_be_broken(name):
    assert all(law.broken_by for law in EXERCISES[name].laws)


def arrays(x):
    """All arrays, lists and dicts among arguments, at any depth."""
    inner = x.values() if isinstance(x, dict) else x if isinstance(x, (tuple, list)) else ()
    yield from [x] * isinstance(x, (np.ndarray, list, dict))
    for each in inner:
        yield from arrays(each)


FUNCTIONS = [name for name, each in EXERCISES.items() if each.call is apply and each.trials]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_must_not_change(name, capsys):
    """Whichever of them it is."""
    exercise = EXERCISES[name]
    for k in range(len([*arrays(exercise.trials[0][1])])):

        def spoiling(*arguments, k=k):
            result = exercise.right(*arguments)
            each = [*arrays(arguments)][k % len([*arrays(arguments)])]
            if isinstance(each, np.ndarray):
                each[...] = ~each if each.dtype == bool else each + 1
            else:
                each.clear()
            return result

        assert exercise(spoiling) is False
        assert IN_PLACE in capsys.readouterr().out


def in_place(photo):
    photo *= 0.5
    return photo


@pytest.mark.parametrize("name, answer", [
    ("preprocess_and_inverse", (lambda x: 2 * lesson_02.prepare(in_place(x)) + lesson_02.MEAN, lesson_02.invert)),
    ("content_target", lambda net, photo, layer: compiled_target(net, 2 * in_place(photo), layer)),
])  # fmt: skip
def test_nor_must_others(name, answer, capsys):
    assert EXERCISES[name](foreign(answer)) is False
    assert IN_PLACE in capsys.readouterr().out


def content_loss(F, P):
    return 0.5 * tf.reduce_sum(((F - P) - tf.reduce_mean(F - P, 0)) ** 2)


def style_loss(F, A):
    return tf.reduce_sum((tf.matmul(F, F, transpose_a=True) / len(F) - A) ** 2) / tf.reduce_sum(A**2)


@pytest.mark.parametrize("name, loss", [
    ("content_gradient", content_loss),
    ("relative_style_gradient", style_loss),
])  # fmt: skip
@pytest.mark.parametrize("h", [1e-5, 1e-3, 0.1])
def test_a_gradient_is_a_formula(name, loss, h, capsys):
    """Neither the tape nor central differences."""

    def by_tape(x, *others):
        with tf.GradientTape() as tape:
            tape.watch(x := tf.constant(x))
            value = loss(x, *others)
        return tape.gradient(value, x)

    assert EXERCISES[name](by_tape) is False
    assert "Write the formula" in capsys.readouterr().out
    assert EXERCISES[name](lambda x, *rest: lesson_04.differences(lambda x: loss(x, *rest).numpy(), x, h)) is False
    x, *rest = EXERCISES[name].trials[1][1]
    right = EXERCISES[name].right(x, *rest)
    np.testing.assert_allclose(lesson_04.differences(lambda x: loss(x, *rest).numpy(), x), right, atol=1e-6)


@pytest.mark.parametrize("name", EXERCISES)
def test_unsolved_or_broken_says_so(name, capsys):
    def starter(*_):
        raise NotImplementedError

    def broken(*_):
        raise KeyError("oops")

    def using(function):
        right = EXERCISES[name].right
        return tuple(function if callable(each) else each for each in right) if isinstance(right, tuple) else function

    unsolved = [None, ..., EXERCISES[name].starter]
    if callable(EXERCISES[name].right) or isinstance(EXERCISES[name].right, tuple):
        unsolved += [using(starter)] + [lambda *_: None, lambda *_: ...] * (name in FUNCTIONS)
        assert EXERCISES[name](using(broken)) is False
        assert "your code raised KeyError" in capsys.readouterr().out
    for answer in unsolved:
        assert EXERCISES[name](foreign(answer)) is False
        assert "Not solved yet" in capsys.readouterr().out


@pytest.mark.parametrize("name", EXERCISES)
def test_the_reference_is_no_answer(name, capsys):
    if not callable(EXERCISES[name].right):
        return
    assert EXERCISES[name](EXERCISES[name].right) is False
    assert "write yours" in capsys.readouterr().out
