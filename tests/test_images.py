"""Images: round trips, every mode and orientation, one clear sentence for whatever cannot be read or written."""

import os
import sys
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from stlib import images

SIDES = st.integers(1, 40)
MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"]


def test_load_is_rgb_in_0_1(tmp_path):
    Image.new("RGB", (4, 2), (255, 0, 51)).save(tmp_path / "a.png")
    image = images.load(tmp_path / "a.png")
    assert image.shape == (2, 4, 3) and image.dtype == np.float32
    np.testing.assert_allclose(image[0, 0], [1, 0, 0.2])


@given(width=SIDES, height=SIDES, mode=st.sampled_from(MODES), size=st.one_of(st.none(), st.integers(40, 60)))
def test_load_any_mode_and_size(tmp_path_factory, width, height, mode, size):
    noise = np.random.default_rng(width).uniform(size=(height, width, 3))
    picture = Image.fromarray(images.to_uint8(noise))
    if mode in ("I;16", "I"):
        picture = Image.fromarray((noise[..., 0] * 65535).astype(np.uint16 if mode == "I;16" else np.int32))
    elif mode == "F":
        picture = Image.fromarray(noise[..., 0].astype(np.float32))
    else:
        picture = picture.convert("P").convert("PA") if mode == "PA" else picture.convert(mode)
    path = tmp_path_factory.mktemp("modes") / "a.tiff"
    endings = {"P": ".png", "PA": ".im", "YCbCr": ".jpg"}  # Pillow 12 cannot read back its own YCbCr TIFF
    path = path.with_suffix(endings.get(mode, ".tiff"))
    picture.save(path)
    image = images.load(path, size)
    assert image.dtype == np.float32 and image.min() >= 0 and image.max() <= 1
    assert max(image.shape[:2]) == (size or max(width, height))
    if size:
        assert abs(image.shape[0] / image.shape[1] * width / height - 1) <= 0.5 / min(image.shape[:2]) + 1e-9
    else:
        assert image.shape == (height, width, 3)


@pytest.mark.parametrize("bits", [16, 32])
def test_sixteen_bits_keep_their_precision(tmp_path, bits):
    path = tmp_path / ("a.png" if bits == 16 else "a.tiff")
    gray = np.arange(0, 65536, 257).reshape(16, 16)
    Image.fromarray(gray.astype(np.uint16 if bits == 16 else np.int32)).save(path)
    np.testing.assert_allclose(images.load(path)[..., 1], gray / 65535, atol=1e-6)


def test_transparency_is_laid_over_white(tmp_path):
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.new("LA", (2, 2), (0, 51)).save(tmp_path / "gray.png")
    assert images.load(tmp_path / "clear.png").min() == 1
    np.testing.assert_allclose(images.load(tmp_path / "gray.png"), 0.8, atol=0.005)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honored(tmp_path, orientation):
    upright = Image.new("RGB", (3, 2))
    upright.putpixel((0, 0), (255, 0, 0))
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = upright.transpose(inverse[orientation]) if orientation in inverse else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(images.load(tmp_path / "a.png"), np.asarray(upright) / np.float32(255))


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.warns(UserWarning, match=r"a\.gif holds 2 pictures, frames or pages: the first is taken"):
        np.testing.assert_allclose(images.load(tmp_path / "a.gif")[0, 0], [1, 0, 0])


def test_paths_with_spaces_and_other_letters(tmp_path, rng):
    path = tmp_path / "ein Bild für 学生.png"
    images.save(rng.uniform(size=(4, 4, 3)), path)
    assert images.load(str(path)).shape == (4, 4, 3)


