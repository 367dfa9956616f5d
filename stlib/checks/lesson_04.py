"""Checks of lesson 04: what is wrong with a check; gradients, against central differences in float64; weights."""

from unittest import mock

import numpy as np
import tensorflow as tf

from stlib.checks.exercise import Exercise
from stlib.checks.lesson_01 import diagnosis

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


# --- what is wrong with a check

BROKEN = {1: "e", 2: "f", 3: "b", 4: "a", 5: "c"}  # program -> line that was broken
SIGNS = {
    "a": "formula and differences disagree by another factor at each number: which line makes another matrix?",
    "b": "the size is right everywhere, the sign nowhere: which line can turn it round?",
    "c": "one factor is off everywhere: a number is lost, no matrix.",
    "e": "all is right where Z > 0; and what should a closed ReLU let through?",
    "f": "formula and tape agree, so the formula is right: what is wrong with differences that scatter?",
}


broken_gradients = diagnosis(BROKEN, SIGNS, "program", "dg")


# --- the content loss around the mean


def content(F, P):
    return around_mean(F - P)


def around_mean(x, axis=0):
    return x - x.mean(axis=axis, keepdims=True)


F, P = random(6, 4), random(6, 4, seed=1)
FAR = F + 1e7 * (np.arange(24).reshape(6, 4) == 1)  # differences drown there: the loss is 5e13

content_gradient = Exercise(
    right=content,
    call=by_hand,
    cases={
        "it is zero at P": (P, P),
        "it is that of the loss, for each number of F": (F, P),
        "it is zero at P plus a number for each channel": (P + random(4, seed=2), P),
        "so it is far away, where differences of the loss are too coarse": (FAR, P),
        "and for another shape": (random(3, 5), random(3, 5, seed=1)),
    },
    result="the result has shape (M, N)",
    mistakes={
        "that is the gradient with the means: F_mn moves the mean of its column, too.": lambda F, P: F - P,
        "the mean of a channel runs over its positions: down a column, axis 0.": lambda F, P: around_mean(F - P, 1),
        "each channel has a mean of its own: axis 0, not one mean of all.": lambda F, P: F - P - np.mean(F - P),
        "P loses its mean, too.": lambda F, P: around_mean(F) - P,
        "F loses its mean, too.": lambda F, P: F - around_mean(P),
        "the mean falls in all terms of the column, not only in its own: sum over k before you drop anything.":
            lambda F, P: (1 - 1 / len(F)) * content(F, P),
        "so much is right of the one term k = m; the others of its column contain the mean as well.":
            lambda F, P: (1 - 1 / len(F)) * (F - P),
        "the sign is turned round: the gradient points uphill, away from P.": lambda F, P: content(P, F),
        "twice as large: the 1/2 of the loss cancels the 2 of the square.": lambda F, P: 2 * content(F, P),
        "you divide by the size of F: the loss is a sum, not a mean.": lambda F, P: content(F, P) / F.size,
        "you divide by the positions: the loss is a sum, not a mean.": lambda F, P: content(F, P) / len(F),
        "the paper's F is the transpose: here positions are rows.": lambda F, P: content(F, P).T,
        "that is a loss: one number for each number of F is asked for.": lambda F, P: np.sum(content(F, P) ** 2) / 2,
        "the square's derivative is what stands in it, not its sign.": lambda F, P: np.sign(content(F, P)),
        "a mean has a 1/M before its sum.": lambda F, P: F - P - np.sum(F - P, axis=0),
    },
    hint="derive one number F_mn: its own term holds it twice, the others of its column hold it in the mean.",
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
