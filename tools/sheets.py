"""The two printable pages of the course as PDF: the notation sheet and the debugging card (make_handout.py)."""

import logging
import os
from pathlib import Path
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from stlib import disk, images, network, optimize, pyramid
from stlib import stylize as engine
from stlib.language import is_chinese, translate, wrap
from stlib.plots import chinese_font
from stlib.settings import COARSEST, CONTENT_LAYERS, RECIPES, STYLE_LAYERS, TERMS, Settings
from stlib.stylize import stylize

ROOT = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT, MARGIN = 210 / 25.4, 297 / 25.4, 0.42  # A4 in inches
MONO = {"family": "DejaVu Sans Mono", "size": 7.2}
GRAY = "#444444"
# Whole letters, as text that can be searched; matplotlib's own fonts, also for the formulas.
STYLE = {
    "pdf.fonttype": 42, "font.family": "DejaVu Sans", "font.size": 7.8, "mathtext.fontset": "cm",
    "text.color": "#111111", "text.parse_math": True,
}  # fmt: skip
CHINESE = chinese_font() if is_chinese() else None
if CHINESE:
    STYLE |= {"font.family": [CHINESE, "DejaVu Sans"]}

SLIM, VGG16 = RECIPES["slim"], RECIPES["vgg16"]
DEFAULTS = vars(Settings().of("slim"))
LAYER_WEIGHTS = {name: ", ".join(f"{w:g}" for w in each["style_layers"].values()) for name, each in RECIPES.items()}
STEPS = ", ".join(map(str, Settings(size=2 * COARSEST).counts()))

