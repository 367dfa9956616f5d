"""What the studio is told to paint: a dict, painted by stlib.compose and written as five lines of code. No widgets.

A recipe has the paths "photo" and "painting", perhaps "second" and "mask", the name of the "network", and keyword
arguments of `compose.paint` that are not its defaults.
"""

import functools
import hashlib
import json
import os
import tempfile
import warnings
from pathlib import Path

from stlib import compose, disk, images
from stlib.network import load_network
from stlib.painter import load_painter
from stlib.weights import PAINTERS

PICTURES = ("photo", "painting", "second", "mask")

network_of = functools.lru_cache(maxsize=2)(load_network)  # the same object: what is compiled for it is kept


def painted(recipe, callback=None):
    """Paint a recipe; return the Result. Raises ValueError or OSError in one sentence."""
    options = recipe | {key: images.load(recipe[key]) for key in PICTURES if key in recipe}
    options["network"] = network_of(recipe["network"])
    return compose.paint(**options, callback=callback)


def code(recipe, path):
    """Five lines of Python that paint a recipe again and save the picture as `path`."""
    values = {key: json.dumps(recipe[key]) if isinstance(recipe[key], str) else repr(recipe[key]) for key in recipe}
    values |= {key: f"images.load({values[key]})" for key in PICTURES if key in recipe}
    options = [f"{key}={value}" for key, value in values.items() if key not in ("photo", "painting", "network")]
    network = f"network.load_network({values['network']})"
    return "\n".join([
        "from stlib import compose, images, network",
        f"photo = {values['photo']}",
        f"painting = {values['painting']}",
        f"result = compose.paint({', '.join(['photo', 'painting', network, *options])})",
        f"images.save(result.image, {json.dumps(Path(path).as_posix())})",
    ])  # fmt: skip


def metadata(recipe, settings, pictures):
    """What a saved picture says of itself, with the names that the lessons use: files are those in `pictures`."""
    made = {key: value for key, value in recipe.items() if key not in PICTURES} | settings
    for key, name in zip(PICTURES, ("content", "style", "second", "mask")):
        if key in recipe:
            made[name] = Path(os.path.relpath(recipe[key], pictures)).as_posix()
    return made


def read(name, content):
    """The image in an uploaded file, bytes. Raises ValueError in one sentence, which names the file."""
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of several pages the first is taken: the thumbnail shows it
        path = Path(temporary, base(name))
        path.write_bytes(content)
        try:
            return images.load(path)
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), base(name))) from None


def base(name):
    """The last part of a name that a browser gave."""
    return Path(name.replace("\\", "/")).name or "picture"


def keep(name, content, folder):
    """Write an uploaded picture, bytes, into a folder, and return its path; nothing there is replaced.

    A format that the course reads but does not write becomes PNG. Raises ValueError or OSError in one sentence.
    """
    image, path = read(name, content), disk.check_folder(folder) / base(name)
    if path.suffix.lower() not in images.FORMATS:
        return images.save(image, free(path.with_suffix(".png")))
    if path.exists() and path.read_bytes() == content:
        return path
    path = free(path)
    with disk.whole_file(path) as part:
        part.write_bytes(content)
    return path


def keep_mask(mask, folder):
    """Save a mask, an image, under a name that follows from its content; return the path."""
    path = Path(folder) / f"mask_{hashlib.sha256(images.to_uint8(mask)).hexdigest()[:8]}.png"
    return path if path.exists() else images.save(mask, path)


def free(path):
    """The path, or with a number if it is taken."""
    path, number = Path(path), 2
    taken = path
    while taken.exists():
        taken, number = path.with_stem(f"{path.stem}_{number}"), number + 1
    return taken


@functools.lru_cache(maxsize=64)
def small(path, size, changed):
    """A picture at a small size. changed: when its file was, so that a new one is read."""
    return images.load(path, size)


@functools.lru_cache(maxsize=8)
def painter_of(name):
    """The painter that has learned the painting of that name, None if none has."""
    return load_painter(name) if name in PAINTERS else None
