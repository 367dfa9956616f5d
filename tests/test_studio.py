"""The studio without a browser: recipes and their code, uploads, painting, stopping, saving. See also test_browser."""

import datetime
import io
import json
import re
import shutil
import time
import xml.etree.ElementTree as xml

import nbformat
import numpy as np
import pytest
from conftest import ROOT
from ipywidgets import HTML
from PIL import Image

from stlib import images
from stlib.studio import Studio, recipe, view

NOTEBOOK = nbformat.read(ROOT / "notebooks/S_studio.ipynb", as_version=4)


@pytest.fixture
def course(tmp_path, monkeypatch, network):
    """A folder of the course with two photos and two paintings; all painting is short."""
    for name in ("content/summer_palace", "content/chelsea_cat", "style/starry_night", "style/citrus_slices"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / f"images/{name}.jpg", tmp_path / f"images/{name}.jpg")
    monkeypatch.setattr(recipe, "network_of", lambda name: network)
    monkeypatch.setattr("stlib.network.load_network", lambda name: network)  # the code that is shown loads it again
    monkeypatch.setattr("stlib.settings.STEPS", (3,))
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    return tmp_path


@pytest.fixture
def studio(course):
    studio = Studio()
    studio.size.value = 64
    yield studio
    studio.close()


def paint(studio):
    studio.paint.click()
    studio.thread.join()
    return studio.status.text


def upload(button, name, content):
    when = datetime.datetime.now(datetime.timezone.utc)
    file = dict(name=name, type="", size=len(content), content=memoryview(content), last_modified=when)
    button.value = (file,)


def file(image, kind="PNG"):
    stream = io.BytesIO()
    Image.fromarray(images.to_uint8(image)).save(stream, kind)
    return stream.getvalue()


def draw(studio, shape=(40, 60)):
    """Draw the left half, as the canvas would send it."""
    region = np.zeros((*shape, 4), np.float32)
    region[:, : shape[1] // 2] = 1
    studio.region.value, studio.brush.mask = True, view.data_url(region, kind="PNG")


def test_paint_save_and_the_code_paint_the_same(studio, course):
    assert "Painted in" in paint(studio)
    studio.show_code.click()
    assert len(studio.code.value.splitlines()) == 5
    studio.save.click()
    assert "Saved as ../out/summer_palace_starry_night.png" in studio.status.text
    saved = course / "out/summer_palace_starry_night.png"
    names = {}
    exec(studio.code.value.replace("palace_starry_night.png", "by_code.png"), names)
    assert np.array_equal(names["result"].image, studio.current["image"])
    assert np.array_equal(images.load(course / "out/summer_by_code.png"), images.load(saved))
    made = images.load_metadata(saved)
    expected = {
        "content": "content/summer_palace.jpg",
        "style": "style/starry_night.jpg",
        "network": "slim",
        "size": 64,
    }
    assert made.items() >= expected.items() and made["steps"] == [3]
    studio.save.click()
    assert "summer_palace_starry_night_2.png" in studio.status.text, "nothing is replaced"


def test_all_wishes_at_once(studio):
    studio.balance.value, studio.strokes.value, studio.keep_colors.value = 0.8, 2, True
    studio.second.value = next(path for path in studio.painting.buttons if path.stem == "citrus_slices")
    studio.layers["block5_conv1"].value = False
    draw(studio)
    assert "Painted in" in paint(studio)
    recipe = studio.current["recipe"]
    assert recipe["content_weight"] == 0.00754 and recipe["style_layers"]["block1_conv1"] == 4  # slim's own weights
    assert recipe.keys() >= {"mask", "second", "strokes", "keep_colors"} and "share" not in recipe
    assert "citrus slices in the region" in studio.current["about"]
    studio.show_code.click()
    names = {}
    exec(studio.code.value, names)
    assert np.array_equal(names["result"].image, studio.current["image"])
    json.dumps(recipe)  # it is metadata, too
    studio.region.value = False
    assert studio.recipe()["share"] == 0.5


def test_uploads(studio, course, lake):
    upload(studio.photo.upload, "C:\\me\\my lake.png", file(lake))
    kept = course / "images/own/my lake.png"
    assert kept.read_bytes() == file(lake) and studio.photo.path.name == "my lake.png"
    assert "✓ my lake" in [button.description for button in studio.photo.buttons.values()]
    assert studio.photo.upload.value == () and "my lake.png" in studio.status.text
    upload(studio.photo.upload, "my lake.png", file(1 - lake))
    assert studio.photo.path.name == "my lake_2.png" and kept.read_bytes() == file(lake), "nothing is replaced"
    upload(studio.photo.upload, "my lake.png", file(lake))
    assert studio.photo.path.name == "my lake.png" and len(list(kept.parent.iterdir())) == 2
    upload(studio.painting.upload, "old.bmp", file(lake, "BMP"))
    assert studio.painting.path.name == "old.png" and "no painter has learned old" in wait_for_preview(studio, "old")


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("broken.jpg", b"no picture", "broken.jpg cannot be read as an image (its content is no picture's): expected"),
        ("half.png", file(np.ones((30, 30, 3)))[:60], "half.png cannot be read as an image"),
        ("", b"", "picture cannot be read as an image"),
    ],
)
def test_a_broken_upload_gets_one_sentence(studio, course, name, content, reason):
    before = studio.photo.path
    for button in (studio.photo.upload, studio.painting.upload, studio.mask):
        upload(button, name, content)
        assert studio.status.text.startswith(reason) and studio.status.text.count(". ") == 0
        assert "/tmp" not in studio.status.text
    assert studio.photo.path == before and not (course / "images/own").exists()