# symbol, meaning, shape, name in code, equation, number of the equation in the paper
NOTATION = {
    "Image and features|lessons 01 to 03": [
        ("$x$", "image, RGB in [0, 1]", "(h, w, 3)", "image", r"a batch of one image: $(1, h, w, 3)$", ""),
        ("", "what the network reads, BGR", "(h, w, 3)", "preprocess(image)",
         r"$255\,x_{BGR} - (103.939,\ 116.779,\ 123.68)$", ""),
        ("$Z$", "a layer before its ReLU", "(M, N)", "Z", "convolution of the layer below, plus bias", ""),
        ("$F$", "features of the image at a layer", "(M, N)", "F", r"$F = \max(Z,\ 0)$", ""),
        ("$P$", "features of the photo, fixed", "(M, N)", "P", "what $F$ is to become", ""),
        (r"$M,\ N$", "numbers of positions, channels", "numbers", "M, N", r"$M = h' w'$ for $(1, h', w', N)$", ""),
        ("$G$", "Gram matrix of the image", "(N, N)", "gram_matrix(F)",
         r"$G_{ij} = \sum_k F_{ki} F_{kj}, \quad G = F^{\!\top\!} F$", "3"),
        ("$A$", "that of the painting, fixed", "(N, N)", "A", "what $G$ is to become", ""),
    ],
    "The paper's losses|lessons 02 to 04": [
        ("$L_{content}$", "content loss", "number", "content_loss(F, P)",
         r"$\dfrac{1}{2}\, \sum_{k,i}\ (F_{ki} - P_{ki})^2$", "1"),
        ("$E_l$", "style loss of layer $l$", "number", "style_loss(F, A)",
         r"$\dfrac{1}{4 N^2 M^2}\, \sum_{i,j}\ (G_{ij} - A_{ij})^2$", "4"),
        ("$L_{style}$", "style loss of all layers", "number", "tf.reduce_mean(errors)",
         r"$\sum_l\ w_l\, E_l, \quad w_l = 1/5$ for five layers", "5"),
        (r"$\alpha,\ \beta$", "weights of the two losses", "numbers", "alpha, beta",
         r"$L = \alpha L_{content} + \beta L_{style}$", "7"),
    ],
    "Their gradients|lesson 04": [
        (r"$\partial L_{content} / \partial F$", "of the content loss", "(M, N)", "F - P", r"$F - P$", "2"),
        (r"$\partial E_l / \partial F$", "of the style loss of a layer", "(M, N)", "F @ (G - A) / (N**2 * M**2)",
         r"$F\,(G - A) \, / \, (N^2 M^2)$", "6"),
        (r"$\partial L / \partial Z$", "back through the ReLU", "(M, N)", "dF * (F > 0)",
         r"$\partial L / \partial F$ where $Z > 0$, else $0$", "2, 6"),
        (r"$g$", "gradient at the pixels", "(1, h, w, 3)", "tape.gradient(loss, x)",
         r"$\partial L / \partial x$: back through all layers", ""),
    ],
    "The course's own form: here it leaves the paper|lessons 03, 04 and 06, appendix A1": [
        ("$L_{content}$", "content error, a relative error", "number", "relative_error(F, P)",
         r"$\sum (F - P)^2 \, / \, \sum P^2$", ""),
        ("$G / M$", "Gram matrix per position", "(N, N)", "gram_per_position(F)",
         "images of any size can be compared", ""),
        ("$L_{style}$", "style error, mean over layers", "number", "relative_error(G / M, A)",
         r"$\sum (G/M - A)^2 \, / \, \sum A^2$, $A$ per position", ""),
        (r"$C,\ \mu$", "covariance, mean, apart", "(N + 1, N)", "split_statistics(F)",
         r"$G/M = C + \mu\, \mu^{\!\top\!}$: $C$, and below it $\Vert\mu\Vert\,\mu$", ""),
        ("$L_{tv}$", "total variation, of squares", "number", "total_variation_loss(image)",
         r"$\overline{(x_{i+1,j} - x_{i,j})^2} + \overline{(x_{i,j+1} - x_{i,j})^2}$", ""),
        (r"$\alpha,\ \beta,\ \gamma$",
         f"weights of the three losses:\ndefaults of stylize with slim,\nlayers {LAYER_WEIGHTS['slim']}", "numbers",
         "\n".join(f"{name}_weight={DEFAULTS[f'{name}_weight']}" for name in TERMS),
         r"$L = \alpha L_{content} + \beta L_{style} + \gamma L_{tv}$" "\n"
         rf"VGG16: $\alpha = {VGG16['content_weight']}$, layers {LAYER_WEIGHTS['vgg16']}", ""),
    ],
    "The picture as a sum of bands|lesson 05": [
        ("$b_k$", "bands, fine to coarse", "(1, h', w', 3)", "pyramid.split(x)[k]",
         f"what halving loses; the last of {pyramid.LEVELS}: the rest", ""),
        ("$x$", "the image, the bands joined", "(1, h, w, 3)", "pyramid.join(bands)",
         r"$x = (b_0 + U\,(b_1 + \ldots))\, R$; $U$ enlarges", ""),
        ("$R$", r"opponent colors, $R^{-1} = R^{\!\top}$", "(3, 3)", "pyramid.OPPONENT",
         "brightness, red \u2212 blue, magenta \u2212 green", ""),
        (r"$\partial L / \partial b_k$", "gradient of a band", "(1, h', w', 3)", "tape.gradient(x, bands, g)",
         r"$U^{\!\top} \cdots U^{\!\top} g\, R^{\!\top}$: $k$ times $U^{\!\top}$", ""),
        ("", "what moves, and the moves", "", f'method="{DEFAULTS["method"]}"',
         f"Adam on bands; $x$ shifted by up to {engine.REACH} px", ""),
        ("", "steps at scales, coarse to fine", "numbers", f'steps="{DEFAULTS["steps"]}"',
         f"{STEPS}, ... from {COARSEST} px, times 1.41", ""),
    ],
    "Optimizers|lesson 05 and appendix A2": [
        (r"$\eta$", f"learning rate (VGG16: {VGG16['learning_rate']})", "number",
         f"learning_rate={SLIM['learning_rate']}",
         r"at step $t$: $\eta_t = \eta\, \sqrt{1 - \beta_2^t} \, / \, (1 - \beta_1^t)$", ""),
        ("", "its factors for bands; for color", "(5,)", "BAND_RATES",
         f"{', '.join(f'{rate:g}' for rate in optimize.BAND_RATES)}; color {float(optimize.COLOR_RATES[1]):g}", ""),
        ("$m$", "running mean of $g$", "(1, h, w, 3)", "m",
         rf"$m \leftarrow \beta_1 m + (1 - \beta_1)\, g, \quad \beta_1 = {optimize.BETA_1}$", ""),
        ("$v$", "running mean of $g^2$", "(1, h, w, 3)", "v",
         rf"$v \leftarrow \beta_2 v + (1 - \beta_2)\, g^2, \quad \beta_2 = {optimize.BETA_2}$", ""),
        ("$x$", "step of Adam on pixels, clipped", "(1, h, w, 3)", "optimize.adam",
         r"$x \leftarrow \mathrm{clip}\left(x - \eta_t\, m \, / \, (\sqrt{v} + \varepsilon),\ 0,\ 1\right)$", ""),
        ("$d$", "direction of a step of L-BFGS", "(n)", "optimize.lbfgs",
         r"$d = -H g$; $H y = s$: moves of $g$ and $x$", ""),
    ],
}  # fmt: skip


