"""Checks of lesson 04: gradients, against central differences in float64, and weights."""

import numpy as np

from stlib.checks.report import check

BY_DIFFERENCES = "it agrees with central differences"
IN_PLACE = "your code writes into its argument: use x = x - ... in place of x -= ... ."


@check
def content_gradient(gradient):
    """Check `gradient(F, P, m)`, that of 1/2 sum_k m_k sum_i (F_ki - P_ki)^2: (M, N), (M, N), (M,) to (M, N)."""
    F, P, m = _random(6, 4), _random(6, 4, seed=1), np.float64([1, 0, 0.5, 0.25, 0, 2])
    given = F.copy(), P.copy(), m.copy()
    g = _array(gradient(F, P, m))
    yield "the result has shape (M, N)", g.shape == F.shape, _about_shape(g.shape, F.shape)
    unchanged = all(np.array_equal(x, old) for x, old in zip((F, P, m), given))
    yield "the arguments are unchanged", unchanged, IN_PLACE
    hint = "where F is P nothing is left to improve: the gradient has a factor F - P."
    yield "it is zero at P", not np.any(_array(gradient(P, P, m))), hint
    hint = "row k of the sum is multiplied by m[k]: so is row k of the gradient."
    yield "it is zero wherever m is zero", not np.any(g[m == 0]), hint
    right = _differences(lambda F: 0.5 * np.sum(m[:, None] * (F - P) ** 2), F)
    hint = _about_factor(g, right, {
        -1: "the sign is turned round: the gradient points uphill, away from P.",
        2: "it is twice as large: the 1/2 of the loss cancels the 2 of the square.",
        1 / F.size: "you divide by the size of F: the loss is a sum, not a mean.",
        1 / len(F): "you divide by the positions: the loss is a sum, not a mean.",
    })  # fmt: skip
    if _close(g, m[:, None] * right):
        hint = "you multiply by m twice: m stands outside of the square."
    yield BY_DIFFERENCES, _close(g, right), hint or "derive one number F_mn: which terms of the sum contain it?"


@check
def absolute_variation_gradient(gradient):
    """Check `gradient(x)`, that of mean |down| + mean |across|: (h, w, 3) to (h, w, 3)."""
    x = _random(5, 4, 3)
    given = x.copy()
    g = _array(gradient(x))
    yield "the result has the shape of the image", g.shape == x.shape, f"it has shape {g.shape}: one number a pixel."
    yield "the argument is unchanged", np.array_equal(x, given), IN_PLACE
    flat = _array(gradient(np.full((5, 4, 3), 0.5)))
    hint = "a difference of 0 pulls at no pixel: np.sign(0) is 0."
    yield "it is zero on an image of one color", not np.any(np.nan_to_num(flat, nan=1)), hint
    hint = "each difference gives as much to one pixel as it takes from its neighbor: add it there, subtract it here."
    yield "it sums to zero in each channel", np.allclose(g.sum(axis=(0, 1)), 0, atol=1e-5), hint
    right = _differences(lambda x: _variation(x, np.abs), x)
    hint = _about_factor(g, right, {
        -1: "the sign is turned round: a difference x[k + 1] - x[k] grows with x[k + 1].",
        2: "it is twice as large: the derivative of |d| is sign(d), without a 2.",
    })  # fmt: skip
    if _factor(g, _differences(lambda x: _variation(x, np.square), x)):
        hint = "this is the gradient of squares: the derivative of |d| is not 2 d but its sign."
    if _factor(g, _differences(lambda x: _variation(x, np.abs, np.sum), x)):
        hint = "divide by the number of differences, which is not the same down and across: the loss takes means."
    if any(_factor(g, _differences(lambda x, axis=axis: np.mean(np.abs(np.diff(x, axis=axis))), x)) for axis in (0, 1)):
        hint = "one direction is missing: differences down and across both count."
    yield BY_DIFFERENCES, _close(g, right), hint or "pixel k stands in two differences down and in two across."


