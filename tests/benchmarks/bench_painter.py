"""Painters beside `stylize` with slim on the six bundled photos: errors, flicker under noise, seconds.

Content error: relative error at block4_conv2. Style error: relative error of the Gram matrix per position, mean of
block1_conv1 .. block5_conv1, photo and painting at 384 px. Both as VGG16 sees them and as slim sees them. No painter
was trained on one of the photos.

usage: python tests/benchmarks/bench_painter.py [PAINTER.npz STYLE ...]     more painters, and whose style they learned
"""

import functools
import sys
import time
from pathlib import Path

import numpy as np

from stlib import images
from stlib.losses import gram_per_position, relative_error
from stlib.network import feature_extractor, load_network
from stlib.painter import load_painter, paint
from stlib.settings import CONTENT_LAYERS, STYLE_LAYERS
from stlib.stylize import stylize

ROOT = Path(__file__).resolve().parents[2]
SIZE, NOISE = 384, 0.02  # pixels; standard deviation of a camera's noise in dim light
STYLES = {
    "starry_night": "starry_night",
    "starry_night_flickers": "starry_night",
    "great_wave": "great_wave",
    "village_street_auvers": "village_street_auvers",
}


def main(more):
    """Print a row for each painter and for `stylize` in each style: means over the photos."""
    photos = [images.load(path, SIZE) for path in sorted((ROOT / "images/content").glob("*.jpg"))]
    networks = [load_network(name) for name in ("vgg16", "slim")]
    styles = {name: images.load(ROOT / f"images/style/{name}.jpg", SIZE) for name in STYLES.values()}
    rows = STYLES | dict(zip(more[::2], more[1::2]))
    functions = {name: functools.partial(paint, painter=load_painter(name)) for name in rows}
    for name, style in styles.items():
        rows[f"stylize {name}"] = name
        functions[f"stylize {name}"] = functools.partial(by_optimization, style=style, network=networks[1])
    title = f"mean of six photos at {SIZE} px"
    print(f"{title:40} {'VGG16: content, style':22}{'slim: content, style':22}flicker  seconds")
    for name, function in functions.items():
        function(photos[0]), function(photos[0])  # compile, and warm up
        start = time.perf_counter()
        paintings = [function(photo) for photo in photos]
        seconds = (time.perf_counter() - start) / len(photos)
        found = [errors(*pair, styles[rows[name]], each) for each in networks for pair in zip(paintings, photos)]
        found = np.reshape(found, (len(networks), len(photos), 2)).mean(axis=1).ravel()
        shake = np.nan if name.startswith("stylize") else flicker(photos[-1], function)
        print(f"{name:40}", *(f"{value:<10.4f}" for value in found), f"{shake:.4f}   {seconds:.3f}", flush=True)


def by_optimization(photo, style, network):
    """The same with `stylize`, which optimizes each photo anew."""
    return stylize(photo, style, network, size=SIZE).image


def errors(painting, photo, style, network):
    """Content and style error as `network` sees them, all style layers alike."""
    features = feature_extractor(network, CONTENT_LAYERS + STYLE_LAYERS)
    F, P, S = (features(image[None]) for image in (painting, photo, style))
    content = [relative_error(F[k], P[k]) for k in CONTENT_LAYERS]
    style = [relative_error(gram_per_position(F[k]), gram_per_position(S[k])) for k in STYLE_LAYERS]
    return float(np.mean(content)), float(np.mean(style))


def flicker(photo, function, frames=8):
    """Standard deviation over time of the painting of a still photo under noise, as a root mean square of pixels."""
    rng = np.random.default_rng(0)
    noisy = [np.clip(photo + rng.normal(0, NOISE, photo.shape), 0, 1).astype(np.float32) for _ in range(frames)]
    return float(np.sqrt(np.mean(np.var([function(frame) for frame in noisy], axis=0, ddof=1))))


if __name__ == "__main__":
    main(sys.argv[1:])
