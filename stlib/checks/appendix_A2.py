"""Checks of appendix A2: secants, the curvature test, when to stop in a box, and L-BFGS in a box."""

import functools
from types import SimpleNamespace

import numpy as np

from stlib.checks.exercise import IN_PLACE, UNCHANGED, Exercise, Law, but

# --- one secant step


def secant(x0, g0, x1, g1):
    return x1 - (x1 - x0) / (g1 - g0) * g1


def line(slope, zero, x0, x1):
    return x0, slope * (x0 - zero), x1, slope * (x1 - zero)


secant_step = Exercise(
    right=secant,
    cases={
        "for derivatives 2 (x - 3) and 0.5 (x - 1) it ends at 3 and 1": [line(2, 3, 0.5, -1), line(0.5, 1, -1.5, 2)],
        "on x^3 + x - 3, from 2 and 1.5, it ends where the secant does": (2.0, 7.0, 1.5, 1.875),
        "exchanging the two points changes nothing": (1.5, 1.875, 2.0, 7.0),
        "where the derivative falls, -3 (x - 2), it ends at 2": line(-3, 2, 0.5, 1),
        "so it does where it falls towards larger x, on 4 / x - 1": (3.0, 1 / 3, 5.0, -0.2),
    },
    result="it is one number",
    mistakes={
        "the sign is wrong: subtract the step, against the derivative.": lambda a, g, b, h: b + (b - a) / (h - g) * h,
        "you multiply by the slope y / s: divide by it.": lambda a, g, b, h: b - (h - g) / (b - a) * h,
        "you step from x0 with the derivative at x1: take one point.": lambda a, g, b, h: a - (b - a) / (h - g) * h,
        "you step from x1 with the derivative at x0: take one point.": lambda a, g, b, h: b - (b - a) / (h - g) * g,
        "you return the change: add it to x1.": lambda a, g, b, h: -(b - a) / (h - g) * h,
        "the slope may be negative: no absolute value.": lambda a, g, b, h: b - abs((b - a) / (h - g)) * h,
        "that is gradient descent: the slope y / s is to tell how far.": lambda a, g, b, h: b - 0.1 * h,
    },
    hint="it is x1 - s / y * g1, with s = x1 - x0 and y = g1 - g0.",
)  # fmt: skip


# --- pairs to remember


def curved(s, y, share=1e-10):
    return s @ y > share * np.linalg.norm(s) * np.linalg.norm(y)


def remember(pairs, s, y, m, test=curved):
    return [*pairs, (s, y)][-m:] if test(s, y) else list(pairs)[-m:]


def tested(test):
    return lambda *arguments: remember(*arguments, test)


def full_first(pairs, s, y, m):
    return remember(list(pairs)[-m + 1 :] if m > 1 else [], s, y, m)


def listed(answer, pairs, s, y, m):
    return np.array([[np.asarray(each) for each in pair] for pair in answer(pairs, s, y, m)]).reshape(-1, 2, len(s))


def at_angle(cosine, s_length=1.0, y_length=1.0):
    s, y = np.zeros(6), np.zeros(6)
    s[0], y[0], y[1] = s_length, cosine * y_length, y_length
    return s, y


OLD = [(k * np.ones(6), np.ones(6) + k) for k in (1.0, 2.0, 3.0)]
STEP = np.random.default_rng(1).normal(size=6)

