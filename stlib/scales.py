"""The scales of a picture, coarse to fine: what `stylize` will do, and whether it can, known before it begins."""

import contextlib
import math
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import psutil

from stlib import images
from stlib.large import tiles
from stlib.network import check_layers, floats_per_pixel, minimum_side
from stlib.settings import LARGE, REACH, Settings, as_tuple

OWN = 0.65e9  # bytes that the process takes for a small picture: TensorFlow and what it has compiled, a network
ANOTHER = 0.15e9  # for a second network, and what is compiled of it
CGROUP = Path("/sys/fs/cgroup")  # where Linux says what a container may take: version 2 of it, and version 1
LIMITS = (("memory.max", "memory.stat", "anon"),
          ("memory/memory.limit_in_bytes", "memory/memory.stat", "total_rss"))  # fmt: skip


class Scale(NamedTuple):
    """One of the scales of `stylize`: its network, with the Settings that suit it, how many steps, height and width of
    content and style, the side of the tiles in which they are computed, None for the whole picture at once, and the
    room for what tiles may keep (large/tiles.py)."""

    network: keras.Model
    settings: Settings
    steps: int
    shape: tuple
    style_shape: tuple
    side: int | None
    room: float


def plan(content, style, network, settings):
    """Check that the Settings suit pictures, network (or two) and memory, before any computing.

    Returns a list of Scales, coarse to fine. Raises ValueError in one sentence.
    """
    networks = as_tuple(network)
    if len(networks) > 2 or not all(isinstance(each, keras.Model) for each in networks):
        raise ValueError(f"network is {network!r}, expected one that load_network gives, or two in a tuple.")
    for each in networks:
        check_layers(each, settings.content_layers)
        check_layers(each, settings.of(each.name).style_layers)
    layers = {*settings.content_layers, *settings.of(networks[0].name).style_layers}
    counts, deepest = settings.counts(), max(minimum_side(each, layers) for each in networks)
    minimum = max(deepest, 2 * REACH)
    size, shapes = settings.size, (style.shape, content.shape)
    smallest = max(-(-minimum * max(shape[:2]) // min(shape[:2])) for shape in shapes)
    free = free_memory()
    own = OWN + ANOTHER * (len(networks) - 1) + 4 * sum(map(math.prod, shapes))  # in `settings.memory`, not in `free`
    own = own if settings.memory and settings.memory - own < free else 0
    memory = settings.memory - own if own else free

    def network_at(size):
        return networks[-1 if size > LARGE else 0]

    def side_at(size):
        return _side(network_at(size), layers, [images.fit(shape, size) for shape in shapes], settings.method, memory)

    def too_large(size):
        """Of the last scales of the networks, the size of one that does not fit; None if both do."""
        return next((last for last in (size, min(size, LARGE)) if side_at(last) == 0), None)

    for name, shape in zip(("style", "content"), shapes):
        height, width = (round(side * size / max(shape[:2])) for side in shape[:2])
        if min(height, width) < minimum:
            works = side_at(smallest) is None
            remedy = f"take a size of at least {smallest}{', or shallower layers' if deepest > 2 * REACH else ''}"
            raise ValueError(
                f"The {name} image is {width} x {height} pixels at size {size}, and {minimum} are needed on the short "
                f"side: {remedy if works else 'it is too narrow for these layers, so crop its long side'}."
            )
    last = too_large(size)
    if last:
        largest, network = size, network_at(last)
        shape = max((images.fit(each, last) for each in shapes), key=math.prod)
        least = tiles.bytes_needed(network, layers, shape, tiles.smallest_side(network, layers))
        needed = least if settings.method == "pyramid" else _bytes_needed(network, layers, shape, settings.method)
        while largest >= smallest and too_large(largest):
            largest = int(0.95 * largest)
        smaller = f"take a size of at most {largest}, or " if largest >= smallest else ""  # of others, none would do
        raise ValueError(
            f"Size {size} needs about {(needed + own) / 1e9:.2g} GB of memory and {(memory + own) / 1e9:.2g} GB "
            f"{'may be used' if own else 'are free'}: "
            f"{smaller}close other programs."
        )
    shapes, style_shapes = (_scales(shape, size, len(counts), minimum) for shape in reversed(shapes))
    scales = []
    for count, *pair in zip(counts, shapes, style_shapes):
        network = network_at(max(pair[0]))
        side = _side(network, layers, pair, settings.method, memory)
        room = memory - tiles.bytes_needed(network, layers, max(pair, key=np.prod), side or 0)
        scales.append(Scale(network, settings.of(network.name), count, *pair, side, room))
    return scales


def free_memory():
    """Bytes that this process may take yet: of the machine, and of the container that it may run in."""
    free = psutil.virtual_memory().available
    for limit, held, kind in LIMITS:
        with contextlib.suppress(OSError, ValueError, KeyError):  # not there, or without a limit
            held = dict(line.split() for line in (CGROUP / held).read_text().splitlines())
            free = min(free, int((CGROUP / limit).read_text()) - int(held[kind]))
    return free


def fitted(scale):
    """A Scale in tiles, fitted to what this process holds as it begins: scales before it leave gaps in the memory."""
    room = scale.room - max(0, psutil.Process().memory_info().rss - OWN)
    if room >= 0:
        return scale._replace(room=room)
    layers = {*scale.settings.content_layers, *scale.settings.style_layers}
    shape = max(scale.shape, scale.style_shape, key=np.prod)
    memory = tiles.bytes_needed(scale.network, layers, shape, scale.side) + room
    side = tiles.choose_side(scale.network, layers, shape, memory) or tiles.smallest_side(scale.network, layers)
    return scale._replace(side=side, room=0)


def _bytes_needed(network, layers, shape, method):
    # Measured at 512 and 1024 px: 1,120 bytes a pixel with slim (104 activations), 2,780 with VGG16 (296); 1,100 more
    # with L-BFGS-B. Some room on top.
    return shape[0] * shape[1] * (300 + 9 * floats_per_pixel(network, layers) + (1200 if method == "lbfgs" else 0))


def _side(network, layers, shapes, method, memory):
    """The side of tiles for the larger of `shapes`: None if it fits in `memory` whole, 0 if not even in tiles."""
    shape = max(shapes, key=np.prod)
    if _bytes_needed(network, layers, shape, method) <= memory:
        return None
    return tiles.choose_side(network, layers, shape, memory) if method == "pyramid" else 0


def _scales(shape, size, count, minimum):
    """Heights and widths from coarse to fine, the last with longest side `size`, no side under `minimum`."""
    full = images.fit(shape, size)
    factors = [max(2 ** (-k / 2), minimum / min(full)) for k in reversed(range(count))]
    return [tuple(max(minimum, round(side * factor)) for side in full) for factor in factors]
