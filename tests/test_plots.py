"""Plots: what they draw, that importing them changes nothing, and the live view outside and inside a notebook."""

import itertools
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from conftest import load_once

matplotlib.use("Agg")

from stlib import plots
from stlib.stylize import stylize


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plots.plt.close("all")


def test_importing_stlib_changes_nothing_global():
    """In a process of its own: seeds, plot and log settings stay; the package itself loads nothing."""
    program = """
import sys, stlib
assert "tensorflow" not in sys.modules
import logging, random, keras, matplotlib.pyplot, numpy, tensorflow

def state():
    log = logging.root.level, list(logging.root.handlers), tensorflow.get_logger().level
    return str(matplotlib.rcParams), random.getstate(), str(numpy.random.get_state()), log

before = state()
import stlib.checks, stlib.plots, stlib.stylize
assert state() == before
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# How colors look to people without red or green cones, in linear RGB: Machado, Oliveira & Fernandes 2009, severity 1.
PROTANOPIA = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
DEUTERANOPIA = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]


def smallest_distance(colors, vision):
    """The smallest distance of two of the `colors` in CIELAB, as seen with `vision`; 2.3 is barely noticeable."""
    rgb = np.array([matplotlib.colors.to_rgb(color) for color in colors])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ np.transpose(vision), 0, 1) @ np.transpose(TO_XYZ) / np.sum(TO_XYZ, axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=-1)
    return min(np.linalg.norm(a - b) for a, b in itertools.combinations(lab, 2))


@pytest.mark.parametrize("vision", [np.eye(3), PROTANOPIA, DEUTERANOPIA], ids=["all", "no red", "no green"])
def test_colors_differ_for_any_vision(vision):
    assert smallest_distance(plots.COLORS.values(), vision) > 30  # measured: 62, 37 and 53
    assert smallest_distance(plots.PALETTE, vision) > 12  # measured: 26, 21 and 18


def test_red_and_green_do_not_differ_for_everybody():
    pair = ["#ff0000", "#00ae00"]
    assert smallest_distance(pair, DEUTERANOPIA) < 10 and smallest_distance(pair, np.eye(3)) > 100


def test_show_images_grid_titles_and_maps(rng):
    figure = plots.show_images([rng.uniform(size=(4, 6, 3))] * 5, ["one", "two\nlines"], columns=3)
    assert len(figure.axes) == 6 and [axis.get_title() for axis in figure.axes[:3]] == ["one", "two\nlines", ""]
    assert sum(len(axis.images) for axis in figure.axes) == 5


def test_plot_losses(network, lake, starry):
    history = stylize(lake, starry, network, size=48, steps=(3, 2)).history
    axis = plots.plot_losses(history).axes[0]
    assert {line.get_label() for line in axis.lines[:4]} == {"content", "style", "total variation", "total"}
    assert axis.get_yscale() == "log" and len(axis.lines) == 5  # one more where the second scale begins
    np.testing.assert_allclose(axis.lines[1].get_ydata(), history["style"])


@pytest.mark.parametrize("name", ["slim", "vgg16"])
def test_live_view_shows_first_every_tenth_and_last(name, lake, starry, monkeypatch):
    network, shown = load_once(name), []

    class Handle:
        update = staticmethod(lambda view: shown.append(view))

    monkeypatch.setattr("IPython.display.display", lambda view, display_id: Handle)
    stylize(lake, starry, network, size=48, steps=(12, 13), callback=plots.LiveView(every=10))
    texts = [repr(view) for view in shown]
    assert [text.split(",")[0] for text in texts] == [f"step {k} of 25" for k in (1, 10, 20, 25)]
    assert "content" in texts[1] and "style" in texts[1] and "s left" in texts[1]
    assert texts[-1].endswith("0 s left")
    html = shown[-1]._repr_html_()
    assert 'src="data:image/jpeg;base64,' in html and repr(shown[-1]) in html


def test_live_view_without_a_notebook_is_text(network, lake, starry, capsys):
    stylize(lake, starry, network, size=48, steps=3, callback=plots.LiveView())
    assert "step 1 of 3" in capsys.readouterr().out
