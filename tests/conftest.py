"""What all tests share: the slim network, two bundled images, and a quiet, reproducible environment."""

import os
import sys

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
import make_handout
import numpy as np
import pytest

from stlib import images
from stlib.network import load_network

ROOT = Path(__file__).resolve().parent.parent

# Compiling takes seconds on a first example: no deadline. Derandomized: CI fails only for a change.
hypothesis.settings.register_profile("course", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("course")


@pytest.fixture(scope="session")
def network():
    return load_network("slim")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    return make_handout.build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def site(wheel, tmp_path_factory):
    """A folder that holds stlib as installed from its wheel, without what it needs."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", folder, wheel]
    make_handout.run(command)
    return folder


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
