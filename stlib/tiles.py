"""The losses and their gradient for a picture larger than memory: tile by tile, and exactly.

A Gram matrix is a sum over positions, so it is the sum of the tiles' Gram matrices. And the gradient at a position needs
only the loss's gradient with respect to that sum, which is small, and the features nearby. So each step goes over the
tiles twice: forward, to add up the sums; then forward and backward, to add up the gradient.

A tile is read with a margin, as far as its deepest layer sees, but only its own positions count. The deeper the layer,
the wider the margin. So the network is cut in two after CUT, whose map has 1/64 of the picture's positions: small enough
to be kept whole, with its gradient, and the margins before and after it are narrow.
F: features, (1, h, w, N); G: Gram matrix, (N, N); P, A: targets; T: guides of R regions, (R, h, w, 1) (lesson A4).
"""

import functools
import itertools
import math
import os
import tempfile
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from stlib.losses import gram_matrix, relative_error, split_moments
from stlib.network import check_layers, preprocess, until_deepest
from stlib.stylize import OUTSIDE, REACH

CUT = "block3_pool"
STATISTICS = {"gram": lambda moments, mean: moments, "split": split_moments}
IN_MEMORY = 2**25  # bytes: more content targets than these wait in a file
ROWS = 128  # of the picture at a time, where each pixel is for itself


