"""Long work, safely: a run that was stopped goes on to the same picture; a bad checkpoint is one sentence."""

import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from conftest import ROOT

from stlib import __main__ as cli
from stlib import checkpoint, images
from stlib.network import load_network
from stlib.scales import OWN
from stlib.settings import Settings
from stlib.stylize import plan, stylize
from stlib.weights import DATA

pytestmark = pytest.mark.usefixtures("networks_kept")
SETTINGS = dict(size=120, steps=(4, 5))
CAT, WAVE = str(ROOT / "images/content/chelsea_cat.jpg"), str(ROOT / "images/style/great_wave.jpg")
QUICK = ["--network", "slim", "--size", "96", "--steps", "4,20"]


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY", 0)


def stop_at(step):
    def callback(progress):
        if progress.step == step:
            raise KeyboardInterrupt

    return callback


@pytest.mark.parametrize("settings", [SETTINGS, dict(size=360, steps=(1, 2), memory=OWN + 9e7)])
def test_an_interrupted_run_goes_on_to_the_same_picture(network, lake, starry, settings, tmp_path, always):
    path, tiled = tmp_path / "new/a.checkpoint", "memory" in settings
    assert bool(plan(lake, starry, network, Settings(**settings))[-1].side) == tiled
    whole = stylize(lake, starry, network, **settings)
    for step in (3,) if tiled else (3, 7):  # of the second scale; of the first and of the second
        assert stylize(lake, starry, network, resume=path, callback=stop_at(step), **settings).interrupted
        seen = []
        again = stylize(lake, starry, network, resume=path, callback=seen.append, **settings)
        steps = list(range(step, sum(settings["steps"]) + 1))  # the one that was interrupted is done again
        assert [each.step for each in seen] == steps
        np.testing.assert_array_equal(again.image, whole.image)
        for name in whole.history:
            np.testing.assert_array_equal(again.history[name], whole.history[name])
        checkpoint.remove(path)
        assert not list(path.parent.iterdir())


def test_interrupted_before_its_first_step_it_keeps_what_there_was(network, lake, starry, tmp_path, always):
    path = tmp_path / "a.checkpoint"
    before = stylize(lake, starry, network, resume=path, callback=stop_at(7), **SETTINGS)
    kept = path.read_bytes()
    again = stylize(lake, starry, network, resume=path, callback=stop_at(7), **SETTINGS)
    assert again.interrupted and path.read_bytes() == kept
    np.testing.assert_array_equal(again.image, before.image)


def test_killed_at_any_moment_the_command_goes_on(tmp_path, capsys):
    out, whole, command = tmp_path / "a.png", tmp_path / "whole.png", [CAT, WAVE, *QUICK]
    every_step = "import sys; from stlib import checkpoint, __main__ as m; checkpoint.EVERY = 0; sys.exit(m.main())"
    process = subprocess.Popen([sys.executable, "-c", every_step, *command, "-o", out])
    kept = checkpoint.path_of(out)
    while not (kept.exists() and kept.stat().st_size > 300_000):  # the bands of the second scale
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists() and kept.exists()
    assert cli.main([*command, "-o", str(out), "--resume"]) == 0
    assert re.search(r"a\.png: goes on at step \d+ of 24\n", capsys.readouterr().err)
    assert not kept.exists()
    assert cli.main([*command, "-o", str(whole)]) == 0
    np.testing.assert_array_equal(images.load(out), images.load(whole))
    # Done is done; with other settings it is another picture.
    capsys.readouterr()
    assert cli.main([*command, "-o", str(out), "--resume"]) == 0
    assert capsys.readouterr().out == f"{out} is there already\n"
    assert cli.main([*command, "-o", str(out), "--resume", "--seed", "1"]) == 0
    assert f"{out} (" in capsys.readouterr().out
    other = tmp_path / "other.npz"  # a slim network, too, but another one
    with np.load(DATA / "slim.npz") as file:
        np.savez(other, **dict(file) | {"block5_conv1/bias": file["block5_conv1/bias"] + 1})
    assert cli.main([*command, "-o", str(out), "--resume", "--seed", "1", "--network", str(other)]) == 0
    assert f"{out} (" in capsys.readouterr().out


