"""The command `python -m stlib paint`: paint many files with a painter; safe to stop and start again."""

import argparse
import collections
import os
import re
from pathlib import Path

import numpy as np
from tqdm import tqdm

from stlib import animation, disk, images, video
from stlib import weights as files
from stlib.command import clip, cluster, program
from stlib.quiet import quiet

ENDINGS = (*images.FORMATS, ".gif", *video.FORMATS)  # of paintings, which keep the names of the photos
OTHER_ENDINGS = {*".apng .avif .bmp .heic .heif .hif .jfif .jp2 .jpe .jxl .ppm .psd .svg .tga".split(), *images.RAW}
KINDS = {"GIF": ".gif", "PNG": ".png", "WEBP": ".webp"}  # formats, and the endings that paintings get where they have
KINDS |= dict.fromkeys(("AVIF", "BMP", "HEIC", "HEIF", "JPEG", "JPEG2000", "MPO", "TIFF"), ".jpg")  # no ENDINGS

EXAMPLE = """example, and the first of eight parts of a large folder:
  python -m stlib paint images/content --painter starry_night -o out/painted
  python -m stlib paint photos --painter great_wave -o painted --shard 1/8
"""


def parser():
    """Build the parser of this command."""
    about = "Paint pictures, still or moving, and videos with a painter."
    parser = program.Parser("stlib paint", description=about, epilog=EXAMPLE)
    parser.add_argument("files", nargs="+", type=Path, metavar="FOLDER_OR_FILE", help="what to paint")
    parser.add_argument("--painter", required=True, help=f"{', '.join(files.PAINTERS)}, or the path of a painter")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for the paintings, under their own names")
    parser.add_argument("--size", type=int, default=512, help="longest side; what is smaller stays so (%(default)s)")
    parser.add_argument("--shard", type=shard, default=(1, 1), metavar="I/N", help="paint the I-th of N parts only")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="paint on the Dask cluster of this scheduler")
    return parser


def shard(text):
    """Read "I/N" as two numbers."""
    part, count = map(int, re.fullmatch(r"(\d+)/(\d+)", text).groups()) if re.fullmatch(r"\d+/\d+", text) else (0, 0)
    if not 1 <= part <= count:
        raise argparse.ArgumentTypeError(f"{text!r}, expected I/N with I from 1 to N, such as 1/8")
    return part, count


def main(arguments):
    """Paint what the command line says; return the exit status. Raises ValueError or OSError if it cannot begin."""
    options = parser().parse_args(arguments)
    images.fit((1, 1), options.size)  # says what is wrong with a size
    part, count = options.shard
    jobs = find(options.files, options.out)[part - 1 :: count]
    files.read_painter(options.painter)  # says what is wrong with it now: importing TensorFlow takes seconds
    disk.check_folder(options.out)
    made = dict(painter=Path(options.painter).stem, size=options.size)
    if options.scheduler:
        outcomes = cluster.outcomes(options.scheduler, jobs, options.painter, made, paint_once)
    else:
        with quiet():
            from stlib.painter import load_painter
        painter = load_painter(options.painter)
        outcomes = ((source, program.attempt(paint_once, source, target, painter, made)) for source, target in jobs)
    counts, failed, status = collections.Counter(), [], program.DONE
    try:
        for source, outcome in tqdm(outcomes, total=len(jobs), unit="file"):
            counts[outcome] += 1
            if not outcome:
                failed.append(source)
                status = program.SOME_FAILED
    except KeyboardInterrupt:
        program.complain("interrupted; the same command goes on where it stopped")
        status = program.INTERRUPTED
    program.say(
        f"{options.out}: {counts['painted']} painted, {counts['there']} there already, {len(failed)} not painted"
    )
    for source in failed:
        program.say(f"  not painted: {source}")
    return status


def find(paths, out):
    """Pairs of a file to paint and the file to write, in the same order on every machine.

    Of a folder all pictures in it, with its subfolders kept; what lies in `out` is left out.
    Raises ValueError if two would become one, or one that is to be painted would be replaced.
    """
    jobs = {}
    for path in paths:
        for source in pictures(path, out) if path.is_dir() else [path]:
            target = out / (source.relative_to(path) if path.is_dir() else source.name)
            if target.suffix.lower() not in ENDINGS and not source.is_dir():  # IMG_1.heic may lie beside IMG_1.jpg
                ending = ".mp4" if is_video(source) else KINDS.get(kind(source), ".jpg")
                target = target.with_name(target.name + ending)
            if jobs.get(target, source) != source:
                raise ValueError(f"{jobs[target]} and {source} would both become {target}: rename one.")
            jobs[target] = source
    if not jobs:
        raise ValueError(f"There is nothing to paint in {', '.join(map(str, paths))}: expected {', '.join(ENDINGS)}.")
    sources = {disk.identity(source) for source in jobs.values()} - {None}
    for target in jobs:
        if disk.identity(target) in sources:
            raise ValueError(f"{target} is to be painted and would be replaced: choose another folder than {out}.")
    return [(source, target) for target, source in jobs.items()]