class Tile(NamedTuple):
    """Slices of the rows and the columns of a map: what is read, margin included, and what is the tile's own."""

    read: tuple
    own: tuple

    def own_in_read(self):
        """First and last of its own rows and columns, counted from where it is read: int32 (2, 2)."""
        return np.int32([[own.start - read.start, own.stop - read.start] for read, own in zip(self.read, self.own)])

    def own_at(self, stride):
        """Its own positions of a layer with `stride`; of the odd row or column that pooling drops there are none."""
        return tuple(slice(each.start // stride, each.stop // stride) for each in self.own)


def cut_map(shape, side, stride, margin):
    """Cut a map (h, w) into Tiles of `side`. Each position belongs to one; at the map's border there is no margin.

    Inner borders are multiples of `stride`, as `side` and `margin` must be: pooling looks at a fixed grid.
    """

    def intervals(length):
        starts = list(range(0, max(length - stride, 0) + 1, side))  # what is narrower than a stride joins the last
        for start, stop in zip(starts, [*starts[1:], length]):
            yield slice(max(start - margin, 0), min(stop + margin, length)), slice(start, stop)

    return [Tile(*zip(*pair)) for pair in itertools.product(*map(list, map(intervals, shape)))]


def cut_network(network, layers):
    """The layers up to the deepest of `layers`: one list, or two if that is beyond CUT."""
    check_layers(network, layers)
    chain = until_deepest(network, layers)
    after = next((k for k, layer in enumerate(chain, start=1) if layer.name == CUT), len(chain))
    return [part for part in (chain[:after], chain[after:]) if part]


def strides(chain):
    """{name: stride}: how many positions of the input, down and across, are one position of the layer."""
    pools = [layer.pool_size[0] if "pool" in layer.name else 1 for layer in chain]
    return dict(zip([layer.name for layer in chain], itertools.accumulate(pools, int.__mul__)))


def margin(chain):
    """How many positions of the input the last layer sees beside its own, rounded up to its stride."""
    stride, last = strides(chain), chain[-1].name
    seen = sum(layer.kernel_size[0] // 2 * stride[layer.name] for layer in chain if "conv" in layer.name)
    return -(-seen // stride[last]) * stride[last]


class Part:
    """Layers that follow each other, compiled once for tiles of all sizes: what a tile adds, and its gradient."""

    def __init__(self, chain, content_layers, style_layers, first, last, guided):
        layers, self.strides = {layer.name: layer.output for layer in chain}, strides(chain)
        self.N, self.first = {k: F.shape[-1] for k, F in layers.items()}, first
        self.margin, self.coarsest = margin(chain), self.strides[chain[-1].name]
        self.floats = sum(N / self.strides[k] ** 2 for k, N in self.N.items())  # for each position of the input
        self.content_layers, self.style_layers, self.output = (
            [k for k in layers if k in names]
            for names in (content_layers, style_layers, [] if last else list(layers)[-1:])
        )
        wanted = {*self.content_layers, *self.style_layers, *self.output}
        self.network = keras.Model(chain[0].input, {k: layers[k] for k in layers if k in wanted})

        def maps(names, count=1, N=None):
            return {k: tf.TensorSpec((count, None, None, N or self.N[k])) for k in names}

        x, own = tf.TensorSpec((1, None, None, chain[0].input.shape[-1])), tf.TensorSpec((2, 2), tf.int32)
        T, c = (maps(self.style_layers, None, 1), maps(self.content_layers, 1, 1)) if guided else ({}, {})
        arguments = [x, own, T, maps(self.content_layers), c]
        slopes = {
            "G": {k: tf.TensorSpec((None, self.N[k], self.N[k])) for k in self.style_layers},
            "sum": {k: tf.TensorSpec((None, self.N[k])) for k in self.style_layers},
            "content": {k: tf.TensorSpec(()) for k in self.content_layers},
            "output": maps(self.output),
        }
        self.features = tf.function(self._content, input_signature=[x, own])
        self.moments = tf.function(lambda x, own: self._sums(x, own, {}, {}, {}), input_signature=[x, own])
        self.sums = tf.function(self._sums, input_signature=arguments)
        self.gradient = tf.function(self._gradient, input_signature=[*arguments, slopes])

    def tiles(self, start, side):
        """Yield (number, tile, x): the tiles of the map that the part starts from, (h, w, N); x: (1, h', w', N)."""
        for number, tile in enumerate(cut_map(start.shape[:2], side, self.coarsest, self.margin)):
            yield number, tile, start[tile.read][None]

    def _features(self, x, own):
        """Features of the tile's own positions, {layer: (1, h, w, N)}."""

        def cut(F, stride):
            (top, bottom), (left, right) = (tf.unstack(each // stride) for each in tf.unstack(own))
            return tf.slice(F, [0, top, left, 0], [1, bottom - top, right - left, F.shape[-1]])

        F = self.network(preprocess(x) if self.first else x)
        return {k: cut(F[k], self.strides[k]) for k in F}

    def _content(self, x, own):
        F = self._features(x, own)
        return {k: F[k] for k in (*self.content_layers, *self.output)}

    def _sums(self, x, own, T, P, c):
        """What the tile adds: M, (R,), F^T F, (R, N, N), and the sum of F, (R, N); content's squared error; output."""
        F, M, G, total = self._features(x, own), {}, {}, {}
        for k in self.style_layers:
            if T:  # positions have the weights T^2
                guided = tf.reshape(T[k] * F[k], (tf.shape(T[k])[0], -1, self.N[k]))  # (R, M, N)
                M[k], G[k] = tf.reduce_sum(T[k] ** 2, (1, 2, 3)), tf.matmul(guided, guided, transpose_a=True)
                total[k] = tf.reduce_sum(T[k] ** 2 * F[k], (1, 2))
            else:
                M[k], G[k] = tf.reshape(tf.size(F[k]) // self.N[k], (1,)), gram_matrix(F[k])[None]
                total[k] = tf.reduce_sum(F[k], (1, 2))
        content = {k: tf.reduce_sum(c.get(k, 1.0) * tf.square(F[k] - P[k])) for k in P}
        return {"M": M, "G": G, "sum": total, "content": content, "output": {k: F[k] for k in self.output}}

    def _gradient(self, x, own, T, P, c, slopes):
        """The gradient with respect to all that is read, from the slopes of the loss along what the tile adds."""
        with tf.GradientTape() as tape:
            tape.watch(x)
            sums = self._sums(x, own, T, P, c)
        sums = {name: sums[name] for name in slopes}
        return tape.gradient(tf.nest.flatten(sums), x, tf.nest.flatten(slopes), tf.UnconnectedGradients.ZERO)


@functools.lru_cache(maxsize=8)
def compile_parts(network, content_layers, style_layers, guided):
    """The network up to the deepest layer, in Parts."""
    chains = cut_network(network, (*content_layers, *style_layers))
    return [Part(c, content_layers, style_layers, c is chains[0], c is chains[-1], guided) for c in chains]


class Targets:
    """Content targets P, features by (layer, number of the tile), and their energy, {layer: sum P^2}.

    Large ones wait in a file, which vanishes with this object, whatever happens.
    """

    def __init__(self, folder):
        self.file, self.places, self.energy = tempfile.SpooledTemporaryFile(IN_MEMORY, dir=folder), {}, {}

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
    folder: of temporary files; None is the system's.
    """

    def __init__(self, network, content_layers, style_layers, statistics, side, guided=False, folder=None):
        self.content_layers, self.style_weights = tuple(content_layers), dict(style_layers)
        self.statistics, self.folder = STATISTICS[statistics], folder
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

        self._forward(move_image(np.asarray(photo)[0], move), keep)
        return P

    def style_targets(self, painting):
        """A of a painting (1, h, w, 3): {layer: statistics}. It may be larger than memory, too."""
        sums = {}

        def visit(part, number, tile, x):
            return add(sums, part.moments(x, tile.own_in_read()))

        self._forward(np.asarray(painting)[0], visit)
        return {
            k: tf.cast(self._statistics(*(sums[name][k] for name in ("G", "sum", "M")))[0], tf.float32)
            for k in self.style_weights
        }

    def value_and_gradient(self, image, move, P, A, weights, guides=None):
        """The losses, {name: float}, and the gradient of their total with respect to the image, (1, h, w, 3).

        P, A: from content_targets and style_targets; weights: {name: factor of the loss}.
        guides: {"T": {layer: (R, h, w, 1)}, "c": {layer: (1, h, w, 1)}}, weights of the positions of each layer after
            the move, as in lesson A4. Each A has R statistics then, and the style loss is a mean over the regions.
        """
        sums, guides = {}, guides or {"T": {}, "c": {}}

        def arguments(part, number, tile, x):
            def own(F, layers):
                return {k: F[k][(slice(None), *tile.own_at(part.strides[k]))] for k in layers if F}

            T, c = own(guides["T"], part.style_layers), own(guides["c"], part.content_layers)
            return x, tile.own_in_read(), T, {k: P[k, number] for k in part.content_layers}, c

        def visit(part, *at):
            return add(sums, part.sums(*arguments(part, *at)))

        # Forward: the sums, and the maps that the parts start from.
        image = np.asarray(image)[0]
        maps = self._forward(move_image(np.clip(image, 0, 1), move), visit)
        # The losses are functions of the sums: their values, and their slopes.
        style, slopes = self._style(sums, A, weights["style"])
        scale = {k: 1 / (max(P.energy[k], 1e-12) * len(self.content_layers)) for k in self.content_layers}
        content = sum(scale[k] * float(sums["content"][k]) for k in scale)
        slopes["content"] = {k: np.float32(weights["content"] * scale[k]) for k in scale}
        # Backward, from the last part to the picture: the tiles' gradients, margins included, add up.
        padded, above = np.zeros(np.add(image.shape, (2 * REACH, 2 * REACH, 0)), np.float32), None
        for part, side in zip(self.parts[::-1], self.sides[::-1]):
            start = maps.pop()
            gradient = moved(padded, move) if part.first else np.zeros_like(start)
            for at in part.tiles(start, side):
                here = {name: {k: slope for k, slope in slopes[name].items() if k in part.N} for name in slopes}
                here["output"] = {k: above[at[1].own_at(part.coarsest)][None] for k in part.output}
                gradient[at[1].read] += np.asarray(part.gradient(*arguments(part, *at), here))[0]
            above = gradient
        gradient = fold(padded)
        variation = pointwise(image, weights["total_variation"], gradient)
        losses = {"content": content, "style": style, "total_variation": variation}
        losses["total"] = sum(weights[name] * loss for name, loss in losses.items())
        return losses, gradient[None]

    def _forward(self, image, visit):
        """Visit the tiles of all parts; return the maps (h, w, N) that the parts start from.

        visit(part, number, tile, x): the output of the tile's own positions, {name: (1, h, w, N)}, among others.
        """
        maps = [image]
        for part, side in zip(self.parts, self.sides):
            start = maps[-1]
            for k in part.output:
                maps.append(np.empty((*(length // part.coarsest for length in start.shape[:2]), part.N[k]), np.float32))
            for at in part.tiles(start, side):
                outputs = visit(part, *at)
                for k in part.output:
                    maps[-1][at[1].own_at(part.coarsest)] = outputs[k][0]
        return maps

    def _statistics(self, G, total, M):
        """Those of each region, from sums over its positions."""
        return [self.statistics(G[r] / M[r], total[r] / M[r]) for r in range(len(M))]

    def _style(self, sums, A, weight):
        """The style loss, and `weight` times its slopes along the Gram matrices and the sums of F."""
        G, total = ({k: tf.constant(sums[name][k]) for k in A} for name in ("G", "sum"))
        with tf.GradientTape() as tape:
            tape.watch((G, total))
            loss = 0.0
            for k, share in self.style_weights.items():
                targets = tf.cast(A[k], tf.float64) if len(A[k].shape) == 3 else tf.cast(A[k], tf.float64)[None]
                errors = map(relative_error, self._statistics(G[k], total[k], sums["M"][k]), tf.unstack(targets))
                loss += share / sum(self.style_weights.values()) * tf.reduce_mean(list(errors))
        slopes = tape.gradient(loss, {"G": G, "sum": total}, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return float(loss), tf.nest.map_structure(lambda slope: np.float32(weight * slope), slopes)


def add(sums, added):
    """Add what a tile adds to the sums, in float64; return its output."""
    for name in ("M", "G", "sum", "content"):
        for k, value in added[name].items():
            kind = sums.setdefault(name, {})
            kind[k] = kind.get(k, 0.0) + np.float64(value)
    return added["output"]


def move_image(image, move):
    """What `stylize` shows the network: the picture with its border mirrored, cut out again a little beside."""
    return moved(np.pad(image, [(REACH, REACH), (REACH, REACH), (0, 0)], "reflect"), move)


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
        inside = np.clip(image[top : top + ROWS + 1], 0, 1)  # and the first of the next rows
        gradient[top : top + ROWS] += 2 * OUTSIDE / image.size * (image[top : top + ROWS] - inside[:ROWS])
        down, across = np.diff(inside, axis=0), np.diff(inside[:ROWS], axis=1)
        loss += np.square(down).sum() / pairs[0] + np.square(across).sum() / pairs[1]
        down *= 2 * weight / pairs[0]
        across *= 2 * weight / pairs[1]
        gradient[top : top + len(down)] -= down
        gradient[top + 1 : top + 1 + len(down)] += down
        gradient[top : top + ROWS, :-1] -= across
        gradient[top : top + ROWS, 1:] += across
    return float(loss)
