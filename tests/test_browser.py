"""The studio in a real browser: one session in JupyterLab, with uploads, painting, stopping, saving, keys and names."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import numpy as np
import pytest
from conftest import ROOT

from stlib import images

WAIT = 120_000  # milliseconds, on a busy machine; nothing takes so long


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of the course to write into."""
    folder = tmp_path_factory.mktemp("course")
    shutil.copytree(ROOT / "images", folder / "images", ignore=shutil.ignore_patterns("own"))
    (folder / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks/S_studio.ipynb", folder / "notebooks")
    return folder


@pytest.fixture(scope="module")
def server(course, tmp_path_factory):
    """The address of a JupyterLab in that folder, without a password and without anybody's settings."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = tmp_path_factory.mktemp("settings")
    environment = os.environ | dict.fromkeys(
        ("JUPYTER_CONFIG_DIR", "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR"), str(own)
    )
    environment |= {"JUPYTERLAB_SETTINGS_DIR": str(own), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:2]])}
    options = [
        f"--ServerApp.port={port}",
        f"--ServerApp.root_dir={course}",
        "--IdentityProvider.token=",
        "--no-browser",
    ]
    options += [
        "--allow-root",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url=None",
    ]
    with (own / "log").open("wb") as log:
        lab = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}/"
    while lab.poll() is None:
        try:
            urllib.request.urlopen(address + "api", timeout=5)
            break
        except OSError:
            time.sleep(0.2)
    assert lab.poll() is None, (own / "log").read_text()
    yield address
    lab.terminate()
    lab.wait()


@pytest.fixture(scope="module")
def page(browser, server):
    """The notebook in a browser, its cell run."""
    page = browser.new_page(viewport={"width": 1400, "height": 1600})
    page.set_default_timeout(WAIT)
    page.goto(server + "doc/tree/notebooks/S_studio.ipynb")
    page.get_by_text("| Idle").wait_for()
    page.locator(".jp-CodeCell .cm-content").click()
    page.keyboard.press("Shift+Enter")
    button(page, "Paint").wait_for()
    return page


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def says(page, words):
    """Wait until the status line has these words; return all of it."""
    line = page.get_by_role("status").filter(has_text=words)
    line.wait_for()
    return line.inner_text()


def upload(page, what, file):
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name=f"Upload a {what}").click()
    chooser.value.set_files(file)


def paint(page):
    button(page, "Paint").click()
    says(page, "Painting")
    return says(page, "Painted in")


def test_everything_has_a_name(page):
    page.get_by_role("img", name="Preview, by a painter").wait_for()
    page.locator("[role=slider][aria-label]").first.wait_for(state="attached")
    tree = "\n".join(side.aria_snapshot() for side in page.locator(".stlib-side").all())
    assert tree.count("- slider ") == 4 and tree.count("- checkbox ") >= 7 and tree.count("- combobox ") == 2
    for role in ("button", "slider", "checkbox", "combobox", "img", "heading"):
        assert not re.findall(rf"- {role}(?! \")(?! \[)", tree), tree
    assert "✓ summer palace" in tree and "- status: Choose" in tree


def test_uploads(page, course, tmp_path, lake):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    upload(page, "photo", tmp_path / "broken.jpg")
    assert says(page, "broken.jpg").count(". ") == 0 and not (course / "images/own").exists()
    upload(page, "photo", images.save(lake, tmp_path / "my lake.png"))
    button(page, "✓ my lake").wait_for()
    assert (course / "images/own/my lake.png").read_bytes() == (tmp_path / "my lake.png").read_bytes()


def test_paint_and_save(page, course):
    page.get_by_role("slider", name="Size in pixels").press("Home")
    paint(page)
    button(page, "Save").click()
    assert says(page, "Saved as") == "Saved as ../out/my lake_starry_night.png, with its settings."
    made = images.load_metadata(course / "out/my lake_starry_night.png")
    assert made["content"] == "own/my lake.png" and made["size"] == 64
    button(page, "Show the code").click()
    assert "compose.paint(photo, painting" in page.get_by_role("textbox", name="Code", exact=True).input_value()


def test_a_region_by_the_keyboard(page, course):
    page.get_by_role("checkbox", name="A region").press(" ")
    canvas = page.get_by_role("application", name="The region")
    for key in ("ArrowRight", "ArrowRight", " "):
        canvas.press(key)
    paint(page)
    button(page, "Save").click()
    says(page, "_2.png")
    (path,) = (course / "out").glob("mask_*.png")
    mask = images.load(path)[..., 0]
    rows, columns = np.nonzero(mask > 0.5)
    assert abs(rows.mean() / len(mask) - 0.5) < 0.02 and 0.55 < columns.mean() / mask.shape[1] < 0.61  # 0.5 + 2 x 0.04
    assert images.load_metadata(course / "out/my lake_starry_night_2.png")["mask"] == f"../out/{path.name}"


def test_stop(page):
    page.get_by_role("slider", name="Size in pixels").press("End")
    button(page, "Paint").click()
    page.get_by_role("img", name="step").wait_for()
    page.get_by_role("img", name="Losses so far").wait_for()
    button(page, "Stop").click()
    assert says(page, "Stopped at").endswith("the picture so far is in the gallery.")
    assert button(page, "Show again").count() == 3


def test_the_lessons_sliders_have_names(page, server, course):
    cell = "from stlib.sliders import interact\ninteract(lambda degrees: print(degrees), degrees=(0, 345, 15));"
    notebook = nbformat.read(course / "notebooks/S_studio.ipynb", as_version=4)
    notebook.cells = [nbformat.v4.new_code_cell(cell)]
    nbformat.write(notebook, course / "notebooks/sliders.ipynb")
    page.goto(server + "doc/tree/notebooks/sliders.ipynb")
    page.get_by_text("| Idle").wait_for()
    page.locator(".jp-CodeCell .cm-content").click()
    page.keyboard.press("Shift+Enter")
    page.get_by_role("slider", name="degrees").press("End")
    page.locator("pre", has_text="345").wait_for()