def wait_for_preview(studio, words):
    end = time.monotonic() + 20
    while words not in studio.preview.value and time.monotonic() < end:
        time.sleep(0.01)
    return studio.preview.value


def test_preview_follows_the_knobs(studio):
    first = wait_for_preview(studio, "by a painter")
    studio.balance.value = 0.1
    end = time.monotonic() + 20
    while studio.preview.value == first and time.monotonic() < end:
        time.sleep(0.01)
    assert studio.preview.value != first and "by a painter" in studio.preview.value
    assert studio.thread is None, "no picture is painted for it"


def test_an_uploaded_mask(studio, course):
    mask = np.zeros((20, 30, 3), np.float32)
    mask[:, 15:] = 1
    upload(studio.mask, "mask.png", file(mask))
    region = studio.brush.image()
    assert region.shape[1] == 400 and region[:, :150].max() == 0 and region[:, 250:].min() == 1
    studio.region.value = True
    (path,) = [studio.recipe()["mask"], *(course / "out").glob("*")][:1]
    assert np.array_equal(images.load(path), region)
    studio.clear.click()
    assert studio.brush.image() is None


def test_what_cannot_be_painted_gets_one_sentence(studio):
    studio.region.value = True
    studio.paint.click()
    assert studio.status.text.startswith("The region is empty: ") and studio.thread is None
    studio.region.value = False
    for box in studio.layers.values():
        box.value = False
    studio.paint.click()
    assert studio.status.text.startswith("Nothing of the painting counts: ") and studio.thread is None


def test_an_error_while_painting_is_told(studio, monkeypatch):
    def fail(*arguments, **settings):
        raise MemoryError("not enough")

    monkeypatch.setattr(recipe.compose, "paint", fail)
    assert paint(studio) == "It ended with MemoryError (not enough)."
    assert not studio.paint.disabled and studio.halt.disabled and not studio.gallery


def test_stop_keeps_the_picture_so_far(studio, course, monkeypatch):
    monkeypatch.setattr("stlib.settings.STEPS", (100_000,))
    studio.paint.click()
    while "Losses so far" not in studio.curves.value:  # set after the picture
        assert studio.thread.is_alive()
        time.sleep(0.01)
    assert "step " in studio.picture.value
    studio.paint.click()  # one at a time
    studio.halt.click()
    studio.thread.join()
    assert studio.status.text.startswith("Stopped at step ") and len(studio.gallery) == 1
    assert "stopped at step" in studio.current["about"] and studio.current["image"].shape == (43, 64, 3)
    studio.save.click()
    (saved,) = (course / "out").glob("*.png")
    assert images.load_metadata(saved)["stopped"] in studio.current["about"]


