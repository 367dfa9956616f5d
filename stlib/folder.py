"""The command `python -m stlib paint`: paint many files with a painter; safe to stop and start again."""

import argparse
import hashlib
import re
import sys
from pathlib import Path

from tqdm import tqdm

from stlib import animation, images
from stlib import weights as files
from stlib.painter import load_painter, paint

ENDINGS = (*images.FORMATS, ".gif")

EXAMPLE = """example, and the first of eight parts of a large folder:
  python -m stlib paint images/content --painter starry_night -o out/painted
  python -m stlib paint photos --painter great_wave -o painted --shard 1/8
"""


def parser():
    """Build the parser of this command."""
    parser = argparse.ArgumentParser(
        "stlib paint", description="Paint photos and GIFs in a style that a painter has learned.", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("files", nargs="+", type=Path, metavar="FOLDER_OR_FILE", help="what to paint")
    parser.add_argument("--painter", required=True, help=f"{', '.join(files.PAINTERS)}, or the path of a painter")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for the pictures, under their own names")
    parser.add_argument("--size", type=int, default=512, help="longest side; what is smaller stays so (%(default)s)")
    parser.add_argument("--shard", type=shard, default=(1, 1), metavar="I/N", help="paint the I-th of N parts only")
    return parser


def shard(text):
    """Read "I/N" as two numbers."""
    part, count = map(int, re.fullmatch(r"(\d+)/(\d+)", text).groups()) if re.fullmatch(r"\d+/\d+", text) else (0, 0)
    if not 1 <= part <= count:
        raise argparse.ArgumentTypeError(f"{text!r}, expected I/N with I from 1 to N, such as 1/8")
    return part, count


def main(arguments):
    """Paint what the command line says; return 0, 1 if some files could not be painted, 2 for bad input, or 130."""
    options = parser().parse_args(arguments)
    try:
        images.fit((1, 1), options.size)  # says what is wrong with a size
        jobs = find(options.files, options.out)
        part, count = options.shard
        jobs = jobs[part - 1 :: count]
        painter = load_painter(options.painter)
        if options.out.exists() and not options.out.is_dir():
            raise ValueError(f"{options.out} is a file, expected a folder for the pictures: choose another name.")
        options.out.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        print(f"stlib: {error}", file=sys.stderr)
        return 2
    painted, present, failed = 0, 0, []
    try:
        for source, target in tqdm(jobs, unit="file"):
            try:
                digest = hashlib.sha256(source.read_bytes()).hexdigest()
                made = dict(painter=Path(options.painter).stem, size=options.size, content_sha256=digest)
                if target.exists():
                    check_made(target, made)
                    present += 1
                else:
                    paint_file(source, target, painter, options.size, made)
                    painted += 1
            except (ValueError, OSError, MemoryError) as error:
                failed.append(source)
                tqdm.write(f"stlib: {error}" if str(source) in str(error) else f"stlib: {source}: {error}", sys.stderr)
    except KeyboardInterrupt:
        print("stlib: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130
    finally:
        print(f"{options.out}: {painted} painted, {present} there already, {len(failed)} not painted")
        print("".join(f"  not painted: {source}\n" for source in failed), end="")
    return 1 if failed else 0


def find(paths, out):
    """Pairs of a file to paint and the file to write, in the same order on every machine.

    Of a folder all pictures in it, with its subfolders kept; what lies in `out` is left out.
    Raises ValueError or FileNotFoundError.
    """
    jobs = {}
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"There is no file or folder {path}: check the name.")
        for source in pictures(path, out) if path.is_dir() else [path]:
            target = out / (source.relative_to(path) if path.is_dir() else source.name)
            if jobs.get(target, source) != source:
                raise ValueError(f"{jobs[target]} and {source} would both become {target}: rename one.")
            if target.resolve() == source.resolve():
                raise ValueError(f"{source} would be replaced by its painting: choose another folder than {out}.")
            jobs[target] = source
    if not jobs:
        raise ValueError(f"There is nothing to paint in {', '.join(map(str, paths))}: expected {', '.join(ENDINGS)}.")
    return [(source, target) for target, source in jobs.items()]


def pictures(folder, out):
    """The pictures in `folder`, sorted, without hidden ones and earlier paintings in `out`, a folder inside."""
    inside = folder.resolve() in out.resolve().parents
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        painting = inside and out.resolve() in path.resolve().parents
        if path.is_file() and path.suffix.lower() in ENDINGS and not hidden and not painting:
            yield path


def paint_file(source, target, painter, size, made):
    """Paint one picture or animation and save it with `made`, a dict that says how and from what it was made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix.lower() == ".gif":
        frames, timing = animation.load_frames(source)
        painted = [paint(shrink(frame, size), painter) for frame in frames]
        animation.save_frames(painted, target, timing, content=source.name, **made)
    else:
        images.save(paint(shrink(images.load(source), size), painter), target, content=source.name, **made)


def shrink(image, size):
    """The image with its longest side at most `size` pixels."""
    return images.resize(image, images.fit(image.shape, min(size, max(image.shape[:2]))))


def check_made(target, made):
    """Raise ValueError unless the file that is there was made in the same way from the same picture."""
    read = animation.load_comment if target.suffix.lower() == ".gif" else images.load_metadata
    if not made.items() <= read(target).items():
        raise ValueError(f"{target} is there already, made otherwise or from another picture: choose another folder.")
