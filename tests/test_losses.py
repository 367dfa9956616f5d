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


def plain_gram(F):
    """The Gram matrix with TensorFlow's own rule for its gradient."""
    F = tf.reshape(F, (-1, F.shape[-1]))
    return tf.matmul(F, F, transpose_a=True)


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("compiled", [False, True])
def test_the_gradient_of_the_gram_matrix_is_tensorflows_own(F, rng, dtype, rtol, compiled):
    """F (D + D^T), for any D, again and again from one tape, and for features with axes of an image."""
    x = tf.constant(F.reshape(1, 3, 4, 5), dtype)
    several = [tf.constant(rng.normal(size=(5, 5)), dtype) for _ in range(2)]  # not symmetric, as no loss would be

    def gradients(gram, x):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            G = gram(x)
        return [tape.gradient(G, x, output_gradients=D) for D in (*several, several[0])]

    wrap = tf.function if compiled else lambda function: function
    ours, own = (wrap(lambda x, gram=gram: gradients(gram, x))(x) for gram in (losses.gram_matrix, plain_gram))
    for D, one, other in zip((*several, several[0]), ours, own):
        closed = F @ (D + tf.transpose(D)).numpy()
        assert one.dtype == dtype and one.shape == x.shape
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * np.abs(other).max())
        np.testing.assert_allclose(tf.reshape(one, F.shape), closed, rtol=rtol, atol=rtol * np.abs(closed).max())


def test_the_gram_matrix_has_a_second_derivative(F, P):
    """A tape around a tape: the slope of the squared length of the style gradient."""
    A = gram_by_loops(P)

    def squared_length(x, gram):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.square(gram(x) - A))
        return tf.reduce_sum(tf.square(tape.gradient(loss, x)))

    ours, own = (tape_gradient(lambda x, g=gram: squared_length(x, g), F) for gram in (losses.gram_matrix, plain_gram))
    np.testing.assert_allclose(ours, own, rtol=1e-10)


def split_by_numpy(F):
    mean = F.mean(axis=0)
    return np.vstack([np.cov(F.T, bias=True), np.linalg.norm(mean) * mean])


def test_split_statistics_are_the_covariance_and_the_mean_times_its_length(F):
    for shape in ((12, 5), (3, 4, 5), (1, 2, 6, 5)):
        np.testing.assert_allclose(losses.split_statistics(F.reshape(shape)), split_by_numpy(F), rtol=1e-10)
    assert losses.split_statistics(np.float32(F)).dtype == tf.float32
    *covariance, mean = losses.split_statistics(F).numpy()
    outer = np.outer(mean, mean) / np.linalg.norm(mean)  # ||mean|| mean holds all of mean mean^T
    np.testing.assert_allclose(covariance + outer, losses.gram_per_position(F), rtol=1e-10)


def test_split_statistics_do_not_depend_on_the_size(F):
    tiled = np.tile(F.reshape(1, 3, 4, 5), (1, 2, 3, 1))
    np.testing.assert_allclose(losses.split_statistics(tiled), losses.split_statistics(F), rtol=1e-10, atol=1e-12)


def test_split_statistics_see_what_the_gram_matrix_hides():
    """Two clouds with one Gram matrix: a spread in place of a mean."""
    still, spread = np.float64([[1, 1], [1, 1]]), np.float64([[np.sqrt(2), np.sqrt(2)], [0, 0]])
    np.testing.assert_allclose(losses.gram_per_position(still), losses.gram_per_position(spread), rtol=1e-12)
    assert losses.relative_error(losses.split_statistics(spread), losses.split_statistics(still)) > 0.1


@pytest.mark.parametrize("features", ["zeros", "constant", "one silent channel"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_split_statistics_have_a_finite_gradient_everywhere(features, dtype, F, P):
    F = {"zeros": 0 * F, "constant": 0 * F + 3.0, "one silent channel": F * [0, 1, 1, 1, 1]}[features].astype(dtype)
    A = split_by_numpy(P).astype(dtype)
    assert np.isfinite(losses.split_statistics(F)).all()
    gradient = tape_gradient(lambda x: losses.relative_error(losses.split_statistics(x), A), F)
    assert np.isfinite(gradient).all()
    assert np.any(gradient) or features == "zeros"


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


def split_gradient(F, A):
    """The gradient of sum (T - A)^2, T: split_statistics of F, derived by hand."""
    M, mean = len(F), F.mean(axis=0)
    length = np.linalg.norm(mean)
    *D, d = 2 * (split_by_numpy(F) - A)
    by_covariance = 2 / M * (F - mean) @ np.array(D)
    return by_covariance + (length * d + (d @ mean) / length * mean) / M  # the same row at each position


@pytest.mark.parametrize("name", ["content", "style", "relative", "split", "total variation"])
def test_gradients_closed_form_tape_and_central_differences(name, F, P, rng):
    M, N = F.shape
    A, T = gram_by_loops(P), split_by_numpy(P)
    function, closed = {
        "content": (lambda F: losses.content_loss(F, P), lambda F: F - P),
        "style": (lambda F: losses.style_loss(F, A), lambda F: F @ (gram_by_loops(F) - A) / (N**2 * M**2)),
        "relative": (lambda F: losses.relative_error(F, P), lambda F: 2 * (F - P) / np.sum(P**2)),
        "split": (
            lambda F: losses.relative_error(losses.split_statistics(F), T),
            lambda F: split_gradient(F, T) / np.sum(T**2),
        ),
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
