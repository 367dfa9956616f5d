"""The checks of appendix A2 accept right answers, however written, and say of wrong ones what is wrong."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from conftest import unsolved
from scipy.optimize import Bounds, minimize

from stlib import checks


def secant(x0, g0, x1, g1):
    return x1 - (x1 - x0) / (g1 - g0) * g1


def secant_from_first(x0, g0, x1, g1):
    return (x0 * g1 - x1 * g0) / (g1 - g0)


def secant_by_tensorflow(x0, g0, x1, g1):
    slope = (tf.constant(g1, tf.float64) - g0) / (x1 - x0)
    return x1 - g1 / slope


SECANT_MISTAKES = {
    "sign": (lambda x0, g0, x1, g1: x1 + (x1 - x0) / (g1 - g0) * g1, "the sign is wrong"),
    "slope": (lambda x0, g0, x1, g1: x1 - (g1 - g0) / (x1 - x0) * g1, "divide by it"),
    "start at x0": (lambda x0, g0, x1, g1: x0 - (x1 - x0) / (g1 - g0) * g1, "you step from x0"),
    "derivative at x0": (lambda x0, g0, x1, g1: x1 - (x1 - x0) / (g1 - g0) * g0, "with the derivative at x0"),
    "only the change": (lambda x0, g0, x1, g1: -(x1 - x0) / (g1 - g0) * g1, "add it to x1"),
    "gradient descent": (lambda x0, g0, x1, g1: x1 - 0.1 * g1, "x1 - s / y * g1"),
}


def remember(pairs, s, y, m):
    good = s @ y > 1e-10 * np.linalg.norm(s) * np.linalg.norm(y)
    return [*pairs, (s, y)][-m:] if good else list(pairs)


def remember_by_angle(pairs, s, y, m):
    lengths = np.sqrt(np.sum(s**2) * np.sum(y**2))
    kept = tuple(pairs)
    if lengths > 0 and float(tf.tensordot(s, y, 1)) / lengths > 1e-10:
        kept += ((s, y),)
    return kept[max(0, len(kept) - m) :]


def in_place(pairs, s, y, m):
    if s @ y > 1e-10 * np.linalg.norm(s) * np.linalg.norm(y):
        pairs.append((s, y))
    del pairs[:-m]
    return pairs


def with_test(test):
    return lambda pairs, s, y, m: [*pairs, (s, y)][-m:] if test(s, y) else list(pairs)


def newest_first(pairs, s, y, m):
    return [(s, y), *pairs][:m] if remember([], s, y, m) else list(pairs)


def drops_newest(pairs, s, y, m):
    return remember(pairs, s, y, m + 1)[:m]


def forgets(pairs, s, y, m):
    return remember(pairs, s, y, m) if s @ y > 0 else []


REMEMBER_MISTAKES = {
    "no test": (with_test(lambda s, y: True), "leave out one with s . y < 0"),
    "zero kept": (with_test(lambda s, y: s @ y >= 0), "leave out one with s . y = 0"),
    "absolute": (with_test(lambda s, y: s @ y > 1e-10), "late steps are tiny"),
    "positive only": (with_test(lambda s, y: s @ y > 0), "large only because"),
    "newest first": (newest_first, "as the last, newest pair"),
    "newest dropped": (drops_newest, "drop the oldest"),
    "no limit": (lambda pairs, s, y, m: remember(pairs, s, y, 99), "drop the oldest"),
    "forgets all": (forgets, "keep the old pairs"),
    "in place": (in_place, "make a new list"),
}


def projected(x, g):
    return np.abs(np.clip(x - g, 0, 1) - x).max()


def projected_by_cases(x, g):
    return max(min(gi, xi) if gi > 0 else min(-gi, 1 - xi) for xi, gi in zip(x, g))


def projected_by_tensorflow(x, g):
    return tf.reduce_max(tf.abs(tf.clip_by_value(x - g, 0, 1) - x))


def overwriting(x, g):
    before = x.copy()
    x -= g
    return np.abs(np.clip(x, 0, 1) - before).max()


def masked(x, g):
    return np.abs(np.where((x > 0) & (x < 1), g, 0)).max()


def by_sign(x, g):
    return np.abs(g * (((x > 0) | (g < 0)) & ((x < 1) | (g > 0)))).max()


PROJECTED_MISTAKES = {
    "gradient": (lambda x, g: np.abs(g).max(), "cannot go further"),
    "length": (lambda x, g: np.linalg.norm(np.clip(x - g, 0, 1) - x), "not the length or the sum"),
    "sum": (lambda x, g: np.abs(np.clip(x - g, 0, 1) - x).sum(), "not the length or the sum"),
    "signed": (lambda x, g: -(np.clip(x - g, 0, 1) - x).min(), "take absolute values"),
    "all": (lambda x, g: np.abs(np.clip(x - g, 0, 1) - x), "return one number"),
    "plus": (lambda x, g: np.abs(np.clip(x + g, 0, 1) - x).max(), "cannot go further"),
    "bounds masked": (masked, "look at the sign of g"),
    "not clipped": (by_sign, "by 0.05 only"),
    "overwritten": (overwriting, "writes into the argument"),
}  # fmt: skip


def two_loop(g, pairs):
    q, alphas = g.copy(), []
    for s, y in reversed(pairs):
        alphas.append(s @ q / (s @ y))
        q -= alphas[-1] * y
    for s, y in pairs[-1:]:
        q *= s @ y / (y @ y)
    for (s, y), alpha in zip(pairs, reversed(alphas)):
        q += (alpha - y @ q / (s @ y)) * s
    return -q


def boxed(f, x, steps, fix=True, true_steps=True, stop=True, clip=True):
    inside = (lambda x: np.clip(x, 0, 1)) if clip else (lambda x: x)
    pairs, (value, g) = [], f(x)
    for _ in range(steps):
        if stop and projected(x, g) < 1e-9:
            break
        free = ((x > 0) | (g < 0)) & ((x < 1) | (g > 0)) if fix else np.ones(x.shape, bool)
        own = [(s * free, y * free) for s, y in pairs]
        d = two_loop(g * free, [pair for pair in own if remember([], *pair, 1)]) * free
        t = 1.0 if pairs else 1 / np.linalg.norm(d)
        for _ in range(25):
            new = inside(x + t * d)
            new_value, new_g = f(new)
            if new_value <= value + 1e-4 * g @ (new - x):
                break
            t /= 2
        else:
            break
        pairs = remember(pairs, new - x if true_steps else t * d, new_g - g, 10)
        x, value, g = new, new_value, new_g
    return x


def boxed_by_scipy(f, x, steps):
    return minimize(f, x, jac=True, method="L-BFGS-B", bounds=Bounds(0, 1), options=dict(ftol=0, gtol=1e-9)).x


def inside_only(f, x, steps):
    return np.clip(boxed(lambda x: f(np.clip(x, 0, 1)), x, steps, fix=False, stop=False, clip=False), 0, 1)


def at_the_end(f, x, steps):
    return np.clip(boxed(f, x, steps, fix=False, clip=False), 0, 1)


def descent(f, x, steps, rate=0.5):
    for _ in range(steps):
        x = np.clip(x - rate * f(x)[1], 0, 1)
    return x


def starts_by_writing(f, x, steps):
    x += 0.01
    return boxed(f, x, steps)


BOXED_MISTAKES = {
    "clipped inside": (inside_only, "fix the pixels that a bound holds"),
    "clipped at the end": (at_the_end, "asked for a point outside"),
    "not clipped": (functools.partial(boxed, clip=False, fix=False), "asked for a point outside"),
    "nothing fixed": (functools.partial(boxed, fix=False), "fix the pixels that a bound holds"),
    "gradient descent": (descent, "of the possible fall is left"),
    "slow descent": (lambda f, x, steps: descent(f, x, 4000), "evaluate f 1"),
    "returns two": (lambda f, x, steps: (boxed(f, x, steps), []), "your code raised ValueError"),
    "returns the loss": (lambda f, x, steps: f(x)[0], "return the last x"),
    "overwritten": (starts_by_writing, "writes into the argument"),
}

CASES = [
    (checks.secant_step, [secant, secant_from_first, secant_by_tensorflow], SECANT_MISTAKES),
    (checks.remembered_pairs, [remember, remember_by_angle], REMEMBER_MISTAKES),
    (checks.projected_gradient, [projected, projected_by_cases, projected_by_tensorflow], PROJECTED_MISTAKES),
    (checks.boxed_lbfgs, [boxed, boxed_by_scipy], BOXED_MISTAKES),
]


@pytest.mark.parametrize("check, answer", [(check, answer) for check, answers, _ in CASES for answer in answers])
def test_accepts(check, answer, capsys):
    assert check(answer), capsys.readouterr().out
    assert "All of it holds" in capsys.readouterr().out


@pytest.mark.parametrize("check, mistake, answer, hint", [
    (check, mistake, *wrong) for check, _, mistakes in CASES for mistake, wrong in mistakes.items()
])  # fmt: skip
def test_rejects(check, mistake, answer, hint, capsys):
    assert check(answer) is False
    out = capsys.readouterr().out
    assert hint in out, out


@pytest.mark.parametrize("check", [case[0] for case in CASES])
@pytest.mark.parametrize("answer", [unsolved, None, ...])
def test_unsolved_says_so(check, answer, capsys):
    assert check(answer) is False
    assert "Not solved yet" in capsys.readouterr().out
