"""Checks of appendix A2: secants, the curvature test, when to stop in a box, and L-BFGS in a box."""

import numpy as np

from stlib.checks.report import check


@check
def secant_step(step):
    """Check `step(x0, g0, x1, g1)`: two points and the derivative there, to where their secant is zero."""
    rng = np.random.default_rng(0)
    for slope, zero in ((2.0, 3.0), (0.5, 1.0)):  # derivatives slope (x - zero): the secant is exact
        x0, x1 = rng.uniform(-2, 2, 2)
        x2 = float(step(x0, slope * (x0 - zero), x1, slope * (x1 - zero)))
        statement = f"for the derivative {slope} (x - {zero}) one step from any two points ends at {zero}"
        yield statement, _close(x2, zero), _about_secant(x2, x0, slope * (x0 - zero), x1, slope * (x1 - zero))
    x0, g0, x1, g1 = 2.0, 7.0, 1.5, 1.875  # x^3 + x - 3
    x2 = float(step(x0, g0, x1, g1))
    right = 1.5 - 0.5 / 5.125 * 1.875
    yield "on x^3 + x - 3, from 2 and 1.5, it ends where the secant does", _close(x2, right), "use s / y, s = x1 - x0."
    hint = "both points lie on one line: exchanging them must not change where it is zero."
    yield "exchanging the two points changes nothing", _close(step(x1, g1, x0, g0), right), hint


def _about_secant(x2, x0, g0, x1, g1):
    s, y = x1 - x0, g1 - g0
    mistakes = {
        "the sign is wrong: subtract the step, as it goes against the derivative.": x1 + s / y * g1,
        "you multiply by the slope y / s: divide by it.": x1 - y / s * g1,
        "you step from x0 with the derivative at x1: take both at the same point.": x0 - s / y * g1,
        "you step from x1 with the derivative at x0: take both at the same point.": x1 - s / y * g0,
        "s and y must have the same sense: x1 - x0 and g1 - g0.": x1 + s / y * g1,
        "you return the change: add it to x1.": -s / y * g1,
    }
    return next((hint for hint, value in mistakes.items() if _close(x2, value)), "it is x1 - s / y * g1.")


@check
def remembered_pairs(remember):
    """Check `remember(pairs, s, y, m)`: a new list of the newest m pairs, (s, y) among them if it passes the test."""
    rng = np.random.default_rng(1)
    s = rng.normal(size=6)
    good, flat, negative = s + 0.1, np.zeros(6), -s
    first, second = (np.ones(6), np.ones(6)), (2 * np.ones(6), np.ones(6))
    kept = _pairs(remember([first], s, good, 3))
    yield (
        "a pair with s . y > 0 is appended",
        kept == _pairs([first, (s, good)]),
        "append (s, y) as the last, newest pair.",
    )
    for y, name in ((negative, "s . y < 0"), (flat, "s . y = 0")):
        kept = _pairs(remember([first], s, y, 3))
        yield (
            f"a pair with {name} is skipped",
            kept == _pairs([first]),
            f"keep the old pairs and leave out one with {name}.",
        )
    kept = _pairs(remember([first], 1e-9 * s, 1e-9 * good, 3))
    hint = "compare s . y with 1e-10 times the lengths of s and y: late steps are tiny and still good."
    yield "a tiny pair with the right angle is kept", len(kept) == 2, hint
    square = 1e6 * np.array([1, 1, 0, 0, 0, 0.0]), 1e6 * np.array([1, -1 + 1e-13, 0, 0, 0, 0])
    hint = "here s . y is large only because s and y are: compare it with 1e-10 times their lengths."
    yield "a large pair at a right angle is skipped", len(_pairs(remember([first], *square, 3))) == 1, hint
    kept = _pairs(remember([first, second], s, good, 2))
    hint = "with m pairs already there, drop the oldest, which is the first."
    yield "at most m pairs stay, the newest", kept == _pairs([second, (s, good)]), hint
    given = [first, second]
    remember(given, s, good, 2)
    yield "the list given is unchanged", _pairs(given) == _pairs([first, second]), "make a new list: [*pairs, (s, y)]."


def _pairs(pairs):
    return [(np.asarray(s).tolist(), np.asarray(y).tolist()) for s, y in pairs]


