"""The losses and their gradient for a picture larger than memory: tile by tile, and exactly.

A Gram matrix is a sum over positions, so it is the sum of the tiles' Gram matrices. And the gradient at a position
needs only the slope of the loss along that sum, which is small, and the features nearby. So each step goes over the
tiles twice: forward, to add up the sums; then forward and backward, to add up the gradient. Where there is room, a tile
keeps its activations, and the second pass is only backward.
F: features, (h, w, N); G: Gram matrix, (N, N); P, A: targets; T: guides of R regions, (R, h, w, 1) (lesson A4).
"""

import math
import os
import tempfile

import numpy as np
import tensorflow as tf

from stlib.large.parts import compile_parts, cut_map, cut_network, margin, strides
from stlib.large.rows import picture
from stlib.losses import relative_error, split_moments
from stlib.network import floats
from stlib.settings import OUTSIDE, REACH

STATISTICS = {"gram": lambda moments, mean: moments, "split": split_moments}
LARGEST = 640  # pixels: larger tiles gain no time, for arrays above 32 MB get fresh memory from the system each time
# Fitted to peaks of `stylize` with slim at 1,024 to 4,096 px: bytes for a pixel of the picture (a step holds 12, the
# rest is memory that was freed and not given back), for an activation of a tile, for one that is kept, and besides.
PIXEL, ACTIVATION, KEPT, BESIDES = 40, 9.2, 8, 50e6
ROWS = 128  # of the picture at a time, where each pixel is for itself


def bytes_needed(network, layers, shape, side):
    """What a step takes for a picture (h, w) in tiles of `side`, beside what the process holds already."""
    first, *deeper = cut_network(network, layers)
    kept = PIXEL + 8 * bool(deeper) * first[-1].output.shape[-1] / strides(first)[first[-1].name] ** 2  # a map, twice
    return BESIDES + math.prod(shape) * kept + ACTIVATION * floats(first) * (side + 2 * margin(first)) ** 2


def smallest_side(network, layers):
    """The side, in pixels, under which a tile would be less than its margins."""
    return 2 * margin(cut_network(network, layers)[0])


def choose_side(network, layers, shape, memory):
    """The largest side of a tile with which a picture (h, w) takes `memory` bytes at most; 0 if there is none."""
    first = cut_network(network, layers)[0]
    sides = range(LARGEST, smallest_side(network, layers) - 1, -strides(first)[first[-1].name])
    return next((side for side in sides if bytes_needed(network, layers, shape, side) <= memory), 0)


class Targets:
    """Content targets P, features by (layer, number of the tile), and their energy, {layer: sum P^2}.

    They wait in a file, which vanishes with this object, whatever happens.
    """

    def __init__(self, folder):
        self.file, self.places, self.energy = tempfile.TemporaryFile(dir=folder), {}, {}

    def __setitem__(self, key, features):
        self.energy[key[0]] = self.energy.get(key[0], 0.0) + float(np.square(features).sum())
        self.file.seek(0, os.SEEK_END)
        self.places[key] = self.file.tell(), features.shape
        self.file.write(features.tobytes())

    def __getitem__(self, key):
        place, shape = self.places[key]
        self.file.seek(place)
        return np.frombuffer(self.file.read(4 * math.prod(shape)), np.float32).reshape(shape)


