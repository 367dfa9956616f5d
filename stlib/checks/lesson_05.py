"""Checks of lesson 05: momentum, stable steps, stopping, and what is wrong with a program."""

import math

import numpy as np

from stlib.checks.exercise import Exercise, Law
from stlib.checks.lesson_01 import diagnosis

# --- what is wrong with a program

BROKEN = {1: "a", 2: "e", 3: "c", 4: "g", 5: "d"}  # picture -> line that was broken
SIGNS = {
    "a": "the painting has left no trace, and the loss is small from its first step: what is this picture like?",
    "c": "its loss falls below zero: which line can make a sum of squares negative?",
    "d": "its loss jumps up before it falls, and the picture is harsh: how far does each pixel move in a step?",
    "e": "its curve is as good as any, yet single spots have the opposite color: what is 260 in 8 bits?",
    "g": "its curve is as good as any and its forms are right; only all colors are exchanged: red with which one?",
}


broken_programs = diagnosis(BROKEN, SIGNS, "picture", "bf")


# --- how far momentum carries


def lengths(mu, t):
    return (1 - mu**t) / (1 - mu), (1 - (-mu) ** t) / (1 + mu)


momentum = Exercise(
    right=lengths,
    cases={
        "the first step is a plain one": (0.9, 1),
        "three steps are the sum of three terms": (0.9, 3),
        "four are, where the shorter one goes the other way": (0.9, 4),
        "without momentum (mu = 0) all steps are plain": (0.0, 5),
        "so it is with another mu, after many steps": [(0.5, 2), (0.5, 7), (0.8, 30)],
        "and for ever": [(0.9, math.inf), (0.5, math.inf)],
    },
    result="it returns two numbers",
    mistakes={
        "these are the lengths after infinitely many steps: the series ends after t terms.":
            lambda mu, t: (1 / (1 - mu), 1 / (1 + mu)),
        "in the second series each term has another sign than the one before: 1 - mu + mu^2 - ...":
            lambda mu, t: (lengths(mu, t)[0],) * 2,
        "the last term of the second series has a sign of its own: the series of -mu, to the power t.":
            lambda mu, t: (lengths(mu, t)[0], (1 - mu**t) / (1 + mu)),
        "the second one is first, from equal gradients: return equal, alternating.": lambda mu, t: lengths(mu, t)[::-1],
        "one term too many: t steps give the powers 0 to t - 1.": lambda mu, t: lengths(mu, t + 1),
        "one term too few: t steps give the powers 0 to t - 1.": lambda mu, t: lengths(mu, t - 1),
        "that is the last term alone: the velocity sums all of them.": lambda mu, t: (mu ** (t - 1),) * 2,
        "no rule here has a factor 1 - mu before g: that is Adam's mean.":
            lambda mu, t: (1 - mu**t, (1 - mu) * lengths(mu, t)[1]),
        "all gradients count alike here: each step, the older ones lose another factor mu.":
            lambda mu, t: (t, t % 2 if t < math.inf else 0),
        "the power of -mu belongs in brackets: in Python -mu**t is -(mu**t).":
            lambda mu, t: (lengths(mu, t)[0], (1 + mu**t) / (1 + mu)),
    },
    hint="write the velocity out for t = 3: which power of mu does each gradient have, and which sign?",
)  # fmt: skip


# --- the largest stable step


def eigenvalues(H):
    return np.linalg.eigvalsh(H)


VALLEY, Q = np.diag([1.0, 25.0]), np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]

largest_stable_step = Exercise(
    right=lambda H: 2 / eigenvalues(H).max(),
    cases={
        "below it, descent in a valley comes to the minimum, above it flees": (VALLEY,),
        "so it does in a valley that is turned, in four dimensions": (Q @ np.diag([0.5, 1.0, 4.0, 9.0]) @ Q.T,),
        "and in one dimension": (np.array([[4.0]]),),
    },
    result="it is one number",
    mistakes={
        "this is 2 / smallest eigenvalue: the steepest direction breaks first.": lambda H: 2 / eigenvalues(H).min(),
        "1 / largest eigenvalue jumps to the bottom; twice that is still stable.": lambda H: 1 / eigenvalues(H).max(),
        "this is the fastest step, for the largest stable one you need one eigenvalue only.":
            lambda H: 2 / (eigenvalues(H).max() + eigenvalues(H).min()),
        "this is one from the trace: the largest stable step needs one eigenvalue only.": lambda H: 2 / np.trace(H),
        "where H is not diagonal, no entry is an eigenvalue.": lambda H: 2 / np.diag(H).max(),
        "one number, not one for each: take the largest eigenvalue.": lambda H: 2 / eigenvalues(H),
        "a step is a positive number.": lambda H: -2 / eigenvalues(H).max(),
        "a larger step still comes to the minimum: 1 - step * eigenvalue may go down to -1.":
            lambda H: 1.9 / eigenvalues(H).max(),
        "with this step descent flees: 1 - step * eigenvalue must stay above -1.": lambda H: 2.2 / eigenvalues(H).max(),
    },
    hint="1 - step * eigenvalue must stay between -1 and 1 for every eigenvalue: which one breaks first?",
    rtol=1e-2,
)  # fmt: skip


# --- a rule that stops

