"""The command line: what it writes, and that bad input is one sentence before any computing."""

import dataclasses
import functools
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image, ImageCms

from stlib import __main__ as cli
from stlib import images
from stlib.command import photos
from stlib.settings import Settings
from stlib.stylize import stylize

pytestmark = pytest.mark.usefixtures("networks_kept")
CAT = str(ROOT / "images/content/chelsea_cat.jpg")
PALACE = str(ROOT / "images/content/summer_palace.jpg")
WAVE = str(ROOT / "images/style/great_wave.jpg")
QUICK = ["--network", "slim", "--size", "48", "--steps", "2,1"]


def test_help_has_an_example(capsys):
    assert cli.main(["--help"]) == 0
    assert (
        "python -m stlib images/content/summer_palace.jpg images/style/starry_night.jpg -o" in capsys.readouterr().out
    )


def test_options_are_settings():
    options = vars(photos.parser().parse_args([CAT, WAVE, "-o", "out"]))
    assert {name: options[name] for name in photos.OPTIONS} == {
        "size": None, "steps": "normal", "content_weight": None, "style_weight": 1.0, "init": "content", "seed": 0,
        "memory": None,
    }  # fmt: skip
    others = {name: options[name] for name in photos.OPTIONS if name != "size"}  # its default depends on --print
    assert dataclasses.asdict(Settings()).items() >= others.items()


def test_one_picture_with_its_settings(tmp_path, capsys):
    out = tmp_path / "mit Leerzeichen/猫.png"
    assert cli.main([CAT, WAVE, "-o", str(out), *QUICK, "--seed", "3", "--init", "noise", "--style-weight", "2"]) == 0
    printed = capsys.readouterr()
    assert re.search(rf"{re.escape(str(out))} \(\d+\.\d s\)", printed.out)
    assert "100%" in printed.err and "style=" in printed.err  # the progress bar
    assert re.search(r"猫\.png: about \d+ s with slim\n", printed.err)
    made = images.load_metadata(out)
    assert (made["content"], made["style"], made["network"]) == ("chelsea_cat.jpg", "great_wave.jpg", "slim")
    settings = {name: made[name] for name in photos.OPTIONS}
    again = stylize(images.load(CAT), images.load(WAVE), **settings).image
    np.testing.assert_array_equal(images.to_uint8(again), images.to_uint8(images.load(out)))


@pytest.mark.parametrize("text, number", [("2GB", 2e9), ("800 mb", 8e8), ("1.5G", 1.5e9), ("3e8", 3e8), ("70k", 7e4)])
def test_memory_in_bytes(text, number):
    assert photos.parser().parse_args([CAT, WAVE, "-o", "out", "--memory", text]).memory == number


def test_a_picture_in_tiles_says_so(tmp_path, capsys):
    out = tmp_path / "a.png"
    assert cli.main([CAT, WAVE, "-o", str(out), *QUICK, "--size", "320", "--memory", "720MB"]) == 0
    assert re.search(r"about \d+ s with slim, the largest sizes in tiles of \d+ pixels", capsys.readouterr().err)
    assert images.load(out).shape[1] == 320 and images.load_metadata(out)["memory"] == 7.2e8


@pytest.mark.parametrize(
    "paper, size, length, dpi",
    [
        ("1x1", None, 300, 300),
        ("1.4X1in", None, 420, 300),
        ("2x1", None, 451, 300),
        ("a4", "64", 64, 64 / (297 / 25.4)),
    ],
)
def test_size_and_resolution_for_a_paper(paper, size, length, dpi, tmp_path):
    """As large as it fits: the photo has sides of 451 and 300 pixels, so on 2 x 1 inches it is 1.503 inches long."""
    out, given = tmp_path / "a.tiff", ["--size", size] if size else []
    assert cli.main([CAT, WAVE, "-o", str(out), *QUICK[:2], "--steps", "1", "--print", paper, *given]) == 0
    assert abs(images.load(out).shape[1] - length) <= 1
    with Image.open(out) as picture:
        assert picture.info["dpi"] == pytest.approx((dpi, dpi), rel=0.005)