remembered_pairs = Exercise(
    right=remember,
    call=listed,
    cases={
        "a pair with s . y > 0 is appended": (OLD[:1], STEP, STEP + 0.1, 3),
        "a pair with s . y < 0 or s . y = 0 is skipped": [(OLD[:1], STEP, y, 3) for y in (-STEP, 0 * STEP)],
        "a tiny pair with the right angle is kept": (OLD[:1], 1e-9 * STEP, 1e-9 * (STEP + 0.1), 3),
        "a large pair at a right angle is skipped": (OLD[:1], *at_angle(1e-13, 1e6, 1e6), 3),
        "at most m pairs stay, the newest": [(OLD[:2], STEP, STEP, 2), (OLD, STEP, STEP, 2), (OLD, STEP, STEP, 1)],
        "a rejected pair drives no good one out": (OLD[:2], STEP, -STEP, 2),
        "the threshold is 1e-10 times both lengths": [
            (OLD[:1], *at_angle(cosine, *lengths), 3) for cosine in (0.5e-10, 2e-10)
            for lengths in ((1, 1), (1e3, 1e-3), (1e-4, 10))
        ],
        "from an empty list, and with room for many": [([], STEP, STEP, 3), (OLD, STEP, STEP, 20)],
    },
    result="it is a list of the right number of pairs",
    mistakes={
        "keep the old pairs and leave out one with s . y < 0.": tested(lambda s, y: True),
        "leave out a pair with s . y = 0 as well.": tested(lambda s, y: s @ y >= 0),
        "late steps are tiny and still good: compare with 1e-10 times the lengths.": tested(lambda s, y: s @ y > 1e-10),
        "s . y can be large only because s and y are: compare with their lengths.": tested(lambda s, y: s @ y > 0),
        "compare with the lengths of s and y, not with that of s alone.": tested(lambda s, y: s @ y > 1e-10 * (s @ s)),
        "compare with the lengths of s and y, not with that of y alone.": tested(lambda s, y: s @ y > 1e-10 * (y @ y)),
        "lengths, not their squares: np.linalg.norm.": tested(lambda s, y: s @ y > 1e-10 * (s @ s) * (y @ y)),
        "the threshold is 1e-10 times the lengths, not more.": tested(lambda s, y: curved(s, y, 1e-8)),
        "append (s, y) as the last, newest pair.": lambda p, s, y, m: [*[(s, y)] * int(curved(s, y)), *p][:m],
        "drop the oldest, which is the first.": lambda p, s, y, m: remember(p, s, y, 99)[:m],
        "at most m pairs: with more, drop the oldest.": lambda p, s, y, m: remember(p, s, y, 99),
        "the number of pairs is m: use the argument.": lambda p, s, y, m: remember(p, s, y, 3),
        "a rejected pair must not drive out a good one: test first, then cut.": full_first,
        "keep the old pairs where the new one is skipped.": lambda *a: remember(*a) if curved(*a[1:3]) else [],
    },
    hint="(s, y) joins the end if s . y > 1e-10 |s| |y|; of all these the last m stay.",
)  # fmt: skip


# --- when to stop in a box


def projected(x, g, size=np.abs, total=np.max):
    return total(size(np.clip(x - g, 0, 1) - x))


def array(*values):
    return np.array(values, float)


projected_gradient = Exercise(
    right=projected,
    cases={
        "inside the box it is the largest |g|": (array(0.5, 0.4), array(0.1, -0.2)),
        "so it is whatever the signs": [(array(0.5, 0.4), sign * array(0.1, 0.2)) for sign in (1, -1)],
        "it is 0 where bounds hold every pixel that wants to move": (array(0, 1, 0.5), array(3, -2, 0)),
        "one at a bound that is pulled inside counts": [(array(0, 1), array(-0.3, -1)), (array(0, 1), array(1, 0.4))],
        "one near a bound counts as far as it can move": [(array(0.95), array(-2)), (array(0.1, 0.5), array(3, 0.01))],
    },
    result="it is one number",
    mistakes={
        "a pixel at 0 with g > 0, or at 1 with g < 0, cannot go further: clip first.": lambda x, g: np.abs(g).max(),
        "the largest entry, not the length, which grows with the image.": but(projected, total=np.linalg.norm),
        "the largest entry, not the sum, which grows with the number of pixels.": but(projected, total=np.sum),
        "the largest entry, not the mean.": but(projected, total=np.mean),
        "take absolute values before the largest: a pixel may move up.": but(projected, size=np.negative),
        "take absolute values before the largest: a pixel may move down.": but(projected, size=np.positive),
        "return one number: the largest of them.": but(projected, total=np.array),
        "the step goes against the gradient: x - g.": lambda x, g: projected(x, -g),
        "a pixel at a bound may come back: look at the sign of g.": lambda x, g: np.abs(g * (x > 0) * (x < 1)).max(),
        "from 0.95 a pixel can move by 0.05 only: clip, then take the difference to x.":
            lambda x, g: np.abs(g * (((x > 0) | (g < 0)) & ((x < 1) | (g > 0)))).max(),
    },
    hint="it is the largest entry of |clip(x - g, 0, 1) - x|.",
)  # fmt: skip