def in_language(text):
    """A text in the reader's language, if there is a font for it."""
    return translate(text, "sheets") if CHINESE else text


class Page:
    """An A4 page to write on, in inches from the top left corner."""

    def __init__(self, title, subtitle):
        with matplotlib.rc_context(STYLE):
            self.figure = Figure(figsize=(WIDTH, HEIGHT))
        self.text(MARGIN, 0.56, title, size=17, weight="bold")
        self.text(WIDTH - MARGIN, 0.6, subtitle, ha="right", color=GRAY)
        self.line(0.78, "#111111", 1.2)

    def text(self, x, y, string, **how):
        """Write one line around the height y, or several lines, y being their middle or with va="top" their top."""
        how = {"va": "center" if "\n" in string else "baseline", "linespacing": 1.3} | how
        y += 0.04 if how["va"] == "baseline" else 0
        with matplotlib.rc_context(STYLE):
            string = string if "family" in how else in_language(string)  # what has a family of its own is code
            self.figure.text(x / WIDTH, 1 - y / HEIGHT, string, **how)

    def box(self, x, y, width, height, color):
        """Fill a rectangle."""
        corner = x / WIDTH, 1 - (y + height) / HEIGHT
        self.figure.add_artist(Rectangle(corner, width / WIDTH, height / HEIGHT, color=color, linewidth=0, zorder=-1))

    def line(self, y, color="#d0d0d0", width=0.4):
        """Draw a line from margin to margin."""
        x, y = [MARGIN / WIDTH, 1 - MARGIN / WIDTH], 1 - y / HEIGHT
        self.figure.add_artist(matplotlib.lines.Line2D(x, [y, y], color=color, linewidth=width))

    def band(self, y, title, where):
        """Begin a section."""
        self.box(MARGIN, y, WIDTH - 2 * MARGIN, 0.2, "#DFE8F0")
        self.text(MARGIN + 0.08, y + 0.1, title, weight="bold", size=8.5)
        self.text(WIDTH - MARGIN - 0.08, y + 0.1, where, ha="right", color=GRAY)

    def image(self, x, y, width, picture):
        """Draw a picture `width` inches wide."""
        height = width * picture.shape[0] / picture.shape[1]
        axes = self.figure.add_axes((x / WIDTH, 1 - (y + height) / HEIGHT, width / WIDTH, height / HEIGHT))
        axes.imshow(picture)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(linewidth=0.5, color="#888888")