@check
def projected_gradient(norm):
    """Check `norm(x, g)`: how far the largest pixel moves if you step by -g and clip to [0, 1]."""
    x, g = np.array([0.2, 0.9]), np.array([0.5, -0.5])
    given = x.copy(), g.copy()
    norm(x, g)
    unchanged = np.array_equal(x, given[0]) and np.array_equal(g, given[1])
    yield "the arguments are unchanged", unchanged, "x -= g writes into the argument: use x - g."
    inside, g = np.array([0.5, 0.4]), np.array([0.1, -0.2])
    yield "inside the box it is the largest |g|", _close(norm(inside, g), 0.2), _about_norm(norm(inside, g), g)
    x, g = np.array([0.0, 1.0, 0.5]), np.array([3.0, -2.0, 0.0])
    hint = "a pixel at 0 with g > 0, or at 1 with g < 0, cannot go further: clip x - g to [0, 1] first."
    yield "it is 0 where bounds hold every pixel that wants to move", _close(norm(x, g), 0), hint
    hint = "a pixel at a bound may still come back inside: look at the sign of g there."
    yield "a pixel at a bound that is pulled inside counts", _close(norm(x, np.array([-0.3, 0.1, 0])), 0.3), hint
    near = norm(np.array([0.95, 0.5]), np.array([-2.0, 0.01]))
    hint = "from 0.95 a pixel can move by 0.05 only: clip, then take the difference to x."
    yield "a pixel near a bound counts as far as it can move", _close(near, 0.05), hint


def _about_norm(value, g):
    if np.size(value) != 1:
        return "return one number: the largest of them."
    if _close(value, np.linalg.norm(g)) or _close(value, np.abs(g).sum()):
        return "take the largest entry, not the length or the sum: it should not grow with the number of pixels."
    if _close(value, np.max(g)):
        return "take absolute values before the largest: a pixel may move either way."
    return "it is the largest entry of |clip(x - g, 0, 1) - x|."


@check
def boxed_lbfgs(minimizer):
    """Check `minimizer(f, x, steps)`: f to value and gradient, x in [0, 1]; it returns the lowest point of the box."""
    outside, calls, worst = 0.0, 0, 0.0
    for seed, n in ((0, 2), (1, 6), (2, 20), (3, 20)):
        Q, goal, start = _quadratic(seed, n)

        def f(x, Q=Q, goal=goal):
            nonlocal outside, calls
            x = np.asarray(x, float)
            outside, calls = max(outside, np.max(np.abs(x - 0.5)) - 0.5), calls + 1
            return 0.5 * (x - goal) @ Q @ (x - goal), Q @ (x - goal)

        given = start.copy()
        x, best = np.asarray(minimizer(f, start, 100)), _lowest_in_box(Q, goal, start)
        yield f"n = {n}: it returns a point of shape ({n},)", x.shape == (n,), "return the last x, nothing else."
        hint = "f was asked for a point outside [0, 1]: clip x + t d before you call f, and return x clipped."
        yield (
            f"n = {n}: no evaluation and no result outside [0, 1]",
            max(outside, np.abs(x - 0.5).max() - 0.5) < 1e-9,
            hint,
        )
        yield (
            f"n = {n}: x is unchanged",
            np.array_equal(start, given),
            "x += ... writes into the argument: use x = x + ...",
        )
        worst = (f(x)[0] - f(best)[0]) / (f(start)[0] - f(best)[0])
        hint = (
            f"{worst:.1e} of the possible fall is left: fix the pixels that a bound holds (at 0 with g > 0, at 1 with "
            "g < 0): set them to 0 in g, in every s and y, and in d; take s from the clipped points."
        )
        yield f"n = {n}: it is the lowest point of the box, to 1e-6 of the fall", worst < 1e-6, hint
    hint = f"you evaluate f {calls} times: curvature needs some tens for each case; stop when nothing moves."
    yield "it takes at most 1,500 evaluations for the four", calls <= 1500 + 4 * 4, hint


def _quadratic(seed, n):
    rng = np.random.default_rng(seed)
    if n == 2:
        return np.array([[1, 0.8], [0.8, 1]]), np.array([1.5, 0.2]), np.array([0.2, 0.9])
    axes = np.linalg.qr(rng.normal(size=(n, n)))[0]
    return axes * np.geomspace(1, 0.02, n) @ axes.T, rng.uniform(-0.6, 1.6, n), np.full(n, 0.5)


def _lowest_in_box(Q, goal, x):
    for _ in range(5000):  # gradient descent with rate 1 / largest curvature, clipped: slow, but sure
        x = np.clip(x - Q @ (x - goal) / np.linalg.eigvalsh(Q)[-1], 0, 1)
    return x


def _close(x, y):
    return np.shape(x) == np.shape(y) and np.allclose(x, y, rtol=1e-6, atol=1e-9)
