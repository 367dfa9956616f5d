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


def stack_by_keras(shape, stack):
    model = keras.Sequential([keras.Input(shape)])
    for kind, *settings in stack:
        model.add(keras.layers.MaxPooling2D(*settings) if kind == "pool" else keras.layers.Conv2D(*settings))
    return model.output_shape[1:], model.count_params()


def compiled_target(net, photo, layer):
    cut = keras.Model(net.input, net.get_layer(layer).output)
    P = cut.predict(network.preprocess(photo)[None], verbose=0)
    return tf.function(lambda x: tf.nn.l2_loss(cut(network.preprocess(x)[None]) - P))


def stop_later(history, limit):
    """Waits 60 steps instead of 20."""
    losses = np.array(history)
    if len(losses) >= limit or np.isnan(losses[-1]) or np.isinf(losses[-1]):
        return np.bool_(True)
    lowest = np.minimum.accumulate(losses[np.isfinite(losses)])
    return len(lowest) > 80 and lowest[-1] > 0.999 * lowest[-61]


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


def flicker_by_scene(frames, steps):
    """On a canvas of the whole scene, NaN where a frame does not show it."""
    canvas = np.full((len(frames), frames[0].shape[0], np.ptp(steps) + frames[0].shape[1], 3), np.nan)
    for place, frame, step in zip(canvas, frames, steps):
        place[:, step - min(steps) :][:, : frame.shape[1]] = frame
    return tf.constant(np.nanmean(canvas.std(axis=0)))


def damped_by_trial(s, y, b):
    """The largest of a million theta that meets the condition."""
    theta = np.linspace(1, 0, 10**6 + 1)
    theta = theta[np.argmax(theta * (s @ y) + (1 - theta) * b * (s @ s) >= 0.2 * b * s @ s - 1e-12)]
    return theta * y + (1 - theta) * b * s


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


