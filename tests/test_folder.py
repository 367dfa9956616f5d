"""`python -m stlib paint`: every file once, whatever stops it; bad files named; GIF in, GIF out."""

import contextlib
import functools
import hashlib
import io
import os
import sys
from unittest import mock

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from stlib import __main__ as cli
from stlib import animation, images
from stlib.command import folder
from stlib.painter import build_painter, load_painter
from stlib.training.painter import write

PHOTO = ROOT / "images/content/chelsea_cat.jpg"


@pytest.fixture(scope="module")
def painter(tmp_path_factory):
    """The file of a painter with random weights."""
    path = tmp_path_factory.mktemp("painter") / "random.npz"
    write(path, build_painter())
    return path


@pytest.fixture
def photos(tmp_path, rng):
    """A folder of nine small pictures and an animation, with subfolders, and files that are no pictures."""
    for k in range(8):
        images.save(rng.uniform(size=(20 + k, 33, 3)), tmp_path / f"photos/{k % 3}/photo{k}.png")
    images.save(images.load(PHOTO, 60), tmp_path / "photos/cat.jpg")
    frames = [rng.uniform(size=(22, 27, 3)) for _ in range(3)]
    animation.save_frames(frames, tmp_path / "photos/moving.gif", {"duration": [40, 80, 120], "loop": 0})
    (tmp_path / "photos/notes.txt").write_text("not a picture")
    images.save(rng.uniform(size=(20, 20, 3)), tmp_path / "photos/.hidden/thumbnail.png")
    return tmp_path / "photos"


def paint(photos, painter, *more, out="painted"):
    return cli.main(["paint", str(photos), "--painter", str(painter), "-o", str(photos.parent / out), *more])


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


ALL = sorted(["cat.jpg", "moving.gif", *(f"{k % 3}/photo{k}.png" for k in range(8))])


def test_a_folder_keeps_names_sizes_and_settings(photos, painter, capsys):
    assert paint(photos, painter) == 0
    printed = capsys.readouterr()
    assert "10 painted, 0 there already, 0 not painted" in printed.out and "10/10" in printed.err
    out = photos.parent / "painted"
    assert names(out) == ALL
    for name in ALL:
        assert images.load(out / name).shape == images.load(photos / name).shape
    assert np.abs(images.load(out / "cat.jpg") - images.load(photos / "cat.jpg")).mean() > 0.05  # it was painted
    made = images.load_metadata(out / "cat.jpg")
    digest = hashlib.sha256((photos / "cat.jpg").read_bytes()).hexdigest()
    assert made == {"content": "cat.jpg", "content_sha256": digest, "painter": "random", "size": 512}
    frames, timing = animation.load_frames(out / "moving.gif")
    assert len(frames) == 3 and timing == {"duration": [40, 80, 120], "loop": 0}


def test_size_makes_smaller_and_never_larger(photos, painter):
    assert paint(photos, painter, "--size", "40") == 0
    assert images.load(photos.parent / "painted/cat.jpg").shape[:2] == images.fit(images.load(PHOTO).shape, 40)
    assert images.load(photos.parent / "painted/0/photo0.png").shape == (20, 33, 3)


@pytest.mark.parametrize("count", [1, 3, 4, 12])
def test_shards_cover_every_file_once(count, photos):
    whole = folder.find([photos], photos.parent / "painted")
    shards = [whole[folder.shard(f"{part}/{count}")[0] - 1 :: count] for part in range(1, count + 1)]
    assert sorted(job for shard in shards for job in shard) == sorted(whole) and len(whole) == 10
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_shards_from_the_command_line(photos, painter):
    seen = []
    for part in (1, 2, 3):
        before = names(photos.parent / "painted")
        assert paint(photos, painter, "--shard", f"{part}/3") == 0
        seen += sorted(set(names(photos.parent / "painted")) - set(before))
    assert sorted(seen) == ALL and len(seen) == len(ALL)


def test_a_restart_paints_only_what_is_missing(photos, painter, monkeypatch, capsys):
    real, painted = folder.paint_file, []

    def stops(source, target, *more):
        if len(painted) == 4:
            raise KeyboardInterrupt
        painted.append(source)
        real(source, target, *more)

    monkeypatch.setattr(folder, "paint_file", stops)
    assert paint(photos, painter) == 130
    printed = capsys.readouterr()
    assert "goes on where it stopped" in printed.err and "4 painted" in printed.out
    assert len(names(photos.parent / "painted")) == 4
    monkeypatch.setattr(folder, "paint_file", lambda source, *more: painted.append(source) or real(source, *more))
    assert paint(photos, painter) == 0
    assert "6 painted, 4 there already" in capsys.readouterr().out
    assert sorted(path.relative_to(photos).as_posix() for path in painted) == ALL


