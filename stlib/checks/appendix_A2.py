"""Checks of appendix A2: rates from a pair, damped pairs, when to stop in a box, and L-BFGS in a box."""

import functools
from types import SimpleNamespace

import numpy as np

from stlib.checks.exercise import IN_PLACE, UNCHANGED, Exercise, Law, but

# --- one number for all curvature


def rates(s, y):
    return s @ y / (y @ y), s @ s / (s @ y)


def first(rate):
    return lambda s, y: (rate(s, y), rates(s, y)[1])


def second(rate):
    return lambda s, y: (rates(s, y)[0], rate(s, y))


def norm(x):
    return np.sqrt(x @ x)


STEP = np.random.default_rng(1).normal(size=6)
CHANGE = np.random.default_rng(2).normal(size=6)
BEND = STEP * np.arange(1, 7)  # of a bowl with curvatures 1 to 6

secant_rates = Exercise(
    right=rates,
    cases={
        "both are 1 / 4 for y = 4 s": (STEP, 4 * STEP),
        "s = (1, 1) and y = (1, 3) give 0.4 and 0.5": (np.array([1.0, 1]), np.array([1.0, 3])),
        "they are right for pairs in other directions": [(STEP, BEND), (BEND, STEP)],
        "where the curvature is negative, so are both": (STEP, STEP - 3 * BEND),
    },
    result="it returns two numbers",
    mistakes={
        "h comes first, then 1 / b.": lambda s, y: rates(s, y)[::-1],
        "the second is 1 / b, not b: a rate.": second(lambda s, y: 1 / rates(s, y)[1]),
        "you return 1 / h and b, curvatures: turn both round.": lambda s, y: tuple(1 / np.array(rates(s, y))),
        "h y is to be near s, so y . y is below: 2 y . (h y - s) = 0.": first(lambda s, y: s @ y / (s @ s)),
        "b s is to be near y, so s . s is above: 2 s . (b s - y) = 0.": second(lambda s, y: s @ y / (y @ y)),
        "the two are not the same: each has an error of its own to make small.": first(lambda s, y: rates(s, y)[1]),
        "a ratio of lengths does not make |h y - s| small: set its derivative to 0.":
            lambda s, y: (norm(s) / norm(y),) * 2,
        "the derivative of |h y - s|^2 is 2 y . (h y - s): no mean of s / y.":
            lambda s, y: (np.mean(s / y), 1 / np.mean(y / s)),
        "no absolute value: where curvature is negative, so is the rate.": lambda s, y: tuple(np.abs(rates(s, y))),
        "divide by y . y and by s . y, not by lengths.": lambda s, y: (s @ y / norm(y), s @ s / norm(s)),
    },
    hint="|h y - s|^2 = h^2 y . y - 2 h s . y + s . s; set the derivative by h to 0; likewise for b.",
)  # fmt: skip


# --- a damped pair


def promised(s, b):
    return b * s @ s


def damped(s, y, b, part=0.2, needed=None, share=None, mix=True):
    """The rule; each setting is the place of a mistake."""
    if s @ y >= (part if needed is None else needed) * promised(s, b):
        return np.array(y)
    theta = (share or (lambda s, y, b: (1 - part) * promised(s, b) / (promised(s, b) - s @ y)))(s, y, b)
    return theta * y + (1 - theta) * b * s if mix else theta


def at_share(share, b):
    """A pair with s . y = share * b * s . s."""
    across = CHANGE - STEP * (CHANGE @ STEP) / (STEP @ STEP)
    return STEP, share * b * STEP + across, b


