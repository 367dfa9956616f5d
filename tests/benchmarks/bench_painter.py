"""Painters beside `stylize` with slim on some photos: errors, flicker of a clip, pictures a second.

Content error: relative error at block4_conv2. Style error: relative error of the Gram matrix per position, mean of
block1_conv1 .. block5_conv1, photo and painting at 384 px, both as VGG16 sees them. Mesh: how much stronger a pattern
of 4 pixels is than its neighbors. Flicker: of a camera that pans over a photo, with noise. No painter was trained on
one of the bundled photos. What they paint is kept in out/sheets/painters/, all of it on one sheet.
"""

import argparse
import functools
import itertools
import time
from pathlib import Path

import numpy as np

from stlib import images
from stlib.losses import gram_per_position, relative_error
from stlib.network import feature_extractor, load_network
from stlib.painter import GRAIN, STRIDE, load_painter, paint
from stlib.settings import CONTENT_LAYERS, STYLE_LAYERS
from stlib.stylize import stylize
from stlib.weights import PAINTERS

ROOT = Path(__file__).resolve().parents[2]
SIZE, LARGE = 384, 720  # pixels
NOISE, PAN = 0.02, (1, 3)  # of the clip: standard deviation of a camera's noise in dim light; pixels down and right
STYLES = {name: name.removesuffix("_flickers") for name in PAINTERS}


def main():
    """Print a row for each painter and for `stylize` in each style: means over the photos."""
    from bench_sheets import sheet  # beside this file

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--photos", type=Path, default=ROOT / "images/content", help="folder of the photos (%(default)s)"
    )
    parser.add_argument(
        "more", nargs="*", metavar="PAINTER.npz STYLE", help="more painters, and whose style they learned"
    )
    options = parser.parse_args()
    paths = [path for path in sorted(options.photos.iterdir()) if path.suffix in images.FORMATS]
    photos, folder = [images.load(path, SIZE) for path in paths], ROOT / "out/sheets/painters"
    judge, slim = load_network("vgg16"), load_network("slim")
    rows = STYLES | dict(zip(options.more[::2], options.more[1::2]))
    styles = {name: images.load(ROOT / f"images/style/{name}.jpg", SIZE) for name in rows.values()}
    print(
        f"{f'mean of {len(photos)} photos at {SIZE} px':40} content   style    mesh   flicker"
        f"   frames/s at {SIZE}, {LARGE} px"
    )
    for name, style in rows.items():
        painter = load_painter(name)
        film = functools.partial(paint, painter=painter)  # without grain
        shown = flicker(images.load(ROOT / "images/content/summer_palace.jpg", SIZE), film)
        speeds = (frames_per_second(images.resize(photos[0], (3 * size // 4, size)), film) for size in (SIZE, LARGE))
        report(f"{name}, no grain", film, photos, styles[style], judge)
        still = functools.partial(paint, painter=painter, grain=GRAIN)
        report(name, still, photos, styles[style], judge, f"{shown:8.4f}", *(f"{speed:8.1f}" for speed in speeds))
        for path, photo in zip(paths, photos):
            images.save(still(photo), folder / f"{path.stem}_{Path(name).stem}.png")
    sheet([[folder / f"{path.stem}_{Path(name).stem}.png" for name in rows] for path in paths], folder)
    for name, style in styles.items():
        function = functools.partial(by_optimization, style=style, network=slim)
        report(f"stylize {name}", function, photos, style, judge)


def report(name, function, photos, style, judge, *more):
    """Print a row: the mean errors of the photos' paintings."""
    features = feature_extractor(judge, CONTENT_LAYERS + STYLE_LAYERS)
    S = features(style[None])
    painted = [function(photo) for photo in photos]
    each = [errors(features(image[None]), features(photo[None]), S) for image, photo in zip(painted, photos)]
    content_error, style_error = np.mean(each, axis=0)
    printed = np.median([mesh(image) for image in painted])
    print(f"{name:40} {content_error:7.3f} {style_error:7.4f} {printed:7.1f}", *more, flush=True)


def frames_per_second(frame, function, count=10):
    """How many such frames are painted in a second."""
    function(frame)  # compile
    start = time.perf_counter()
    for _ in range(count):
        function(frame)
    return count / (time.perf_counter() - start)


def by_optimization(photo, style, network):
    """The same with `stylize`, which optimizes each photo anew."""
    return stylize(photo, style, network, size=SIZE).image


def errors(F, P, S):
    """Content and style error of a painting, all style layers alike; F, P, S: features of it, its photo, the style."""
    content = [relative_error(F[k], P[k]) for k in CONTENT_LAYERS]
    style = [relative_error(gram_per_position(F[k]), gram_per_position(S[k])) for k in STYLE_LAYERS]
    return float(np.mean(content)), float(np.mean(style))


def mesh(image, period=STRIDE):
    """Power of the brightness at this period, down and across, over the mean at neighboring ones: 1 is no mesh."""
    sides = (side // period * period for side in image.shape[:2])
    gray, ratios = image[tuple(map(slice, sides))].mean(-1), []
    for axis in (0, 1):
        power = np.square(np.abs(np.fft.rfft(gray, axis=axis))).mean(1 - axis)
        at = gray.shape[axis] // period
        ratios.append(power[at] / np.mean([*power[at - 6 : at - 1], *power[at + 2 : at + 7]]))
    return float(np.mean(ratios))


def flicker(scene, function, frames=8):
    """How much the paintings of a clip change where its scene does not, as a root mean square of pixel values.

    A camera pans over a photo, each frame with noise of its own; a painting is compared with the last one, moved along.
    """
    rng, (down, right) = np.random.default_rng(0), PAN
    height, width = (side - frames * step for side, step in zip(scene.shape, PAN))
    windows = [scene[k * down : k * down + height, k * right : k * right + width] for k in range(frames)]
    noisy = [np.float32(np.clip(window + rng.normal(0, NOISE, window.shape), 0, 1)) for window in windows]
    film = [function(frame) for frame in noisy]
    changes = [after[:-down, :-right] - before[down:, right:] for before, after in itertools.pairwise(film)]
    return float(np.sqrt(np.mean(np.square(changes))))


if __name__ == "__main__":
    main()