def margin_by_pixels(chain):
    """Follow the first and the last pixel that one value sees, from the deepest layer to the image."""
    stride = int(np.prod([size for kind, size in chain if kind == "pool"]))
    first = last = 1000  # a position of the deepest layer
    for kind, size in reversed(chain):
        first, last = (
            (first - size // 2, last + size // 2) if kind == "conv" else (first * size, last * size + size - 1)
        )
    return np.ceil(max(1000 * stride - first, last - (1001 * stride - 1)) / stride) * stride


def side_from_left(F, F_tiles):
    """The clean stretch before the first border, and half of the band behind it."""
    wrong = np.any(np.abs(F - F_tiles) > 1e-3, axis=2)
    for each in (wrong, wrong.T):
        marks = "".join(".#"[int(column.all())] for column in each.T)
        found = re.match(r"(\.*)(#+)", marks)
        if found:
            return len(found[1]) + len(found[2]) / 2
    return 0


def side_by_listing(height, width, stride, margin, room):
    """Count the tiles by cutting; the price of each in a table."""
    table = {}
    for side in range(stride, max(height, width) + stride, stride):
        tiles = [(top, left) for top in range(0, height, side) for left in range(0, width, side)]
        if side + 2 * margin <= np.sqrt(room):
            table.setdefault(len(tiles) * (side + 2 * margin) ** 2, side)
    return table[min(table)] if table else 0


RIGHT = {
    "preprocess_and_inverse": [
        (lambda x: tf.reverse(x, [-1]) * 255 - lesson_02.MEAN, lambda x: tf.reverse(x + lesson_02.MEAN, [-1]) / 255),
    ],
    "content_target": [compiled_target],
    "diagonal_kernel": [[[2, -1, -1], [-1, 2, -1], [-1, -1, 2]], [[1, -1, 0], [-1, 2, -1], [0, -1, 1]],
                        tf.constant(np.eye(5) - 0.2), np.eye(3) / 3 - 1 / 9],
    "strided_convolution": [lambda x, w, s: tf.nn.conv2d(x[None], w, s, "VALID")[0]],
    "stack_summary": [stack_by_keras],
    "five_strangers": [{n.lower(): f"({k.upper()})" for n, k in reversed(lesson_01.STRANGERS.items())}],
    "gram_by_loops": [lambda F: sum(tf.tensordot(f, f, 0) for f in tf.reshape(F, (-1, F.shape[-1])))],
    "gram_per_position": [lambda F: np.stack([rows(x).T @ rows(x) / len(rows(x)) for x in F])],
    "error_from_positions": [lambda FF, FS, SS: 1 + (np.mean(FF**2) - 2 * np.mean(FS**2)) / np.mean(SS**2)],
    "broken_gradients": [{n: f"({k.upper()})" for n, k in reversed(lesson_04.BROKEN.items())}],
    "balanced_weights": [lambda a, b, s: (a * s**2, b), lambda a, b, s: tf.constant([a, b / s**2])],
    "broken_programs": [{n: f"({k.upper()})" for n, k in reversed(lesson_05.BROKEN.items())}],
    "momentum": [lambda mu, t: [sum((sign * mu) ** k for k in range(min(t, 999))) for sign in (1, -1)]],
    "largest_stable_step": [lambda H: 2 / np.linalg.norm(H, 2)],
    "stopping_rule": [stop_later],
    "kept_channel": [lambda p, x, w: p + (images.resize(x, p.shape[:2]) - p) @ np.outer(w, w) / np.vdot(w, w)],
    "mixed_style": [lambda a, b, s: tf.concat([b[: round(s * len(a))], a[: len(a) - round(s * len(a))]], axis=0),
                    lambda a, b, s: np.where(np.arange(a.shape[1])[:, None] < (1 - s) * a.shape[1], a, b)],
    "kept_region": [smoothly],
    "made_again": [again_by_name],
    "adain_batch": [adain_by_tensorflow],
    "unbiased_mmd": [lambda x, y, k: sum(np.mean([k(a, b) for a, b in itertools.permutations(each[:, None], 2)])
                                         for each in (x, y)) - 2 * k(x, y).mean()],
    "secant_rates": [lambda s, y: [np.linalg.lstsq(y[:, None], s)[0][0], 1 / np.linalg.lstsq(s[:, None], y)[0][0]]],
    "damped_pair": [damped_by_trial],
    "projected_gradient": [lambda x, g: max(min(b, a) if b > 0 else min(-b, 1 - a) for a, b in zip(x, g))],
    "merged_predictor": [lambda k, b, R, c: (tf.matmul(R, k), b + c @ k.sum((0, 1)))],
    "found_mix": [lambda G, A, B: np.mean([np.linalg.lstsq((B[k] - A[k]).reshape(-1, 1), np.ravel(G[k] - A[k]))[0]
                                           for k in A])],
    "instance_normalization": [lambda F, gamma, beta, epsilon: tf.nn.batch_normalization(
        F, *tf.nn.moments(F, (1, 2), keepdims=True), beta, gamma, epsilon)],
    "flicker": [flicker_by_scene],
    "fair_shards": [best_of_all],
    "joined_statistics": [join_pairwise],
    "chain_margin": [margin_by_pixels],
    "found_side": [side_from_left],
    "cheapest_side": [side_by_listing],
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
    for answer in [foreign(EXERCISES[name].right), *RIGHT.get(name, [])]:
        assert EXERCISES[name](answer) is True, capsys.readouterr().out
        assert "All of it holds" in capsys.readouterr().out


def as_tensors(x):
    return tuple(map(as_tensors, x)) if isinstance(x, tuple) else tf.constant(x)


def as_lists(x):
    return list(map(as_lists, x)) if isinstance(x, tuple) else np.asarray(x).tolist()


def in_single_precision(x):
    return list(map(in_single_precision, x)) if isinstance(x, tuple) else np.float32(x)


OF_NUMBERS = [n for n, each in EXERCISES.items() if each.call in (apply, lesson_04.by_hand) and each.unique]


@pytest.mark.parametrize("form", [as_tensors, as_lists, in_single_precision])
@pytest.mark.parametrize("name", OF_NUMBERS)
def test_numbers_may_come_in_any_form(name, form, capsys):
    exercise = EXERCISES[name]
    if form is not in_single_precision or exercise.rtol:  # without a tolerance they are whole
        assert exercise(lambda *arguments: form(exercise.right(*arguments))) is True, capsys.readouterr().out


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