@pytest.mark.parametrize("ending", images.FORMATS)
def test_save_and_load_round_trip_with_metadata(tmp_path, ending):
    y, x = np.mgrid[0:1:24j, 0:1:32j]
    image = np.stack([x, y, 0.5 + 0 * x], axis=-1)
    path = images.save(
        image, tmp_path / f"new folder/a{ending}", size=320, steps=(80, 60), title="Sternennacht für alle 星"
    )
    assert path.exists()
    lossless = ending in (".png", ".tif", ".tiff")
    np.testing.assert_allclose(images.load(path), image, atol=0.6 / 255 if lossless else 0.1)
    assert images.load_metadata(path) == {"size": 320, "steps": [80, 60], "title": "Sternennacht für alle 星"}
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_metadata_of_a_file_that_has_none(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "plain.png")
    exif = Image.Exif()
    exif[images.DESCRIPTION] = "my holiday"
    Image.new("RGB", (4, 4)).save(tmp_path / "holiday.jpg", exif=exif)
    assert images.load_metadata(tmp_path / "plain.png") == images.load_metadata(tmp_path / "holiday.jpg") == {}


def test_files_that_cannot_be_loaded(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*nowhere\.jpg: check the name and the folder"):
        images.load(tmp_path / "nowhere.jpg")
    with pytest.raises(ValueError, match="is a folder, expected an image file: name one"):
        images.load(tmp_path)
    good = tmp_path / "good.png"
    images.save(np.random.default_rng(0).uniform(size=(64, 64, 3)), good)
    broken = {"empty.png": b"", "text.jpg": b"Dear diary", "truncated.png": good.read_bytes()[:3000]}
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(
            ValueError, match=f"{name} cannot be read as an image .*: expected a complete JPEG.*save it again"
        ):
            images.load(tmp_path / name)


def test_what_reads_heic_and_avif_is_named(tmp_path, monkeypatch):
    asked = []
    for brand, module, supported, words in (
        ("heic", None, True, "install what reads HEIC: pip install pillow-heif; or save it as JPEG"),
        ("heic", types.SimpleNamespace(register_heif_opener=lambda: asked.append(1)), True, "save it again"),
        ("avif", None, False, "install what reads AVIF: pip install --upgrade pillow; or save it as JPEG"),
        ("avif", None, True, "save it again"),
    ):
        monkeypatch.setitem(sys.modules, "pillow_heif", module)
        monkeypatch.setattr(images.features, "check", lambda name, supported=supported: supported)
        (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftyp" + brand.encode() + b"\0\0\0\0")  # whatever its name
        with pytest.raises(ValueError, match=rf"a\.jpg cannot be read as an image \(.*\): .*{words}"):
            images.load(tmp_path / "a.jpg")
    assert asked == [1]


def test_heic_is_read(tmp_path, rng):
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.new("RGB", (64, 48), "red")).save(tmp_path / "a.jpg")
    np.testing.assert_allclose(images.load(tmp_path / "a.jpg"), np.broadcast_to([1, 0, 0], (48, 64, 3)), atol=0.05)


def test_raw_files_are_refused(tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.CR2", "TIFF")  # the thumbnail that Pillow sees
    with pytest.raises(ValueError, match=r"a\.CR2 cannot be read .*raw file\): save it as JPEG or TIFF"):
        images.load(tmp_path / "a.CR2")


@pytest.mark.parametrize("ending", images.FORMATS)
def test_resolution_and_color_profile(tmp_path, ending, rng):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = images.save(rng.uniform(size=(8, 8, 3)), tmp_path / f"a{ending}", dpi=240.5, profile=profile, seed=3)
    with Image.open(path) as picture:
        assert float(picture.getexif()[0x011A]) == pytest.approx(240.5)  # the only one that WebP has
        if ending != ".webp":
            assert picture.info["dpi"] == pytest.approx((240.5, 240.5), rel=0.003)  # JPEG has whole ones
    assert images.color_profile(path) == profile and images.load_metadata(path) == {"seed": 3}


def test_a_profile_of_other_values_is_not_kept(tmp_path):
    gray = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    gray[16:20] = b"GRAY"
    Image.new("L", (8, 8)).save(tmp_path / "a.png", icc_profile=bytes(gray))
    assert images.color_profile(tmp_path / "a.png") is None


@pytest.mark.parametrize("ending, longest", [(".jpg", 65_500), (".webp", 16_383)])
def test_sides_that_a_format_cannot_have(tmp_path, ending, longest):
    images.save(np.zeros((1, longest, 3)), tmp_path / f"a{ending}")
    with pytest.raises(ValueError, match=rf"cannot hold {longest + 1} x 1 pixels, for .* ends at {longest:,} a side: "):
        images.save(np.zeros((1, longest + 1, 3)), tmp_path / f"b{ending}")
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("ending, orientation", [(".jpg", 1), (".jpg", 6), (".tif", 6), (".png", 1)])
def test_a_very_large_photo_is_read_smaller(tmp_path, monkeypatch, ending, orientation):
    monkeypatch.setattr(images, "WHOLE", 400_000)
    y, x = np.mgrid[0:1:601j, 0:1:801j]
    picture = Image.fromarray(images.to_uint8(np.stack([x, y, (np.sin(9 * x) + 1) / 2], axis=-1)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / f"a{ending}", exif=exif)
    whole = images.load(tmp_path / f"a{ending}")
    read = images.load(tmp_path / f"a{ending}", enough=120)
    assert 120 <= max(read.shape) < 240  # measured: 134, an eighth of it is too small
    np.testing.assert_allclose(read, images.resize(whole, read.shape[:2]), atol=0.05)  # measured: 0.031, JPEG
    np.testing.assert_allclose(
        images.load(tmp_path / f"a{ending}", 60), images.resize(whole, images.fit(whole.shape, 60)), atol=0.05
    )


@pytest.mark.parametrize("mode", ["1", "LA", "P", "PA", "CMYK", "I", "F", "I;16"])
def test_a_very_large_photo_of_any_kind(tmp_path, monkeypatch, mode):
    """Palettes have no mean: their colors have. Those of 16 bits are read whole."""
    y, x = np.mgrid[0:1:40j, 0:1:60j]
    picture = Image.fromarray(images.to_uint8(np.stack([x, y, x * y], axis=-1)))
    if mode in ("I", "I;16"):
        picture = Image.fromarray(np.asarray(x * 65535, np.uint16 if mode == "I;16" else np.int32))
    else:
        picture = Image.fromarray(np.float32(x)) if mode == "F" else picture.convert("P").convert(mode)
    picture.save(tmp_path / ("a.im" if mode == "PA" else "a.png" if mode == "P" else "a.tiff"))
    path = next(tmp_path.iterdir())
    whole = images.load(path)
    monkeypatch.setattr(images, "WHOLE", 1000)
    read = images.load(path, enough=20)
    assert read.shape == ((40, 60, 3) if mode == "I;16" else (14, 20, 3))
    if mode != "I;16":
        blocks = np.stack([whole[:39, k::3] for k in range(3)]).mean(0).reshape(13, 3, 20, 3).mean(1)
        np.testing.assert_allclose(read[:13], blocks, atol=0.004)  # measured: 0.002, rounded to bytes


def test_a_jpeg_of_any_size_is_read_smaller(tmp_path, monkeypatch):
    """Those of 200 million pixels, which some telephones make: above Pillow's limit, where it refuses them."""
    picture = Image.linear_gradient("L").resize((640, 480))
    for name in ("a.jpg", "a.png"):
        picture.save(tmp_path / name)
    monkeypatch.setattr(images, "WHOLE", 10_000)
    monkeypatch.setattr(images, "MAX_PIXELS", 100_000)
    for limit in (200_000, 100_000):  # Pillow warns above its limit, and refuses above twice as many
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        read = images.load(tmp_path / "a.jpg", 100)
        assert read.shape == (75, 100, 3) and read[0].max() < 0.05 and read[-1].min() > 0.95
        for path, enough in ((tmp_path / "a.jpg", None), (tmp_path / "a.png", 100)):
            with pytest.raises(ValueError, match=rf"{path.name} cannot be read as an image \(.*pixels"):
                images.load(path, enough=enough)


def test_decompression_bombs(tmp_path):
    Image.new("1", (10_000, 9_000)).save(tmp_path / "large.png")  # 90 million pixels in 12 kB: Pillow only warns
    Image.new("1", (20_000, 10_000)).save(tmp_path / "huge.png")  # more than twice as many: Pillow refuses
    for name in ("large.png", "huge.png"):
        with pytest.raises(ValueError, match=rf"{name} cannot be read as an image \(.*pixels"):
            images.load(tmp_path / name)


def test_sizes_that_cannot_be(tmp_path):
    Image.new("RGB", (1000, 2)).save(tmp_path / "strip.png")
    with pytest.raises(ValueError, match=r"strip\.png: 1000 x 2 pixels shrink to nothing at size 200: .*at least 500"):
        images.load(tmp_path / "strip.png", 200)
    assert images.load(tmp_path / "strip.png", 500).shape == (1, 500, 3)
    for size in (0, -3, 2.5, "320", True):
        with pytest.raises(ValueError, match=f"size is {size!r}, expected a whole number of pixels"):
            images.load(tmp_path / "strip.png", size)


@pytest.mark.parametrize(
    "array, words",
    [
        (np.zeros((4, 4)), r"shape \(4, 4\), expected \(height, width, 3\)"),
        (np.zeros((1, 4, 4, 3)), r"shape \(1, 4, 4, 3\)"),
        (np.zeros((4, 4, 4)), r"shape \(4, 4, 4\)"),
        (np.zeros((0, 4, 3)), r"shape \(0, 4, 3\)"),
        (np.zeros((4, 4, 3), np.uint8), "type uint8, expected floats .* divide by 255"),
        (np.full((4, 4, 3), 200.0), r"values from 200 to 200, expected \[0, 1\].* divide by 255"),
        (np.full((4, 4, 3), -0.5), "values from -0.5"),
        (np.full((4, 4, 3), np.nan), "contains NaN or infinity"),
        (np.full((4, 4, 3), np.inf), "contains NaN or infinity"),
        ("lake.jpg", r"shape \(\).*stlib.images.load"),
    ],
)
def test_arrays_that_are_no_images(array, words):
    with pytest.raises(ValueError, match=f"photo (has|contains) .*{words}|photo {words}"):
        images.as_image(array, "photo")


def test_resize_keeps_a_constant_and_the_range(rng):
    assert np.allclose(images.resize(np.full((8, 6, 3), 0.3, np.float32), (17, 5)), 0.3)
    sharp = np.float32(rng.uniform(size=(8, 8, 3)) > 0.5)
    larger = images.resize(sharp, (32, 32))
    assert larger.shape == (32, 32, 3) and larger.min() >= 0 and larger.max() <= 1


def test_where_nothing_can_be_written(tmp_path):
    image = np.zeros((4, 4, 3))
    with pytest.raises(ValueError, match=r"a\.bmp has the ending '\.bmp', expected one of \.png.*: change the ending"):
        images.save(image, tmp_path / "a.bmp")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"file/a\.png cannot be written: choose a folder"):
        images.save(image, tmp_path / "file/a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OSError, match=r"folder\.png cannot be written"):
        images.save(image, tmp_path / "folder.png")


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch, rng):
    path = images.save(rng.uniform(size=(4, 4, 3)), tmp_path / "a.png")
    before = path.read_bytes()

    def full_disk(self, file, *arguments, **keywords):
        with open(file, "wb") as stream:
            stream.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OSError, match="could not be written .*No space left.*free some space"):
        images.save(np.zeros((4, 4, 3)), path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.png"]
