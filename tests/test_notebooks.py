"""The lessons as documents: names, links, stored outputs, lengths, markers, solutions, taught before imported."""

import ast
import inspect
import itertools
import re
import statistics
import subprocess
import sys

import nbformat
import pytest
from conftest import ROOT

from stlib import losses, network, optimize, pyramid

FOLDER = ROOT / "notebooks"
PATHS, TEMPLATE = sorted(FOLDER.glob("[0A]*.ipynb")), ROOT / "tools/lesson_template.ipynb"
MARKER = "# NBVAL_CHECK_OUTPUT"
TAUGHT = {
    name
    for module in (losses, network, optimize, pyramid)
    for name, value in vars(module).items()
    if inspect.isfunction(value)
    and value.__module__ == module.__name__
    and not name.startswith(("_", "load_", "build_"))
} | {"stylize"}


@pytest.fixture(params=[*PATHS, TEMPLATE], ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def cells(path):
    return nbformat.read(path, as_version=4).cells


@pytest.fixture
def code(cells):
    return [cell for cell in cells if cell.cell_type == "code"]


@pytest.fixture
def text(cells):
    return [cell.source for cell in cells if cell.cell_type == "markdown"]


def lines(cell):
    return len(cell.source.splitlines())


def numbers(text):
    """The numbers in a text: 1,024 is one, and 16.0 is 16."""
    return {float(each.replace(",", "")) for each in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", text)}


def anchors(path):
    """The ids that Jupyter gives the headings of a notebook."""
    cells = nbformat.read(path, as_version=4).cells
    headings = [
        h for cell in cells if cell.cell_type == "markdown" for h in re.findall(r"^#+ (.+)$", cell.source, re.M)
    ]
    return {re.sub(r"\s+", "-", heading.strip()) for heading in headings}


def test_names():
    assert PATHS[0].name == "00_first_picture.ipynb"
    for path in FOLDER.glob("*.ipynb"):
        assert re.fullmatch(r"(0\d|A\d|S)_[a-z0-9_]+\.ipynb", path.name)


def test_head(path, text):
    first = text[0].splitlines()
    assert re.match(r"# [A-Z]", first[0])
    navigation = first[2]
    assert "[Contents](" in navigation or path == PATHS[0]
    head = " ".join((text[0] + text[1]).split())
    for words in ("What you'll do", "What you'll learn", "What you'll need", "minutes", "runs in under"):
        assert words in head, words


def test_links_resolve(path, text):
    for target in re.findall(r"\]\(([^)\s]+)\)", "\n".join(text)):
        if re.match(r"https?://", target) or target.startswith("data:"):
            continue
        file, _, anchor = target.partition("#")
        place = (FOLDER / file).resolve() if file else path
        assert place.exists(), target
        if anchor:
            assert anchor in anchors(place), target  # with its case, which JupyterLab minds


def test_executed_in_order_and_clean(code):
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr"
            assert "image/png" not in output.get("data", {}), "figures are stored as JPEG: call plots.use_style()"


def test_no_lesson_begins_with_a_red_box(code):
    """TensorFlow's greeting looks like an error: stlib, imported first, drops it in a notebook."""
    (first, *_) = re.findall(r"^(?:from|import) (stlib|keras|tensorflow)", code[0].source, re.M)
    assert first == "stlib"


def test_tensorflow_greets_nobody_in_a_notebook():
    kernel = "import sys, types; sys.modules['ipykernel'] = types.ModuleType('ipykernel')"
    done = subprocess.run([sys.executable, "-c", f"{kernel}; import stlib, keras"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""


def test_sizes(path, code):
    assert path.stat().st_size <= 1_000_000
    assert max(map(lines, code)) <= 25
    assert statistics.median(map(lines, code)) <= 8


def test_words(text):
    core = re.split(r"^## (?:Exercises|Go deeper)", "\n".join(text), flags=re.M)[0]
    core = re.sub(r"<details>.*?</details>", "", core, flags=re.S)
    assert len(core.split()) <= 1500
    assert len(" ".join(text).split()) <= 2300


def test_each_section_has_its_minutes(text):
    sections = re.findall(r"^## (.+)\n+(.*)", "\n".join(text), re.M)
    unmarked = {heading for heading, below in sections if not re.fullmatch(r"\*about \d+ minutes?\*", below)}
    assert unmarked <= {"Further reading"}


def test_figures_are_numbered(cells):
    written = "\n".join(c.source for c in cells if c.cell_type == "markdown" and not c.metadata.get("tags"))
    numbers = [int(number) for number in re.findall(r"^\*Figure (\d+)", written, re.M)]
    assert numbers == list(range(1, len(numbers) + 1)) != []
    assert set(map(int, re.findall(r"[Ff]igures? (\d+)", written))) <= set(numbers), "a figure that there is not"


def test_three_outputs_are_compared(code, text):
    """Each of them has a number that the prose quotes."""
    quoted = numbers("\n".join(text))
    compared = [
        "".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs)
        for cell in code
        if MARKER in cell.source
    ]
    assert sum(not quoted.isdisjoint(numbers(output)) for output in compared) >= 3


def test_figures_are_described(cells):
    """A caption in italics begins the cell after a figure; a solution's caption has its tag and goes with it."""
    for cell, after in zip(cells, [*cells[1:], nbformat.v4.new_markdown_cell()]):
        shown = [output.get("data", {}) for output in cell.get("outputs", [])]
        if any(kind.startswith("image/") for data in shown for kind in data):
            caption = re.match(r"\*(?![* ])(.+?)\*", after.source, re.S)
            assert after.cell_type == "markdown" and caption, f"no caption after {cell.source[:60]!r}"
            assert len(caption[1].split()) >= 5, f"{caption[1]!r} says too little"
            solution, its = ("solution" in each.metadata.get("tags", []) for each in (cell, after))
            assert solution == its, f"{caption[1]!r} needs the tag of its figure's cell"


def test_pictures_have_alt_text(cells):
    for cell in cells:
        written = cell.source if cell.cell_type == "markdown" else ""
        shown = "".join(output.get("data", {}).get("text/html", "") for output in cell.get("outputs", []))
        alts = re.findall(r"!\[([^\]]*)\]\(", written)
        alts += [(re.findall(r'alt="([^"]*)"', tag) or [""])[0] for tag in re.findall(r"<img[^>]*>", written + shown)]
        for alt in alts:
            assert len(alt.split()) >= 3, f"{alt!r} says too little"


def test_headings_are_in_order(text):
    prose = re.sub(r"^```.*?^```", "", "\n".join(text), flags=re.M | re.S)
    levels = [len(marks) for marks in re.findall(r"^(#+) ", prose, re.M)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels)), "a level of headings is left out"


def test_markers_are_effective(code):
    for cell in code:
        if "NBVAL" in cell.source:
            assert cell.source.splitlines()[0] == MARKER, "a marker stands alone on the first line"
            assert cell.source.count("NBVAL") == 1
            assert any(o.output_type == "stream" or "text/plain" in o.get("data", {}) for o in cell.outputs)


def test_solutions_are_hidden_and_proven(code):
    for cell in code:
        if "solution" in cell.metadata.get("tags", []):
            assert cell.metadata.jupyter.source_hidden
            last = ast.parse(cell.source).body[-1]
            assert isinstance(last, ast.Assert) and "checks." in ast.unparse(last)


def test_nothing_global_in_functions(code):
    """Whatever a function uses stands in its signature, or is an import, a function or a CONSTANT."""
    tree = ast.parse("\n".join(re.sub(r"^[%!].*$", "", cell.source, flags=re.M) for cell in code))
    values = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in ast.walk(node)
        if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store) and not target.id.isupper()
    }
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
        own = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        own |= {
            argument.arg for node in ast.walk(function) if isinstance(node, ast.arguments) for argument in all_of(node)
        }
        own |= {node.name for node in ast.walk(function) if isinstance(node, ast.FunctionDef)}
        used = {node.id for node in names if isinstance(node.ctx, ast.Load)} - own
        assert not used & values, f"{function.name} reads {used & values}"


