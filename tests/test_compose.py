"""Composed pictures: two paintings, a region, strokes, colors. Without such wishes they are `stylize`'s."""

import numpy as np
import pytest
from conftest import ROOT, load_once

from stlib import color, compose, images
from stlib.losses import gram_per_position
from stlib.painter import load_painter
from stlib.stylize import stylize

SETTINGS = dict(size=64, steps=2)


@pytest.fixture(scope="module")
def citrus():
    return images.load(ROOT / "images/style/citrus_slices.jpg", 160)


@pytest.fixture(scope="module")
def left(lake):
    """A mask: the left half."""
    mask = np.zeros((40, 60, 3), np.float32)
    mask[:, :30] = 1
    return mask


def halves(image, margin=4):
    """The left and the right half, without what lies near the middle."""
    middle = image.shape[1] // 2
    return image[:, : middle - margin], image[:, middle + margin :]


def test_without_wishes_it_is_stylize(lake, starry, network):
    result = compose.paint(lake, starry, network, size=64)
    plain = stylize(lake, starry, network, size=64)
    assert np.array_equal(result.image, plain.image)
    assert result.settings | {"steps": "normal"} == plain.settings


@pytest.mark.parametrize("name", ["slim", "vgg16"])
def test_a_region_keeps_the_photo(lake, starry, name, left):
    network = load_once(name)
    plain = compose.paint(lake, starry, network, **SETTINGS).image
    image = compose.paint(lake, starry, network, mask=left, **SETTINGS).image
    photo = images.resize(lake, image.shape[:2])
    assert np.allclose(halves(image)[0], halves(photo)[0], atol=1e-5)
    assert np.allclose(halves(image)[1], halves(plain)[1], atol=1e-5)
    assert np.abs(np.diff(image - plain, axis=1)).max() < 0.7 * np.abs(photo - plain).max()  # no hard edge


def test_a_region_is_the_second_painting_s(lake, starry, citrus, network, left):
    one, two = (compose.paint(lake, each, network, **SETTINGS).image for each in (starry, citrus))
    image = compose.paint(lake, starry, network, second=citrus, mask=left, **SETTINGS).image
    assert np.allclose(halves(image)[0], halves(two)[0], atol=1e-5)
    assert np.allclose(halves(image)[1], halves(one)[1], atol=1e-5)


def test_mixed(starry, citrus, network):
    for share, whole in ((0, starry), (1, citrus)):
        both = compose.mixed(starry, citrus, share)
        assert both.shape == starry.shape
        assert share or np.array_equal(both, whole)
    both = compose.mixed(starry, citrus, 0.5)
    cut = both.shape[1] // 2
    whole, *parts = (gram_per_position(x.reshape(-1, 3)) for x in (both, both[:, :cut], both[:, cut:]))
    assert np.allclose(whole, sum(parts) / 2, rtol=0.02)  # the mean of the statistics, as in notebook A4


def test_strokes(starry, lake, network):
    assert compose.sized(starry, 1) is starry or np.array_equal(compose.sized(starry, 1), starry)
    h, w = starry.shape[:2]
    large, small = compose.sized(starry, 2), compose.sized(starry, 0.5)
    assert np.array_equal(large, starry[(h - round(h / 2)) // 2 :, (w - w // 2) // 2 :][: round(h / 2), : w // 2])
    assert small.shape[:2] == (2 * h, 2 * w)
    assert np.array_equal(small[h // 2 : h // 2 + h, w // 2 : w // 2 + w], starry)
    counts = compose.paint(lake, starry, network, size=256, strokes=2, steps=1).settings["steps"]
    assert counts == (1,)  # one's own steps win


def test_large_strokes_begin_coarser(lake, starry, network, monkeypatch):
    def remember(*pair, steps, **settings):
        seen.append(len(steps))
        return stylize(*pair, size=32, steps=1)

    seen = []
    monkeypatch.setattr(compose, "stylize", remember)
    for strokes in (0.5, 1, 2):
        compose.paint(lake, starry, network, strokes=strokes, size=256)
    assert seen == [1, 1, 3]


def test_colors_are_the_photo_s(lake, starry, network):
    image = compose.paint(lake, starry, network, keep_colors=True, **SETTINGS).image
    photo = images.resize(lake, image.shape[:2])
    inside = ((image > 0.01) & (image < 0.99)).all(axis=-1)  # where nothing is clipped
    chroma = [(x - color.luminance(x)[..., None])[inside] for x in (image, photo)]
    assert inside.mean() > 0.5 and np.allclose(*chroma, atol=1e-5)


def test_stopped_in_the_first_painting_the_second_is_not_begun(lake, starry, citrus, network, left):
    def stop(progress):
        steps.append(progress.step)
        if progress.step == 2:
            raise KeyboardInterrupt

    steps = []
    result = compose.paint(
        lake, starry, network, second=citrus, mask=left, size=64, steps=4, callback=stop
    )  # fmt: skip
    assert result.interrupted and steps == [1, 2]


@pytest.mark.parametrize("wrong", [dict(share=1.5), dict(share=float("nan")), dict(strokes=0), dict(strokes=9)])
def test_wrong_wishes_get_one_sentence(lake, starry, network, wrong):
    with pytest.raises(ValueError, match=rf"^{[*wrong][0]} is .*expected a number.*\.$"):
        compose.paint(lake, starry, network, second=starry, **wrong)


def test_preview(lake, starry, citrus, left):
    painter = load_painter("starry_night")
    plain = compose.preview(lake, starry, painter)
    assert plain.shape == lake.shape and 0 <= plain.min() and plain.max() <= 1
    far = [np.abs(compose.preview(lake, starry, painter, balance=x) - lake).mean() for x in (0, 0.5, 1)]
    assert far[0] < far[1] < far[2]
    kept = compose.preview(lake, starry, painter, mask=left)
    assert np.allclose(halves(kept, 12)[0], halves(lake, 12)[0], atol=1e-3)
    assert np.allclose(halves(kept, 12)[1], halves(plain, 12)[1], atol=1e-3)
    colors = compose.preview(lake, citrus, None, balance=1)
    assert np.array_equal(colors, color.match_colors(lake, citrus))
    half = compose.preview(lake, starry, painter, second=citrus, second_network=None, share=0.5, balance=1)
    assert np.allclose(half, (compose.preview(lake, starry, painter, balance=1) + colors) / 2, atol=1e-6)
