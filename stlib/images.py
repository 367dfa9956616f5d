"""Images as arrays: load, check, resize, save.

An image is a float32 array (h, w, 3), RGB, values in [0, 1]. A batch adds a leading 1: `image[None]`.
"""

import contextlib
import json
import math
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, features
from PIL.JpegImagePlugin import JpegImageFile

from stlib import disk

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
RAW = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2", ".srw")  # cameras' own formats
HEIC = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
BRANDS = dict.fromkeys(HEIC, "HEIC") | dict.fromkeys((b"avif", b"avis"), "AVIF")  # what such a file says of itself
MAX_PIXELS = 89_000_000  # Pillow's own limit against decompression bombs
WHOLE = 20_000_000  # pixels; a photo of more is made smaller before its values become floats
LONGEST = {"JPEG": 65_500, "WEBP": 16_383}  # sides in pixels that a format, or what writes it, can have at most
DESCRIPTION, SOFTWARE = 0x010E, 0x0131  # EXIF tags that every format above can carry
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, INCH = 0x011A, 0x011B, 0x0128, 2


def load(path, size=None, *, enough=None):
    """Read an image file as float32 (h, w, 3), RGB in [0, 1].

    `size` is the longest side in pixels, the aspect ratio is kept; None keeps the file's own size.
    `enough` is how many pixels of the longest side are needed: a very large file is made smaller while it is read, so
    that a JPEG may have more than MAX_PIXELS.
    EXIF orientation is honored; gray, palette, CMYK and 16-bit files are converted, transparency is
    laid over white; of an animation, or of several pages, the first is taken, with a warning.
    Raises FileNotFoundError if there is no such file, ValueError if it is not a readable image.
    """
    enough = enough or (2 * fit((1, 1), size)[0] if size else None)
    with open_picture(path, enough=enough) as file:
        count, large = getattr(file, "n_frames", 1), math.prod(file.size) > WHOLE
        image = from_picture(_reduced(file, enough) if large and enough else ImageOps.exif_transpose(file))
    if count > 1:
        warnings.warn(f"{path} holds {count} pictures, frames or pages: the first is taken.", stacklevel=2)
    if size is None:
        return image
    try:
        return resize(image, fit(image.shape, size))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _reduced(file, size):
    """A Pillow picture made smaller by a whole factor while it is bytes, its longest side `size` at least."""
    picture = ImageOps.exif_transpose(file)
    if picture.mode in ("1", "P", "PA"):  # values that have no mean
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    factor = max(1, max(picture.size) // size)
    return picture if picture.mode.startswith("I;") else picture.reduce(factor)  # Pillow cannot, with 16 bits


@contextlib.contextmanager
def open_picture(path, most=None, enough=None):
    """Give the Pillow picture in a file to the `with` block; what goes wrong there is said in one sentence.

    most: how many pixels it may have, None: MAX_PIXELS. enough: see `load`.
    Raises FileNotFoundError if there is no such file, ValueError if it is not a readable image.
    """
    path, most = disk.check_file(path, "an image file"), most or MAX_PIXELS
    remedy = "expected a complete JPEG, PNG, WebP or TIFF file; open it in an image viewer and save it again"
    try:
        if path.suffix.lower() in RAW:  # Pillow would take the thumbnail in it
            remedy = "save it as JPEG or TIFF with the camera's program"
            raise ValueError("a camera's raw file")
        remedy = _missing_reader(path) or remedy
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own words
            with _opened(path, enough) as file:
                if enough and file.width * file.height > WHOLE:
                    file.draft(None, (enough, enough))  # a JPEG is read at a half, a quarter or an eighth
                if file.width * file.height > most:
                    remedy = "make it smaller in an image viewer"
                    raise ValueError(f"{file.width} x {file.height} pixels are more than {most:,}")
                yield file
    except Exception as error:  # a broken file makes Pillow raise almost any type
        remedy = "see that you may read it" if getattr(error, "strerror", None) else remedy
        reason = "its content is no picture's" if isinstance(error, UnidentifiedImageError) else one_line(error)
        raise ValueError(f"{path} cannot be read as an image ({reason}): {remedy}.") from error


def _opened(path, enough):
    """Image.open; but a JPEG above Pillow's own limit, too, if `enough` pixels of its side are to be read."""
    try:
        return Image.open(path)
    except Image.DecompressionBombError as error:
        with contextlib.suppress(SyntaxError):  # another format
            if enough:
                return JpegImageFile(path)
        raise error


def brand(path):
    """Return "HEIC" or "AVIF" if the file says that it is one, else None."""
    with open(path, "rb") as file:
        head = file.read(12)
    return BRANDS.get(head[8:]) if head[4:8] == b"ftyp" else None


def _missing_reader(path):
    """What to install for a HEIC or AVIF file, None if it is another file or nothing is missing."""
    kind = brand(path)
    if kind == "AVIF" and not features.check("avif"):
        return "install what reads AVIF: pip install --upgrade pillow; or save it as JPEG"
    if kind == "HEIC":
        try:
            import pillow_heif
        except ImportError:
            return "install what reads HEIC: pip install pillow-heif; or save it as JPEG"
        pillow_heif.register_heif_opener()
    return None


def one_line(error):
    """Return the message of an exception in at most 200 characters without line breaks."""
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split())[:200] or type(error).__name__


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
        image = np.array(picture.convert("RGB"), np.float32)
        return np.divide(image, 255, out=image)  # in place: it may be large
    return np.repeat(gray[..., None], 3, axis=-1)


