"""What the studio shows, as HTML: pictures, curves of the losses. Nothing here needs a browser."""

import base64
import io
import itertools
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from stlib.images import fit, resize, to_uint8
from stlib.language import translate
from stlib.plots import COLORS

DASHES = {"content": "none", "style": "8 4", "total": "2 3"}  # color alone says nothing to some
WIDTH, HEIGHT, RIGHT = 480, 150, 100  # of the curves, pixels; RIGHT is for the names


CSS = """<style>
.stlib-side { flex: 1 1 380px; min-width: 300px; max-width: 720px; padding-right: 12px; }
.stlib-thumbnail { width: 116px !important; height: 100px !important; padding: 78px 2px 0 !important;
  line-height: 20px !important; font-size: 12px !important; background-size: 100% 78px !important;
  background-repeat: no-repeat !important; }
.stlib-chosen { outline: 3px solid #0072B2; font-weight: bold; }
.stlib-code textarea { white-space: pre; }
.stlib-brush { max-width: 100%; touch-action: none; cursor: crosshair; }
.stlib-status { min-height: 1.6em; padding: 4px 8px; border-left: 4px solid #0072B2; font-weight: bold; }
figure.stlib { margin: 0; } figure.stlib img, svg.stlib { max-width: 100%; } figcaption { line-height: 1.3; }
</style>"""


def title(path):
    """The name of a picture for people, in the reader's language."""
    return translate(Path(path).stem.replace("_", " "), "figures")


def describe(recipe):
    """A recipe in one line, in the reader's language."""
    parts = [f"{title(recipe['photo'])} in the style of {title(recipe['painting'])}"]
    if "second" in recipe:
        second = title(recipe["second"])
        parts.append(f"{second} in the region" if "mask" in recipe else f"{second} {recipe['share']}")
    elif "mask" in recipe:
        parts.append("a region keeps the photo")
    if "style_layers" in recipe:
        parts.append(f"layers {', '.join(recipe['style_layers'])}")
    parts += ["the photo's colors"] if "keep_colors" in recipe else []
    parts += [f"{recipe['size']} pixels", recipe["network"]]
    parts += [f"content weight {recipe['content_weight']}"] if "content_weight" in recipe else []
    parts += [f"strokes x {recipe['strokes']}"] if "strokes" in recipe else []
    return translate(", ").join(map(translate, parts))


def data_url(image, size=None, kind="JPEG"):
    """An image (h, w, 3) or (h, w, 4) in [0, 1] as a data URL, its longest side at most `size` pixels."""
    if size and max(image.shape) > size:
        image = resize(image, fit(image.shape, size))
    stream = io.BytesIO()
    Image.fromarray(to_uint8(image)).save(stream, kind, quality=85)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"


def picture(image, about, size=640):
    """An <img> with a caption; `about` is both the caption and what stands for the picture."""
    about = escape(translate(about))
    image = f'<img src="{data_url(image, size)}" alt="{about}">'
    return f'<figure class="stlib">{image}<figcaption>{about}</figcaption></figure>'


def curves(rows):
    """An <svg> of the losses at each step, logarithmic; rows: a dict of losses for each step."""
    rows = rows[:: -(-len(rows) // 200)]
    values = np.log10([[max(row[name], 1e-3) for name in DASHES] for row in rows])  # (steps, losses)
    low, high = values.min(), max(values.max(), values.min() + 1)
    x = np.linspace(8, WIDTH - RIGHT, len(rows))
    y = 8 + (HEIGHT - 16) * (high - values) / (high - low)
    lines, last = "", rows[-1]
    names, to = {name: translate(name, "figures") for name in DASHES}, translate("to")
    for name, line, label in zip(DASHES, y.T, _apart(y[-1])):
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, line))
        stroke = f'stroke="{COLORS[name]}" stroke-width="2" stroke-dasharray="{DASHES[name]}"'
        lines += f'<polyline fill="none" {stroke} points="{points}"/>'
        lines += f'<text x="{WIDTH - RIGHT + 6}" y="{label + 4:.0f}">{names[name]} {last[name]:.3f}</text>'
    about = ", ".join(f"{names[name]} {rows[0][name]:.3f} {to} {last[name]:.3f}" for name in DASHES)
    about = translate(f"Losses so far: {about}")
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" font-size="12"'
    return f'<svg class="stlib" role="img" aria-label="{about}" {size}>{lines}</svg>'


def _apart(y, gap=14):
    """Heights of labels at y, moved until they do not lie on each other."""
    order, y = np.argsort(y), np.array(y)
    for above, below in itertools.pairwise(order):
        y[below] = max(y[below], y[above] + gap)
    return y - max(0, y.max() - (HEIGHT - 6))
