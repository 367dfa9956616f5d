"""A bad day: hostile files, closed streams, full disks, signals. Nothing is lost, nothing is silent.

A line of CASES is one promise: how its folder is filled, what is run there in bash (PROGRAMS are commands), the exit
status, what stands on stderr (a regular expression), and the only files that may be new afterwards. What was there
before is unchanged, part files do not stay, and no line is a traceback or a library's.
"""

import os
import re
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image, features

from stlib.training import slim as train_slim

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs bash")
TINY = "--network slim --size 32 --steps 1"


def noise(path, height=20, width=24, **options):
    """Write a picture of noise, whatever the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)).save(path, **options)


def moving(path, frames=3, **options):
    rest = [Image.new("RGB", (24, 20), (50 * k, 99, 0)) for k in range(1, frames)]
    noise(path, save_all=True, append_images=rest, **options)


def pair(folder):
    noise(folder / "cat.jpg")
    noise(folder / "wave.jpg", 24)


def links(folder):
    pair(folder)
    (folder / "link.jpg").symlink_to("cat.jpg")
    os.link(folder / "wave.jpg", folder / "twin.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "same").symlink_to(".")
    noise(folder / "new.unfinished.png")


def specials(folder):
    pair(folder)
    os.mkfifo(folder / "pipe.jpg")
    os.mkfifo(folder / "pipe.h5")
    os.mkfifo(folder / "pipe.npz")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "socket.jpg"))  # the whole path may be too long


def weights(folder):
    pair(folder)
    for name in ("text.h5", "text.weights.h5", "text.keras", "text.npz"):
        (folder / name).write_text("Dear diary")
    np.savez(folder / "pickle.npz", a=np.array([{}], dtype=object))
    layers = [*(f"block{block}_conv1" for block in (1, 2, 3, 4)), "block4_conv2", "block5_conv1"]
    arrays = {layer: [np.full((3, 3, 3, 3), 60_000), np.zeros(3)] for layer in layers}
    train_slim.write(folder / "huge.npz", arrays)


def odd(folder):
    """Names that not every terminal can show, a moving picture, and two that are too narrow."""
    noise(folder / "猫.png")
    noise(folder / os.fsdecode(b"\xff.png"))
    moving(folder / "dance.gif")
    noise(folder / "wave.jpg", 24)
    noise(folder / "strip.png", 1, 500)
    noise(folder / "vast.png", 1, 60_000)


def album(folder):
    """A folder of photos with all that is not one."""
    noise(folder / "in/good.jpg")
    noise(folder / "in/sub/good.jpg", 21)
    noise(folder / "in/without ending", format="PNG")
    noise(folder / "in/photo.avif" if features.check("avif") else folder / "in/photo.bmp")
    moving(folder / "in/dance.gif", duration=[40, 80, 120], loop=2)
    moving(folder / "in/dance.webp", duration=[40, 80, 120], loop=2)
    moving(folder / "in/dance.png", duration=[40, 80, 120], loop=2)
    moving(folder / "in/pages.tiff")
    moving(folder / "in/wrong.jpg", format="WEBP")
    Image.new("RGB", (24, 20)).save(folder / "in/black.png")
    (folder / "in/photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (folder / "in/hidden in plain sight").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    noise(folder / "in/photo.cr2", format="TIFF")
    (folder / "in/broken.jpg").write_bytes((folder / "in/good.jpg").read_bytes()[:200])
    (folder / "in/loop.jpg").symlink_to("loop.jpg")
    (folder / "in/notes.txt").write_text("not a picture")
    os.mkfifo(folder / "in/pipe.jpg")
    noise(folder / "elsewhere/good.jpg", 22)
    (folder / "in/link").symlink_to("../elsewhere")
    noise(folder / "in/closed/lost.jpg")
    (folder / "in/closed").chmod(0)


def slow_import(folder):
    """Ctrl-C and SIGTERM while a library is imported."""
    pair(folder)
    for library, number in (("numpy", signal.SIGINT), ("tensorflow", signal.SIGTERM), ("nbformat", signal.SIGINT)):
        (folder / library).mkdir()
        text = (
            "import os, signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"  # if it was ignored
        )
        text += f"os.kill(os.getpid(), {number:d})\ntime.sleep(60)"
        (folder / library / f"{library}.py").write_text(text)


PROGRAMS = {
    "stlib": "-m stlib",
    "mark": "-m stlib.marking",
    "train": "-m stlib.training",
    "notebooks": f"{ROOT}/tools/run_notebooks.py",
    "handout": f"{ROOT}/tools/make_handout.py",
}
PAINT = "stlib paint {} --painter starry_night -o out"
UNPRIVILEGED = "" if os.getuid() else "setpriv --bounding-set -dac_override,-dac_read_search "
INPUT = "is one of the inputs, which would be replaced: choose another name"
PIPE = "is a pipe, a socket or a device, expected"
FOREIGN = "is not a network, expected a"
PAINTED = ["good.jpg", "sub/good.jpg", "without ending.png", "black.png"]
PAINTED += ["dance.gif", "dance.webp", "dance.png", "photo.avif.jpg" if features.check("avif") else "photo.bmp.jpg"]
NONE = []

# what: (folder, command, exit status, stderr, new files)
CASES = {
    # 1. nothing is lost
    "the photo": (links, "stlib cat.jpg wave.jpg -o cat.jpg", 2, INPUT, NONE),
    "the photo, by another name": (links, "stlib cat.jpg wave.jpg -o same/./cat.jpg", 2, INPUT, NONE),
    "the photo, by a link": (links, "stlib cat.jpg wave.jpg -o link.jpg", 2, INPUT, NONE),
    "the photo, a link": (links, "stlib link.jpg wave.jpg -o cat.jpg", 2, INPUT, NONE),
    "the painting, by a hard link": (links, "stlib cat.jpg wave.jpg -o twin.jpg", 2, INPUT, NONE),
    "one of several": (links, "cp cat.jpg a_wave.png; stlib a.jpg a_wave.png wave.jpg -o .", 2, INPUT, ["a_wave.png"]),
    "what Ctrl-C would write": (links, "stlib new.unfinished.png wave.jpg -o new.png", 2, INPUT, NONE),
    "the network": (links, "stlib cat.jpg wave.jpg --network new.unfinished.png -o new.unfinished.png", 2, INPUT, NONE),
    "folder onto itself": (links, "stlib paint . --painter starry_night -o same", 2, "would be replaced", NONE),
    "onto another photo": (links, f"mkdir out; ln cat.jpg out/wave.jpg; {PAINT.format('.')}", 2, "would be replaced",
                           ["out/wave.jpg"]),
    "full disk": (links, f"ulimit -f 30; stlib cat.jpg wave.jpg -o a.png {TINY} --size 192", 1, "a.png could", NONE),
    # 2. and 3. and 9. everything in a folder is painted or named
    "album, and nobody reads what is printed": (
        album, UNPRIVILEGED + PAINT.format("in") + " | true; exit ${PIPESTATUS[0]}", 1,
        "(?s)(?=.*in/pages.tiff holds 3 frames or pages as TIFF)(?=.*in/wrong.jpg holds 3 frames or pages as WEBP)"
        "(?=.*in/photo.heic cannot be read .*pip install pillow-heif)(?=.*in/photo.cr2 .*raw file.*save it as JPEG)"
        "(?=.*There is no file in/loop.jpg)(?=.*in/pipe.jpg is a pipe)(?=.*in/link is a folder)"
        "(?=.*in/closed is a folder that may not be read)(?=.*in/black.png is of one color)",
        [f"out/{name}" for name in PAINTED],
    ),
    # 4. and 7. every file gets its turn, and advice that can be followed
    "missing photo": (links, "stlib no.jpg loop.jpg wave.jpg -o out", 1, "no file no.jpg(.|\n)*no file loop.jpg", NONE),
    "infinite loss": (
        weights, f"cp cat.jpg dog.jpg; stlib cat.jpg dog.jpg wave.jpg -o out {TINY} --network huge.npz", 1,
        "(?s)cat.jpg is not finished, for its loss became infinite.*dog.jpg is not finished",
        ["dog.jpg", "out/cat_wave.unfinished.png", "out/dog_wave.unfinished.png"],
    ),
    "names the terminal cannot show, and advice that can be followed": (
        odd, f"PYTHONIOENCODING=cp1252 stlib *.png dance.gif wave.jpg -o out {TINY}", 1,
        "(?s)(?=.*dance.gif holds 3 pictures, frames or pages: the first is taken)"
        "(?=.*strip.png: .*16 are needed on the short side: (take a size of at least 8000|it is too narrow))"
        "(?=.*vast.png: .*16 are needed on the short side: it is too narrow)",
        ["out/猫_wave.png", os.fsdecode(b"out/\xff_wave.png"), "out/dance_wave.png"],
    ),
    # 5. no traceback, and every exit status is one of four
    "link to itself as folder": (links, "stlib cat.jpg wave.jpg -o loop.jpg/a.png", 2, "cannot be written", NONE),
    "link to itself as painting": (links, "stlib cat.jpg loop.jpg -o a.png", 2, "There is no file loop.jpg", NONE),
    "output full": (links, PAINT.format("cat.jpg") + " > /dev/full", 1, "standard output could not", ["out/cat.jpg"]),
    "all readers gone": (links, "stlib no.jpg wave.jpg -o a.png 2>&1 | true; exit ${PIPESTATUS[0]}", 1, "^$", NONE),
    "help": (links, "stlib --help; stlib paint --help", 0, "^$", NONE),
    "help without stderr": (links, "stlib --help 2>&-", 0, "^$", NONE),
    "help without stdout": (links, "stlib --help >&-", 0, "^$", NONE),
    "help into nothing": (links, "stlib --help | true; exit ${PIPESTATUS[0]}", 0, "^$", NONE),
    "help into a full disk": (links, "stlib --help > /dev/full", 1, "standard output could not be written", NONE),
    "error without stderr": (links, "stlib no.jpg wave.jpg -o a.png 2>&-", 1, "^$", NONE),
    "no arguments": (links, "stlib", 2, "required: CONTENT, STYLE, -o/--out", NONE),
    "Ctrl-C at once": (slow_import, "PYTHONPATH=numpy:$PYTHONPATH stlib --help", 130, "^stlib: interrupted\n$", NONE),
    "stopped while importing": (
        slow_import, f"PYTHONPATH=tensorflow:$PYTHONPATH stlib cat.jpg wave.jpg -o a.png {TINY}", 130,
        "^stlib: interrupted\n$", NONE,
    ),
    **{
        f"Ctrl-C at once, {command}": (
            slow_import, f"PYTHONPATH=nbformat:numpy:$PYTHONPATH {command}", 130, f"^{name}: interrupted\n$", NONE,
        )
        for command, name in {
            "mark .": "stlib.marking", "train slim": "stlib.training", "handout": "make_handout",
        }.items()
    },
    "nothing to train": (links, "train", 2, "Say what to train: python -m stlib.training slim or painter", NONE),
    # 6. nothing waits for ever
    "pipe as photo": (specials, "stlib pipe.jpg wave.jpg -o a.png", 1, f"pipe.jpg {PIPE} an image file", NONE),
    "socket as painting": (specials, "stlib cat.jpg socket.jpg -o a.png", 2, f"socket.jpg {PIPE} an image file", NONE),
    "device as photo": (specials, "stlib /dev/zero wave.jpg -o a.png", 1, f"/dev/zero {PIPE} an image file", NONE),
    "pipe as output": (specials, "stlib cat.jpg wave.jpg -o pipe.jpg", 2, "pipe.jpg cannot be written", NONE),
    "pipe as weights": (specials, "stlib cat.jpg wave.jpg -o a.png --network pipe.h5", 2, f"{PIPE} a network", NONE),
    "pipe as slim's weights": (specials, "stlib cat.jpg wave.jpg -o a.png --network pipe.npz", 2, PIPE, NONE),
    "pipe as painter": (specials, "stlib paint cat.jpg --painter pipe.npz -o out", 2, f"{PIPE} a painter", NONE),
    # 8. one sentence, ours
    "garbage as VGG": (weights, "stlib cat.jpg wave.jpg -o a.png --network text.h5", 2, f"text.h5 {FOREIGN}", NONE),
    "garbage as VGG, Keras 3": (weights, "stlib cat.jpg wave.jpg -o a.png --network text.keras", 2, FOREIGN, NONE),
    "garbage as slim": (weights, "stlib cat.jpg wave.jpg -o a.png --network text.npz", 2, f"text.npz {FOREIGN}", NONE),
    "garbage as painter": (weights, "stlib paint . --painter text.npz -o out", 2, "text.npz is not a painter, e", NONE),
    "pickle as painter": (weights, "stlib paint . --painter pickle.npz -o out", 2, "pickle.npz is not a painter", NONE),
}  # fmt: skip
# lines that are ours: the bar and the expected time, as well
OURS = re.compile(r"(stlib[.\w]*|make_handout): |usage: stlib| {8}|.*\d+%\||.*: about \d+ s with|\s*$")


def tree(folder):
    """What is in the folder, without what is made unreadable: paths, with contents of files."""
    paths = [path for path in folder.rglob("*") if "closed" not in path.parts and not path.is_dir()]
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}


@pytest.mark.parametrize("name", CASES)
def test_promise(name, tmp_path):
    make, command, status, words, new = CASES[name]
    folder, programs = tmp_path / "folder", tmp_path / "programs"
    for each in (folder, programs):
        each.mkdir()
    for each, arguments in PROGRAMS.items():
        (programs / each).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        (programs / each).chmod(0o755)
    (programs / "pillow_heif.py").write_text("raise ImportError")
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONIOENCODING": "utf-8",
        "STLIB_NETWORK": "slim",
    }
    environment["PYTHONPATH"] = f"{programs}:{ROOT}"
    make(folder)
    before = tree(folder)
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, timeout=100)
    said = done.stderr.decode(errors="replace")
    assert done.returncode == status, said
    assert re.search(words, said), said
    assert all(OURS.match(line) for line in re.split("[\r\n]", said)), said
    after = tree(folder)
    assert sorted(after.keys() - before.keys()) == sorted(new)
    assert {path: after.get(path) for path in before} == before
