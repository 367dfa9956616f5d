"""Moving pictures: the frames of an animated GIF, with their timing."""

import itertools
import json

import numpy as np
from PIL import Image, ImageSequence

from stlib import images

COLORS, SPARE = 255, (128, 128, 128)  # of a GIF, which has room for 256


def load_frames(path):
    """Read an animated GIF: frames float32 (h, w, 3) in [0, 1], and how they are timed.

    Returns the list of frames and a dict: "duration", milliseconds of each frame, and "loop", how often (0: for ever;
    left out if the file says nothing). Raises as `images.load` does.
    """
    images.load(path)  # the same errors for the same faults
    try:
        with Image.open(path) as file:
            timing = {"loop": file.info["loop"]} if "loop" in file.info else {}
            frames, timing["duration"] = [], []
            for frame in ImageSequence.Iterator(file):
                frames.append(images.from_picture(frame))
                timing["duration"].append(frame.info.get("duration", 0))
    except Exception as error:  # a broken file makes Pillow raise almost any type
        raise ValueError(f"{path} cannot be read as an animation ({images.one_line(error)}): save it again.") from error
    return frames, timing


def save_frames(frames, path, timing, **metadata):
    """Write frames, (h, w, 3) in [0, 1] and all of one size, as an animated GIF; whole or not at all.

    timing: as `load_frames` returns it. All frames share one palette without dithering: nothing flickers that was
    still. `metadata` goes into the file's comment as JSON.
    """
    frames = [images.to_uint8(frame) for frame in frames]
    palette = Image.fromarray(np.concatenate([frame[::2, ::2] for frame in frames])).quantize(COLORS, kmeans=2)
    palette.putpalette([*palette.getpalette(), *SPARE])
    pictures = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    for before, picture in itertools.pairwise(pictures):
        if picture.tobytes() == before.tobytes():  # Pillow would leave it out: move one pixel to another color
            picture.putpixel((0, 0), (picture.getpixel((0, 0)) + 1) % (len(picture.getpalette()) // 3))
    with images.whole_file(path) as part:
        pictures[0].save(
            part, "GIF", save_all=True, append_images=pictures[1:], comment=json.dumps(metadata).encode(),
            disposal=1, optimize=False, **timing,
        )  # fmt: skip
    return path


def load_comment(path):
    """Read back the `metadata` of `save_frames`, a dict; empty if there is none."""
    with Image.open(path) as file:
        return images.parse_metadata(file.info.get("comment", b""))