FALLING = list(0.999 ** np.arange(900))  # 2% in 20 steps
NOISY = [loss * (1 + 0.5 * (k % 7 == 3)) for k, loss in enumerate(FALLING)]
FLAT = FALLING[:200] + [FALLING[199] * (1 + 0.3 * (k % 5 == 0)) for k in range(200)]
SPARSE = [np.inf if k % 2 else 0.9999**k for k in range(40)]  # 20 finite losses
HOLES = [np.nan if k % 9 == 5 else loss for k, loss in enumerate(FLAT)]


def patient(history, limit, gain=0.99, at_once=True, finite=math.isfinite):
    """The rule; each setting is the place of a mistake."""
    over = len(history) >= limit or (at_once and not math.isfinite(history[-1]))
    good = [loss for loss in history if finite(loss)]
    return bool(over or (len(good) > 20 and min(good[-20:]) >= gain * min(good[:-20])))


def other(rule):
    """The limit and the last loss in order, and another rule for what lies between."""
    return lambda h, n: len(h) >= n or not np.isfinite(h[-1]) or (len(h) > 20 and bool(rule(h)))


def first(stop, losses, limit=1000):
    """The number of losses at which a rule stops first, 0 if it never does; at the end of these it may."""
    return next((n for n in range(1, len(losses)) if np.isfinite(losses[n - 1]) and stop(losses[:n], limit)), 0)


def truth(value):
    return np.ndim(value) == 0 and np.asarray(value).dtype == bool


def scaled(stop, *factors):
    ends = [[stop(losses[:n], 1000) for n in range(1, 400)] for losses in ([by * x for x in FLAT] for by in factors)]
    return all(end == ends[0] for end in ends)


def keeps(stop):
    given = FLAT[300::-1]
    stop(given, 1000)
    return given == FLAT[300::-1]


stopping_rule = Exercise(
    right=patient,
    unique=False,
    laws=(
        Law("it answers True or False", lambda stop: all(truth(stop(FLAT[:n], 1000)) for n in (1, 2, 30, 400)),
            "answer True or False (or a NumPy truth value), also for a list with one loss.", (lambda h, n: min(h),)),
        Law("it leaves the history as it is", keeps, "do not append to, sort or clear it: copy it first.",
            (lambda h, n: h.sort() or patient(h, n),)),
        Law("it goes on with fewer than 21 losses", lambda stop: not 0 < first(stop, FALLING) < 21,
            lambda stop: f"it stops after {first(stop, FALLING)}: too early to tell.",
            (lambda h, n: len(h) > 1, lambda h, n: len(h) > 10)),
        Law("it never stops while the loss falls steadily", lambda stop: not first(stop, FALLING),
            lambda stop: f"at step {first(stop, FALLING)} it stops, though each loss is 0.1% below the one before: "
            "compare with 20 steps back, and by ratio, not by difference.",
            (other(lambda h: h[-1] >= 0.99 * h[-2]), other(lambda h: min(h[:-20]) - min(h[-20:]) < 0.01),
             lambda h, n: patient(h, n, gain=0.95), lambda h, n: patient(h, n) or (len(h) > 20 and h[-1] < 0.5))),
        Law("a single high loss does not stop it", lambda stop: not first(stop, NOISY),
            lambda stop: f"at step {first(stop, NOISY)} one high loss stops it: compare the lowest of the last 20 with "
            "the lowest of all before.", (other(lambda h: h[-1] > h[-2]), other(lambda h: h[-1] >= 0.99 * h[-21]))),
        Law("it stops when nothing is gained for long", lambda stop: any(stop(FLAT[:n], 1000) for n in range(200, 301)),
            "in 200 steps there was no new lowest loss, only jumps up, and it goes on: compare lowest with lowest.",
            (lambda h, n: False, other(lambda h: False))),
        Law("losses that are not finite do not count", lambda stop: not first(stop, SPARSE) and first(stop, HOLES),
            "leave out what is not finite; then compare the last 20 with all before, if there are more than 20.",
            (lambda h, n: patient(h, n, finite=lambda x: True),
             other(lambda h: np.min(h[-20:]) >= 0.99 * np.min(h[:-20])),
             other(lambda h: np.isfinite(h).sum() > 20 and np.min(h[-20:]) >= 0.99 * np.min(h[:-20])))),
        Law("it ends at the limit, even while improving", lambda stop: all(stop(FALLING[:n], 50) for n in (50, 60)),
            "if the loss falls for ever, it never ends: len(history) >= limit is reason enough.",
            (lambda h, n: patient(h, 10**9), lambda h, n: patient(h, n + 1))),
        Law("it stops when the last loss is not a finite number",
            lambda stop: all(stop([*FALLING[:n], bad], 1000) for n in (5, 50) for bad in (np.nan, np.inf, -np.inf)),
            "ask np.isfinite(history[-1]), early too.",
            (lambda h, n: patient(h, n, at_once=False), lambda h, n: patient(h, n, at_once=len(h) > 20))),
        Law("losses times a million, or a millionth, change nothing", lambda stop: scaled(stop, 1, 1e6, 1e-6),
            "compare ratios: a fixed amount has units.",
            (lambda h, n: patient(h, n) or (len(h) > 20 and h[-1] < 1e-4),)),
    ),
)  # fmt: skip