def notation_sheet():
    """Draw the notation sheet: symbol, meaning, shape, name in code and equation of all that the lessons use."""
    page = Page("Notation sheet", "symbols, shapes, names in code, equations")
    columns = MARGIN + np.array([0, 0.84, 2.66, 3.38, 5.08])
    page.box(MARGIN, 0.85, WIDTH - 2 * MARGIN, 0.36, "#FFF1CC")
    page.text(MARGIN + 0.08, 1.03, "The paper's $F$ is\nthe transpose of ours.", weight="bold")
    here = r"Here: positions in rows, channels in columns; $F$ is $(M, N)$ and $G = F^{\!\top\!} F$."
    there = r"In the paper: channels in rows; $F$ is $(N, M)$ and $G = F F^{\!\top}$, the same matrix."
    page.text(MARGIN + 2, 1.03, f"{here}\n{there}")
    y = 1.32
    for head, x in zip(("symbol", "meaning", "shape", "name in code", "equation"), columns):
        page.text(x, y, head, weight="bold", color=GRAY)
    page.text(WIDTH - MARGIN, y, "in the paper", ha="right", color=GRAY)
    y += 0.09
    for section, rows in NOTATION.items():
        title, where = in_language(section).split("|")
        page.band(y + 0.03, title, where)
        y += 0.23
        for *cells, number in rows:
            equation, pure = cells[4], cells[4].count("$") == 2 and cells[4][0] + cells[4][-1] == "$$"
            tall = {"dfrac": 0.36, "sum_": 0.35, "sum": 0.24, "overline": 0.27, "sqrt": 0.22, "": 0.179}
            height = max(next(tall[name] for name in tall if name in equation), 0.13 * cells[3].count("\n") + 0.176)
            middle = y + height / 2 - (0.03 if "sum_" in equation and "dfrac" not in equation else 0)
            for x, cell, how in zip(
                columns,
                cells,
                ({"size": 9.5}, {}, {}, MONO, {"size": 9.5 if pure else 8.5 if "$" in equation else 7.8}),
            ):
                page.text(x, middle, cell, **how)
            page.text(WIDTH - MARGIN, middle, f"({number})" if number else "", ha="right", color=GRAY)
            y += height
            page.line(y)
    layers_table(page, y + 0.03)
    return page.figure


def layers_table(page, y):
    """Write the layers of the embedded networks by block, with what they hold for an image of 224 x 224 pixels."""
    slim, vgg16 = network.load_network("slim"), network.load_network("vgg16")
    page.band(
        y,
        "VGG16, image of 224 x 224 pixels",
        "3 x 3 with ReLU, then 2 x 2 max pooling; VGG19: a fourth in blocks 3 to 5",
    )
    marks = dict.fromkeys(STYLE_LAYERS, "  S") | dict.fromkeys(CONTENT_LAYERS, "  C")
    side, field, jump = 224, 1, 1
    heads = ["S: style layer", "C: content layer", "", "channels N (slim)", "side", "positions M", "first layer sees"]
    blocks = [heads]
    for block in range(1, 6):
        layers = [layer for layer in vgg16.layers if layer.name.startswith(f"block{block}_conv")]
        names = [each.name + marks.get(each.name, "") for each in layers] + ["the files end here"] * (block == 5)
        N, n = layers[0].filters, slim.get_layer(layers[0].name).filters
        numbers = [f"{N} ({n})", f"{side}", f"{side**2:,}", f"{field + 2 * jump} pixels"]
        blocks.append([*names, *[""] * (3 - len(names)), *numbers])
        field, jump, side = field + 2 * jump * len(layers) + jump, 2 * jump, side // 2  # lesson 02, section 2
    for x, rows in zip(MARGIN + np.array([0, 1.2, 2.46, 3.72, 4.98, 6.24]), blocks):
        for k, cell in enumerate(rows):
            page.text(x, y + 0.288 + 0.14 * k, cell, **(MONO if "conv" in cell else {}))