@check
def balanced_weights(weights):
    """Check `weights(alpha, beta, s)`, the pair that keeps the paper's balance when activations are times s."""
    new = np.asarray(weights(1.0, 1000.0, 2.0), float)
    yield "it returns two numbers", new.shape == (2,), "return new_alpha, new_beta."
    positive = bool(np.all(np.isfinite(new)) and np.all(new > 0))
    yield "they are above zero", positive, "multiply or divide by powers of s; subtract nothing."
    hint = "with s = 1 nothing has changed: return weights with the ratio alpha / beta."
    yield "s = 1 leaves the ratio as it is", _close(_tilt(weights, 1.0, 1000.0, 1.0), 1), hint
    tilt = _tilt(weights, 1.0, 1000.0, 2.0)
    hints = {
        1 / 4: "the ratio is the old one: content grew to 4 times its size, style to 16 times.",
        1 / 16: "you turned it round: style grew more than content, so its weight must fall against alpha.",
        1 / 2: "you corrected by s: content grows with s^2, style with s^4.",
        4: "you corrected by s^4, which style alone needs: content grew by s^2 itself.",
    }
    hint = next((hint for factor, hint in hints.items() if _close(tilt, factor)), None)
    hint = hint or "divide each weight by the factor by which its loss grew."
    yield "activations twice as large are balanced as before", _close(tilt, 1), hint
    hint = "it holds for s = 2 only: write powers of s, not numbers."
    yield "so are those a tenth as large", _close(_tilt(weights, 1.0, 1000.0, 0.1), 1), hint
    hint = "it holds for one pair of weights only: use alpha and beta as given."
    yield "so it is from other weights", _close(_tilt(weights, 3.0, 0.2, 5.0), 1), hint


@check
def relative_style_gradient(gradient):
    """Check `gradient(F, A)`, that of sum (G / M - A)^2 / sum A^2 with A per position: (M, N), (N, N) to (M, N)."""
    F, S = _random(6, 4), _random(9, 4, seed=1)
    M, A = len(F), S.T @ S / len(S)
    given = F.copy(), A.copy()
    g, G = _array(gradient(F, A)), F.T @ F
    yield "the result has shape (M, N)", g.shape == F.shape, _about_shape(g.shape, F.shape)
    yield "the arguments are unchanged", np.array_equal(F, given[0]) and np.array_equal(A, given[1]), IN_PLACE
    hint = "A is divided by the painting's positions already: compare it with G / M, not with G."
    yield "it is zero if A is G / M", np.allclose(_array(gradient(F, G / M)), 0, atol=1e-6), hint
    right = _differences(lambda F: np.sum((F.T @ F / M - A) ** 2) / np.sum(A**2), F)
    hint = _about_factor(g, right, {
        -1: "the sign is turned round: the gradient points uphill.",
        1 / 2: "a factor 2 is missing: the product rule gives two terms, and by symmetry they are equal.",
        1 / 4: "a factor 4 is missing: 2 from the square, 2 from the two terms of the product rule.",
        M: "you forgot that G is divided by M: its derivative is divided by M too.",
        M / 2: "two factors are missing: G is divided by M, and the product rule gives two terms.",
        np.sum(A**2): "you forgot to divide by the sum of A^2.",
        np.sum(A**2) / (4 * 16 * M): "these are the paper's factors, 1 / (N^2 M^2): here the loss is another one.",
    })  # fmt: skip
    if _factor(g, F @ np.abs(G / M - A)) or _factor(g, F @ (G / M - A) ** 2):
        hint = "the difference G / M - A stands in it as it is, with its sign."
    yield BY_DIFFERENCES, _close(g, right), hint or "go through the six steps again: F (G / M - A), and which factors?"


def _random(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 1, shape)


def _array(answer):
    return np.asarray(answer, np.float64)


def _close(x, y):
    return np.shape(x) == np.shape(y) and np.allclose(x, y, rtol=1e-3, atol=1e-4 * np.abs(y).max())


def _differences(loss, x, h=1e-5):
    """The gradient of loss(x) by central differences."""
    steps = h * np.eye(x.size).reshape(-1, *x.shape)
    return np.reshape([(loss(x + step) - loss(x - step)) / (2 * h) for step in steps], x.shape)


def _variation(x, size, total=np.mean):
    return total(size(np.diff(x, axis=0))) + total(size(np.diff(x, axis=1)))


def _tilt(weights, alpha, beta, s):
    """How much stronger content is, against style, than it was: 1 if the balance is kept."""
    new_alpha, new_beta = np.asarray(weights(alpha, beta, s), float)
    return (new_alpha * s**2) / (new_beta * s**4) / (alpha / beta)


def _factor(g, right):
    """The number c with g = c * right, or None if there is none."""
    c = np.sum(g * right) / np.sum(right**2)
    return c if abs(c) > 1e-9 and _close(g / c, right) else None


def _about_factor(g, right, hints):
    """The hint for the factor by which g is wrong, None if it is no known one."""
    factor = _factor(g, right)
    return next((hint for known, hint in hints.items() if factor and np.isclose(factor, known, rtol=1e-3)), None)


def _about_shape(shape, right):
    if shape == right[::-1]:
        return f"it has shape {shape}: the paper's F is the transpose; here positions are rows, F (G - A)."
    return f"it has shape {shape}: one number for each number of F, {right}."
