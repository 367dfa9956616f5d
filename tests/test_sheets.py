"""The printable pages: PDF files of one A4 page, nothing overlapping, true names, shapes and equations, real faults."""

import ast
import itertools
import re
from unittest import mock

import matplotlib
import nbformat
import numpy as np
import pytest
import sheets
import tensorflow as tf
from conftest import ROOT
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.mathtext import MathTextParser

from stlib import color, images, losses, network, optimize, pyramid
from stlib.settings import RECIPES, Settings
from stlib.stylize import stylize

ROWS = [row for rows in sheets.NOTATION.values() for row in rows]


@pytest.fixture(scope="module")
def pictures():
    """Half as large as they are printed, in half the steps: quicker, and the faults show as well."""

    def draft(*pair, size, steps="draft", **more):
        return stylize(*pair, size=size // 2, steps=steps, **more)

    with mock.patch.object(sheets, "stylize", draft):
        return sheets.pictures()


@pytest.fixture(scope="module", params=["notation", "debugging"])
def figure(request, pictures):
    return sheets.notation_sheet() if request.param == "notation" else sheets.debugging_card(pictures)


def test_pdf(tmp_path, pictures, monkeypatch):
    monkeypatch.setattr(sheets, "pictures", lambda: pictures)  # painted once for all tests
    paths = sheets.make_sheets(tmp_path / "handout")
    assert [path.name for path in paths] == ["notation.pdf", "debugging.pdf"]
    for path in paths:
        data = path.read_bytes()
        assert len(data) < 1_000_000
        assert re.findall(rb"/Type /Pages.*?/Count (\d+)", data, re.S) == [b"1"]
        (box,) = re.findall(rb"/MediaBox \[ ([\d. ]+) \]", data)
        assert np.allclose([float(side) for side in box.split()], [0, 0, 595.28, 841.89], atol=0.1)  # A4 in points
        assert b"/FontFile2" in data and b"/Subtype /Type3" not in data  # text that stays text


def test_nothing_overlaps_or_is_cut_off(figure):
    with matplotlib.rc_context(sheets.STYLE):
        renderer = FigureCanvasAgg(figure).get_renderer()
        texts = [text for text in figure.texts if text.get_text()]
        boxes = [text.get_window_extent(renderer) for text in texts]
    boxes += [axes.get_window_extent(renderer) for axes in figure.axes]
    margin = 0.3 * figure.dpi  # printers leave out less
    for box, text in zip(boxes, texts):
        assert text.get_fontsize() >= 7
        assert margin <= box.x0 and box.x1 <= figure.bbox.width - margin, text
        assert margin <= box.y0 and box.y1 <= figure.bbox.height - margin, text
    for (one, a), (other, b) in itertools.combinations(enumerate(boxes), 2):
        width, height = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert width <= 0 or height <= 1.5, [texts[k].get_text() for k in (one, other) if k < len(texts)]


def test_words(figure):
    words = " ".join(" ".join(text.get_text() for text in figure.texts).split())
    expected = {
        "Notation sheet": [
            "The paper's $F$ is the transpose of ours",
            "Gram matrix",
            "block5_conv1",
            "L-BFGS",
            "Adam",
            "bands",
        ],
        "Debugging card": ["symptom", "cause", "remedy", "learning_rate=", "wrap around"],
    }[figure.texts[0].get_text()]
    for word in expected:
        assert word in words, word


def test_formulas_parse():
    parser = MathTextParser("path")
    for row in ROWS:
        for cell in (row[0], row[1], row[4]):
            assert cell.count("$") % 2 == 0
            parser.parse(cell)
    numbers = [number for row in ROWS for number in re.findall(r"\d", row[5])]
    assert sorted(set(numbers)) == list("1234567")  # all equations of the paper


def names_in(tree):
    for node in ast.walk(tree):
        yield from (
            getattr(node, key) for key in ("id", "arg", "attr", "name") if isinstance(getattr(node, key, 0), str)
        )


def calls(code):
    """The names in a cell of code; lines such as size=320 are arguments of a call."""
    if re.match(r"\w+=", code):
        code = f"stylize({','.join(code.splitlines())})"
    return set(names_in(ast.parse(code)))


def test_settings_are_those_of_the_networks():
    """What suits a network, beside the symbols of weights and rate; slim's is in the cells of code."""
    equations = " ".join(f"{row[1]} {row[4]}" for row in ROWS)
    vgg16 = RECIPES["vgg16"]
    assert f"\\alpha = {vgg16['content_weight']}$" in equations and f"(VGG16: {vgg16['learning_rate']})" in equations
    found = [[float(weight) for weight in row.split(",")] for row in re.findall(r"layers ([\d., ]+)", equations)]
    assert found == [list(RECIPES[name]["style_layers"].values()) for name in ("slim", "vgg16")]
    (found,) = re.findall(r"([\d., ]+); color 0\.5", equations)
    assert [float(rate) for rate in found.split(",")] == list(optimize.BAND_RATES)
    assert np.allclose(optimize.COLOR_RATES, [1, 0.5, 0.5])


def test_names_exist():
    """Each name in code is used in stlib; a few belong to the lessons only."""
    module, lessons = set(), set()
    for path in (path for path in (ROOT / "stlib").rglob("*.py") if path.parent.name in ("stlib", "training")):
        module |= set(names_in(ast.parse(path.read_text(encoding="utf-8"))))
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                lessons |= set(names_in(ast.parse(re.sub(r"^[%!].*$", "", cell.source, flags=re.M))))
    sheet = set().union(*(calls(row[3]) for row in ROWS))
    assert sheet - module == {"Z", "beta", "dF", "g"} <= lessons
    card = set().union(*(calls(fault[3]) for fault in sheets.FAULTS.values()))
    assert card <= module | lessons


def test_defaults_are_those_of_stylize():
    """Where the default is None, stylize takes slim's."""
    defaults = vars(Settings().of("slim"))
    shown = "\n".join([row[3] for row in ROWS] + [fault[3] for fault in sheets.FAULTS.values()])
    found = re.findall(r"^(\w+)=(.+)$", shown.replace(", ", "\n"), re.M)
    assert {name for name, _ in found} >= {
        "content_weight",
        "style_weight",
        "total_variation_weight",
        "learning_rate",
        "steps",
        "method",
        "init",
    }
    for name, value in found:
        assert ast.literal_eval(value) == defaults[name], name
    equations = " ".join(row[4] for row in ROWS)
    for name, value in {r"\beta_1": optimize.BETA_1, r"\beta_2": optimize.BETA_2}.items():
        assert f"{name} = {value}" in equations
    assert all(str(float(value)).rstrip("0") in equations for value in np.round(np.float64(network.IMAGENET_MEAN), 3))


def arrays(rng):
    """What the names on the sheet stand for, with h, w, M, N = 4, 5, 20, 3."""
    h, w, M, N = 4, 5, 20, 3
    Z, P, S = rng.normal(size=(3, M, N))
    F, A = np.maximum(Z, 0), S.T @ S
    x = tf.constant(rng.uniform(size=(1, h, w, 3)))
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(x**2)
    image, errors, dF, G = x[0].numpy(), [1.0, 2.0], F - P, F.T @ F
    return vars(losses) | vars(optimize) | locals() | dict(preprocess=network.preprocess)


def test_shapes(rng):
    """Evaluate each cell of code that is an expression, and compare the shape with the one beside it."""
    values, checked = arrays(rng), 0
    for _, _, shape, code, *_ in ROWS:
        if shape in ("(n)", "numbers") or code in ("m", "v", "optimize.adam") or "=" in code or "'" in shape:
            continue
        if code == "pyramid.join(bands)":  # with the other bands in a test of its own
            continue
        value = eval(code, dict(values))
        assert np.shape(value) == (() if shape == "number" else eval(shape, dict(values))), code
        checked += 1
    assert checked >= 18


def test_equations(rng):
    """What stands beside an equation in code has its value; gradients are those of the tape."""
    values = arrays(rng)
    F, P, G, A, M, N = (values[name] for name in ("F", "P", "G", "A", "M", "N"))
    right = {
        "gram_matrix(F)": (np.einsum("ki,kj->ij", F, F), "3"),
        "content_loss(F, P)": (np.sum((F - P) ** 2) / 2, "1"),
        "style_loss(F, A)": (np.sum((G - A) ** 2) / (4 * N**2 * M**2), "4"),
        "relative_error(F, P)": (np.sum((F - P) ** 2) / np.sum(P**2), ""),
        "gram_per_position(F)": (G / M, ""),
        "split_statistics(F)": (np.vstack([np.cov(F.T, bias=True), np.linalg.norm(F.mean(0)) * F.mean(0)]), ""),
        "relative_error(G / M, A)": (np.sum((G / M - A) ** 2) / np.sum(A**2), ""),
    }
    for name, loss, target, number in (
        ("F - P", losses.content_loss, P, "2"),
        ("F @ (G - A) / (N**2 * M**2)", losses.style_loss, A, "6"),
    ):
        with tf.GradientTape() as tape:
            features = tf.Variable(F)
            value = loss(features, target)
        right[name] = tape.gradient(value, features), number
    numbers = {row[3]: row[5] for row in ROWS}
    for code, (value, number) in right.items():
        assert np.allclose(eval(code, dict(values)), value) and numbers[code] == number, code


def test_bands(rng):
    """Shapes, the sum, and the gradient of a band: that of the image, handed down k times by the transpose."""
    rows = {row[3]: row for row in ROWS}
    bands = pyramid.split(tf.constant(rng.uniform(size=(1, 20, 28, 3)), tf.float32))
    with tf.GradientTape() as tape:
        tape.watch(bands)
        x = pyramid.join(bands)
    g, k, h, w = tf.constant(rng.normal(size=x.shape), tf.float32), 1, 20, 28
    gradients, down = eval("tape.gradient(x, bands, g)"), tf.matmul(g, pyramid.OPPONENT, transpose_b=True)
    total = bands[4]
    for band in bands[3::-1]:
        total = band + pyramid.enlarge(total, band)
    assert np.allclose(x, total @ pyramid.OPPONENT, atol=1e-5)
    assert np.allclose(pyramid.OPPONENT @ tf.transpose(pyramid.OPPONENT), np.eye(3), atol=1e-6)
    for finer, coarser, gradient in zip(bands, [*bands[1:], None], gradients):
        assert np.allclose(gradient, down, atol=1e-5)
        if coarser is not None:
            with tf.GradientTape() as tape:
                tape.watch(coarser)
                enlarged = pyramid.enlarge(coarser, finer)
            down = tape.gradient(enlarged, coarser, down)
    shapes = {"pyramid.split(x)[k]": (10, 14), "pyramid.join(bands)": (h, w), "tape.gradient(x, bands, g)": (10, 14)}
    for code, (height, width) in shapes.items():
        value = gradients[k] if code.startswith("tape") else eval(code)
        assert value.shape == eval(rows[code][2].replace("h'", str(height)).replace("w'", str(width))), code


def test_layers_table():
    texts = [text.get_text() for text in sheets.notation_sheet().texts]
    slim = network.load_network("slim")
    channels = [f"{N} ({slim.get_layer(f'block{k}_conv1').filters})" for k, N in enumerate(network.WIDTHS, start=1)]
    for cell in ("block4_conv2  C", "block5_conv1  S", "block4_conv3", *channels, "14", "3,136", "132 pixels"):
        assert cell in texts, cell
    assert "block4_conv4" not in texts and "block5_conv2" not in texts  # VGG19's, and beyond the embedded files
    assert sum(text.endswith("  S") for text in texts) == 5


def test_each_fault_looks_different(pictures):
    """In color and, for print, in gray each picture differs from the good one and from every other."""
    names = ["good", *sheets.FAULTS]
    assert list(pictures)[2:] == names
    shape = pictures["good"].shape[:2]
    shown = {name: images.resize(pictures[name], shape) for name in names}
    for one, other in itertools.combinations(names, 2):
        difference = shown[one] - shown[other]
        in_color, in_gray = (np.sqrt(np.mean(np.square(d))) for d in (difference, color.luminance(difference)))
        assert in_color > (0.1 if one == "good" else 0.05), (one, other)  # measured: 0.15 and 0.18
        assert in_gray > 0.03, (one, other)  # measured: 0.064
