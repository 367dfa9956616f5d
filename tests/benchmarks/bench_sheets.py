"""The six photos in the six paintings, all 36, and their errors as VGG16 sees them: how defaults are chosen.

usage: python tests/benchmarks/bench_sheets.py NETWORK [LABEL [SIZE [NAME=VALUE ...]]]    settings of `stylize`, as JSON

Writes out/sheets/LABEL/: each picture, a sheet of all, and errors.csv. What is there already is not painted again, so
that it can be stopped and started. Style error: relative error of the Gram matrix per position at block1_conv1 ..
block5_conv1 of VGG16, photo and painting at that size; content error: at block4_conv2. Speckle: mean absolute
difference between a pixel and the median of its 3 x 3 neighbors, in flat places of the photo (low is calm).
"""

import csv
import json
import os
import sys
import time
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, median_filter

from stlib import images
from stlib.losses import gram_per_position, relative_error
from stlib.network import feature_extractor, load_network
from stlib.settings import CONTENT_LAYERS, STYLE_LAYERS
from stlib.stylize import stylize

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = [*STYLE_LAYERS, "style", "content", "speckle", "seconds"]


def main(arguments):
    """Paint what is not there, measure everything, print the means."""
    name, label, size, *settings = [*arguments, *["slim", None, "384"][len(arguments) :]]
    settings = {key: parse(value) for key, _, value in (setting.partition("=") for setting in settings)}
    size, folder = int(size), ROOT / "out/sheets" / (label or name)
    photos, paintings = (sorted((ROOT / "images" / kind).glob("*.jpg")) for kind in ("content", "style"))
    network = load_network(name)
    judge = feature_extractor(load_network("vgg16"), STYLE_LAYERS + CONTENT_LAYERS)
    stylize(images.load(photos[0]), images.load(paintings[0]), network, size=64, **settings | {"steps": 1})  # compile
    targets = {path: judge(images.load(path, size)[None]) for path in (*photos, *paintings)}
    rows = {}
    for photo in photos:
        for painting in paintings:
            path = folder / f"{photo.stem}_{painting.stem}.png"
            if not path.exists():
                start = time.perf_counter()
                image = stylize(images.load(photo), images.load(painting), network, size=size, **settings).image
                images.save(image, path, seconds=time.perf_counter() - start, size=size, **settings)
            rows[path.stem] = measure(path, photo, targets[photo], targets[painting], judge)
            print(f"{path.stem:40}", *(f"{value:8.4f}" for value in rows[path.stem].values()), flush=True)
    with (folder / "errors.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["picture", *COLUMNS], *([key, *row.values()] for key, row in rows.items())])
    print(f"{'mean':40}", *(f"{np.mean([row[column] for row in rows.values()]):8.4f}" for column in COLUMNS))
    sheet([[folder / f"{photo.stem}_{painting.stem}.png" for painting in paintings] for photo in photos], folder)


def parse(value):
    """A number or a list as JSON, anything else as text."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def measure(path, photo, P, A, judge):
    """The errors of one picture, a dict with a value for each of COLUMNS."""
    image = images.load(path)
    F = judge(image[None])
    row = {k: float(relative_error(gram_per_position(F[k]), gram_per_position(A[k]))) for k in STYLE_LAYERS}
    row["style"] = float(np.mean([*row.values()]))
    row["content"] = float(np.mean([relative_error(F[k], P[k]) for k in CONTENT_LAYERS]))
    gray = images.load(photo, max(image.shape[:2])).mean(-1)
    flat = gaussian_filter(np.square(gray - gaussian_filter(gray, 3)), 3) < 1e-4
    change = np.abs(image - median_filter(image, (3, 3, 1))).mean(-1)
    row["speckle"] = float(change[flat].mean()) if flat.any() else 0.0
    return row | {"seconds": images.load_metadata(path)["seconds"]}


def sheet(rows, folder):
    """All pictures on one sheet, a photo in each row, a painting in each column."""
    tile = 300
    whole = Image.new("RGB", (tile * len(rows[0]), tile * len(rows)), "white")
    for y, row in enumerate(rows):
        for x, path in enumerate(row):
            with Image.open(path) as picture:
                picture.thumbnail((tile - 6, tile - 6))
                whole.paste(picture, (x * tile + (tile - picture.width) // 2, y * tile + (tile - picture.height) // 2))
    whole.save(folder / "sheet.jpg", quality=90)


if __name__ == "__main__":
    main(sys.argv[1:])
