"""Keeping colors: what each method promises, in numbers."""

import numpy as np
import pytest

from stlib import color


@pytest.fixture
def pair(rng):
    """Two smooth-colored images whose matched colors stay inside [0, 1], so that clipping plays no part."""
    content = 0.5 + 0.08 * rng.normal(size=(40, 30, 3)) @ np.array([[1, 0.2, 0], [0, 1, 0.3], [0.1, 0, 0.5]])
    style = 0.45 + 0.05 * rng.normal(size=(25, 35, 3))
    return np.clip(content, 0, 1), style


def test_with_luminance_sets_luminance_and_keeps_chroma(pair, rng):
    image, Y = pair[0], 0.4 + 0.2 * rng.uniform(size=(40, 30))
    result = color.with_luminance(image, Y)
    np.testing.assert_allclose(color.luminance(result), Y, atol=1e-6)
    chroma = image - color.luminance(image)[..., None]
    np.testing.assert_allclose(result - Y[..., None], chroma, atol=1e-6)


def test_gray_pair_gives_the_style_the_contrast_of_the_content(pair):
    content, style = color.gray_pair(*pair)
    assert content.shape == pair[0].shape and style.shape == pair[1].shape
    assert np.ptp(content, axis=-1).max() == np.ptp(style, axis=-1).max() == 0
    np.testing.assert_allclose(style.mean(), content.mean(), atol=1e-3)
    np.testing.assert_allclose(style.std(), content.std(), rtol=1e-2)


def test_match_colors_gives_mean_and_covariance(pair):
    content, style = pair
    matched = color.match_colors(style, content)
    assert matched.shape == style.shape and matched.dtype == np.float32
    flat = matched.reshape(-1, 3), content.reshape(-1, 3)
    np.testing.assert_allclose(flat[0].mean(axis=0), flat[1].mean(axis=0), atol=2e-3)
    np.testing.assert_allclose(np.cov(flat[0].T), np.cov(flat[1].T), atol=5e-4)
    np.testing.assert_allclose(color.match_colors(content, content), content, atol=1e-5)


def test_flat_and_bundled_images_stay_finite_in_range(lake, starry):
    flat = np.full((8, 8, 3), 0.5, np.float32)
    for image, target in ((flat, lake), (lake, flat), (flat, flat), (starry, lake)):
        for result in (color.match_colors(image, target), *color.gray_pair(target, image)):
            assert np.isfinite(result).all() and result.min() >= 0 and result.max() <= 1
