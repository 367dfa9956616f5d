"""Checks of lesson 05: momentum, stable steps, stopping, and what is wrong with a program."""

import numpy as np

from stlib.checks.report import check

BROKEN = {1: "a", 2: "e", 3: "c", 4: "g", 5: "d"}  # picture -> line that was broken
SIGNS = {
    "a": "the painting has left no trace, and the loss is small from its first step: what is this picture like?",
    "c": "its loss falls below zero: which line can make a sum of squares negative?",
    "d": "its loss jumps up before it falls, and the picture is harsh: how far does each pixel move in a step?",
    "e": "its curve is as good as any, yet single spots have the opposite color: what is 260 in 8 bits?",
    "g": "its curve is as good as any and its forms are right; only all colors are exchanged: red with which one?",
}


@check
def broken_programs(answer):
    """Check a dict: number of a picture -> letter of the line that was broken."""
    hint = 'write it as {1: "b", 2: "f", ...}, with the numbers 1 to 5.'
    yield (
        "it is a dict with an answer for each of the five pictures",
        isinstance(answer, dict) and set(answer) == set(BROKEN),
        hint,
    )
    letters = {number: str(letter).strip(" ()").lower() for number, letter in answer.items()}
    hint = "each answer is the letter of a line, from a to g."
    yield "each answer is one of the seven letters", set(letters.values()) <= set("abcdefg"), hint
    yield "no letter stands twice", len(set(letters.values())) == 5, "each time it was a different line."
    for number, letter in BROKEN.items():
        yield f"picture {number}", letters[number] == letter, f"look at picture {number} again: {SIGNS[letter]}"


@check
def momentum(rule):
    """Check `rule(g, velocity, learning_rate, mu)`, which returns change and velocity: Nesterov's, as in Keras."""
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(6, 2, 3))
    g, given = gradients[0], gradients[0].copy()
    result = rule(g, None, 0.1, 0.8)
    pair = isinstance(result, (tuple, list)) and len(result) == 2 and all(np.shape(x) == g.shape for x in result)
    yield "it returns the change and the velocity, both shaped as g", pair, "end with: return change, velocity."
    yield (
        "the argument g is unchanged",
        np.array_equal(g, given),
        "write x = x * 2: x *= 2 changes g itself.",
    )
    change = np.asarray(result[0])
    hint = "at rest the velocity becomes -0.1 g, so the change is 0.8 * (-0.1 g) - 0.1 g."
    if _close(change, -0.1 * g):
        hint = "this is plain momentum: after the velocity is new, look ahead by mu * velocity - learning_rate * g."
    elif _close(change, 0.18 * g):
        hint = "it goes uphill: the gradient points where the loss rises, so subtract it."
    elif _close(change, -0.08 * g):
        hint = "you look ahead, but without the gradient: subtract learning_rate * g once more."
    yield "the first change is -(1 + mu) * learning_rate * g", _close(change, -0.18 * g), hint
    state, path, right = None, [], []
    for g in gradients:
        change, state = rule(g, state, 0.1, 0.0)
        path.append(np.array(change))
    yield (
        "without momentum (mu = 0) it is plain descent",
        _close(path, -0.1 * gradients),
        "mu must multiply the velocity.",
    )
    state, velocity, path = None, 0, []
    for g in gradients:
        change, state = rule(g, state, 0.1, 0.8)
        velocity = 0.8 * velocity - 0.1 * g
        path.append(np.array(change))
        right.append(0.8 * velocity - 0.1 * g)
    hint = "the second step is wrong: update the velocity that you are given, then look ahead with the new one."
    if _close(path[1], -0.18 * gradients[1]):
        hint = "the velocity of the step before is forgotten: start from the one that you are given, if it is not None."
    elif not _close(state, velocity):
        hint = "the state must be the velocity itself, without the look ahead: return change, velocity."
    yield "six steps go where Keras' SGD(nesterov=True) goes", _close(path, right), hint


