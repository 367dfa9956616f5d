"""The command `python -m stlib CONTENT... STYLE -o OUT`: paint photos in the style of a painting, one by one."""

import argparse
import dataclasses
import json
import os
import time
from pathlib import Path

from stlib import checkpoint, color, disk, images, progress
from stlib import weights as files
from stlib.command import program
from stlib.language import translate
from stlib.quiet import quiet
from stlib.settings import EFFORTS, RECIPES, Settings

# The settings that say what they are about are options, of the same name; a picture of one's own may take longer.
OPTIONS = {each.name: each for each in dataclasses.fields(Settings) if "about" in each.metadata}
SIZE, NETWORK = 512, "vgg16"  # beauty first
PAPERS = {"A5": (148, 210), "A4": (210, 297), "A3": (297, 420), "A2": (420, 594), "A1": (594, 841)}  # millimeters
DPI = 300  # of a good print, seen from near
SHOWN = {"size": SIZE, "memory": "all that is free"}  # as defaults

EXAMPLE = """example:
  python -m stlib images/content/summer_palace.jpg images/style/starry_night.jpg -o out/palace.png --size 640
  python -m stlib paint --help    (many photos at once, with a painter that has learned one style)
"""


def main(arguments):
    """Paint what the command line says; return the exit status. Raises ValueError or OSError if it cannot begin."""
    options = parser().parse_args(arguments)
    name = options.network or os.environ.get("STLIB_NETWORK") or NETWORK
    size = round(DPI * options.paper[1]) if options.paper else SIZE  # the largest that is needed
    size = size if options.size is None else options.size
    settings = Settings(**{name: getattr(options, name) for name in OPTIONS} | {"size": size})
    paths = output_paths(options.content, options.style, options.out, name)
    style = images.load(options.style, enough=size)
    names = [name] if Path(name).exists() else name.split("+")
    if len(names) > 2 or "" in names:
        raise ValueError(f"--network is {name}, expected one network, or two such as vgg16+slim.")
    for each in names:
        files.check_network(each)
    failed = [photo for photo in options.content if not program.attempt(is_picture, photo, size)]
    if len(failed) < len(paths):
        with quiet():
            from stlib.network import load_network
            from stlib.stylize import plan
        network = tuple(map(load_network, names)) if len(names) == 2 else load_network(name)
        if options.paper and options.size is None:
            size = round(DPI * printed(options.paper, style.shape))
        # Says what is wrong with the settings or the painting.
        plan(style, style, network, dataclasses.replace(settings, size=size))
    for photo, path in zip(options.content, paths):
        if photo not in failed and not program.attempt(paint, photo, path, options, style, network, settings):
            failed.append(photo)
    if len(paths) > 1:
        for photo in failed:
            program.say(f"  not painted: {photo}")
    return program.SOME_FAILED if failed else program.DONE


def parser():
    """Build the parser of the command line."""
    parser = program.Parser("stlib", description="Paint photos in the style of a painting.", epilog=EXAMPLE)
    parser.add_argument("content", nargs="+", type=Path, metavar="CONTENT", help="the photos to paint")
    parser.add_argument("style", type=Path, metavar="STYLE", help="the painting to take the style from")
    parser.add_argument("-o", "--out", type=Path, required=True, help="file to write; a folder for several photos")
    networks = "vgg16, slim (six times as fast), vgg16+slim (above 1,024 px slim), vgg19 (80 MB, once), or a path"
    parser.add_argument("--network", help=f"{translate(networks)} ({NETWORK})")
    parser.add_argument("--keep-colors", action="store_true", help="transfer luminance only, keep the photo's colors")
    parser.add_argument("--resume", action="store_true", help="go on with what was begun and is not finished")
    papers = f"{', '.join(PAPERS)}, or inches such as 8x10: the size for {DPI} dpi, or the dpi for --size"
    parser.add_argument("--print", type=_paper, metavar="PAPER", dest="paper", help=papers)
    for name, setting in OPTIONS.items():
        default = setting.default
        if name in RECIPES["slim"]:
            default = ", ".join(f"{each}: {recipe[name]}" for each, recipe in RECIPES.items())
        kind = {"steps": _steps, "content_weight": float, "memory": _bytes}.get(name, type(setting.default))
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=kind, default=setting.default,
            help=f"{translate(setting.metadata['about'])} ({translate(str(SHOWN.get(name, default)))})",
        )  # fmt: skip
    parser.set_defaults(size=None)
    return parser


