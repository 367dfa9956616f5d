"""The command line: `python -m stlib CONTENT... STYLE -o OUT`, also installed as `stlib`.

`python -m stlib paint` is a command of its own: see folder.py.
"""

import argparse
import inspect
import os
import sys
import time
import warnings
from pathlib import Path

# While it is imported, TensorFlow greets on stderr, which a reader would take for errors.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
os.dup2(null, 2)
try:
    import tensorflow  # noqa: F401
finally:
    os.dup2(stderr, 2)
    os.close(stderr)
    os.close(null)

from tqdm import tqdm

from stlib import color, folder, images
from stlib.network import load_network
from stlib.stylize import EFFORTS, plan, stylize

DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(stylize).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY and name != "callback"
} | {"size": 512}

BAR = "{desc}: {percentage:3.0f}%|{bar}| {remaining} left{postfix}"

EXAMPLE = """example:
  python -m stlib images/content/summer_palace.jpg images/style/starry_night.jpg -o out/palace.png --size 640
  python -m stlib paint --help    (many photos at once, with a painter that has learned one style)
"""


def main(arguments=None):
    """Paint one picture, or several into a folder; return the exit code: 0, 2 for bad input, 130 if interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    warnings.showwarning = lambda message, *_: print(f"stlib: {message}", file=sys.stderr)
    if arguments[:1] == ["paint"]:
        return folder.main(arguments[1:])
    options = parser().parse_args(arguments)
    try:
        jobs, style, network, settings = prepare(options)
        for job in jobs:
            if not paint(*job, options, style, network, settings):
                return 130  # Ctrl-C means all of it, not the next photo
    except (ValueError, OSError) as error:
        print(f"stlib: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stlib: interrupted", file=sys.stderr)
        return 130
    return 0


def parser():
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        "stlib", description="Paint photos in the style of a painting.", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("content", nargs="+", type=Path, metavar="CONTENT", help="the photos to paint")
    parser.add_argument("style", type=Path, metavar="STYLE", help="the painting to take the style from")
    parser.add_argument("-o", "--out", type=Path, required=True, help="file to write; a folder for several photos")
    parser.add_argument("--size", type=int, help="longest side of the result in pixels (%(default)s)")
    parser.add_argument(
        "--steps", type=_steps, help=f"how long: {', '.join(EFFORTS)}, or N,N,... at each scale (%(default)s)"
    )
    parser.add_argument("--network", help="vgg16, slim (six times as fast), vgg19 (80 MB, once), or a path (vgg16)")
    parser.add_argument("--content-weight", type=float, help="more: closer to the photo (0.06; slim: 0.03)")
    parser.add_argument("--style-weight", type=float, help="more: closer to the painting (%(default)s)")
    parser.add_argument("--init", help="where to start: content, style or noise (%(default)s)")
    parser.add_argument("--keep-colors", action="store_true", help="transfer luminance only, keep the photo's colors")
    parser.add_argument("--seed", type=int, help="of the moves, and of the noise (%(default)s)")
    parser.set_defaults(**DEFAULTS)
    return parser


def _steps(text):
    return text if text in EFFORTS else tuple(int(count) for count in text.split(","))


def prepare(options):
    """Load and check everything before any computing starts.

    Returns the jobs (name, content, output path, steps and shapes of its scales), the style, the network and the
    settings of `stylize`.
    """
    paths = output_paths(options.content, options.style, options.out)
    style = images.load(options.style)
    contents = [images.load(path) for path in options.content]
    network = load_network(options.network or os.environ.get("STLIB_NETWORK") or "vgg16")  # beauty first
    settings = {name: getattr(options, name) for name in DEFAULTS}
    jobs = []
    for name, content, path in zip(options.content, contents, paths):
        try:
            _, counts, shapes, _ = plan(content, style, network, settings)
        except ValueError as error:
            raise ValueError(f"{name} with {options.style}: {error}") from None
        jobs.append((name, content, path, counts, shapes))
    return jobs, style, network, settings


def output_paths(contents, style, out):
    """One writable path for each content: `out` itself, or files in the folder `out`; raise ValueError or OSError."""
    if len(contents) == 1 and not out.is_dir():
        return [images.check_output(out)]
    if out.suffix.lower() in images.FORMATS and not out.is_dir():
        raise ValueError(f"{out} is a file name, expected a folder for {len(contents)} photos: leave out the ending.")
    paths = [out / f"{content.stem}_{style.stem}.png" for content in contents]
    for path, content in zip(paths, contents):
        if paths.count(path) > 1:
            raise ValueError(f"Several photos are called {content.stem}, which would give one file: rename one.")
    return [images.check_output(path) for path in paths]


def paint(name, content, path, counts, shapes, options, style, network, settings):
    """Paint one picture, save it with its settings, return whether it is finished; else it gets a name of its own."""
    start = first = time.perf_counter()
    pair = color.gray_pair(content, style) if options.keep_colors else (content, style)
    pixels = [height * width for height, width in shapes]
    work = sum(count * each for count, each in zip(counts, pixels))  # a step takes as long as it has pixels
    with tqdm(total=work, desc=path.name, bar_format=BAR) as bar:

        def show(progress):
            nonlocal first
            first = first if progress.step > 1 else time.perf_counter()  # the step before it was compiled, too
            if progress.step == min(4, progress.total):
                seconds = (time.perf_counter() - first) / 3 * work / pixels[0]
                draft = "" if network.name == "slim" else "; a draft: --network slim, or --steps draft"
                tqdm.write(f"{path.name}: about {seconds:.0f} s with {network.name}{draft}", sys.stderr)
            bar.set_postfix({loss: f"{progress.losses[loss]:.3f}" for loss in ("content", "style")}, refresh=False)
            bar.update(pixels[progress.scale - 1])

        result = stylize(*pair, network, callback=show, **settings)
    image = result.image
    if options.keep_colors:
        image = color.with_luminance(images.resize(content, image.shape[:2]), color.luminance(image))
    if result.interrupted:
        path = path.with_stem(f"{path.stem}.unfinished")
    made = dict(content=name.name, style=options.style.name, keep_colors=options.keep_colors, network=network.name)
    images.save(image, path, **made, **result.settings)
    print(f"{path} ({time.perf_counter() - start:.1f} s)")
    return not result.interrupted


if __name__ == "__main__":
    sys.exit(main())