def test_a_picture_that_cannot_be_saved_is_not_lost(tmp_path, capsys, always, monkeypatch):
    out, kept, command = tmp_path / "a.png", tmp_path / "a.png.checkpoint", [CAT, WAVE, *QUICK]
    with monkeypatch.context() as full:
        full.setattr(images, "save", mock.Mock(side_effect=OSError("the disk is full")))
        assert cli.main([*command, "-o", str(out)]) == 1
    assert "the disk is full" in capsys.readouterr().err and kept.exists() and not out.exists()
    checkpoint.part_of(kept).touch()  # as a write that was killed leaves it
    assert cli.main([*command, "-o", str(out), "--resume"]) == 0
    assert "goes on at step 24 of 24" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [out]


def test_a_checkpoint_is_never_written_over_an_input(tmp_path, capsys):
    photo = str(shutil.copy(CAT, tmp_path / "a.png.checkpoint"))
    assert cli.main([photo, WAVE, *QUICK, "-o", str(tmp_path / "a.png")]) == 2
    assert "a.png.checkpoint is one of the inputs" in capsys.readouterr().err and Path(photo).exists()


def test_without_resume_it_begins_anew(tmp_path, capsys):
    kept = tmp_path / "a.png.checkpoint"
    kept.write_text("whatever")
    command = [CAT, WAVE, *QUICK[:-1], "1", "-o", str(tmp_path / "a.png")]
    assert cli.main([*command, "--resume"]) == 1
    assert "a.png.checkpoint is no checkpoint, or damaged: delete it" in capsys.readouterr().err
    assert cli.main(command) == 0 and not kept.exists()
    assert "--resume would have gone on with: this one begins anew" in capsys.readouterr().err


def test_a_checkpoint_a_minute(network, lake, starry, tmp_path, monkeypatch):
    clock, renewed = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(np, "savez", lambda *_, **arrays: renewed.append(clock[0]))

    def callback(progress):
        clock[0] += 25

    stylize(lake, starry, network, size=64, steps=(7, 3), resume=tmp_path / "a", callback=callback)
    assert renewed == [50, 100, 150, 200]  # one step later more than a minute would be lost


@pytest.fixture
def begun(network, lake, starry, tmp_path, always):
    path = tmp_path / "a.checkpoint"
    stylize(lake, starry, network, resume=path, callback=stop_at(7), **SETTINGS)
    return path


def test_of_other_inputs_or_settings(network, lake, starry, begun):
    kept, other = begun.read_bytes(), load_network("vgg16")
    for words, pair, using, settings in (
        ("size", (lake, starry), network, SETTINGS | {"size": 110}),
        ("steps, seed", (lake, starry), network, SETTINGS | {"steps": (4, 6), "seed": 1}),
        ("content", (lake[::-1], starry), network, SETTINGS),
        ("style", (lake, starry[::-1]), network, SETTINGS),
        ("content_weight, style_layers, learning_rate, network", (lake, starry), other, SETTINGS),
        ("network", (lake, starry), load_network("slim", pooling="average"), SETTINGS),
    ):
        with pytest.raises(ValueError, match=f"a.checkpoint is of a picture with another {words}: paint that one, or"):
            stylize(*pair, using, resume=begun, **settings)
    with pytest.raises(ValueError, match="kept by the method 'pyramid' only, and method is 'lbfgs'"):
        stylize(lake, starry, network, resume=begun, method="lbfgs", **SETTINGS)
    assert begun.read_bytes() == kept


def test_damaged(network, lake, starry, begun):
    whole = begun.read_bytes()
    for damaged in (b"", b"text", whole[:-2000], whole[:1000] + b"x" + whole[1001:]):
        begun.write_bytes(damaged)
        with pytest.raises(ValueError, match="a.checkpoint is no checkpoint, or damaged: delete it to begin anew"):
            stylize(lake, starry, network, resume=begun, **SETTINGS)
    begun.unlink()
    begun.mkdir()
    with pytest.raises(OSError, match="a.checkpoint cannot be written"):
        stylize(lake, starry, network, resume=begun, **SETTINGS)


def test_a_full_disk_keeps_the_last_checkpoint(network, lake, starry, begun):
    """Real writes that fail: files may have half the size of the checkpoint."""
    kept, limits = begun.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(kept) // 2, limits[1]))
    try:
        with pytest.warns(UserWarning, match="a.checkpoint could not be written .*: the one before stays"):
            stylize(lake, starry, network, resume=begun, callback=stop_at(9), **SETTINGS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert begun.read_bytes() == kept and list(begun.parent.iterdir()) == [begun]


def test_what_a_killed_write_left_is_replaced(network, lake, starry, begun):
    begun.with_name("a.checkpoint.part").write_bytes(b"half")
    stylize(lake, starry, network, resume=begun, **SETTINGS)
    assert list(begun.parent.iterdir()) == [begun]