# title of the picture: symptom, cause, remedy, the remedy in code
FAULTS = {
    "0 to 1": (
        "Soft clouds of color, nothing of the photo. Both errors are near 0.",
        "The network was fed values in 0..1. It was trained on 0..255, BGR, minus a mean color; "
        "so every image looked nearly the same to it.",
        "Preprocess inside the model, where it cannot be forgotten.",
        "feature_extractor(network, layers)",
    ),
    "BGR": (
        "Right forms, wrong colors: red and blue are exchanged.",
        "A picture in BGR was shown or saved as RGB.",
        "Images are RGB everywhere; turn them once, on the way into the network. To undo a BGR picture:",
        "image[..., ::-1]",
    ),
    "white": (
        "White, with a few colored dots.",
        "Values in 0..255 were shown as floats: all above 1 is white. "
        "(The reverse, 0..1 saved as whole numbers, is black.)",
        "Keep images in [0, 1] and convert them once, when they are saved.",
        "images.to_uint8(image)",
    ),
    "wrapped": (
        "Patches and specks in glaring colors, mostly in the lightest and darkest places.",
        "Nothing kept pixels in [0, 1], and whole numbers of 8 bits wrap around: 256 becomes 0.",
        "Clip before saving. On the way, clip pixels after a step of Adam, or pull bands back by a loss.",
        "tf.clip_by_value(image, 0, 1)",
    ),
    "tinted": (
        "The photo, tinted, no strokes. The style error stays high.",
        "Style weight too small, here 0.01, such as one from another program. "
        "The same with far too few steps or too small a learning rate.",
        "Style weight up, by factors of 3.",
        f"style_weight={DEFAULTS['style_weight']}",
    ),
    "gone": (
        "Texture of the painting, no photo.",
        "Content weight 0 or too small; the start from noise leaves nothing of the photo.",
        "Content weight up, by factors of 3; start from the photo.",
        f'content_weight={SLIM["content_weight"]}, init="{DEFAULTS["init"]}"',
    ),
    "one scale": (
        "The photo with a fine grain, no large strokes.",
        "A large picture in one scale, pixel by pixel: a layer sees so many pixels, whatever the size, "
        "so forms stay small.",
        "Several scales, from coarse to fine, and bands in place of pixels.",
        f'steps="{DEFAULTS["steps"]}", method="{DEFAULTS["method"]}"',
    ),
    "fog": (
        "Fog: soft colors, forms washed out.",
        "Total variation weight too large, here 60. (At 0, a little more grain.)",
        "Total variation weight down, to about 1.",
        f"total_variation_weight={DEFAULTS['total_variation_weight']}",
    ),
    "jumps": (
        "Harsh grain, forms fall apart. The curve of the loss jumps up and ends high.",
        "Learning rate too large: here Adam may move a coarse band by half its range in each step.",
        "Learning rate down. It is about the change of brightness in one step.",
        f"learning_rate={SLIM['learning_rate']}",
    ),
    "blotches": (
        "Soft blotches in the colors of the painting, no strokes.",
        "The painting was a thumbnail, 24 pixels, enlarged: its strokes were lost before the style was measured.",
        "Load a painting that is as large as the result, and do not squash it: it may have any shape.",
        "images.load(path, size)",
    ),
}  # fmt: skip

SEARCH = [
    "Run stylize with its defaults on two pictures of the\ncourse: if that is right, look at what you changed.",
    "Print shape, type, smallest and largest value\nof every image, before and after each function.",
    "Plot each loss. If the style error begins at 0, its\ntarget was taken from the photo.",
]
FOOT = 'All pictures are really painted: slim, 144 pixels; "no photo" begins with noise, "fine grain" has 400 pixels.'
SIZE = 144