def test_a_new_studio_stops_the_old_one(studio, monkeypatch):
    monkeypatch.setattr("stlib.settings.STEPS", (100_000,))
    studio.paint.click()
    new = Studio()
    studio.thread.join(timeout=60)
    assert not studio.thread.is_alive() and studio.closed.is_set() and not new.closed.is_set()
    new.close()
    assert new.closed.is_set()


def test_show_again(studio):
    paint(studio)
    studio.balance.value = 1
    paint(studio)
    assert len(studio.painted.children) == 2
    studio.painted.children[1].children[1].click()  # the older one
    assert studio.current is studio.gallery[0] and "content weight" not in studio.picture.value


@pytest.fixture
def in_chinese(monkeypatch):
    monkeypatch.setenv("STLIB_LANGUAGE", "zh_CN")


def shown(widget):
    """All words that a widget and those in it show, with what stands for pictures."""
    yield from getattr(widget, "_options_labels", ())
    for name in ("description", "text", "label", *["value"] * isinstance(widget, HTML)):
        text = re.sub(r"(?s)<style>.*</style>", "", getattr(widget, name, None) or "")
        yield from re.findall(r'(?:alt|label)="([^"]*)', text) + re.findall(r"[^<>]+(?=<|$)", text)
    for child in getattr(widget, "children", ()):
        yield from shown(child)


def test_the_studio_speaks_chinese(in_chinese, studio, course):
    studio.second.value = next(path for path in studio.painting.buttons if path.stem == "citrus_slices")
    draw(studio)
    assert "画好了" in paint(studio)
    studio.save.click()
    studio.show_code.click()
    wait_for_preview(studio, "画师")
    said = [*shown(studio)]
    stays = r"slim|VGG16|Chelsea|block\d_conv\d|\.\./\S+png"
    assert [text for text in said if re.search("[A-Za-z]{2}", re.sub(stays, "", text))] == []
    assert {"上传照片", "✓ 星夜", "停止", "第二幅画"} <= {*said} and len(said) > 50
    names = {}
    exec(studio.code.value, names)  # the code stays as it is
    assert np.array_equal(names["result"].image, studio.current["image"])
    studio.brush.mask = ""
    studio.paint.click()
    assert studio.status.text.startswith("区域是空的：")


def test_curves_are_valid_and_say_the_losses():
    rows = [{"content": 0.1 + k, "style": 1 / (k + 1), "total": 0.5} for k in range(999)]
    for count in (1, 2, 999):
        svg = view.curves(rows[:count])
        tree = xml.fromstring(svg)
        assert tree.attrib["role"] == "img" and "style 1.000 to" in tree.attrib["aria-label"]
        assert len({line.attrib["stroke-dasharray"] for line in tree if "points" in line.attrib}) == 3
        heights = sorted(float(text.attrib["y"]) for text in tree if "y" in text.attrib)
        assert min(np.diff(heights)) >= 13, "names lie on each other"
    assert len(svg) < 20_000


def test_names_cannot_be_markup(lake):
    shown = view.picture(lake, '<b onclick="x">&')
    assert "<b" not in shown and shown.count("&lt;b onclick=&quot;x&quot;&gt;&amp;") == 2


def test_the_notebook_is_one_short_cell():
    text, *code = NOTEBOOK.cells
    assert text.cell_type == "markdown" and [cell.cell_type for cell in code] == ["code"]
    assert len(code[0].source.splitlines()) <= 3 and not code[0].outputs, "a widget is nothing without its kernel"
    assert re.match(r"# [A-Z].*\n\n\[< A6 .*\[Contents\]\(", text.source)
    for target in re.findall(r"\]\(([^)\s#:]+)", text.source):
        assert (ROOT / "notebooks" / target).exists(), target
    assert "![" not in text.source, "Voila serves no picture from outside notebooks/, and waits for ever"
