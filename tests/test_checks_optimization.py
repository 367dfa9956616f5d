"""The checks of lesson 05 accept right answers, however written, and say of wrong ones what is wrong."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import rejected, unsolved

from stlib import checks
from stlib.checks import optimization as lesson

RIGHT = dict(lesson.BROKEN)
PROGRAM_MISTAKES = {
    "a list": (list(RIGHT.values()), "write it as"),
    "a picture missing": ({1: "a", 2: "c", 3: "d", 4: "e"}, "with the numbers 1 to 5"),
    "no such line": (RIGHT | {1: "x"}, "from a to g"),
    "one letter twice": (RIGHT | {1: RIGHT[2]}, "each time it was a different line"),
    "clipping and BGR exchanged": (RIGHT | {2: "g", 4: "e"}, "260 in 8 bits"),
    "sign and rate exchanged": (RIGHT | {3: "d", 5: "c"}, "falls below zero"),
    "start instead of targets": (RIGHT | {1: "b"}, "left no trace"),
    "saving instead of BGR": (RIGHT | {4: "f"}, "all colors are exchanged"),
    "start instead of rate": (RIGHT | {5: "b"}, "jumps up"),
}


@pytest.mark.parametrize("answer", [RIGHT, {n: f"({k.upper()})" for n, k in reversed(RIGHT.items())}])
def test_broken_programs_accepts(answer, capsys):
    assert checks.broken_programs(answer), capsys.readouterr().out


@pytest.mark.parametrize("mistake", PROGRAM_MISTAKES)
def test_broken_programs_rejects(mistake, capsys):
    rejected(checks.broken_programs, *PROGRAM_MISTAKES[mistake], capsys)


def test_broken_programs_has_a_hint_for_each_line_that_was_broken():
    assert set(lesson.BROKEN.values()) == set(lesson.SIGNS)


def nesterov(g, velocity, learning_rate, mu=0.9):
    velocity = -learning_rate * g if velocity is None else mu * velocity - learning_rate * g
    return mu * velocity - learning_rate * g, velocity


def nesterov_by_tensorflow(g, velocity, learning_rate, mu=0.9):
    g = tf.constant(g)
    velocity = tf.zeros_like(g) if velocity is None else velocity
    new = mu * velocity - learning_rate * g
    return new + mu * (new - velocity), new  # the same, written as a correction


def plain_momentum(g, velocity, learning_rate, mu=0.9):
    velocity = mu * (0 if velocity is None else velocity) - learning_rate * g
    return velocity, velocity


def uphill(g, velocity, learning_rate, mu=0.9):
    return nesterov(-g, velocity, learning_rate, mu)


def without_gradient(g, velocity, learning_rate, mu=0.9):
    _, velocity = nesterov(g, velocity, learning_rate, mu)
    return mu * velocity, velocity


def forgetful(g, velocity, learning_rate, mu=0.9):
    return nesterov(g, None, learning_rate, mu)


def change_as_state(g, velocity, learning_rate, mu=0.9):
    change, _ = nesterov(g, velocity, learning_rate, mu)
    return change, change


def in_place(g, velocity, learning_rate, mu=0.9):
    g *= learning_rate
    return nesterov(g, velocity, 1, mu)


def mu_fixed(g, velocity, learning_rate, mu=0.9):
    return nesterov(g, velocity, learning_rate, 0.8)


MOMENTUM_MISTAKES = {
    "plain": (plain_momentum, "this is plain momentum"),
    "uphill": (uphill, "uphill"),
    "without the gradient": (without_gradient, "without the gradient"),
    "velocity forgotten": (forgetful, "is forgotten"),
    "change as state": (change_as_state, "the state must be the velocity"),
    "in place": (in_place, "changes g itself"),
    "mu fixed": (mu_fixed, "mu must multiply the velocity"),
    "change only": (lambda g, *_: -0.18 * g, "return change, velocity"),
    "other factor": (lambda g, velocity, rate, mu: (-rate * g / 3, g), "at rest the velocity"),
    "None not expected": (lambda g, velocity, rate, mu: (mu * velocity - rate * g, g), "your code raised TypeError"),
}


@pytest.mark.parametrize("answer", [nesterov, nesterov_by_tensorflow])
def test_momentum_accepts(answer, capsys):
    assert checks.momentum(answer), capsys.readouterr().out


@pytest.mark.parametrize("mistake", MOMENTUM_MISTAKES)
def test_momentum_rejects(mistake, capsys):
    rejected(checks.momentum, *MOMENTUM_MISTAKES[mistake], capsys)


def by_power_iteration(H):
    x = np.arange(1.0, len(H) + 1)
    for _ in range(500):
        x = H @ x / np.linalg.norm(H @ x)
    return float(2 / (x @ H @ x))


def eigenvalues_in_place(H):
    H *= 2
    return 4 / np.linalg.eigvalsh(H).max()


STEP_MISTAKES = {
    "smallest eigenvalue": (lambda H: 2 / np.linalg.eigvalsh(H).min(), "2 / smallest eigenvalue"),
    "one instead of two": (lambda H: 1 / np.linalg.eigvalsh(H).max(), "twice as far it is still stable"),
    "fastest": (lambda H: 2 / (np.linalg.eigvalsh(H).max() + np.linalg.eigvalsh(H).min()), "this is the fastest step"),
    "trace": (lambda H: 2 / np.trace(H), "one from the trace"),
    "diagonal": (lambda H: 2 / np.diag(H).max(), "H is not diagonal"),
    "largest entry": (lambda H: 2 / np.abs(H).max(), "H is not diagonal"),
    "all eigenvalues": (lambda H: 2 / np.linalg.eigvalsh(H), "one number, not one for each"),
    "negative": (lambda H: -2 / np.linalg.eigvalsh(H).max(), "one positive number"),
    "in place": (eigenvalues_in_place, "work on a copy"),
    "careful": (lambda H: 1.9 / np.linalg.eigvalsh(H).max(), "a larger step still"),
    "careless": (lambda H: 2.2 / np.linalg.eigvalsh(H).max(), "which one breaks first"),
}


@pytest.mark.parametrize("answer", [lambda H: 2 / np.linalg.norm(H, 2), by_power_iteration])
def test_largest_stable_step_accepts(answer, capsys):
    assert checks.largest_stable_step(answer), capsys.readouterr().out


@pytest.mark.parametrize("mistake", STEP_MISTAKES)
def test_largest_stable_step_rejects(mistake, capsys):
    rejected(checks.largest_stable_step, *STEP_MISTAKES[mistake], capsys)


def over(history, limit):
    return len(history) >= limit or not np.isfinite(history[-1])


def stop(history, limit):
    return over(history, limit) or (len(history) > 20 and min(history[-20:]) >= 0.99 * min(history[:-20]))


def patient_stop(history, limit):
    """Wait 60 steps instead of 20; with NumPy."""
    losses = np.array(history)
    if len(losses) >= limit or np.isnan(losses[-1]) or np.isinf(losses[-1]):
        return np.bool_(True)
    lowest = np.minimum.accumulate(losses)
    return len(losses) > 80 and lowest[-1] > 0.999 * lowest[-61]


def rises(h):
    return len(h) > 20 and h[-1] > h[-2]


def no_gain(h, back=20, share=0.99):
    return len(h) > 20 and h[-1] >= share * h[-1 - back]


def sorting(history, limit):
    result = stop(history, limit)
    history.sort()
    return result


def late_nan(h, n):
    return len(h) >= n or (len(h) > 20 and (not np.isfinite(h[-1]) or stop(h, n)))


STOP_MISTAKES = {
    "never": (lambda h, n: False, "compare lowest with lowest"),
    "at the limit only": (lambda h, n: over(h, n), "compare lowest with lowest"),
    "no limit": (lambda h, n: not np.isfinite(h[-1]) or stop(h, 10**9), "len(history) >= limit"),
    "step by step": (lambda h, n: over(h, n) or no_gain(h, 1), "20 steps back"),
    "any rise": (lambda h, n: over(h, n) or rises(h), "one high loss stops it"),
    "last with 20 back": (lambda h, n: over(h, n) or no_gain(h), "one high loss stops it"),
    "at once": (lambda h, n: over(h, n) or len(h) > 1, "too early"),
    "an index error": (lambda h, n: over(h, n) or h[-1] > h[-21], "your code raised IndexError"),
    "a fixed difference": (
        lambda h, n: over(h, n) or (len(h) > 20 and min(h[:-20]) - min(h[-20:]) < 0.01),
        "by ratio",
    ),
    "a fixed loss": (lambda h, n: stop(h, n) or (len(h) > 20 and h[-1] < 1e-4), "compare ratios"),
    "no NaN": (lambda h, n: len(h) >= n or (len(h) > 20 and min(h[-20:]) >= 0.99 * min(h[:-20])), "np.isfinite"),
    "NaN too late": (late_nan, "early too"),
    "a number": (lambda h, n: min(h), "True or False"),
    "sorts": (sorting, "do not append to, sort or clear"),
    "5% asked for": (lambda h, n: over(h, n) or (len(h) > 20 and min(h[-20:]) > 0.95 * min(h[:-20])), "0.1% below"),
}


@pytest.mark.parametrize("answer", [stop, patient_stop])
def test_stopping_rule_accepts(answer, capsys):
    assert checks.stopping_rule(answer), capsys.readouterr().out


@pytest.mark.parametrize("mistake", STOP_MISTAKES)
def test_stopping_rule_rejects(mistake, capsys):
    rejected(checks.stopping_rule, *STOP_MISTAKES[mistake], capsys)


CHECKS = [checks.broken_programs, checks.momentum, checks.largest_stable_step, checks.stopping_rule]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("answer", [None, ...])
def test_unsolved_says_so(check, answer, capsys):
    rejected(check, answer, "Not solved yet", capsys)


@pytest.mark.parametrize("check", CHECKS[1:])
def test_starter_says_so(check, capsys):
    rejected(check, unsolved, "Not solved yet", capsys)