def as_image(image, name="image"):
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
    right = array.dtype == np.float32 and low >= 0 and high <= 1  # a large one is not copied
    return array if right else np.clip(array, 0, 1, dtype=np.float32)


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
    resized = np.empty((height, width, 3), np.float32)
    for c in range(3):  # one channel at a time: it may be large
        channel = Image.fromarray(np.ascontiguousarray(image[..., c], np.float32))
        resized[..., c] = channel.resize((width, height), Image.Resampling.LANCZOS)
    return np.clip(resized, 0, 1, out=resized)


def to_uint8(image):
    """Round an image or batch in [0, 1] to whole numbers in [0, 255]; what is outside is clipped."""
    scaled = np.multiply(image, 255.0)  # the one copy that is made: it may be large
    return np.uint8(np.rint(np.clip(scaled, 0, 255, out=scaled), out=scaled))


def check_output(path, inputs=()):
    """Return `path` as a Path that `save` can write, its folder made; raise ValueError or OSError if not.

    It may not be one of the files `inputs`.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(
            f"{path} has the ending {path.suffix!r}, expected one of {', '.join(FORMATS)}: change the ending."
        )
    return disk.check_output(path, inputs)


def save(image, path, *, dpi=None, profile=None, **metadata):
    """Write an image as PNG, JPEG, WebP or TIFF (by the ending), `metadata` with it as JSON in EXIF.

    dpi: pixels to an inch of paper. profile: an ICC color profile, bytes (`color_profile`).
    The file appears whole or not at all. Returns the path.
    Raises ValueError for an unknown ending or a wrong array, OSError where nothing can be written.
    """
    path, image = check_output(path), as_image(image)
    check_sides(path, image.shape)
    options = dict(quality=95, exif=describe(metadata, dpi), icc_profile=profile)
    options |= dict(dpi=(dpi, dpi)) if dpi else {}
    write(Image.fromarray(to_uint8(image)), path, FORMATS[path.suffix.lower()], **options)
    return path


def check_sides(path, shape):
    """Raise ValueError if an image of `shape` (h, w, ...) is larger than the format of the file `path` can hold."""
    kind = FORMATS[Path(path).suffix.lower()]
    if max(shape[:2]) > LONGEST.get(kind, math.inf):
        raise ValueError(
            f"{path} cannot hold {shape[1]} x {shape[0]} pixels, for {kind} ends at {LONGEST[kind]:,} a side: "
            "take the ending .png or .tiff."
        )


def color_profile(path):
    """The ICC color profile of an image file, bytes; None if it has none or one that is not of RGB values."""
    with open_picture(path, math.inf, enough=1) as file:  # no pixel is read
        profile = file.info.get("icc_profile")
        # What is not RGB is converted by `load`, and its profile says nothing of the result.
        return profile if profile and profile[16:20] == b"RGB " else None


def describe(metadata, dpi=None):
    """The EXIF of a picture that carries `metadata`, a dict, and its resolution on paper."""
    exif = Image.Exif()
    exif[SOFTWARE] = "stlib: a synthetic picture made by neural style transfer"
    exif[DESCRIPTION] = json.dumps(metadata)
    if dpi:
        exif.update({X_RESOLUTION: dpi, Y_RESOLUTION: dpi, RESOLUTION_UNIT: INCH})
    return exif


def write(picture, path, kind, **options):
    """Write a Pillow picture, whole or not at all. Raises OSError in one sentence."""
    try:
        with disk.whole_file(path) as part:
            picture.save(part, kind, **options)
    except OSError as error:
        raise OSError(
            f"{path} could not be written ({one_line(error)}): free some space or choose another folder."
        ) from error


def load_metadata(path):
    """Read back the `metadata` that was saved with a picture, still or moving, as a dict; empty if there is none."""
    with open_picture(path, math.inf, enough=1) as file:  # a large poster, too: no pixel is read
        return parse(file.getexif().get(DESCRIPTION) or file.info.get("comment", ""))  # GIF has no EXIF


def parse(text):
    """The dict that a text in a picture or a video is the JSON of; empty if it is somebody else's text."""
    with contextlib.suppress(ValueError):
        metadata = json.loads(text)
        return metadata if isinstance(metadata, dict) else {}
    return {}
