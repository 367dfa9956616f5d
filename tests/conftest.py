"""What all tests share: the slim network, two bundled images, and a quiet, reproducible environment."""

import functools
import os
import shutil

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ.pop("STLIB_NETWORK", None)  # tests and notebooks use slim, whatever the reader has set
os.environ["STLIB_LANGUAGE"] = "en"  # whatever the locale

if "PYTEST_XDIST_WORKER" in os.environ and hasattr(os, "sched_setaffinity"):
    # Each worker keeps to cores of its own, and so do the kernels it starts: two on the same cores hinder each other.
    number, count = int(os.environ["PYTEST_XDIST_WORKER"][2:]), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[number % len(cores) :: count])  # at least one

from pathlib import Path

import hypothesis
import numpy as np
import pytest

from stlib import images
from stlib.network import load_network

ROOT = Path(__file__).resolve().parent.parent
load_once = functools.cache(load_network)  # to paint with: what is compiled for a network serves all tests of a worker

# Compiling takes seconds on a first example: no deadline. Derandomized: CI fails only for a change.
hypothesis.settings.register_profile("course", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("course")
LONG = ("train_painter", "marks", "tiles", "bad_day", "stylize", "handout", "sheets", "train_slim", "resume", "painter")


def pytest_collection_modifyitems(items):
    """Notebooks first, then the other files that take half a minute: so the workers end together."""
    items.sort(key=lambda item: (item.path.suffix != ".ipynb", item.path.stem.removeprefix("test_") not in LONG))


def quicker(source):
    """Cells of lesson 04, whose exercises use neither network nor pictures, on slim and small pictures."""
    for line, other in (('NETWORK = "vgg16"', '"slim"'), ("SIZE = 160", "64"), ("SMALL = 96", "48")):
        source = source.replace(line, f"{line.split(' = ')[0]} = {other}")
    return source


@pytest.fixture(scope="session")
def network():
    return load_once("slim")


@pytest.fixture
def networks_kept(monkeypatch):
    """The command line takes networks that were loaded before."""
    monkeypatch.setattr("stlib.network.load_network", load_once)


@pytest.fixture(scope="session")
def lake():
    return images.load(ROOT / "images/content/lake_sherburne.jpg", 160)


@pytest.fixture(scope="session")
def starry():
    return images.load(ROOT / "images/style/starry_night.jpg", 160)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def no_sockets(monkeypatch):
    """Make any attempt to open a socket or to look up a name fail the test."""

    def refuse(*arguments, **keywords):
        raise AssertionError("a socket was opened")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(f"socket.{name}", refuse)


@pytest.fixture(scope="module")
def browser():
    """The machine's own browser, without a window; what needs it is skipped where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install playwright")
    names = ("chromium", "chromium-browser", "google-chrome", "chrome", "microsoft-edge")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("no Chromium, Chrome or Edge is installed here")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
