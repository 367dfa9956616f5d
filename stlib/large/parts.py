"""The network in one or two parts, and what a tile of the picture adds to the sums of which the losses are functions.

A tile is read with a margin, as far as its deepest layer sees, but only its own positions count. The deeper the layer,
the wider the margin. So the network is cut in two after CUT, whose map has 1/64 of the picture's positions: it can be
kept whole, with its gradient, and the margins before and after it are narrow.
F: features, (1, h, w, N); G: Gram matrix, (N, N); P: content targets; M: positions; T, c: weights of positions of R
regions (lesson A4), (R, h, w, 1) and (1, h, w, 1).
"""

import functools
import itertools
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from stlib.losses import gram_matrix
from stlib.network import check_layers, floats, preprocess, until_deepest
from stlib.optimize import compiled

CUT = "block3_pool"


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
        self.floats = floats(chain)
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
        self.features = compiled(self._content, input_signature=[x, own])
        self.moments = compiled(lambda x, own: self._sums(x, own, {}, {}, {}), input_signature=[x, own])
        self.sums = compiled(self._sums, input_signature=arguments)
        self.gradient = compiled(self._gradient, input_signature=[*arguments, slopes])

    def tiles(self, start, side):
        """Yield (number, tile, x): the tiles of the map that the part starts from, (h, w, N); x: (1, h', w', N)."""
        for number, tile in enumerate(cut_map(start.shape[:2], side, self.coarsest, self.margin)):
            yield number, tile, start[tile.read][None]

    def _features(self, x, own):
        """Features of the tile's own positions, {layer: (1, h, w, N)}."""

        def cut(F, stride):
            (top, bottom), (left, right) = (tf.unstack(each // stride) for each in tf.unstack(own))
            return tf.slice(F, [0, top, left, 0], [1, bottom - top, right - left, F.shape[-1]])

        # Without stop_gradient, a tape that `taped` keeps would compute the kernels' gradients, too.
        kernels = self.network.trainable_variables, self.network.non_trainable_variables
        kernels = ([tf.stop_gradient(each.value) for each in some] for some in kernels)
        F, _ = self.network.stateless_call(*kernels, preprocess(x) if self.first else x)
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
        return _pull_back(tape, sums, x, slopes)

    def taped(self, x, *arguments):
        """As `sums`, and a function of the slopes, the gradient: computed once, at the price of all activations."""
        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            sums = self.sums(x, *arguments)
        return sums, functools.partial(_pull_back, tape, sums, x)


def _pull_back(tape, sums, x, slopes):
    sums = {name: sums[name] for name in slopes}
    return tape.gradient(tf.nest.flatten(sums), x, tf.nest.flatten(slopes), tf.UnconnectedGradients.ZERO)


@functools.lru_cache(maxsize=8)
def compile_parts(network, content_layers, style_layers, guided):
    """The network up to the deepest layer, in Parts."""
    chains = cut_network(network, (*content_layers, *style_layers))
    return [Part(c, content_layers, style_layers, c is chains[0], c is chains[-1], guided) for c in chains]
