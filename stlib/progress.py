"""How long a picture will take, told as soon as a few steps are done, and a bar for the command line."""

import contextlib
import sys
import time

import numpy as np
from tqdm import tqdm

from stlib.language import translate

TILED = 1.7  # a step in tiles takes about so many times as long: margins, and a second pass forward
SLOWER = 6  # a step with VGG16 takes about so many times as long as with slim
BAR = "{desc}: {percentage:3.0f}%|{bar}| {remaining} left{postfix}"


def work(scales):
    """How much is done before each step and at the end, in no unit: a step has its pixels, and networks are slow."""
    slow = [(1 if scale.network.name == "slim" else SLOWER) * (TILED if scale.side else 1) for scale in scales]
    steps = [each * np.prod(scale.shape) for each, scale in zip(slow, scales)]
    return np.cumsum([0, *np.repeat(steps, [scale.steps for scale in scales])])


def names(scales):
    """The networks that paint, as the command line says it: vgg16+slim."""
    return "+".join(dict.fromkeys(scale.network.name for scale in scales))


def teller(title, scales, draft="", file=None):
    """A callback of `stylize` that says once how long all takes, with what, and if it is in tiles.

    draft: what to say of a quicker picture. file: where; None is standard output.
    """
    done, first, clock = work(scales), None, None  # clock: when what comes before `early` was compiled

    def tell(progress):
        nonlocal first, clock
        first = first or progress.step  # of this run
        remaining = progress.total - first
        early, later = (first + 3, first + 11) if remaining > 11 else (first, first + min(3, remaining))
        clock = time.perf_counter() if progress.step <= early else clock
        if progress.step == later:
            rate = (time.perf_counter() - clock) / max(1, done[later] - done[early])
            seconds = rate * (done[-1] - done[first - 1])
            side = next((scale.side for scale in reversed(scales) if scale.side), None)
            parts = f", the largest sizes in tiles of {side} pixels" if side else ""
            line = translate(f"{title}: about {seconds:.0f} s with {names(scales)}")
            tqdm.write(f"{line}{translate(parts)}{translate(draft)}", file)

    return tell


@contextlib.contextmanager
def bar(title, scales, draft=""):
    """Give a callback of `stylize` that shows a bar, and says what `teller` says, all on stderr."""
    done, tell, begun = work(scales), teller(title, scales, draft, sys.stderr), False
    with tqdm(total=done[-1], desc=title, bar_format=translate(BAR)) as shown:

        def show(progress):
            nonlocal begun
            if not begun:
                begun, shown.initial, shown.n = True, done[progress.step - 1], done[progress.step - 1]
                if progress.step > 1:
                    tqdm.write(translate(f"{title}: goes on at step {progress.step} of {progress.total}"), sys.stderr)
            tell(progress)
            shown.set_postfix({loss: f"{progress.losses[loss]:.3f}" for loss in ("content", "style")}, refresh=False)
            shown.update(done[progress.step] - shown.n)

        yield show
