"""The losses against plain loops and central differences, in float64, and their scaling laws."""

import numpy as np
import pytest
import tensorflow as tf

from stlib import losses


def gram_by_loops(F):
    M, N = F.shape
    G = np.zeros((N, N))
    for i in range(N):
        for j in range(N):
            for k in range(M):
                G[i, j] += F[k, i] * F[k, j]
    return G


@pytest.fixture
def F(rng):
    return rng.normal(size=(12, 5))


@pytest.fixture
def P(rng):
    return rng.normal(size=(12, 5)) + 1


def central_differences(function, x, step=1e-5):
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (function(up) - function(down)) / (2 * step)
    return gradient


def tape_gradient(function, x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = function(x)
    return tape.gradient(loss, x).numpy()


def test_gram_matrix_equals_loops_for_any_leading_axes(F):
    expected = gram_by_loops(F)
    for shape in ((12, 5), (3, 4, 5), (1, 2, 6, 5)):
        np.testing.assert_allclose(losses.gram_matrix(F.reshape(shape)), expected, rtol=1e-12)
    assert losses.gram_matrix(np.float32(F)).dtype == tf.float32


def test_gram_per_position_does_not_depend_on_the_size(F):
    np.testing.assert_allclose(losses.gram_per_position(F), gram_by_loops(F) / 12, rtol=1e-12)
    repeated = np.tile(F, (3, 1)).reshape(1, 6, 6, 5)
    np.testing.assert_allclose(losses.gram_per_position(repeated), losses.gram_per_position(F), rtol=1e-12)


def test_gram_matrix_is_symmetric_and_semidefinite(F):
    G = losses.gram_matrix(F).numpy()
    np.testing.assert_allclose(G, G.T, rtol=1e-12)
    assert np.linalg.eigvalsh(G).min() > -1e-9


def test_losses_equal_loops(F, P):
    M, N = F.shape
    content = sum((F[i, j] - P[i, j]) ** 2 for i in range(M) for j in range(N)) / 2
    G, A = gram_by_loops(F), gram_by_loops(P)
    style = sum((G[i, j] - A[i, j]) ** 2 for i in range(N) for j in range(N)) / (4 * N**2 * M**2)
    np.testing.assert_allclose(losses.content_loss(F, P), content, rtol=1e-12)
    np.testing.assert_allclose(losses.style_loss(F, A), style, rtol=1e-12)
    np.testing.assert_allclose(losses.style_loss(F.reshape(1, 3, 4, 5), A), style, rtol=1e-12)
    np.testing.assert_allclose(losses.relative_error(F, P), 2 * content / sum(P.ravel() ** 2), rtol=1e-12)


def test_total_variation_loss_equals_loops(rng):
    x = rng.uniform(size=(4, 6, 3))
    down = [(x[i + 1, j, c] - x[i, j, c]) ** 2 for i in range(3) for j in range(6) for c in range(3)]
    across = [(x[i, j + 1, c] - x[i, j, c]) ** 2 for i in range(4) for j in range(5) for c in range(3)]
    expected = np.mean(down) + np.mean(across)
    np.testing.assert_allclose(losses.total_variation_loss(x), expected, rtol=1e-12)
    np.testing.assert_allclose(losses.total_variation_loss(x[None]), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["content", "style", "relative", "total variation"])
def test_gradients_closed_form_tape_and_central_differences(name, F, P, rng):
    M, N = F.shape
    A = gram_by_loops(P)
    function, closed = {
        "content": (lambda F: losses.content_loss(F, P), lambda F: F - P),
        "style": (lambda F: losses.style_loss(F, A), lambda F: F @ (gram_by_loops(F) - A) / (N**2 * M**2)),
        "relative": (lambda F: losses.relative_error(F, P), lambda F: 2 * (F - P) / np.sum(P**2)),
        "total variation": (losses.total_variation_loss, None),
    }[name]
    x = rng.uniform(size=(4, 5, 3)) if closed is None else F
    tape = tape_gradient(function, x)
    # measured: at most 2e-9 relative to the largest entry
    np.testing.assert_allclose(central_differences(function, x), tape, atol=1e-7 * np.abs(tape).max())
    if closed is None:
        np.testing.assert_allclose(tape.sum(axis=(0, 1)), 0, atol=1e-15)  # adding a constant changes nothing
    else:
        np.testing.assert_allclose(tape, closed(x), rtol=1e-10)


def test_scaling_laws(F, P):
    """Activations times s: content s^2, style s^4, relative errors 1."""
    s = 3.0
    A = gram_by_loops(P)
    np.testing.assert_allclose(losses.content_loss(s * F, s * P), s**2 * losses.content_loss(F, P))
    np.testing.assert_allclose(losses.style_loss(s * F, s**2 * A), s**4 * losses.style_loss(F, A))
    np.testing.assert_allclose(losses.relative_error(s * F, s * P), losses.relative_error(F, P))


def test_relative_error_of_a_zero_target_is_finite():
    assert np.isfinite(losses.relative_error(np.ones(3, np.float32), np.zeros(3, np.float32)))
    assert losses.relative_error(np.zeros(3), np.zeros(3)) == 0
