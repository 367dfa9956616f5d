"""Figures of the course: images, feature maps, Gram matrices, loss curves and a live view.

Each function that draws returns the matplotlib figure. Nothing changes matplotlib's settings but `use_style`.
"""

import base64
import contextlib
import functools
import io
import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.font_manager import findSystemFonts, fontManager
from matplotlib.text import Text
from PIL import Image

from stlib.images import to_uint8
from stlib.language import is_chinese, translate, translate_errors

# Okabe & Ito's colors, which people with any color vision can tell apart; one for each loss in the whole course.
COLORS = {"content": "#0072B2", "style": "#D55E00", "total_variation": "#009E73", "total": "#000000"}
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]

# Fonts with Chinese letters, of Linux, macOS and Windows.
FONTS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Noto Sans CJK JP", "Source Han Sans SC", "Source Han Sans CN",
    "PingFang SC", "Hiragino Sans GB", "Heiti TC", "Microsoft YaHei", "SimHei", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
)  # fmt: skip
NO_FONT = (
    "Words in figures stay English, as no font with Chinese letters is installed: install one, such as "
    "Noto Sans CJK SC (on Debian and Ubuntu fonts-noto-cjk), then restart the kernel."
)


def use_style():
    """Set matplotlib up for the course: small JPEG figures in notebooks, thin axes, color-blind-safe colors.

    If the reader's language is Chinese, words in figures and stlib's errors are from now on Chinese; a warning says if
    there is no font.
    """
    plt.rcParams.update({
        "figure.dpi": 100, "figure.constrained_layout.use": True, "font.size": 10, "axes.titlesize": 10,
        "axes.spines.top": False, "axes.spines.right": False, "axes.prop_cycle": plt.cycler(color=PALETTE),
        "image.cmap": "viridis", "lines.linewidth": 1.8, "legend.frameon": False,
    })  # fmt: skip
    if is_chinese():
        translate_errors()
        _speak_chinese()
    try:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("jpeg", pil_kwargs={"quality": 88})
    except (ImportError, AttributeError):  # not in a notebook: the settings above are enough
        pass


def _speak_chinese():
    """Let matplotlib look up each text that it is given to draw: the code that draws stays as it is."""
    font = chinese_font()
    if font is None:
        warnings.warn(translate(NO_FONT), stacklevel=3)
        return
    plt.rcParams["font.family"] = [font, "DejaVu Sans"]
    plt.rcParams["axes.unicode_minus"] = False  # many of these fonts have no such sign
    if not hasattr(Text.set_text, "english"):
        english = Text.set_text

        @functools.wraps(english)
        def set_text(self, text):
            english(self, translate(text, "figures") if isinstance(text, str) else text)
            self.set_linespacing(1.3)  # Chinese letters are taller

        set_text.english = english
        Text.set_text = set_text


def chinese_font():
    """The first of FONTS that is installed, or None. matplotlib itself looks for fonts once and never again."""
    for path in set(findSystemFonts()) - {font.fname for font in fontManager.ttflist}:
        with contextlib.suppress(RuntimeError):  # a damaged file
            fontManager.addfont(path)
    installed = {font.name for font in fontManager.ttflist}
    return next((font for font in FONTS if font in installed), None)


def show_images(images, titles=None, columns=4, width=9.0, **imshow):
    """Show images (h, w, 3), or maps (h, w), in a grid `width` inches wide; `titles` may be under-long or None."""
    images = list(images)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    titles = list(titles or []) + [""] * len(images)
    heights = []  # of each row, in inches: its tallest image and its titles
    for row in range(0, len(images), columns):
        aspect = max(np.shape(image)[0] / np.shape(image)[1] for image in images[row : row + columns])
        lines = max(title.count("\n") + 1 if title else 0 for title in titles[row : row + columns])
        heights.append(width / columns * aspect + 0.2 * lines + 0.05)
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, sum(heights)), squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    for axis, image, title in zip(axes.flat, images, titles):
        axis.imshow(np.clip(image, 0, 1) if np.ndim(image) == 3 else image, **imshow)
        axis.set_title(title)
    for axis in axes.flat:
        axis.axis("off")
    return figure


def plot_losses(history, width=8.0):
    """Plot the history of a `stylize` Result, logarithmically, with a line wherever a larger scale begins."""
    figure, axis = plt.subplots(figsize=(width, 3.2))
    steps = np.arange(1, len(history["total"]) + 1)
    for (name, color), dashes in zip(COLORS.items(), ("-", "--", ":", "-.")):
        axis.plot(steps, np.maximum(history[name], 1e-12), dashes, color=color, label=name.replace("_", " "))
    for step in np.flatnonzero(np.diff(history["scale"])) + 1.5:
        axis.axvline(step, color="0.8", linewidth=1, zorder=0)
    positive = np.concatenate([history[name][history[name] > 0] for name in COLORS])
    axis.set(yscale="log", xlabel="step", ylabel="loss", ylim=(positive.min() / 2, None) if positive.size else None)
    axis.legend(loc="upper right", ncols=2)
    return figure


class LiveView:
    """A callback for `stylize` that shows picture, losses and time left, in place where the front end can.

    The picture is drawn every `every` steps, so that it costs little; the last one stays.
    """

    def __init__(self, every=10):
        self.every, self.handle, self.start = every, None, time.perf_counter()

    def __call__(self, progress):
        """Show `progress`, a stylize.Progress."""
        if progress.step == 1:
            self.handle, self.start = None, time.perf_counter()
        if progress.step % self.every and progress.step not in (1, progress.total):
            return
        from IPython.display import display

        view = _View(progress, time.perf_counter() - self.start)
        if self.handle is None:
            self.handle = display(view, display_id=True)
        if self.handle is not None:  # plain Python has no display to update
            self.handle.update(view)


class _View:
    """One state of the live view: a picture with a line of text in a notebook, only the line elsewhere."""

    def __init__(self, progress, seconds):
        left = seconds / progress.step * (progress.total - progress.step)
        losses = [f"{translate(name, 'figures')} {progress.losses[name]:.4f}" for name in ("content", "style")]
        self.text = translate(
            f"step {progress.step} of {progress.total}, scale {progress.scale} of {progress.scales}: "
            f"{translate(', ').join(losses)}; about {left:.0f} s left"
        )
        self.image = progress.image()

    def __repr__(self):
        return self.text

    def _repr_html_(self):
        stream = io.BytesIO()
        Image.fromarray(to_uint8(self.image)).save(stream, "JPEG", quality=85)
        data = base64.b64encode(stream.getvalue()).decode()
        return (
            f'<img alt="{self.text}" src="data:image/jpeg;base64,{data}" style="height: 240px"><div>{self.text}</div>'
        )
