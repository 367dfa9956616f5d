"""The class version: no solution is left, it runs without them where the wheel is installed, and it installs offline.

nbval executes every notebook with its solutions. That they run without is read from their syntax trees; one is run.
"""

import ast
import builtins
import json
import os
import platform
import re
import subprocess
import sys
import zipfile
from contextlib import suppress
from importlib import metadata
from unittest import mock

import make_handout
import nbformat
import pytest
from conftest import ROOT, quicker

PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXECUTE = """
import sys
tools, source, target = sys.argv[1:]
sys.path.insert(0, tools)
import nbformat, pathlib, run_notebooks
nbformat.write(run_notebooks.execute(pathlib.Path(source)), target)
"""
PAINT = """
import os, stlib
assert stlib.__file__.startswith(os.environ["PYTHONPATH"]), stlib.__file__
from stlib.painter import load_painter, paint
from stlib.stylize import stylize
content, style = np.random.default_rng(0).uniform(size=(2, 32, 32, 3))
assert stylize(content, style, size=32, steps=2).image.shape == content.shape
assert paint(content, load_painter("starry_night")).shape == content.shape
"""
BLOCKED = """
import socket
def refuse(*arguments, **keywords):
    raise OSError("sockets are blocked")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return make_handout.build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def handout(tmp_path_factory, wheel):
    def make_sheets(folder):  # see test_sheets.py
        for name in ("notation.pdf", "debugging.pdf"):
            (folder / name).touch()

    with mock.patch("sheets.make_sheets", make_sheets):
        return make_handout.make_handout(tmp_path_factory.mktemp("class") / "handout", wheel)


def cells(path):
    return nbformat.read(path, as_version=4).cells


def is_solution(cell):
    return "solution" in cell.metadata.get("tags", [])


def bodies(source):
    """What the functions of a cell do, whatever they are called; without docstrings."""
    tree = ast.parse(re.sub(r"^[%!].*$", "", source, flags=re.M))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield ast.unparse(node.body[1:] if ast.get_docstring(node) else node.body)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_solutions_and_outputs_are_gone_and_nothing_else(path, handout):
    kept = [cell for cell in cells(path) if not is_solution(cell)]
    for cell in kept:
        cell.update(outputs=[], execution_count=None) if cell.cell_type == "code" else None
    assert cells(handout / "notebooks" / path.name) == kept


def test_no_solution_is_left(handout):
    files = [path for path in handout.rglob("*") if path.suffix in (".ipynb", ".html", ".md")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    left = [cell for path in handout.rglob("*.ipynb") for cell in cells(path)]
    assert not any(map(is_solution, left))
    written = {body for cell in left if cell.cell_type == "code" for body in bodies(cell.source)}
    solutions = [cell for path in PATHS for cell in cells(path) if is_solution(cell)]
    assert solutions and "raise NotImplementedError" in written
    for cell in solutions:
        assert json.dumps(cell.source)[1:-1] not in text and cell.source not in text
        if cell.cell_type == "code":
            assert not written & set(bodies(cell.source)), "a cell of the handout does what a solution does"


def walk(node, kinds):
    return [each for each in ast.walk(node) if isinstance(each, kinds)]


def bound(node):
    """The names that a piece of syntax binds, inside its functions too."""
    names = {name.id for name in walk(node, ast.Name) if not isinstance(name.ctx, ast.Load)}
    names |= {each.name for each in walk(node, (ast.FunctionDef, ast.ClassDef, ast.ExceptHandler))}
    names |= {alias.asname or alias.name.split(".")[0] for alias in walk(node, ast.alias)}
    return names | {argument.arg for argument in walk(node, ast.arg)}


def missing(sources):
    """The names that cells use, run in order in a fresh kernel, and that nothing before has bound."""
    have, lacking = {*dir(builtins), "get_ipython"}, set()
    for source in sources:
        for statement in ast.parse(re.sub(r"^[%!].*$", "", source, flags=re.M)).body:
            used = {name.id for name in walk(statement, ast.Name) if isinstance(name.ctx, ast.Load)}
            used |= {each.target.id for each in walk(statement, ast.AugAssign) if isinstance(each.target, ast.Name)}
            inner = [statement] if hasattr(statement, "body") else walk(statement, (ast.comprehension, ast.Lambda))
            lacking |= used - have - {name for each in inner for name in bound(each)}
            have |= bound(statement)
    return lacking


def test_what_a_cell_lacks_is_seen():
    whole = ["import a.b, c as d\nx = 1", "y = [a + x for x in d]\ndef f(u, *v):\n    w = u\n    return f, v, w, y"]
    assert not missing(whole)
    parts = ["x = x + y\nz += 1", "print(lambda q: q + r, f)\ndef f():\n    return s", "x, f"]
    assert missing(parts) == {*"xyzrfs"}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_no_cell_needs_a_solution(path):
    assert not missing(cell.source for cell in cells(path) if cell.cell_type == "code" and not is_solution(cell))


def assert_unsolved(path, executed):
    checks = [cell for cell in executed if cell.cell_type == "code" and cell.source.startswith("checks.")]
    assert len(checks) == sum(is_solution(cell) and cell.cell_type == "code" for cell in cells(path))
    for cell in checks:
        printed = "".join(output.get("text", "") for output in cell.outputs)
        assert ("Not solved yet" in printed or "Hint" in printed) and "All of it holds" not in printed, printed


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_stored_checks_say_that_nothing_is_solved(path):
    assert_unsolved(path, cells(path))


def test_from_the_wheel_it_runs_unsolved_and_paints(handout, wheel, tmp_path):
    """The longest derivation, on slim, and then what no lesson needs to be solved for, in a kernel without checkout."""
    path = next((handout / "notebooks").glob("04*.ipynb"))
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.source = quicker(cell.source)
    notebook.cells.append(nbformat.v4.new_code_cell(PAINT))
    (tmp_path / "notebooks").mkdir()
    nbformat.write(notebook, tmp_path / "notebooks" / path.name)
    (tmp_path / "images").symlink_to(handout / "images")
    site, names = tmp_path / "site", zipfile.ZipFile(wheel).namelist()
    assert {"stlib/data/vgg16.npz", "stlib/data/MODEL_CARD.md", "stlib/marking/answers.py"} <= set(names)
    zipfile.ZipFile(wheel).extractall(site)  # what pip does; with pip it is installed below
    command = [sys.executable, "-c", EXECUTE, ROOT / "tools", tmp_path / "notebooks" / path.name, tmp_path / path.name]
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    code = [cell for cell in cells(tmp_path / path.name) if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert_unsolved(ROOT / "notebooks" / path.name, code)


def test_links_and_start_page(handout):
    page = (handout / "START.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|\$\w", page), "it works offline, and every blank is filled in"
    for target in re.findall(r'(?:href|src)="([^"]+)"', page):
        assert (handout / target).exists(), target
    for path in PATHS:
        title = cells(path)[0].source.splitlines()[0].lstrip("# ")
        assert re.search(rf"<td>{path.name}</td><td>{re.escape(title)}</td><td>\d+( \+ \d+)?</td>", page)
        text = "\n".join(cell.source for cell in cells(path) if cell.cell_type == "markdown")
        for target in re.findall(r"\]\((\.\./[^)\s#]+|[^)\s#:/]+\.ipynb)", text):
            assert (handout / "notebooks" / target).exists(), target
    assert len(re.findall(r'href="\w+\.pdf"', page)) == 2
    for card in (handout / "stlib/data").glob("*.md"):
        for target in re.findall(r"\]\(([^)\s#:]+)\)", card.read_text(encoding="utf-8")):
            assert (card.parent / target).exists(), target
    wheel = next(handout.glob("*.whl"))
    assert f".venv/bin/python -m pip install {wheel.name}" in page


def test_pictures_of_whoever_makes_it_stay(tmp_path, monkeypatch, wheel):
    for name in ("images/own/README.md", "images/own/me.jpg", "images/style/a.jpg", "LICENSE", "notebooks/00_a.ipynb"):
        (tmp_path / "course" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "course" / name).touch()
    head = nbformat.v4.new_markdown_cell("# A title\n\nabout 10 minutes")
    nbformat.write(nbformat.v4.new_notebook(cells=[head]), tmp_path / "course/notebooks/00_a.ipynb")
    monkeypatch.setattr(make_handout, "ROOT", tmp_path / "course")
    monkeypatch.setattr("sheets.make_sheets", lambda folder: None)
    folder = make_handout.make_handout(tmp_path / "handout", wheel)
    assert [path.name for path in (folder / "images/own").iterdir()] == ["README.md"]
    assert (folder / "images/style/a.jpg").exists()


def test_one_that_fails_keeps_the_old_one(tmp_path, monkeypatch, wheel):
    (tmp_path / "handout").mkdir()
    (tmp_path / "handout/START.html").write_text("of last year")

    def full_disk(folder):
        raise OSError("No space left on device")

    monkeypatch.setattr("sheets.make_sheets", full_disk)
    with pytest.raises(OSError, match="No space left"):
        make_handout.make_handout(tmp_path / "handout", wheel)
    assert [path.name for path in tmp_path.iterdir()] == ["handout"]
    assert [path.read_text() for path in (tmp_path / "handout").iterdir()] == ["of last year"]


# --- make class


@pytest.fixture
def only_from(monkeypatch):
    """Return a function that lets pip see nothing but the wheels of a folder."""

    def only_from(folder):
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            monkeypatch.delenv(name)
        for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(folder), "CONFIG_FILE": os.devnull}.items():
            monkeypatch.setenv(f"PIP_{name}", value)

    return only_from


def hollow_wheel(folder, name, version, about):
    """Write a wheel that holds nothing but what it is and what it needs."""
    stem = f"{re.sub('[-_.]+', '_', name)}-{version}"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as file:
        file.writestr(f"{stem}.dist-info/METADATA", about)
        file.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{stem}.dist-info/RECORD", "")


def test_each_platform_gets_what_it_needs(tmp_path, only_from):
    needs = {"pywin": "os_name == 'nt'", "pymac": "platform_system == 'Darwin'", "pylinux": "sys_platform == 'linux'"}
    needs |= {
        "pyarm": "platform_machine == 'arm64'",
        "pyold": "python_version < '3.11'",
        "pyother": "'tv' in sys_platform",
    }
    head = "Metadata-Version: 2.1\nName: {}\nVersion: 1\n"
    for name in needs:
        hollow_wheel(tmp_path, name, "1", head.format(name))
    lines = [f"Requires-Dist: {name}; {marker}" for name, marker in needs.items()]
    hollow_wheel(tmp_path, "whole", "1", head.format("whole") + "\n".join(lines))
    only_from(tmp_path)
    expected = {"win32": {"pywin"}, "darwin": {"pymac", "pyarm"}, "linux": {"pylinux"}}
    for version, old in (("3.10", {"pyold"}), ("3.13", set())):
        for tags, markers in make_handout.PLATFORMS.values():
            folder = tmp_path / f"{version} {markers['sys_platform']}"
            make_handout.download("whole", folder, version, tags, markers)
            found = {path.name.split("-")[0] for path in folder.iterdir()}
            assert found == {"whole"} | old | expected[markers["sys_platform"]]


def test_the_command_of_the_start_page_installs_with_sockets_blocked(tmp_path, only_from, monkeypatch, wheel):
    """With hollow wheels of what stlib needs and one that TensorFlow needs; the real ones, 440 MB, are tested below."""
    here = {n: p for n, p in make_handout.PLATFORMS.items() if p[1]["platform_machine"] == platform.machine()}
    here = {n: p for n, p in here.items() if p[1]["sys_platform"] == sys.platform}
    if not here:
        pytest.skip("no class version is made for this platform")
    hollow = tmp_path / "hollow"
    hollow.mkdir()
    for name in {re.match(r"[\w-]+", need)[0] for need in metadata.requires("stlib")} | {"keras"}:
        with suppress(metadata.PackageNotFoundError):  # of another platform
            about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {metadata.version(name)}\n"
            about += "Requires-Dist: keras\n" * name.startswith("tensorflow")
            hollow_wheel(hollow, name, metadata.version(name), about)
    only_from(hollow)
    monkeypatch.setattr(make_handout, "PLATFORMS", here)
    monkeypatch.setattr("sheets.make_sheets", lambda folder: None)
    folder = make_handout.make_class(tmp_path / "class", platform.python_version(), wheel)
    only_from("nowhere")
    install(folder, [sys.executable], tmp_path, "--target", tmp_path / "site")
    assert {"stlib", "numpy", "jupyterlab", "keras"} <= {
        path.name.split("-")[0] for path in (tmp_path / "site").glob("*.dist-info")
    }
    assert f"<b>Python {platform.python_version()}</b>" in (folder / "START.html").read_text("utf-8")


@pytest.mark.skipif(not (ROOT / "out/class").exists(), reason="make class first: it downloads much")
def test_the_class_installs_and_paints_with_sockets_blocked(tmp_path, only_from):
    only_from("nowhere")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    install(ROOT / "out/class", [python], tmp_path)
    pictures = [ROOT / "out/class/images" / name for name in ("content/chelsea_cat.jpg", "style/great_wave.jpg")]
    blocked([python, "-m", "stlib", *pictures, "-o", tmp_path / "cat.jpg", "--size", "64"], tmp_path, tmp_path)
    assert (tmp_path / "cat.jpg").exists()
    blocked([python, "-m", "jupyterlab", "--version"], tmp_path, tmp_path)


def install(folder, python, tmp_path, *options):
    """Run the command that the start page of a class names, in its folder, with sockets blocked."""
    page = (folder / "START.html").read_text(encoding="utf-8")
    (command,) = re.findall(r"^\.venv/bin/python (-m pip .*)</pre>$", page, re.M)
    blocked([*python, *command.split(), *options], folder, tmp_path)


def blocked(command, folder, tmp_path):
    """Run a Python command in a folder, with sockets blocked."""
    (tmp_path / "blocked").mkdir(exist_ok=True)
    (tmp_path / "blocked/sitecustomize.py").write_text(BLOCKED)
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "blocked")}
    program = "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9')"
    done = subprocess.run([command[0], "-c", program], env=environment, capture_output=True, text=True)
    assert "sockets are blocked" in done.stderr
    done = subprocess.run([*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
