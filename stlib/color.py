"""Keeping the colors of the photo: Gatys, Bethge, Hertzmann & Shechtman, *Preserving color in neural artistic
style transfer*, 2016. Images are (h, w, 3), RGB in [0, 1]; `notebooks/06` compares the two methods.
"""

import numpy as np

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # Y of YIQ; the weights sum to 1


def luminance(image):
    """Brightness of each pixel, (h, w, 3) -> (h, w)."""
    return image @ LUMINANCE


def with_luminance(image, Y):
    """Give `image` the luminance `Y` (h, w) and keep its chroma: the same amount is added to R, G and B."""
    return np.clip(image + (Y - luminance(image))[..., None], 0, 1)


def gray_pair(content, style):
    """Content and style as gray images for luminance-only transfer.

    The luminance of the style gets the mean and the deviation of the content's, so that strokes keep their contrast.
    """
    Y, S = luminance(content), luminance(style)
    S = (S - S.mean()) * (Y.std() / max(S.std(), 1e-6)) + Y.mean()
    return tuple(np.repeat(np.clip(gray, 0, 1)[..., None], 3, axis=-1) for gray in (Y, S))


def match_colors(image, target):
    """Move the colors of `image` so that their mean and covariance are those of `target`.

    x -> R_target R_image^-1 (x - mean_image) + mean_target, with R the symmetric root of the covariance; then
    clipped to [0, 1]. With the style as `image` and the content as `target`, the painting is recolored first.
    """
    pixels, goal = image.reshape(-1, 3), target.reshape(-1, 3)
    transform = _root(np.cov(goal.T), 0.5) @ _root(np.cov(pixels.T), -0.5)  # (3, 3)
    matched = (pixels - pixels.mean(axis=0)) @ transform.T + goal.mean(axis=0)
    return np.clip(matched, 0, 1).reshape(image.shape).astype(np.float32)


def _root(covariance, power):
    """A power of a symmetric positive semi-definite matrix; 1e-6 keeps flat colors invertible."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.maximum(values, 1e-6) ** power @ vectors.T
