"""Checks of lesson 04: gradients, against central differences in float64, and weights."""

from unittest import mock

import numpy as np
import tensorflow as tf

from stlib.checks.exercise import Exercise, Law

FORMULA = "TensorFlow's tape is shut here: it would solve the exercise. Write the formula that you derived."


def by_hand(gradient, *arguments):
    """The gradient without the tool that the exercise is to explain."""

    def shut(*_, **__):
        raise RuntimeError(FORMULA)

    with mock.patch.multiple(tf.GradientTape, gradient=shut, jacobian=shut), mock.patch.object(tf, "gradients", shut):
        return gradient(*arguments)


def random(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 1, shape)


def differences(loss, x, h=1e-5):
    """The gradient of loss(x) by central differences."""
    steps = h * np.eye(x.size).reshape(-1, *x.shape)
    return np.reshape([(loss(x + step) - loss(x - step)) / (2 * h) for step in steps], x.shape)


# --- the content loss with a map


def content(F, P, m):
    return m[:, None] * (F - P)


F, P, MAP = random(6, 4), random(6, 4, seed=1), np.float64([1, 0, 0.5, 0.25, 0, 2])
FAR = F + 1e7 * (np.arange(24).reshape(6, 4) == 1)  # differences drown there: the loss is 5e13

content_gradient = Exercise(
    right=content,
    call=by_hand,
    cases={
        "it is zero at P": (P, P, MAP),
        "it is that of the loss, for each number of F": (F, P, MAP),
        "so it is far away, where differences of the loss are too coarse": (FAR, P, MAP),
    },
    result="the result has shape (M, N)",
    mistakes={
        "row k of the sum is multiplied by m[k]: so is row k of the gradient.": lambda F, P, m: F - P,
        "you multiply by m twice: m stands outside of the square.": lambda F, P, m: m[:, None] ** 2 * (F - P),
        "at P the gradient is zero: it has a factor F - P, times m.": lambda F, P, m: m[:, None] * F - P,
        "the sign is turned round: the gradient points uphill, away from P.": lambda F, P, m: content(P, F, m),
        "twice as large: the 1/2 of the loss cancels the 2 of the square.": lambda F, P, m: 2 * content(F, P, m),
        "you divide by the size of F: the loss is a sum, not a mean.": lambda F, P, m: content(F, P, m) / F.size,
        "you divide by the positions: the loss is a sum, not a mean.": lambda F, P, m: content(F, P, m) / len(F),
        "the paper's F is the transpose: here positions are rows.": lambda F, P, m: content(F, P, m).T,
        "that is a loss: one number for each number of F is asked for.": lambda F, P, m: np.sum(m * (F - P).T ** 2) / 2,
        "the square's derivative is F - P itself, not its sign.": lambda F, P, m: m[:, None] * np.sign(F - P),
    },
    hint="derive one number F_mn: which terms of the sum contain it?",
)  # fmt: skip


# --- total variation in absolute values


def variation(slope=np.sign, divide=True, axes=(0, 1), sides=(1, -1)):
    """The gradient of total variation; each setting is the place of a mistake."""

    def gradient(x):
        g = np.zeros_like(x)
        for axis in axes:
            pull = slope(np.diff(x, axis=axis))
            pull = np.swapaxes(pull / (pull.size if divide else 1), 0, axis)
            np.swapaxes(g, 0, axis)[1:] += sides[0] * pull
            np.swapaxes(g, 0, axis)[:-1] += sides[1] * pull
        return g

    return gradient


SMALL = random(5, 4, 3, seed=3)
SPOT = random(5, 4, 3) + 1e13 * (np.arange(60).reshape(5, 4, 3) == 7)

absolute_variation_gradient = Exercise(
    right=variation(),
    call=by_hand,
    cases={
        "it is zero on an image of one color": (np.full((5, 4, 3), 0.5),),
        "it agrees with central differences": (random(5, 4, 3),),
        "so it does in a wide image": (random(3, 8, 3, seed=1),),
        "so it is where differences of the loss are too coarse": (SPOT,),
        "and where rows repeat": (np.repeat(random(3, 4, 3, seed=2), 2, axis=0),),
    },
    result="the result has the shape of the image",
    laws=(
        Law("it sums to zero in each channel", lambda g: np.allclose(np.sum(g(SMALL), (0, 1)), 0, atol=1e-5),
            "each difference gives as much to one pixel as it takes from its neighbor: add it there, subtract it here.",
            (lambda x: variation(axes=(0,), sides=(1, 0))(x) / 2, lambda x: np.sign(x - x.mean() - 0.1))),
    ),
    mistakes={
        "this is the gradient of squares: the derivative of |d| is not 2 d but its sign.": variation(lambda d: 2 * d),
        "this is half the gradient of squares: the derivative of |d| is its sign.": variation(lambda d: d),
        "divide by the number of differences, not the same down and across: means.": variation(divide=False),
        "one direction is missing: across counts, too.": variation(axes=(0,)),
        "one direction is missing: down counts, too.": variation(axes=(1,)),
        "it is twice as large: the derivative of |d| is sign(d), without a 2.": variation(lambda d: 2 * np.sign(d)),
        "the sign is turned round: x[k + 1] - x[k] grows with x[k + 1].": variation(lambda d: -np.sign(d)),
        "add a difference to the one pixel and subtract it from its neighbor.": variation(sides=(1, 0)),
        "subtract a difference from the one pixel and add it to its neighbor.": variation(sides=(0, -1)),
        "the one pixel gains what its neighbor loses: the signs differ.": variation(sides=(1, 1)),
        "the slope of |d| is not |d|: pixel k stands in two differences.": variation(np.abs),
        "where a difference is 0 it pulls at no pixel: np.sign(0) is 0.": variation(lambda d: d / np.abs(d)),
        "these are the differences: one number a pixel is asked for.": lambda x: np.sign(np.diff(x, axis=0)),
    },
    hint="pixel k stands in two differences down and in two across; each direction is a mean.",
)  # fmt: skip