def test_a_picture_that_fills_little_of_a_paper(tmp_path, monkeypatch):
    """On 8 x 40 inches the cat is 12 inches long: what 40 would need is no reason to refuse it."""
    sizes = []
    replace_stylize(monkeypatch, lambda *_, size, **__: sizes.append(size) or pytest.fail("that was enough"))
    arguments = [CAT, WAVE, "-o", str(tmp_path / "a.png"), "--network", "slim", "--memory", "1.6GB"]
    with pytest.raises(BaseException, match="that was enough"):
        cli.main([*arguments, "--print", "8x40"])
    assert sizes == [3608]
    assert cli.main([*arguments, "--size", "12000"]) == 2


@pytest.mark.parametrize("paper", ["A7", "8", "8x", "0x0", "nanx3", "8x10x2", "1x2000"])
def test_papers_that_there_are_not(paper, capsys):
    assert cli.main([CAT, WAVE, "-o", "a.png", "--print", paper]) == 2
    assert f"argument --print: '{paper}', expected one of A5, A4, A3, A2, A1, or inches such as 8x10" in (
        capsys.readouterr().err
    )


def test_the_photo_s_color_profile_is_kept(tmp_path):
    photo, out = tmp_path / "photo.png", tmp_path / "a.jpg"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with Image.open(CAT) as picture:
        picture.save(photo, icc_profile=profile)
    assert cli.main([str(photo), WAVE, "-o", str(out), *QUICK]) == 0
    with Image.open(out) as picture:
        assert picture.info["icc_profile"] == profile


def test_several_pictures_into_a_folder(tmp_path):
    assert cli.main([CAT, PALACE, WAVE, "-o", str(tmp_path / "new"), *QUICK]) == 0
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["chelsea_cat_great_wave.png", "summer_palace_great_wave.png"]


def test_keep_colors_keeps_chroma(tmp_path):
    out = tmp_path / "a.png"
    assert cli.main([CAT, WAVE, "-o", str(out), *QUICK, "--size", "64", "--steps", "20", "--keep-colors"]) == 0
    photo, result = images.load(CAT, 64), images.load(out)
    assert np.abs(photo - result).mean() > 0.02  # it was painted
    inside = (result.min(axis=-1) > 0.01) & (result.max(axis=-1) < 0.99)  # where nothing was clipped
    difference = (result - photo)[inside]
    assert inside.mean() > 0.5 and np.ptp(difference, axis=-1).max() < 0.01  # R, G and B moved together