class Tiles:
    """The targets, and the losses with their gradient, of `stylize`: the same numbers from tiles.

    style_layers: pairs of a name and a weight. guided: whether value_and_gradient gets guides.
    side: of a tile in pixels. Tiles of the second part have a side of their own: as many activations.
    room: bytes for activations that are kept from one pass to the next.
    folder: of the temporary files; None is the system's.
    """

    def __init__(self, network, content_layers, style_layers, statistics, side, guided=False, folder=None, room=0):
        self.content_layers, self.style_weights = tuple(content_layers), dict(style_layers)
        self.statistics, self.folder, self.room = STATISTICS[statistics], folder, room
        self.parts = compile_parts(network, self.content_layers, tuple(self.style_weights), guided)
        sides = [side * (self.parts[0].floats / part.floats) ** 0.5 for part in self.parts]
        self.sides = [max(1, round(each / part.coarsest)) * part.coarsest for each, part in zip(sides, self.parts)]

    def content_targets(self, photo, move):
        """P of a photo (1, h, w, 3) after a move: Targets."""
        P = Targets(self.folder)

        def keep(part, number, tile, x):
            F = part.features(x, tile.own_in_read())
            for k in part.content_layers:
                P[k, number] = F[k].numpy()
            return F

        self._forward(Shown(picture(photo), move), keep)
        return P

    def style_targets(self, painting):
        """A of a painting (1, h, w, 3): {layer: statistics}. It may be larger than memory, too."""
        sums = {}
        self._forward(picture(painting), lambda part, _, tile, x: add(sums, part.moments(x, tile.own_in_read())))
        statistics = {k: self._statistics(sums["G"][k], sums["sum"][k], sums["M"][k]) for k in self.style_weights}
        return {k: tf.cast(statistics[k][0], tf.float32) for k in statistics}

    def value_and_gradient(self, image, move, P, A, factors, guides=None):
        """The losses, {name: float}, and the gradient of their total with respect to the image, (1, h, w, 3).

        image: a batch, or Rows of a picture (large/rows.py).
        P, A: from content_targets and style_targets; factors: {name of a loss: number}.
        guides: {"T": {layer: (R, h, w, 1)}, "c": {layer: (1, h, w, 1)}}, weights of the positions of each layer after
            the move, as in lesson A4. Each A has R statistics then, and the style loss is a mean over the regions.
        """
        image, sums, guides = picture(image), {}, guides or {"T": {}, "c": {}}

        def arguments(part, number, tile, x):
            def own(F, layers):
                return {k: F[k][(slice(None), *tile.own_at(part.strides[k]))] for k in layers if F}

            T, c = own(guides["T"], part.style_layers), own(guides["c"], part.content_layers)
            return x, tile.own_in_read(), T, {k: P[k, number] for k in part.content_layers}, c

        keep, kept = self._tiles_to_keep(image.shape[:2]), {}

        def visit(part, number, *at):
            given = arguments(part, number, *at)
            if (part, number) not in keep:
                return add(sums, part.sums(*given))
            added, kept[part, number] = part.taped(*given)
            return add(sums, added)

        # Forward: the sums, and the maps that the parts start from.
        maps = self._forward(Shown(image, move), visit)
        # The losses are functions of the sums: their values, and their slopes.
        style, slopes = self._style(sums, A, factors["style"])
        scale = {k: 1 / (max(P.energy[k], 1e-12) * len(self.content_layers)) for k in self.content_layers}
        content = sum(scale[k] * float(sums["content"][k]) for k in scale)
        slopes["content"] = {k: np.float32(factors["content"] * scale[k]) for k in scale}
        # Backward, from the last part to the picture: the tiles' gradients, margins included, add up.
        padded, above = np.zeros(np.add(image.shape, (2 * REACH, 2 * REACH, 0)), np.float32), None
        for part, side in zip(self.parts[::-1], self.sides[::-1]):
            start = maps.pop()
            gradient = moved(padded, move) if part.first else np.zeros_like(start)
            for number, tile, x in part.tiles(start, side):
                here = {name: {k: slope for k, slope in slopes[name].items() if k in part.N} for name in slopes}
                here["output"] = {k: above[tile.own_at(part.coarsest)][None] for k in part.output}
                pull_back = kept.pop((part, number), None)
                more = pull_back(here) if pull_back else part.gradient(*arguments(part, number, tile, x), here)
                gradient[tile.read] += more[0].numpy()
            above = gradient
        gradient = fold(padded)
        variation = pointwise(image, factors["total_variation"], gradient)
        losses = {"content": content, "style": style, "total_variation": variation}
        losses["total"] = sum(factors[name] * loss for name, loss in losses.items())
        return losses, gradient[None]

    def _forward(self, image, visit):
        """Visit the tiles of all parts; return the maps (h, w, N) that the parts start from.

        visit(part, number, tile, x): the output of the tile's own positions, {name: (1, h, w, N)}, among others.
        """
        maps = [image]
        for part, side in zip(self.parts, self.sides):
            start, size = maps[-1], [length // part.coarsest for length in maps[-1].shape[:2]]
            maps += [np.empty((*size, part.N[k]), np.float32) for k in part.output]
            for number, tile, x in part.tiles(start, side):
                output = visit(part, number, tile, x)
                for k in part.output:
                    maps[-1][tile.own_at(part.coarsest)] = output[k][0]
        return maps

    def _tiles_to_keep(self, shape):
        """(part, number) of as many tiles as have room; the last part's first, whose activations are gone soonest."""
        tiles, left, keep = [], self.room, set()
        for part, side in zip(self.parts, self.sides):
            tiles += [(part, *each) for each in enumerate(cut_map(shape, side, part.coarsest, part.margin))]
            shape = [length // part.coarsest for length in shape]
        for part, number, tile in tiles[::-1]:
            left -= KEPT * part.floats * math.prod(each.stop - each.start for each in tile.read)
            if left < 0:
                break
            keep.add((part, number))
        return keep

    def _statistics(self, G, total, M):
        """The statistics of each region, from sums over its positions."""
        return [self.statistics(G[r] / M[r], total[r] / M[r]) for r in range(len(M))]

    def _style(self, sums, A, weight):
        """The style loss, and `weight` times its slopes along the Gram matrices and the sums of F."""
        sums, M = {name: {k: tf.constant(sums[name][k]) for k in A} for name in ("G", "sum")}, sums["M"]
        with tf.GradientTape() as tape:
            tape.watch(sums)
            loss = 0.0
            for k, share in self.style_weights.items():
                targets = tf.reshape(tf.cast(A[k], tf.float64), (len(M[k]), -1, A[k].shape[-1]))
                errors = map(relative_error, self._statistics(sums["G"][k], sums["sum"][k], M[k]), targets)
                loss += share / sum(self.style_weights.values()) * tf.reduce_mean(list(errors))
        slopes = tape.gradient(loss, sums, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return float(loss), tf.nest.map_structure(lambda slope: np.float32(weight * slope), slopes)


class Shown:
    """What `stylize` shows the network, read by tiles: the picture cut to [0, 1] and, its border mirrored, moved."""

    def __init__(self, image, move):
        self.image, self.shape = image, image.shape
        indices = (np.pad(np.arange(length), REACH, "reflect") for length in self.shape[:2])
        self.rows, self.columns = (each[start : start + len(each) - 2 * REACH] for each, start in zip(indices, move))

    def __getitem__(self, read):
        rows, columns = self.rows[read[0]], self.columns[read[1]]
        x = np.empty((len(rows), len(columns), 3), np.float32)
        for top in range(0, len(x), ROWS):
            some = rows[top : top + ROWS]
            strip = self.image[some.min() : some.max() + 1]
            x[top : top + ROWS] = strip[np.ix_(some - some.min(), columns)]
        return np.clip(x, 0, 1, out=x)


def add(sums, added):
    """Add what a tile adds to the sums, in float64; return its output."""
    for name in ("M", "G", "sum", "content"):
        for k, value in added[name].items():
            kind = sums.setdefault(name, {})
            kind[k] = kind.get(k, 0.0) + np.float64(value)
    return added["output"]


def moved(padded, move):
    """The view of a padded picture that `move` cuts out."""
    y, x = np.asarray(move)
    return padded[y : len(padded) - 2 * REACH + y, x : padded.shape[1] - 2 * REACH + x]


def fold(padded):
    """The gradient of the picture from that of the padded one: what a mirrored pixel got belongs to its original."""
    for rows in (padded, padded.swapaxes(0, 1)):
        rows[REACH + 1 : 2 * REACH + 1] += rows[REACH - 1 :: -1]
        rows[-2 * REACH - 1 : -REACH - 1] += rows[: -REACH - 1 : -1]
    return padded[REACH:-REACH, REACH:-REACH]


def pointwise(image, weight, gradient):
    """Total variation of the picture; add its gradient, and that of what pulls values back into [0, 1], to `gradient`.

    As in `stylize`, some rows at a time: the variation is that of the values cut to [0, 1], its gradient as if uncut.
    """
    height, width, _ = image.shape
    loss, pairs = 0.0, [(height - 1) * width * 3, height * (width - 1) * 3]
    for top in range(0, height, ROWS):
        some = image[top : top + ROWS + 1]  # and the first of the next rows
        inside = np.clip(some, 0, 1)
        gradient[top : top + ROWS] += 2 * OUTSIDE / math.prod(image.shape) * (some - inside)[:ROWS]
        down, across = np.diff(inside, axis=0), np.diff(inside[:ROWS], axis=1)
        loss += np.square(down).sum() / pairs[0] + np.square(across).sum() / pairs[1]
        down *= 2 * weight / pairs[0]
        across *= 2 * weight / pairs[1]
        gradient[top : top + len(down)] -= down
        gradient[top + 1 : top + 1 + len(down)] += down
        gradient[top : top + ROWS, :-1] -= across
        gradient[top : top + ROWS, 1:] += across
    return float(loss)