# --- L-BFGS in a box


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


def boxed(f, x, steps, fix=True, fix_pairs=True, skip=True, clip=True, scaled=True, armijo="clipped"):
    """The method; each setting is the place of a mistake."""
    inside = (lambda x: np.clip(x, 0, 1)) if clip else (lambda x: x)
    pairs, (value, g) = [], f(x)
    for _ in range(steps):
        if projected(x, g) < 1e-9:
            break
        free = ((x > 0) | (g < 0)) & ((x < 1) | (g > 0)) if fix else np.ones(x.shape, bool)
        own = [(s * free, y * free) for s, y in pairs] if fix_pairs else pairs
        own = [pair for pair in own if remember([], *pair, 1)] if skip else own
        d = two_loop(g * free, own) * free
        t = 1.0 if own or not scaled else 1 / np.linalg.norm(d)
        for _ in range(25):
            new = inside(x + t * d)
            new_value, new_g = f(new)
            slope = {"clipped": g @ (new - x), "along d": t * g @ d, "none": np.inf}[armijo]
            if new_value <= value + 1e-4 * slope:
                break
            t /= 2
        else:
            break
        pairs = remember(pairs, new - x, new_g - g, 10)
        x, value, g = new, new_value, new_g
    return x


def quadratic(seed, n, curvature=0.02, steep=0.0):
    """A long valley in any direction; `steep` pulls the first three pixels, which start beside a bound, to it."""
    rng = np.random.default_rng(seed)
    axes, pull = np.linalg.qr(rng.normal(size=(n, n)))[0], steep * (np.arange(n) < 3)
    Q, goal = axes * np.geomspace(1, curvature, n) @ axes.T, rng.uniform(-0.6, 1.6, n)
    start = np.where(pull > 0, 1 - 1e-6, 0.5)
    return lambda x: (0.5 * (x - goal) @ Q @ (x - goal) - pull @ x, Q @ (x - goal) - pull), start