@check
def largest_stable_step(step):
    """Check `step(H)`: below it, gradient descent on 1/2 x^T H x comes to the minimum; above it, it flees."""
    valley = np.diag([1.0, 25.0])
    Q = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    turned = Q @ np.diag([0.5, 1.0, 4.0, 9.0]) @ Q.T
    given, answer = turned.copy(), step(turned)
    number = np.ndim(answer) == 0 and np.isreal(answer) and np.isfinite(answer) and answer > 0
    yield "it is one positive number", number, "take the largest eigenvalue: one number, not one for each."
    yield "the argument is unchanged", np.array_equal(turned, given), "work on a copy of H."
    hint = "1 - step * eigenvalue must stay between -1 and 1 for every eigenvalue: which one breaks first?"
    if np.isclose(step(valley), 2.0):
        hint = "this is 2 / smallest eigenvalue: the steepest direction breaks first, so take the largest."
    yield "with 99% of it, descent in a valley comes to the minimum", _shrinks(valley, 0.99 * step(valley)), hint
    hint = "a larger step still comes to the minimum: 1 - step * eigenvalue may go down to -1."
    if np.isclose(step(valley), 1 / 25):
        hint = "1 / largest eigenvalue jumps to the bottom of the steepest direction; twice as far it is still stable."
    elif np.isclose(step(valley), 2 / 26):
        hint = "this is the fastest step, or one from the trace: the largest stable one needs one eigenvalue only."
    yield "with 101% of it, descent flees", not _shrinks(valley, 1.01 * step(valley)), hint
    hint = "here H is not diagonal: the diagonal does not hold its eigenvalues, np.linalg.eigvalsh(H) does."
    between = _shrinks(turned, 0.99 * answer) and not _shrinks(turned, 1.01 * answer)
    yield "both hold in a valley that is turned, in four dimensions", between, hint


@check
def stopping_rule(stop):
    """Check `stop(history, limit)`: False while the loss improves, True in the end, whatever the losses are."""
    falling = list(0.999 ** np.arange(900))  # 2% in 20 steps
    noisy = [loss * (1 + 0.5 * (k % 7 == 3)) for k, loss in enumerate(falling)]
    flat = falling[:200] + [falling[199] * (1 + 0.3 * (k % 5 == 0)) for k in range(200)]
    given = flat[:300]
    hint = "answer True or False (or a NumPy truth value), also for a list with a single loss."
    yield "it answers True or False", all(_truth(stop(flat[:n], 1000)) for n in (1, 2, 30, 400)), hint
    stop(given, 1000)
    yield (
        "it leaves the history as it is",
        given == flat[:300],
        "do not append to, sort or clear the list: copy it first.",
    )
    early = next((n for n in range(1, 21) if stop(falling[:n], 1000)), None)
    yield "it goes on with fewer than 21 losses", early is None, f"it stops after {early}: too early to tell."
    first = next((n for n in range(1, 900) if stop(falling[:n], 1000)), None)
    hint = f"at step {first} it stops, though each loss is 0.1% below the one before: compare with 20 steps back, "
    yield "it never stops while the loss falls steadily", first is None, hint + "and by ratio, not by difference."
    first = next((n for n in range(1, 900) if stop(noisy[:n], 1000)), None)
    hint = f"at step {first} one high loss stops it: compare the lowest of the last 20 with the lowest of all before."
    yield "a single high loss does not stop it", first is None, hint
    hint = "in 200 steps there was no new lowest loss, only jumps up, and it goes on: compare lowest with lowest."
    yield "it stops when nothing is gained for long", any(stop(flat[:n], 1000) for n in range(200, 301)), hint
    hint = "if the loss falls for ever, it never ends: len(history) >= limit is reason enough."
    yield "it ends at the limit, even while improving", stop(falling[:50], 50) and stop(falling[:60], 50), hint
    broken = [stop([*falling[:n], bad], 1000) for n in (5, 50) for bad in (np.nan, np.inf)]
    yield "it stops when the last loss is not a finite number", all(broken), "ask np.isfinite(history[-1]), early too."
    same = all(
        stop(flat[:n], 1000) == stop([s * x for x in flat[:n]], 1000) for n in range(1, 400) for s in (1e-6, 1e6)
    )
    yield "losses times a million, or a millionth, change nothing", same, "compare ratios: a fixed amount has units."


def _close(x, y):
    return np.shape(x) == np.shape(y) and np.allclose(x, y, rtol=1e-4, atol=1e-6)


def _shrinks(H, step):
    x = np.ones(len(H))
    for _ in range(1500):
        x = x - step * (H @ x)
        if not np.abs(x).max() < 1e6:
            return False
    return np.abs(x).max() < 1e-2


def _truth(value):
    return np.ndim(value) == 0 and np.asarray(value).dtype == bool