def pictures():
    """Paint one picture as it should be and ten with one thing broken: a dict, with photo and painting first."""
    photo = images.load(ROOT / "images/content/chelsea_cat.jpg")
    painting = images.load(ROOT / "images/style/village_street_auvers.jpg")
    slim, unprepared, unbound = (network.load_network("slim") for _ in range(3))

    def paint(painting=painting, network=slim, size=SIZE, **settings):
        return stylize(photo, painting, network, size=size, **settings).image

    good = paint()
    thumbnail = images.resize(painting, images.fit(painting.shape, 24))
    with mock.patch.object(network, "preprocess", lambda image: image):
        clouds = paint(network=unprepared)
    batches = []
    with mock.patch.object(engine, "OUTSIDE", 0.0):  # the loss that pulls values back into [0, 1]
        paint(network=unbound, callback=lambda progress: batches.append(progress.batch[0]))
    overflowing = np.rint(255 * np.array(batches[-1])).astype(int)
    broken = {
        "0 to 1": clouds,
        "BGR": good[..., ::-1],
        "white": np.clip(255 * good, 0, 1),  # what a plot does with floats
        "wrapped": np.float32(overflowing % 256 / 255),  # what 8 bits keep
        "tinted": paint(style_weight=0.01),
        "gone": paint(content_weight=0, init="noise"),
        "one scale": paint(size=400, steps=40, method="adam"),
        "fog": paint(total_variation_weight=60),
        "jumps": paint(learning_rate=0.5),
        "blotches": paint(painting=images.resize(thumbnail, painting.shape[:2])),
    }
    return {"photo": photo, "painting": painting, "good": good} | broken


def debugging_card(pictures):
    """Draw the debugging card: a picture of each fault with its symptom, cause and remedy."""
    page = Page("Debugging card", "what you see, why, and what to do")
    for k, (name, title) in enumerate({"photo": "photo", "painting": "painting", "good": "as it should be"}.items()):
        picture = images.resize(pictures[name], images.fit(pictures[name].shape, 360))
        page.image(MARGIN + 1.44 * k, 0.9, 1.3, picture[: round(picture.shape[1] * 0.655)])
        page.text(MARGIN + 1.44 * k, 1.86, title)
    page.text(MARGIN + 4.4, 0.96, "How to search", weight="bold", size=8.5)
    for k, (number, line) in enumerate(enumerate(SEARCH, start=1)):
        page.text(MARGIN + 4.4, 1.19 + 0.3 * k, f"{number}", weight="bold", va="center")
        page.text(MARGIN + 4.56, 1.19 + 0.3 * k, line)
    columns = MARGIN + np.array([0, 1.44, 3.05, 5.3])
    for x, head in zip(columns, ("picture", "symptom", "cause", "remedy")):
        page.text(x, 2.1, head, weight="bold", color=GRAY)
    for k, (name, (symptom, cause, remedy, code)) in enumerate(FAULTS.items()):
        y = 2.2 + 0.895 * k
        page.line(y)
        page.image(columns[0], y + 0.055, 1.2, pictures[name])
        for x, cell, width in zip(columns[1:], (symptom, cause, remedy), (26, 36, 34)):
            lines = wrap(in_language(cell), width)
            page.text(x, y + 0.08, "\n".join(lines), va="top")
        page.text(x, y + 0.21 + 0.14 * len(lines), code, **MONO)
    page.text(MARGIN, 2.2 + 0.895 * len(FAULTS) + 0.13, FOOT, color=GRAY, size=7.2)
    return page.figure


def make_sheets(folder):
    """Write notation.pdf and debugging.pdf into `folder` and return their paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it warns of the dates inside matplotlib's own fonts
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # a Chinese font may have no bold letters
    paths = [folder / "notation.pdf", folder / "debugging.pdf"]
    for path, figure in zip(paths, (notation_sheet(), debugging_card(pictures()))):
        with matplotlib.rc_context(STYLE), disk.whole_file(path) as part:
            figure.savefig(part, format="pdf", metadata={"Title": path.stem, "CreationDate": None})
    return paths