def folds(seed, n=10):
    """Many folds, each nearly |x|: a full step can lead uphill."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(n, n))
    c = A @ rng.uniform(-0.4, 1.4, n)
    return lambda x: (np.logaddexp(r := 100 * (A @ x - c), -r).sum() / 100, A.T @ np.tanh(r)), np.full(n, 0.5)


VALLEYS = [quadratic(seed, 20, curvature) for seed, curvature in ((2, 0.02), (3, 0.02), (4, 0.001))]
CORNERS = [quadratic(seed, 10, steep=1e6) for seed in range(5)]
FOLDS = [folds(seed) for seed in (3, 6)]
PROBLEMS = [quadratic(1, 6), *VALLEYS, *CORNERS, *FOLDS]


@functools.cache
def lowest(k):
    f, start = PROBLEMS[k]
    with np.errstate(all="ignore"):
        return f(boxed(f, start, 400))[0]


def tried(minimizer):
    """What a minimizer does with all problems: its results, and where it asked for f, one list for each."""
    seen = SimpleNamespace(results=[], points=[], unchanged=True, left=0.0)

    for k, (f, start) in enumerate(PROBLEMS):
        points, x = [], start.copy()

        def recorded(x, f=f, points=points):
            points.append(np.array(x, float))
            if len(points) > 20_000:
                raise RuntimeError("f was evaluated 20,000 times: stop when nothing moves")
            return f(points[-1])

        result = np.asarray(minimizer(recorded, x, 100))
        seen.results.append(result)
        seen.points.append([a for a, b in zip(points, [None, *points]) if not np.array_equal(a, b)])  # once each
        seen.unchanged &= np.array_equal(x, start)
        if result.shape == start.shape:
            seen.left = max(seen.left, (f(result)[0] - lowest(k)) / (f(start)[0] - lowest(k)))
    seen.first = max(np.linalg.norm(points[1] - points[0]) if len(points) > 1 else 0 for points in seen.points)
    seen.calls = sum(map(len, seen.points[1:7]))
    return seen


def outside(seen):
    return max(np.abs(x - 0.5).max() - 0.5 for points in (*seen.points, seen.results) for x in points) > 1e-9


def halved(points):
    """Whether the second step begins by halving the first."""
    start, first, second = points[:3]
    return np.allclose((second - start)[3:], (first - start)[3:] / 2, rtol=1e-3)


def descent(f, x, steps, rate=0.5):
    for _ in range(steps):
        x = np.clip(x - rate * f(x)[1], 0, 1)
    return x


def clipped_inside(f, x, steps):
    return np.clip(boxed(lambda x: f(np.clip(x, 0, 1)), x, steps, fix=False, clip=False), 0, 1)


def wandering(f, x, steps):
    return [f(np.full(len(x), k / 99)) for k in range(99)] and boxed(f, x, steps)


def advice(seen):
    return (
        f"{seen.left:.1e} of the possible fall is left: fix the pixels that a bound holds (at 0 with g > 0, at 1 with "
        "g < 0): 0 in g, in all s and y, in d; skip pairs that then fail the curvature test; halve t until f falls."
    )


boxed_lbfgs = Exercise(
    right=boxed,
    unique=False,
    seen=tried,
    laws=(
        Law("it returns a point", lambda seen: [x.shape for x in seen.results] == [x.shape for _, x in PROBLEMS],
            "return the last x, nothing else.", (lambda f, x, steps: f(x)[0],)),
        Law(UNCHANGED, lambda seen: seen.unchanged, IN_PLACE, (lambda f, x, n: boxed(f, np.add(x, 0.01, out=x), n),)),
        Law("no evaluation and no result lies outside [0, 1]", lambda seen: not outside(seen),
            "f was asked for a point outside [0, 1]: clip x + t d before you call f, and return x clipped.",
            (but(boxed, clip=False, fix=False), lambda *a: np.clip(boxed(*a, clip=False, fix=False), 0, 1))),
        Law("it ends at the lowest point of the box, to 1e-6 of the fall", lambda seen: seen.left < 1e-6, advice,
            (but(boxed, fix=False), but(boxed, skip=False), but(boxed, armijo="none"), descent,
             clipped_inside)),
        Law("it does not evaluate f too often", lambda seen: seen.calls < 160,
            lambda seen: f"{seen.calls} evaluations for six valleys, 100 are enough: take the fixed pixels out of "
            "all s and y, and stop when nothing moves.", (but(boxed, fix_pairs=False), wandering)),
        Law("the first step is at most 1 long", lambda seen: seen.first < 1.001,
            "without pairs the length of g says nothing: begin with t = 1 / np.linalg.norm(d), as quasi_newton does "
            "(and SciPy's L-BFGS-B does not: build yours from two_loop).", (but(boxed, scaled=False),)),
        Law("a step is taken if f falls by a part of what the clipped step promises",
            lambda seen: not any(halved(points) for points in seen.points[4:9]),
            "where a bound cuts most of t d off, little can be asked for: g @ (x_new - x) in place of t * slope.",
            (but(boxed, armijo="along d"),)),
    ),
)  # fmt: skip
