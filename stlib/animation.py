"""Moving pictures, GIF, WebP and PNG: their frames with timing and transparency."""

import itertools
import json

import numpy as np
from PIL import Image, ImageOps, ImageSequence

from stlib import images

FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".apng": "PNG"}
COLORS, SPARE = 254, (128, 128, 128)  # of a GIF, which has room for 256: one stands for transparency


def load_frames(path):
    """Read a moving picture: frames float32 (h, w, 3) in [0, 1], over white, and how they are shown.

    Returns the list of frames and a dict: "duration", milliseconds of each frame; "loop", how often (0: for ever;
    left out if the file says nothing); if it is not opaque, "alpha", opacity (h, w) in [0, 1] of each frame; if the
    first frame is only for programs that show no other, "default_image". Raises as `images.load` does.
    """
    frames, durations, alphas = [], [], []
    with images.open_picture(path) as file:
        timing = {name: file.info[name] for name in ("loop", "default_image") if name in file.info}
        for frame in ImageSequence.Iterator(file):
            frame = ImageOps.exif_transpose(frame)
            frames.append(images.from_picture(frame))
            alphas.append(np.float32(frame.convert("RGBA").getchannel("A")) / 255)
            durations.append(frame.info.get("duration", 0))
    timing["duration"] = durations[1:] if timing.get("default_image") else durations
    if np.min([alpha.min() for alpha in alphas]) < 1:
        timing["alpha"] = alphas
    return frames, timing


def save_frames(frames, path, timing, **metadata):
    """Write frames, (h, w, 3) in [0, 1] and all of one size, as GIF, WebP or PNG by the ending; whole or not at all.

    timing: as `load_frames` returns it. `metadata` goes with it as JSON, in EXIF or in a GIF's comment.
    """
    kind, timing = FORMATS[path.suffix.lower()], dict(timing)
    alphas = timing.pop("alpha", [np.ones(frame.shape[:2]) for frame in frames])
    frames = [images.to_uint8(np.dstack([frame, alpha])) for frame, alpha in zip(frames, alphas)]
    if kind == "GIF":
        pictures = _with_palette(frames)
        clear = any(frame[..., 3].min() < 128 for frame in frames)
        extra = dict(comment=json.dumps(metadata).encode(), disposal=2 if clear else 1, optimize=False)
        extra |= {"transparency": len(pictures[0].getpalette()) // 3 - 1} if clear else {}
    else:
        for before, frame in itertools.pairwise(frames):
            if np.abs(np.int16(frame) - before).max() < 8:  # Pillow would leave it out: change one pixel a little
                frame[_opaque(frame)][1] ^= 16
        pictures, extra = [Image.fromarray(frame) for frame in frames], dict(exif=images.describe(metadata))
        extra |= {"quality": 95} if kind == "WEBP" else {}
    images.write(pictures[0], path, kind, save_all=True, append_images=pictures[1:], **timing, **extra)
    return path


def _with_palette(frames):
    """GIF's pictures of RGBA frames: one palette for all, without dithering, so that nothing flickers that was still.

    Its last color stands for what is transparent.
    """
    colors = [Image.fromarray(frame[..., :3]) for frame in frames]
    palette = Image.fromarray(np.concatenate([frame[::2, ::2, :3] for frame in frames])).quantize(COLORS, kmeans=2)
    palette.putpalette([*palette.getpalette(), *SPARE])
    count = len(palette.getpalette()) // 3
    numbers = [np.array(each.quantize(palette=palette, dither=Image.Dither.NONE)) for each in colors]
    for number, frame in zip(numbers, frames):
        number[frame[..., 3] < 128] = count
    for before, number, frame in zip(numbers, numbers[1:], frames[1:]):
        if np.array_equal(before, number):  # as above, here another color
            number[_opaque(frame)] = (number[_opaque(frame)] + 1) % count
    pictures = [Image.fromarray(number, "P") for number in numbers]
    for picture in pictures:
        picture.putpalette([*palette.getpalette(), *SPARE])
    return pictures


def _opaque(frame):
    """Row and column of the first opaque pixel of an RGBA frame."""
    return np.unravel_index(np.argmax(frame[..., 3] >= 128), frame.shape[:2])