def test_an_interrupted_file_is_not_there(photos, painter, monkeypatch):
    monkeypatch.setattr(Image.Image, "save", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    assert paint(photos, painter) == 130
    assert names(photos.parent / "painted") == []


def test_bad_files_are_named_and_do_not_stop_the_rest(photos, painter, capsys):
    (photos / "broken.jpg").write_bytes(PHOTO.read_bytes()[:2000])
    (photos / "0/text.gif").write_text("Dear diary")
    images.save(np.zeros((15, 40, 3)), photos / "tiny.png")
    assert paint(photos, painter) == 1
    printed = capsys.readouterr()
    for name, words in {
        "broken.jpg": "cannot be read",
        "0/text.gif": "cannot be read",
        "tiny.png": "the 20 on the",
    }.items():
        line = next(line for line in printed.err.splitlines() if str(photos / name) in line)
        assert words in line, line
        assert f"not painted: {photos / name}" in printed.out
    assert "10 painted, 0 there already, 3 not painted" in printed.out and "Traceback" not in printed.err
    assert names(photos.parent / "painted") == ALL
    assert paint(photos, painter) == 1, "they are tried again"


def test_what_was_made_otherwise_is_not_replaced(photos, painter, capsys):
    assert paint(photos, painter) == 0
    before = {name: (photos.parent / "painted" / name).read_bytes() for name in ALL}
    assert paint(photos, painter, "--size", "30") == 1
    assert "10 not painted" in capsys.readouterr().out
    (photos / "cat.jpg").write_bytes((ROOT / "images/content/colosseum.jpg").read_bytes())
    assert paint(photos, painter) == 1
    printed = capsys.readouterr()
    assert "9 there already, 1 not painted" in printed.out
    assert "cat.jpg is there already, made otherwise or from another picture" in printed.err
    assert before == {name: (photos.parent / "painted" / name).read_bytes() for name in ALL}


def test_paintings_inside_the_folder_are_not_painted_again(photos, painter):
    for _ in range(2):
        assert paint(photos, painter, out="photos/painted") == 0
        assert names(photos / "painted") == ALL


BAD = {
    "painter": (["{photos}", "--painter", "monet"], "no painter monet: give one of starry_night"),
    "broken painter": (["{photos}", "--painter", "{photos}/notes.txt"], r"notes.txt is not a painter"),
    "empty": (["{photos}/.hidden/none", "--painter", "{painter}"], "nothing to paint in"),
    "itself": (["{photos}", "--painter", "{painter}", "-o", "{photos}"], "is to be painted and would be replaced"),
    "same name": (["{photos}/0/photo0.png", "{photos}/.hidden/photo0.png", "--painter", "{painter}"], "rename one"),
    "size": (["{photos}", "--painter", "{painter}", "--size", "0"], "size is 0, expected a whole number"),
    "out is a file": (["{photos}", "--painter", "{painter}", "-o", "{photos}/cat.jpg"], "is a file, expected a folder"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_exit_code_2(name, photos, painter, capsys, monkeypatch):
    (photos / ".hidden/none").mkdir()
    (photos / ".hidden/photo0.png").write_bytes((photos / "0/photo0.png").read_bytes())
    arguments, words = BAD[name]
    arguments = [argument.format(photos=photos, painter=painter) for argument in arguments]
    if "-o" not in arguments:
        arguments += ["-o", str(photos.parent / "painted")]
    monkeypatch.setattr(folder, "paint_file", lambda *_: pytest.fail("it started to paint"))
    before = names(photos)
    assert cli.main(["paint", *arguments]) == 2
    message = capsys.readouterr().err
    assert words in message and message.startswith("stlib: ") and message.count("\n") == 1, message
    assert names(photos) == before


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/2"])
def test_wrong_shards_are_refused(text, capsys):
    assert cli.main(["paint", str(PHOTO), "--painter", "starry_night", "-o", "x", f"--shard={text}"]) == 2
    assert "expected I/N with I from 1 to N" in capsys.readouterr().err


def still(path, height=20, **options):
    noise = np.random.default_rng(height).integers(0, 256, (height, 24, 3), np.uint8)
    Image.fromarray(noise).save(path, **options)


def moving(path, **options):
    pictures = [Image.new("RGBA", (23, 22), (80 * k, 99, 0, 255)) for k in range(3)]
    for k, picture in enumerate(pictures):
        picture.paste((0, 0, 0, 0), (5 * k, 0, 5 * k + 5, 9))
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[40, 80, 120], loop=2, **options)


def text(path):
    path.write_text("Dear diary")


def half(path):
    still(path)
    path.write_bytes(path.read_bytes()[:300])


def pages(path, **options):
    Image.new("L", (20, 20)).save(path, save_all=True, append_images=[Image.new("L", (20, 20), 99)], **options)


load_once = functools.lru_cache(load_painter)  # it is compiled anew each time
LEFT = "left out"
FILES = [  # ending, how such a file is made, ending of its painting; or what is said instead, with LEFT nothing
    (".jpg", still, ".jpg"),
    (".TIF", still, ".TIF"),
    (".bmp", still, ".bmp.jpg"),
    ("", functools.partial(still, format="WEBP"), ".webp"),
    (".data", functools.partial(still, format="JPEG"), ".data.jpg"),
    (".gif", functools.partial(moving, disposal=2), ".gif"),
    (".png", moving, ".png"),
    (".webp", moving, ".webp"),
    (".JPG", functools.partial(pages, format="MPO"), ".JPG"),
    (".jpeg", half, "cannot be read as an image"),
    (".jpg", text, "cannot be read as an image"),
    (".heic", text, "cannot be read as an image"),
    (".nef", functools.partial(still, format="TIFF"), "a camera's raw file"),
    (".png", functools.partial(still, height=8), "24 x 8 pixels"),
    (".tiff", pages, "holds 2 frames or pages as TIFF"),
    (".jpg", functools.partial(moving, format="WEBP"), "holds 3 frames or pages as WEBP"),
    (".jpg", lambda path: path.symlink_to(path.name), "There is no file"),
    (".jpg", lambda path: os.mkfifo(path), "is a pipe"),
    (".txt", text, LEFT),
    (".mp4", lambda path: path.write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isom"), "cannot be read as a video"),
    ("", lambda path: path.write_bytes(b""), LEFT),
]


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and links")
@settings(max_examples=40)
@given(
    drawn=st.lists(st.tuples(st.sampled_from(range(len(FILES))), st.sampled_from(["", "a/", "b c/星/"])), max_size=7)
)
@example(drawn=[(number, "") for number in range(len(FILES))])
def test_every_file_is_painted_or_named_and_unchanged(drawn, painter, tmp_path_factory):
    at = tmp_path_factory.mktemp("drawn")
    (at / "in").mkdir()
    good, bad, left = {}, {}, []
    for k, (number, subfolder) in enumerate(drawn):
        ending, make, outcome = FILES[number]
        source = at / f"in/{subfolder}{k}{ending}"
        source.parent.mkdir(parents=True, exist_ok=True)
        make(source)
        if outcome == LEFT:
            left.append(source)
        elif outcome.startswith("."):
            good[source] = at / f"painted/{subfolder}{k}{outcome}"
        else:
            bad[source] = outcome
    before = {path: path.read_bytes() for path in (at / "in").rglob("*") if path.is_file()}
    out, err = io.StringIO(), io.StringIO()
    load = mock.patch("stlib.painter.load_painter", load_once)
    with load, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = paint(at / "in", painter)
    assert status == (1 if bad else 0 if good else 2)
    assert {path: path.read_bytes() for path in (at / "in").rglob("*") if path.is_file()} == before
    assert names(at / "painted") == sorted(target.relative_to(at / "painted").as_posix() for target in good.values())
    for source, target in good.items():
        if source.suffix == ".JPG":  # several views in one file
            assert f"{source} holds 2 pictures, frames or pages: the first is taken." in err.getvalue()
            continue
        (frames, asked), (painted, timing) = animation.load_frames(source), animation.load_frames(target)
        assert [frame.shape for frame in painted] == [frame.shape for frame in frames]
        np.testing.assert_array_equal(timing.pop("alpha", []), asked.pop("alpha", []))
        assert timing == asked and (len(frames) == 1 or timing == {"duration": [40, 80, 120], "loop": 2})
    lines = err.getvalue().splitlines()
    for source, words in bad.items():
        assert any(str(source) in line and words in line for line in lines), lines
        assert f"  not painted: {source}\n" in out.getvalue()
    assert not any(str(source) in line.split() for source in left for line in lines)
