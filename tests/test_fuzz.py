"""Hostile input: broken files for the loader, extreme settings for stylize."""

import io
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stlib import images
from stlib.settings import CONTENT_LAYERS, STYLE_LAYERS
from stlib.stylize import stylize

CASES = 500


def every_format():
    """Return {format: bytes} of a small picture in every format and a mode that this Pillow writes."""
    Image.init()
    noise = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    files = {}
    for name in sorted(Image.SAVE):
        for mode in ("RGB", "L", "P", "1", "RGBA", "CMYK", "I;16", "F"):
            picture = Image.fromarray(noise)
            if mode in ("I;16", "F"):
                gray = noise[..., 0].astype(np.uint16 if mode == "I;16" else np.float32)
                picture = Image.fromarray(gray / 255 if mode == "F" else gray)
            try:
                stream = io.BytesIO()
                picture.convert(mode).save(stream, name)
            except (OSError, ValueError, KeyError, RuntimeError, SystemError, TypeError, AttributeError):
                continue  # not a mode of this format, or it needs a program that is not here
            files[f"{name} {mode}"] = stream.getvalue()
    return files


def broken(content, rng):
    """Cut the file off somewhere, flip up to 8 bits, or both."""
    content = bytearray(content)
    kind = rng.integers(3)
    if kind != 1:
        del content[rng.integers(len(content)) :]
    if kind != 0 and content:
        for _ in range(rng.integers(1, 9)):
            content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    return bytes(content)


def test_broken_files_load_or_raise_one_sentence(tmp_path):
    files = every_format()
    assert len(files) > 30
    rng, path, loaded = np.random.default_rng(1), tmp_path / "broken.img", 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of much that is broken
        for case, name in zip(range(CASES), sorted(files) * CASES):
            path.write_bytes(broken(files[name], rng))
            try:
                image = images.load(path, 16)
            except (ValueError, OSError) as error:
                assert "\n" not in str(error) and "broken.img" in str(error), (case, name)
            else:
                loaded += 1
                assert image.dtype == np.float32 and image.ndim == 3 and image.shape[-1] == 3, (case, name)
                assert 0 <= image.min() and image.max() <= 1, (case, name)
    assert 50 < loaded < CASES - 50  # both ways were tried; measured: 93 load


SIDES = st.integers(16, 40)
WEIGHTS = st.one_of(st.just(0.0), st.floats(-6, 6).map(lambda power: 10.0**power))
LAYERS = st.lists(st.sampled_from(STYLE_LAYERS + CONTENT_LAYERS), min_size=1, max_size=3, unique=True)
KINDS = st.sampled_from(["noise", "black", "white", "gray"])


def picture(kind, height, width):
    if kind == "noise":
        return np.random.default_rng(height).uniform(size=(height, width, 3))
    return np.full((height, width, 3), {"black": 0.0, "white": 1.0, "gray": 0.5}[kind])


@settings(max_examples=30)
@given(
    sides=st.tuples(SIDES, SIDES, SIDES, SIDES),
    kinds=st.tuples(KINDS, KINDS),
    same=st.booleans(),
    weights=st.tuples(WEIGHTS, WEIGHTS, WEIGHTS),
    content_layers=st.sampled_from([CONTENT_LAYERS, ("block1_conv2",), ("block2_conv2", "block5_conv1")]),
    style_layers=st.sampled_from([STYLE_LAYERS, STYLE_LAYERS[:1], STYLE_LAYERS[1:3], STYLE_LAYERS[4:]]),
    init=st.sampled_from(["content", "style", "noise"]),
    method=st.sampled_from(["pyramid", "pyramid", "adam", "lbfgs"]),
    statistics=st.sampled_from(["gram", "split"]),
    size=st.integers(8, 48),
)
def test_stylize_is_finite_or_one_clear_error(
    network, sides, kinds, same, weights, content_layers, style_layers, init, method, statistics, size
):
    content = picture(kinds[0], *sides[:2])
    style = content if same else picture(kinds[1], *sides[2:])
    names = ("content_weight", "style_weight", "total_variation_weight")
    try:
        result = stylize(
            content, style, network, size=size, steps=(2, 2), init=init, method=method, statistics=statistics,
            content_layers=content_layers, style_layers=style_layers, **dict(zip(names, weights)),
        )  # fmt: skip
    except ValueError as error:
        assert "\n" not in str(error)
        assert not any(weights) or size < 2.5 * 16, error  # nothing to optimize, or a side too short
        return
    assert max(result.image.shape[:2]) == size and result.image.shape == (*images.fit(content.shape, size), 3)
    assert np.isfinite(result.image).all() and result.image.min() >= 0 and result.image.max() <= 1
    assert all(np.isfinite(values).all() for values in result.history.values()) and not result.interrupted


@pytest.mark.parametrize("method, most", [("pyramid", 0.3), ("adam", 0.11), ("lbfgs", 1e-3)])
def test_identical_content_and_style_stay(method, most, network, lake):
    result = stylize(lake, lake, network, size=64, steps=5, method=method, total_variation_weight=0)
    # The moved picture shows a little less of itself than the painting does: measured 0.011 at this size.
    assert result.history["total"][0] < (0.03 if method == "pyramid" else 1e-9)
    # Adam moves by about its learning rate even where the loss is nearly zero; L-BFGS-B has nowhere to go.
    assert np.abs(result.image - images.resize(lake, result.image.shape[:2])).max() < most