# --- weights that keep the balance


def tilt(weights, alpha, beta, s):
    """How much stronger content is, against style, than it was: 1 if the balance is kept."""
    new = np.asarray(weights(alpha, beta, s), float)
    if new.shape != (2,):
        raise ValueError("return new_alpha, new_beta: two numbers")
    new_alpha, new_beta = new
    return (new_alpha * s**2) / (new_beta * s**4) / (alpha / beta) if new_alpha > 0 and new_beta > 0 else np.nan


balanced_weights = Exercise(
    right=lambda alpha, beta, s: (alpha / s**2, beta / s**4),
    call=tilt,
    cases={
        "s = 1 leaves the ratio as it is": (1.0, 1000.0, 1.0),
        "activations twice as large are balanced as before": (1.0, 1000.0, 2.0),
        "so are those a tenth as large": (1.0, 1000.0, 0.1),
        "so it is from other weights": [(3.0, 0.2, 5.0), (0.01, 0.5, 0.3)],
    },
    result="it returns two numbers",
    mistakes={
        "the ratio is the old one: content grew to s^2 times its size, style to s^4.": lambda a, b, s: (a, b),
        "you turned it round: style grew more, so its weight must fall against alpha.": lambda a, b, s: (a, b * s**2),
        "you corrected by s: content grows with s^2, style with s^4.": lambda a, b, s: (a / s, b / s**2),
        "you corrected by s^4, which style alone needs: content grew itself.": lambda a, b, s: (a, b / s**4),
        "with s = 1 nothing has changed: write powers of s, not numbers.": lambda a, b, s: (a / 4, b / 16),
        "it holds for s = 2 only: powers of s.": lambda a, b, s: (a / 4, b / 16) if s != 1 else (a, b),
        "it holds for one pair of weights only: use alpha and beta as given.": lambda a, b, s: (s**2, 1000),
        "weights are above zero: multiply or divide, subtract nothing.": lambda a, b, s: (a - s**2, b - s**4),
    },
    hint="divide each weight by the factor by which its loss grew: return new_alpha, new_beta.",
)  # fmt: skip


# --- the relative style loss


def style(F, A):
    return 4 * F @ (F.T @ F / len(F) - A) / (len(F) * np.sum(A**2))


S = random(9, 4, seed=1)
A = S.T @ S / len(S)

relative_style_gradient = Exercise(
    right=style,
    call=by_hand,
    cases={
        "it is zero if A is G / M": (F, F.T @ F / 6),
        "it agrees with central differences": (F, A),
        "so it does where they are too coarse": (F * ([1], [1], [1], [1], [1], [1e8]), A),
    },
    result="the result has shape (M, N)",
    mistakes={
        "the paper's F is the transpose: here positions are rows, F (G - A).": lambda F, A: style(F, A).T,
        "a factor 2 is missing: the product rule gives two terms, equal by symmetry.": lambda F, A: style(F, A) / 2,
        "a factor 4 is missing: 2 from the square, 2 from the product rule.": lambda F, A: style(F, A) / 4,
        "you forgot that G is divided by M: its derivative is too.": lambda F, A: style(F, A) * len(F),
        "two factors are missing: G is divided by M, two terms.": lambda F, A: style(F, A) * len(F) / 2,
        "you forgot to divide by the sum of A^2.": lambda F, A: style(F, A) * np.sum(A**2),
        "these are the paper's factors: the loss is another one.": lambda F, A: F @ (F.T @ F / len(F) - A) / F.size**2,
        "A is per position already: compare it with G / M, not with G.": lambda F, A: F @ (F.T @ F - A) / F.size**2,
        "the sign is turned round: the gradient points uphill.": lambda F, A: -style(F, A),
        "the difference G / M - A stands in it as it is, not squared.": lambda F, A: F @ (F.T @ F / len(F) - A) ** 2,
        "the difference G / M - A has its sign.": lambda F, A: F @ np.abs(F.T @ F / len(F) - A),
        "F is missing: one number for each number of F is asked for.": lambda F, A: F.T @ F / len(F) - A,
    },
    hint="go through the six steps again: F (G / M - A), and which factors?",
)  # fmt: skip
