"""Painters: what the embedded ones paint, any size, and that a wrong file is refused in one sentence."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from benchmarks.bench_painter import errors, mesh
from conftest import ROOT, load_once

from stlib import images, weights
from stlib.network import feature_extractor
from stlib.painter import GRAIN, _enlarge, build_painter, grain_pattern, load_painter, paint
from stlib.settings import CONTENT_LAYERS, STYLE_LAYERS
from stlib.training.painter import write

FOLDER = ROOT / "stlib/data"
SHIPPED = [name for name in weights.PAINTERS if name != "starry_night_flickers"]


@pytest.fixture(scope="module")
def random_painter():
    return build_painter()


@pytest.mark.parametrize("shape", [(20, 20), (21, 20), (23, 43), (32, 61), (97, 50)])
def test_any_size_comes_back(shape, random_painter, rng):
    photo = rng.uniform(size=(*shape, 3)).astype(np.float32)
    painted = paint(photo, random_painter)
    assert painted.shape == photo.shape and painted.dtype == np.float32
    assert 0 <= painted.min() < painted.max() <= 1


def test_padding_to_a_multiple_of_4_mirrors_and_cuts(random_painter, rng):
    photo = rng.uniform(size=(22, 31, 3)).astype(np.float32)
    mirrored = np.concatenate([photo, photo[-2:-4:-1]], axis=0)
    mirrored = np.concatenate([mirrored, mirrored[:, -2:-3:-1]], axis=1)  # (24, 32, 3)
    expected = random_painter(mirrored[None])[0, :22, :31]
    np.testing.assert_allclose(paint(photo, random_painter), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 4), (9, 7), (16, 31)])
def test_enlarging_is_bilinear(shape, rng):
    """On a slope there are no stairs, which would print a mesh."""
    x, image = rng.uniform(size=(1, *shape, 3)).astype(np.float32), keras.Input((None, None, 3))
    enlarged = keras.Model(image, _enlarge(image))(x)
    np.testing.assert_allclose(enlarged, tf.image.resize(x, [2 * side for side in shape]), atol=1e-6)


@pytest.mark.parametrize("name", SHIPPED)
def test_no_mesh_is_printed(name):
    """Painters that repeated pixels, and were not punished for a mesh, had 6.2 (The Great Wave) and 9.5 (ocean)."""
    painter = load_painter(name)
    photos = [images.load(path, 256) for path in sorted((ROOT / "images/content").glob("*.jpg"))]
    assert np.median([mesh(paint(photo, painter, GRAIN)) for photo in photos]) < 2.5  # measured: 0.87 to 1.13


def test_pictures_of_a_batch_do_not_influence_each_other(random_painter, rng):
    batch = rng.uniform(size=(3, 20, 24, 3)).astype(np.float32)
    together = random_painter(batch)
    for picture, painted in zip(batch, together):
        np.testing.assert_allclose(random_painter(picture[None])[0], painted, atol=1e-5)


@pytest.mark.parametrize(
    "photo, words",
    [
        (np.zeros((19, 40, 3)), "40 x 19 pixels; a painter needs 20 on the short side"),
        (np.zeros((40, 40)), "expected (height, width, 3)"),
        (np.full((40, 40, 3), 200.0), "expected [0, 1]"),
        (np.full((40, 40, 3), np.nan), "NaN"),
    ],
)
def test_bad_photos_are_refused(photo, words, random_painter):
    with pytest.raises(ValueError) as error:
        paint(photo, random_painter)
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", weights.PAINTERS)
def test_embedded_painters_are_small_whole_and_without_pickles(name, tmp_path, monkeypatch):
    path = FOLDER / f"painter_{name}.npz"
    assert path.stat().st_size <= 1_000_000
    with np.load(path, allow_pickle=False) as arrays:
        assert {array.dtype for array in arrays.values()} == {np.dtype(np.float16)}
        assert all(np.isfinite(array).all() for array in arrays.values())
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    (tmp_path / path.name).write_bytes(changed)
    monkeypatch.setattr(weights, "DATA", tmp_path)
    with pytest.raises(ValueError, match="not the network that stlib was published with: install stlib again"):
        load_painter(name)


def test_there_is_one_for_each_painting_and_a_twin_for_comparison():
    assert set(SHIPPED) == {path.stem for path in (ROOT / "images/style").glob("*.jpg")}
    assert "starry_night_flickers" in weights.PAINTERS
    assert {path.name for path in FOLDER.glob("painter_*.npz")} == {f"painter_{name}.npz" for name in weights.PAINTERS}


def test_a_written_painter_paints_the_same(random_painter, rng, tmp_path):
    write(tmp_path / "p.npz", random_painter)
    photo = rng.uniform(size=(24, 24, 3)).astype(np.float32)
    again = paint(photo, load_painter(tmp_path / "p.npz"))
    np.testing.assert_allclose(again, paint(photo, random_painter), atol=0.01)  # float16; measured: 0.002


def test_grain_is_smooth_noise_that_tiles():
    pattern = grain_pattern()
    assert pattern.shape == (512, 512, 3) and pattern.dtype == np.float32
    assert abs(pattern.mean()) < 1e-6 and abs(pattern.std() - 1) < 1e-6
    across = np.abs(np.diff(pattern, axis=0, append=pattern[:1])).mean(axis=(1, 2))  # from each row to the next
    assert across[-1] < 1.2 * across.mean()  # measured: 1.00; rows far apart: 4.3


def test_grain_gives_an_even_area_strokes():
    even, painter = np.full((64, 600, 3), 0.5, np.float32), load_painter("starry_night")
    plain, grained = paint(even, painter)[16:-16, 16:-16], paint(even, painter, GRAIN)[16:-16, 16:-16]
    assert grained.std(axis=(0, 1)).mean() > 100 * plain.std(axis=(0, 1)).mean()  # measured: 0.15 and 0.00005
    np.testing.assert_array_equal(paint(even, painter, GRAIN)[16:-16, 16:-16], grained)


def test_wrong_files_are_refused(tmp_path, random_painter):
    np.savez(tmp_path / "pickle.npz", a=np.array([{}], dtype=object))
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    arrays = {variable.path: np.float16(variable) for variable in random_painter.variables}
    np.savez(tmp_path / "less.npz", **dict(list(arrays.items())[1:]))
    np.savez(tmp_path / "shape.npz", **(arrays | {"in/kernel": arrays["in/kernel"][:3]}))
    write(tmp_path / "whole.npz", random_painter)
    (tmp_path / "half.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:300_000])
    (tmp_path / "text.npz").write_text("Dear diary")
    for name, words in {
        "pickle": "is not a painter", "half": "is not a painter", "text": "is not a painter",
        "other": "holds other arrays", "less": "holds other arrays", "shape": "holds other arrays",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=words):
            load_painter(tmp_path / f"{name}.npz")
    with pytest.raises(
        FileNotFoundError, match="no painter .*nowhere.npz: give one of starry_night, .*that the training"
    ):
        load_painter(tmp_path / "nowhere.npz")


BOUNDS = {  # of content error and style error as VGG16 sees them on the lake at 256 px, with grain
    "starry_night": (1.25, 0.2),  # measured: 1.144, 0.180
    "great_wave": (1.24, 0.255),  # measured: 1.128, 0.233
    "village_street_auvers": (1.42, 0.265),  # measured: 1.290, 0.243
    "composition_viii": (1.5, 0.23),  # measured: 1.359, 0.210
    "citrus_slices": (1.77, 0.38),  # measured: 1.609, 0.349
    "ocean_waves": (1.02, 0.2),  # measured: 0.927, 0.180
}


@pytest.fixture(scope="module")
def seen():
    """A photo, the features that VGG16 sees, and those of the photo."""
    photo = images.load(ROOT / "images/content/lake_sherburne.jpg", 256)
    features = feature_extractor(load_once("vgg16"), CONTENT_LAYERS + STYLE_LAYERS)
    return photo, features, features(photo[None])


@pytest.mark.parametrize("name", SHIPPED)
def test_embedded_painters_paint_their_style_and_keep_the_photo(name, seen):
    photo, features, P = seen
    F = features(paint(photo, load_painter(name), GRAIN)[None])
    S = features(images.load(ROOT / f"images/style/{name}.jpg", 256)[None])
    (content_error, style_error), (_, of_photo) = errors(F, P, S), errors(P, P, S)
    assert content_error < BOUNDS[name][0] and style_error < BOUNDS[name][1]
    assert of_photo > 1.9 * style_error  # measured: 2.31 times (citrus) and more