def _paper(text):
    """A5 to A1, or 8x10: the short and the long side in inches."""
    try:
        sides = sorted(float(side) for side in text.lower().removesuffix("in").split("x"))
    except ValueError:
        sides = [side / 25.4 for side in PAPERS.get(text.upper(), ())]
    if len(sides) != 2 or not 1 <= sides[0] <= sides[1] <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r}, expected one of {', '.join(PAPERS)}, or inches such as 8x10")
    return tuple(sides)


def _steps(text):
    return text if text in EFFORTS else tuple(int(count) for count in text.split(","))


def _bytes(text):
    """2GB, 800 MB, 2e9."""
    number, thousands = text.strip().upper().removesuffix("B").strip(), 0
    if number[-1:] in ("K", "M", "G", "T"):
        number, thousands = number[:-1], 1 + "KMGT".index(number[-1])
    return float(number) * 1000**thousands


def output_paths(contents, style, out, network):
    """One writable path for each content: `out` itself, or files in the folder `out`; raise ValueError or OSError."""
    paths = [out]
    if len(contents) > 1 or out.is_dir():
        if out.suffix.lower() in images.FORMATS and not out.is_dir():
            raise ValueError(
                f"{out} is a file name, expected a folder for {len(contents)} photos: leave out the ending."
            )
        paths = [out / f"{content.stem}_{style.stem}.png" for content in contents]
    names = [str(path).casefold() for path in paths]  # a.jpg and A.jpg are one file on some disks
    for name, content in zip(names, contents):
        if names.count(name) > 1:
            raise ValueError(f"Several photos are called {content.stem}, which would give one file: rename one.")
    inputs = [*contents, style, network]
    for path in paths:
        images.check_output(path, inputs)
        kept = checkpoint.path_of(path)
        for each in (disk.unfinished(path), kept, checkpoint.part_of(kept)):
            disk.check_output(each, inputs)
    return paths


def is_picture(path, size):
    """Return True, or raise what `images.load` raises, as far as the beginning of the file shows it."""
    with images.open_picture(path, enough=size):
        return True


def paint(name, path, options, style, network, settings):
    """Paint one picture, save it with its settings, return its path; if it is not finished, raise after saving it.

    Raises ValueError or OSError, or KeyboardInterrupt.
    """
    from stlib.stylize import plan, stylize

    start, dpi, kept = time.perf_counter(), None, checkpoint.path_of(path)
    content = images.load(name, enough=settings.size)
    if options.paper:
        length = printed(options.paper, content.shape)
        settings = dataclasses.replace(settings, size=round(DPI * length) if options.size is None else options.size)
        dpi = settings.size / length
    scales = plan(content, style, network, settings)
    images.check_sides(path, scales[-1].shape)
    names = progress.names(scales)
    settings = settings if isinstance(network, tuple) else scales[0].settings
    made = dict(content=name.name, style=options.style.name, keep_colors=options.keep_colors, network=names)
    inputs = checkpoint.digest(content, style, *checkpoint.weights_of(network))
    made |= dict(inputs=inputs, pixels_per_inch=dpi, **dataclasses.asdict(settings))
    if options.resume and path.exists() and not kept.exists() and same(made, images.load_metadata(path)):
        program.say(f"{path} is there already")
        return path
    if kept.exists() and not options.resume:
        program.complain(f"{kept} was left by a run that --resume would have gone on with: this one begins anew.")
        checkpoint.remove(kept)
    seen = color.gray_pair(content, style) if options.keep_colors else (content, style)
    draft = "" if names == "slim" else "; a draft: --network slim, or --steps draft"
    with progress.bar(path.name, scales, draft) as show:
        result = stylize(*seen, network, callback=show, resume=kept, **dataclasses.asdict(settings))
    image = result.image
    if options.keep_colors:
        image = color.with_luminance(images.resize(content, image.shape[:2]), color.luminance(image))
    path = disk.unfinished(path) if result.interrupted else path
    images.save(image, path, dpi=dpi, profile=images.color_profile(name), **made)
    if not result.interrupted:
        checkpoint.remove(kept)
    print(f"{path} ({time.perf_counter() - start:.1f} s)")
    if result.diverged:
        raise ValueError(f"{name} is not finished, for its loss became infinite: {path} is what there was before.")
    if result.interrupted:
        raise KeyboardInterrupt  # all of it, not the next photo
    return path


def printed(paper, shape):
    """How many inches the long side of a picture (h, w, ...) has, as large as it fits on paper (short, long side)."""
    short, long = sorted(shape[:2])
    return min(paper[1], paper[0] * long / short)


def same(made, metadata):
    """Whether a picture with this metadata was made in the same way, with whatever memory."""
    return json.loads(json.dumps(made | {"memory": None})).items() <= (metadata | {"memory": None}).items()
