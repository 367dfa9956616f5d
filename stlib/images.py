"""Images as arrays: load, check, resize, save.

An image is a float32 array (h, w, 3), RGB, values in [0, 1]. A batch adds a leading 1: `image[None]`.
"""

import contextlib
import json
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
MAX_PIXELS = 89_000_000  # Pillow's own limit against decompression bombs
DESCRIPTION, SOFTWARE = 0x010E, 0x0131  # EXIF tags that every format above can carry


def load(path, size=None):
    """Read an image file as float32 (h, w, 3), RGB in [0, 1].

    `size` is the longest side in pixels, the aspect ratio is kept; None keeps the file's own size.
    EXIF orientation is honored; gray, palette, CMYK and 16-bit files are converted, transparency is
    laid over white, of an animation the first frame is taken.
    Raises FileNotFoundError if there is no such file, ValueError if it is not a readable image.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}: check the name and the folder ({path.absolute().parent}).")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, expected an image file: name one file in it.")
    try:
        with Image.open(path) as file:
            if file.width * file.height > MAX_PIXELS:
                raise ValueError(f"{file.width} x {file.height} pixels are more than {MAX_PIXELS:,}")
            image = from_picture(ImageOps.exif_transpose(file))
    except Exception as error:  # a broken file makes Pillow raise almost any type
        raise ValueError(
            f"{path} cannot be read as an image ({one_line(error)}): "
            "expected a complete JPEG, PNG, WebP or TIFF file; open it in an image viewer and save it again."
        ) from error
    if size is None:
        return image
    try:
        return resize(image, fit(image.shape, size))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def one_line(error):
    """Return the message of an exception in at most 200 characters without line breaks."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def from_picture(picture):
    """Convert a Pillow picture of any mode to float32 (h, w, 3) in [0, 1]."""
    if picture.mode.startswith("I"):  # 16 bits a pixel, gray
        gray = np.clip(np.asarray(picture, np.float32) / 65535, 0, 1)
    elif picture.mode == "F":
        gray = np.asarray(picture, np.float32)
        if not (gray.min() >= 0 and gray.max() <= 1):  # also true for NaN
            raise ValueError("its floating-point values are not in [0, 1]")
    else:
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        return np.asarray(picture.convert("RGB"), np.float32) / 255
    return np.repeat(gray[..., None], 3, axis=-1)


def check_image(image, name="image"):
    """Return `image` as float32 (h, w, 3), or raise ValueError in one sentence naming what is wrong."""
    array = np.asarray(image)
    remedy = "load it with stlib.images.load"
    if array.ndim != 3 or array.shape[-1] != 3 or 0 in array.shape:
        raise ValueError(f"{name} has shape {array.shape}, expected (height, width, 3): {remedy}.")
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{name} has type {array.dtype}, expected floats in [0, 1]: {remedy}, or divide by 255.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains NaN or infinity, expected values in [0, 1]: {remedy}.")
    low, high = array.min(), array.max()
    if low < -1e-3 or high > 1 + 1e-3:
        raise ValueError(
            f"{name} has values from {low:.3g} to {high:.3g}, expected [0, 1]: {remedy}, or divide by 255."
        )
    return np.clip(array, 0, 1, dtype=np.float32)


def fit(shape, size):
    """Height and width for an image of `shape` (h, w, ...) whose longest side is to be `size` pixels."""
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
        raise ValueError(f"size is {size!r}, expected a whole number of pixels from 1 up, such as 320.")
    height, width = (round(side * size / max(shape[:2])) for side in shape[:2])
    if min(height, width) < 1:
        raise ValueError(
            f"{shape[1]} x {shape[0]} pixels shrink to nothing at size {size}: "
            f"crop the long side, or take a size of at least {-(-max(shape[:2]) // min(shape[:2]))}."
        )
    return height, width


def resize(image, shape):
    """Resample `image` to (h, w) = `shape` with a Lanczos filter, clipped to [0, 1]."""
    height, width = shape
    if image.shape[:2] == (height, width):
        return image
    channels = [
        Image.fromarray(np.ascontiguousarray(image[..., c], np.float32)).resize(
            (width, height), Image.Resampling.LANCZOS
        )
        for c in range(3)
    ]
    return np.clip(np.stack(channels, axis=-1), 0, 1)


def to_uint8(image):
    """Round an image or batch in [0, 1] to whole numbers in [0, 255]; what is outside is clipped."""
    return np.uint8(np.rint(np.clip(image, 0, 1) * 255))


def check_output(path):
    """Return `path` as a Path that `save` can write, its folder made; raise ValueError or OSError if not."""
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(
            f"{path} has the ending {path.suffix!r}, expected one of {', '.join(FORMATS)}: change the ending."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writable = os.access(path.parent, os.W_OK) and not path.is_dir()
    except OSError:
        writable = False
    if not writable:
        raise OSError(f"{path} cannot be written: choose a folder that exists and that you may write to.")
    return path


@contextlib.contextmanager
def whole_file(path):
    """Give the path of a part to write beside `path`, which takes its place at the end: whole, or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def save(image, path, **metadata):
    """Write an image as PNG, JPEG, WebP or TIFF (by the ending), `metadata` with it as JSON in EXIF.

    The file appears whole or not at all. Returns the path.
    Raises ValueError for an unknown ending or a wrong array, OSError where nothing can be written.
    """
    path, image = check_output(path), check_image(image)
    exif = Image.Exif()
    exif[SOFTWARE] = "stlib: a synthetic picture made by neural style transfer"
    exif[DESCRIPTION] = json.dumps(metadata)
    try:
        with whole_file(path) as part:
            Image.fromarray(to_uint8(image)).save(part, FORMATS[path.suffix.lower()], quality=95, exif=exif)
    except OSError as error:
        raise OSError(
            f"{path} could not be written ({one_line(error)}): free some space or choose another folder."
        ) from error
    return path


def load_metadata(path):
    """Read back the `metadata` that `save` wrote into an image file, as a dict; empty if there is none."""
    with Image.open(path) as file:
        return parse_metadata(file.getexif().get(DESCRIPTION, "{}"))


def parse_metadata(text):
    """The dict that stands as JSON in `text`; empty if it is somebody else's text."""
    try:
        metadata = json.loads(text)
    except ValueError:
        return {}
    return metadata if isinstance(metadata, dict) else {}