damped_pair = Exercise(
    right=damped,
    cases={
        "a pair with s . y >= 0.2 b s . s stays": [at_share(0.9, 1.0), at_share(0.25, 2.0), at_share(3.0, 0.5)],
        "one with s . y < 0 is mended": [at_share(-0.7, 1.0), at_share(-2.0, 1.0)],
        "so is one with s . y = 0": at_share(0.0, 1.0),
        "and one with s . y from 0 to 0.2 b s . s": [at_share(0.1, 1.0), at_share(0.05, 3.0)],
        "it is with any b": [at_share(-0.5, 3.0), at_share(-0.5, 0.2)],
        "and for steps of any length": [(k * STEP, k * at_share(-0.5, 1.0)[1], 1.0) for k in (1e-3, 10)],
    },
    result="r has the shape of y",
    mistakes={
        "a good pair stays as it is: theta is 1 at most.": but(damped, needed=np.inf),
        "the condition is s . r >= 0.2 b s . s, so s . y > 0 is not enough.": but(damped, needed=0),
        "theta is to be as near to 1 as the condition allows, not 0: keep of y what can be kept.":
            but(damped, share=lambda s, y, b: 0.0),
        "theta goes with y, 1 - theta with b s.":
            but(damped, share=lambda s, y, b: 1 - 0.8 * promised(s, b) / (promised(s, b) - s @ y)),
        "at the border s . r = 0.2 b s . s, not 0: 0.8 in the numerator.":
            but(damped, share=lambda s, y, b: promised(s, b) / (promised(s, b) - s @ y)),
        "solve theta s . y + (1 - theta) b s . s = 0.2 b s . s: 1 - 0.2 in the numerator.":
            but(damped, share=lambda s, y, b: 0.2 * promised(s, b) / (promised(s, b) - s @ y)),
        "solve it with the sign of s . y: b s . s - s . y in the denominator.":
            but(damped, share=lambda s, y, b: 0.8 * promised(s, b) / (promised(s, b) + s @ y)),
        "b is missing: the condition and the mix have b s.": lambda s, y, b: damped(s, y, 1.0),
        "s . s is the square of the length.":
            but(damped, share=lambda s, y, b: 0.8 * b * norm(s) / (b * norm(s) - s @ y)),
        "return r, not theta.": lambda s, y, b: np.atleast_1d(damped(s, y, b, needed=np.inf, mix=False)),
        "turning y round is no mix with b s.": lambda s, y, b: y if s @ y >= 0.2 * promised(s, b) else -y,
        "r is a mix of y and b s, with theta and 1 - theta: adding a part of s alone is another repair.":
            lambda s, y, b: y + max(0, 0.2 * b - s @ y / (s @ s)) * s,
    },
    hint="s . r = theta s . y + (1 - theta) b s . s; where s . y is too small, solve it = 0.2 b s . s for theta.",
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


def curved(s, y):
    return s @ y > 1e-10 * np.linalg.norm(s) * np.linalg.norm(y)


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


def boxed(f, x, steps, fix=True, fix_pairs=True, skip=True, clip=True, scaled=True, armijo="clipped", keep=np.s_[-10:]):
    """The method; each setting is the place of a mistake."""
    inside = (lambda x: np.clip(x, 0, 1)) if clip else (lambda x: x)
    pairs, (value, g) = [], f(x)
    for _ in range(steps):
        if projected(x, g) < 1e-9:
            break
        free = ((x > 0) | (g < 0)) & ((x < 1) | (g > 0)) if fix else np.ones(x.shape, bool)
        own = [(s * free, y * free) for s, y in pairs] if fix_pairs else pairs
        own = [pair for pair in own if curved(*pair)] if skip else own
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
        pairs = [*pairs, (new - x, new_g - g)][keep]
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


def halved(points):
    """Whether the second step begins by halving the first."""
    start, first, second = points[:3]
    return np.allclose((second - start)[3:], (first - start)[3:] / 2, rtol=1e-3)


def descent(f, x, steps):
    for _ in range(steps):
        x = np.clip(x - 0.5 * f(x)[1], 0, 1)
    return x


def clipped_inside(f, x, steps):
    return np.clip(boxed(lambda x: f(np.clip(x, 0, 1)), x, steps, fix=False, clip=False), 0, 1)


boxed_lbfgs = Exercise(
    right=boxed,
    unique=False,
    seen=tried,
    laws=(
        Law("it returns a point", lambda seen: [x.shape for x in seen.results] == [x.shape for _, x in PROBLEMS],
            "return the last x, nothing else.", (lambda f, x, steps: f(x)[0],)),
        Law(UNCHANGED, lambda seen: seen.unchanged, IN_PLACE, (lambda f, x, n: boxed(f, np.add(x, 0.01, out=x), n),)),
        Law("no evaluation and no result lies outside [0, 1]",
            lambda seen: not any(np.any(np.abs(x - 0.5) > 0.5 + 1e-9) for each in (*seen.points, seen.results)
                                 for x in each),
            "f was asked for a point outside [0, 1]: clip x + t d before you call f, and return x clipped.",
            (but(boxed, clip=False, fix=False), lambda *a: np.clip(boxed(*a, clip=False, fix=False), 0, 1))),
        Law("it ends at the lowest point of the box, to 1e-6 of the fall", lambda seen: seen.left < 1e-6,
            lambda seen: f"{seen.left:.1e} of the possible fall is left: fix the pixels that a bound holds (at 0 with "
            "g > 0, at 1 with g < 0): 0 in g, in all s and y, in d; skip pairs that then fail the curvature test; "
            "halve t until f falls; of many pairs keep the newest.",
            (but(boxed, fix=False), but(boxed, skip=False), but(boxed, armijo="none"), but(boxed, keep=np.s_[:10]),
             descent, clipped_inside)),
        Law("it does not evaluate f too often", lambda seen: seen.calls < 160,
            lambda seen: f"{seen.calls} evaluations for six valleys, 100 are enough: take the fixed pixels out of "
            "all s and y, and stop when nothing moves.", (but(boxed, fix_pairs=False),
             lambda f, x, steps: [f(np.full(len(x), k / 99)) for k in range(99)] and boxed(f, x, steps))),
        Law("the first step is at most 1 long", lambda seen: seen.first < 1.001,
            "without pairs the length of g says nothing: begin with t = 1 / np.linalg.norm(d), as quasi_newton does "
            "(and SciPy's L-BFGS-B does not: build yours from two_loop).", (but(boxed, scaled=False),)),
        Law("a step is taken if f falls by a part of what the clipped step promises",
            lambda seen: not any(halved(points) for points in seen.points[4:9]),
            "where a bound cuts most of t d off, little can be asked for: g @ (x_new - x) in place of t * slope.",
            (but(boxed, armijo="along d"),)),
    ),
)  # fmt: skip