def all_of(arguments):
    return [
        *arguments.posonlyargs,
        *arguments.args,
        *arguments.kwonlyargs,
        *filter(None, (arguments.vararg, arguments.kwarg)),
    ]


def imported(tree):
    """Names that `tree` takes from stlib, by import or as an attribute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stlib"):
            yield from (alias.name for alias in node.names)
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in ("losses", "network", "optimize", "pyramid")
        ):
            yield node.attr


def test_taught_then_imported(code):
    """A function that a notebook writes itself is not taken from stlib before, and a bridge keeps the two equal."""
    trees = [ast.parse(re.sub(r"^[%!].*$", "", cell.source, flags=re.M)) for cell in code]
    written = {}
    for number, tree in enumerate(trees):
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name in TAUGHT:
                written.setdefault(node.name, number)
    for name, number in written.items():
        uses = [k for k, tree in enumerate(trees) if name in imported(tree)]
        assert uses and min(uses) > number, f"{name} is written here, so it may be taken from stlib only afterwards"
        bridges = [ast.unparse(tree) for k, tree in enumerate(trees) if k > number and name in imported(tree)]
        assert any("assert" in bridge and bridge.count(name) >= 2 for bridge in bridges), f"no bridge for {name}"


def test_nothing_is_left_to_fill_in(text):
    plain = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", "", "\n".join(text), flags=re.S)
    assert not re.findall(r"\b[A-Z]{7,}\b|\bTODO\b|\bXXX+\b|\?\?", plain)