def pictures(folder, out):
    """What looks like a picture in `folder`, by name or content, and folders that cannot be looked into; sorted.

    Hidden files and folders are left out, as is `out`, if it lies inside.
    """
    closed, found, painted = [], [], disk.identity(out)
    for at, folders, names in os.walk(folder, onerror=closed.append):
        visible = [Path(at, name) for name in folders if not name.startswith(".")]
        visible = [path for path in visible if disk.identity(path) != painted or painted is None]
        folders[:] = [path.name for path in visible]
        found += [path for path in visible if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve())]
        found += [Path(at, name) for name in names if not name.startswith(".") and _looks_like_picture(Path(at, name))]
    found += [Path(error.filename) for error in closed]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _looks_like_picture(path):
    return path.suffix.lower() in {*ENDINGS, *OTHER_ENDINGS} or is_video(path) or kind(path) in KINDS


def is_video(path):
    """Whether the name of a file ends like that of a video."""
    return path.suffix.lower() in video.ENDINGS


def kind(path):
    """The format of a picture by its content, such as "PNG"; None if it is none or cannot be read."""
    try:
        brand = images.brand(disk.check_file(path))
        if brand:
            return brand  # there may be nothing that reads it
        with images.open_picture(path) as picture:
            return picture.format
    except (ValueError, OSError):
        return None


def paint_once(source, target, painter, made):
    """Paint one file, or see that it was painted in the same way before; return "painted" or "there"."""
    if source.is_dir():
        raise OSError(f"{source} is a folder that may not be read, or a link to one: name the folder itself.")
    made = made | {"content_sha256": disk.digest(disk.check_file(source, "a picture"))}
    if target.exists():
        check_made(target, made)
        if is_video(source):
            clip.clear(target, made)
        return "there"
    try:
        paint_file(source, target, painter, made)
    except OSError:
        if not target.exists():
            raise
        check_made(target, made)  # another run was quicker, and what both had begun is gone
        return "there"
    return "painted"


def paint_file(source, target, painter, made):
    """Paint a picture, still or moving, or a video; save it with `made`, a dict that says how and from what."""
    from stlib.painter import GRAIN, paint

    made = made | {"content": source.name}
    if is_video(source):
        return clip.paint_video(source, target, painter, made, lambda shape: shrink(shape, made["size"]))
    with images.open_picture(source) as picture:
        form, count = picture.format, getattr(picture, "n_frames", 1)
    moving = count > 1 and form != "MPO"  # MPO: a JPEG with other views of the same, or smaller ones
    if moving and animation.FORMATS.get(target.suffix.lower()) != form:
        raise ValueError(f"{source} holds {count} frames or pages as {form}: save it as .gif, .webp or .png.")
    moving |= target.suffix.lower() == ".gif"
    frames, timing = animation.load_frames(source) if moving else ([images.load(source)], {})
    shape = shrink(frames[0].shape, made["size"])
    if any(np.ptp(frame, axis=(0, 1)).max() == 0 for frame in frames):
        program.complain(f"{source} is of one color: whichever it is, a painter makes the same of it.")
    painted = [paint(images.resize(frame, shape), painter, 0 if moving else GRAIN) for frame in frames]
    disk.check_folder(target.parent)
    if moving:
        alphas = [images.resize(np.dstack([alpha] * 3), shape)[..., 0] for alpha in timing.pop("alpha", [])]
        timing |= {"alpha": alphas} if alphas else {}
        animation.save_frames(painted, target, timing, **made)
    else:
        images.save(painted[0], target, profile=images.color_profile(source), **made)


def shrink(shape, size):
    """Height and width with the longest side at most `size` pixels; ValueError if that is too narrow for a painter."""
    from stlib.painter import MINIMUM_SIDE

    short, long = sorted(shape[:2])
    size = min(size, long)
    if round(short * size / long) < MINIMUM_SIDE:
        enough = -(-MINIMUM_SIDE * long // short)
        remedy = f"take a size of at least {enough}" if enough <= long else "it is too narrow"
        raise ValueError(
            f"The picture has {shape[1]} x {shape[0]} pixels, and at size {size} fewer than the {MINIMUM_SIDE} on the "
            f"short side that a painter needs: {remedy}."
        )
    return images.fit(shape, size)


def check_made(target, made):
    """Raise ValueError unless the file that is there was made in the same way from the same picture."""
    read = video.load_metadata if is_video(target) else images.load_metadata
    if not made.items() <= read(target).items():
        raise ValueError(f"{target} is there already, made otherwise or from another picture: choose another folder.")