@pytest.mark.parametrize("launcher", [["-m", "stlib"], ["-c", "import stlib.__main__ as m, sys; sys.exit(m.main())"]])
def test_as_a_program_without_traceback(launcher, tmp_path):
    command = [sys.executable, *launcher, "nowhere.jpg", WAVE, "-o", str(tmp_path / "a.png")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("stlib: There is no file nowhere.jpg: check the name")
    assert done.stderr.count("\n") == 1  # and nothing from TensorFlow


def test_installed_as_stlib():
    from importlib.metadata import entry_points

    (script,) = (each for each in entry_points(group="console_scripts") if each.name == "stlib")
    assert script.load() is cli.main


@pytest.fixture
def odd(tmp_path):
    """A folder of files that cannot be painted."""
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("Dear diary")
    images.save(np.random.default_rng(0).uniform(size=(90, 90, 3)), tmp_path / "good.png")
    (tmp_path / "truncated.png").write_bytes((tmp_path / "good.png").read_bytes()[:9000])
    images.save(np.zeros((2, 600, 3)), tmp_path / "strip.png")
    images.save(np.zeros((30, 600, 3)), tmp_path / "narrow.png")
    for name in ("long", "wide"):  # small, so that no machine lacks the memory
        images.save(np.zeros((20, 16400, 3)), tmp_path / f"{name}.png")
    (tmp_path / "other").mkdir()
    images.save(np.zeros((40, 40, 3)), tmp_path / "other/good.png")
    return tmp_path


BAD_PHOTO = {  # which does not keep others from being painted: exit status 1
    "missing file": (["nowhere.jpg", WAVE], r"no file nowhere\.jpg: check the name"),
    "folder": (["{odd}", WAVE], "is a folder, expected an image file: name one"),
    "empty file": (["{odd}/empty.jpg", WAVE], r"empty\.jpg cannot be read as an image.*save it again"),
    "text": (["{odd}/text.jpg", WAVE], r"text\.jpg cannot be read as an image.*save it again"),
    "shrinks to nothing": (["{odd}/strip.png", WAVE, "--size", "100"], r"strip\.png.*100 x 0 pixels.*16 are needed"),
    "WebP": (["{odd}/long.png", "{odd}/wide.png", "-o", "{odd}/a.webp", "--size=16400"], "WEBP ends at 16,383 a side"),
    "too short": (["{odd}/narrow.png", WAVE, "--size", "100"], r"narrow\.png.*x 5 pixels.*16 are needed.*at least 320"),
}
BAD = {  # so that nothing can be painted: exit status 2
    "missing style": ([CAT, "nowhere.jpg"], r"no file nowhere\.jpg: check the name"),
    "truncated": ([CAT, "{odd}/truncated.png"], r"truncated\.png cannot be read as an image.*save it again"),
    "style too short": ([CAT, "{odd}/narrow.png", "--size", "100"], r"The style image is 100 x 5 pixels"),
    "size": ([CAT, WAVE, "--size", "0"], "size is 0, expected a whole number of pixels"),
    "negative weight": ([CAT, WAVE, "--style-weight", "-1"], r"style_weight is -1\.0, expected a number from 0 to"),
    "NaN weight": ([CAT, WAVE, "--content-weight", "nan"], "content_weight is nan, expected a number from 0 to"),
    "infinite in float32": ([CAT, WAVE, "--style-weight", "1e39"], r"style_weight is 1e\+39, expected a number from 0"),
    "no memory": ([CAT, WAVE, "--memory", "0"], "memory is 0.0, expected a number of bytes above 0"),
    "too little memory": (
        [CAT, WAVE, "--memory", "9MB"],
        r"needs about 0\.\d+ GB of memory and 0\.009 GB may be used: ",
    ),
    "steps": ([CAT, WAVE, "--steps", "10,0"], r"steps is \(10, 0\), expected one of 'draft', 'normal', 'fine', or"),
    "init": ([CAT, WAVE, "--init", "photo"], "init is 'photo', expected one of 'content', 'style', 'noise'"),
    "network": (
        [CAT, WAVE, "--network", "vgg99"],
        r"no network vgg99: give 'slim', 'vgg16', 'vgg19' or the path",
    ),
    "three networks": ([CAT, WAVE, "--network", "slim+slim+slim"], "slim.slim.slim, expected one network, or two"),
    "half a pair": ([CAT, WAVE, "--network", "slim+"], r"--network is slim\+, expected one network, or two such"),
    "second network": ([CAT, WAVE, "--network", "slim+vgg99"], "no network vgg99: give 'slim', 'vgg16', 'vgg19' or"),
    "memory": ([CAT, WAVE, "--size", "900000"], r"needs about .* GB of memory and .* free: take a size of at most"),
    "format": ([CAT, WAVE, "-o", "{odd}/a.bmp"], r"a\.bmp has the ending '\.bmp', expected one of \.png"),
    "below a file": ([CAT, WAVE, "-o", "{odd}/text.jpg/a.png"], r"a\.png cannot be written: choose a folder"),
    "one file for two": ([CAT, PALACE, WAVE, "-o", "{odd}/a.png"], "expected a folder for 2 photos: leave out"),
    "same names": (["{odd}/good.png", "{odd}/other/good.png", WAVE, "-o", "{odd}/new"], "called good.*rename one"),
}


def replace_stylize(monkeypatch, function):
    monkeypatch.setattr("stlib.stylize.stylize", functools.wraps(stylize)(function))


@pytest.mark.parametrize("name", [*BAD_PHOTO, *BAD])
def test_bad_input_is_one_sentence_before_computing(name, odd, capsys, monkeypatch):
    arguments, words = (BAD | BAD_PHOTO)[name]
    arguments = [argument.format(odd=odd) for argument in arguments]
    if "-o" not in arguments:
        arguments += ["-o", str(odd / "out.png")]
    replace_stylize(monkeypatch, lambda *_, **__: pytest.fail("it started to compute"))
    monkeypatch.setenv("STLIB_NETWORK", "slim")  # read sooner
    assert cli.main(arguments) == (1 if name in BAD_PHOTO else 2)
    message = capsys.readouterr().err
    assert re.search(words, message), message
    assert message.count("\n") == 1 and message.startswith("stlib: ")
    assert not (odd / "out.png").exists()


def test_vgg16_unless_another_is_named(tmp_path, monkeypatch):
    """Beauty first; the environment variable and the option choose another."""

    def made_with(*options):
        out = tmp_path / "a.png"
        assert cli.main([CAT, WAVE, "-o", str(out), "--size", "32", "--steps", "1", *options]) == 0
        return images.load_metadata(out)["network"]

    assert made_with() == "vgg16"
    monkeypatch.setenv("STLIB_NETWORK", "slim")
    assert made_with() == "slim" and made_with("--network", "vgg16") == "vgg16"
    assert made_with("--network", "vgg16+slim") == "vgg16"  # at this size
    monkeypatch.setattr("stlib.scales.LARGE", 30)
    assert made_with("--network", "vgg16+slim") == "slim"
    assert made_with("--network", "vgg16+slim", "--size", "40", "--steps", "1,1") == "vgg16+slim"


@pytest.mark.parametrize("word, steps", [("draft", 30), ("normal", 60), ("fine", 120)])
def test_one_word_says_how_long(word, steps, tmp_path, monkeypatch):
    out, counted = tmp_path / "a.png", []

    def count(content, style, network, callback, resume, **settings):
        counted.append(Settings(**settings).counts())
        return stylize(content, style, network, callback=callback, **settings | {"steps": 1})

    replace_stylize(monkeypatch, count)
    assert cli.main([CAT, WAVE, "-o", str(out), "--network", "slim", "--size", "64", "--steps", word]) == 0
    assert counted == [[steps]]


def test_words_that_are_no_numbers_are_refused_by_the_parser(capsys):
    assert cli.main([CAT, WAVE, "-o", "a.png", "--steps", "ten"]) == 2
    assert "--steps" in capsys.readouterr().err


def test_an_interrupted_run_keeps_the_old_picture(tmp_path, monkeypatch):
    out = tmp_path / "a.png"
    images.save(np.zeros((8, 8, 3)), out)
    before = out.read_bytes()

    def interrupted(content, style, network, callback, **settings):
        def stop(progress):
            callback(progress)
            if progress.step == 2:
                raise KeyboardInterrupt

        return stylize(content, style, network, callback=stop, **settings)

    replace_stylize(monkeypatch, interrupted)
    assert cli.main([CAT, WAVE, "-o", str(out), *QUICK]) == 130
    assert out.read_bytes() == before
    assert images.load(tmp_path / "a.unfinished.png").shape[1] == 48
    assert cli.main([CAT, PALACE, WAVE, "-o", str(tmp_path / "new"), *QUICK]) == 130
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["chelsea_cat_great_wave.unfinished.png"]


def test_a_failed_run_keeps_the_old_picture(tmp_path, monkeypatch, capsys):
    out = tmp_path / "a.png"
    images.save(np.zeros((8, 8, 3)), out)
    before = out.read_bytes()
    replace_stylize(monkeypatch, lambda *_, **__: (_ for _ in ()).throw(OSError("the disk is gone")))
    assert cli.main([CAT, WAVE, "-o", str(out), *QUICK]) == 1
    assert out.read_bytes() == before and "the disk is gone" in capsys.readouterr().err
