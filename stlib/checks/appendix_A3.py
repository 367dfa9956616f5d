"""Checks of appendix A3: cost of a network, merging a predictor, rescaling, read-outs."""

import numpy as np

from stlib.checks.exercise import Exercise, but


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# --- multiply-adds


def half(height, width):
    return height // 2, width // 2


def counted(widths, height, width, colors=3, places=9, own=True, bias=0, convolutions=(2, 2, 3, 3, 1), pool=half):
    """The right count; each setting is the place of a mistake."""
    total, read = 0, colors or widths[0]
    for N, count in zip(widths, convolutions):
        for k in range(count):
            total += height * width * (places * (read if k == 0 or not own else N) + bias) * N
        read, (height, width) = N, pool(height, width)
    return total


WIDTHS = (2, 3, 4, 5, 6)

multiply_adds = Exercise(
    right=counted,
    cases={
        "at 48 x 32 pixels it is right": (WIDTHS, 32, 48),
        "a larger image costs more": (WIDTHS, 64, 48),
        "at 77 x 45 pixels, with odd sides, it is right too": (WIDTHS, 45, 77),
    },
    result="it is one number",
    mistakes={
        "the sum does not depend on the size: multiply by the positions, height * width.":
            lambda widths, h, w: counted(widths, 1, 1, pool=lambda h, w: (1, 1)),
        "the image has 3 channels, which the first convolution reads.": but(counted, colors=0),
        "a kernel has 3 * 3 places: a factor 9 is missing.": but(counted, places=1),
        "pooling halves height and width: a quarter of the positions is left.": but(counted, pool=lambda h, w: (h, w)),
        "pooling quarters the positions: halve the width, too.": but(counted, pool=lambda h, w: (h // 2, w)),
        "pooling quarters the positions: halve the height, too.": but(counted, pool=lambda h, w: (h, w // 2)),
        "pooling rounds an odd side down, not up.": but(counted, pool=lambda h, w: (-(-h // 2), -(-w // 2))),
        "pooling rounds an odd side down: height // 2, not height / 2.": but(counted, pool=lambda h, w: (h / 2, w / 2)),
        "only the first convolution of a block reads the previous block's channels.": but(counted, own=False),
        "biases are additions only: leave them out.": but(counted, bias=1),
        "blocks 3 and 4 have three convolutions here, as in VGG16.": but(counted, convolutions=(2, 2, 4, 4, 1)),
        "block 5 has one convolution here.": but(counted, convolutions=(2, 2, 3, 3, 3)),
    },
    hint="follow one 3 x 3 convolution: 9 * channels in * channels out at each of height * width positions.",
    rtol=0, atol=0,
)  # fmt: skip


# --- a predictor merged into a kernel


def merged(kernel, bias, R, c, constant=lambda bias, added: bias + added):
    return np.einsum("ij,hwjo->hwio", R, kernel), constant(bias, np.einsum("j,hwjo->o", c, kernel))


def biased(constant):
    return lambda *arguments: merged(*arguments, constant)


def kernels(change):
    return lambda *arguments: (change(merged(*arguments)[0]), merged(*arguments)[1])


merged_predictor = Exercise(
    right=merged,
    cases={
        "kernel and bias are right": (random(3, 3, 4, 3), random(3, seed=1), random(2, 4, seed=2), random(4, seed=3)),
        "so they are for one channel": (random(3, 3, 2, 1), random(1, seed=1), random(1, 2, seed=2), random(2, seed=3)),
    },
    result="the kernel has shape (3, 3, n, O), the bias (O,)",
    mistakes={
        "the kernel is to read the n channels of F: its third axis.": lambda kernel, bias, R, c: (kernel, bias),
        "as many channels come out as before, on the last axis.": kernels(lambda kernel: kernel.swapaxes(2, 3)),
        "the bias has one number for each channel that comes out.": lambda k, b, R, c: (R @ k, b + c @ k),
        "the places are mirrored: leave the first two axes as they are.": kernels(lambda kernel: kernel[::-1, ::-1]),
        "it is a sum over the N channels of F R: R @ kernel[i, j].": lambda k, b, R, c: (k[:, :, : len(R)], b),
        "the constant c passes through the kernel too: it belongs into the bias.": biased(lambda bias, added: bias),
        "the convolution's own bias is missing.": biased(lambda bias, added: added),
        "the sign of what c adds is wrong.": biased(lambda bias, added: bias - added),
        "c is read at all of the 3 x 3 places, not at the middle alone.": lambda k, b, R, c: (R @ k, b + c @ k[1, 1]),
        "sum over the 3 x 3 places; their mean is too little.": biased(lambda bias, added: bias + added / 9),
    },
    hint="at each place R @ kernel[i, j]; then put F R + c into the convolution and collect what is without F.",
)  # fmt: skip


# --- two layers rescaled


def rescaled(first, second, s):
    return (first[0] * s, first[1] * s), (second[0] / s[:, None], second[1])


def one(first=None, second=None):
    """The right pairs but for one."""

    def answer(a, b, s):
        right = rescaled(a, b, s)
        return first(a, s) if first else right[0], second(b, s) if second else right[1]

    return answer


def pair(seed, n):
    return random(3, 3, n, n, seed=seed), random(n, seed=seed + 1)


rescaled_pair = Exercise(
    right=rescaled,
    cases={
        "the first layer's channels are multiplied, the second layer's as before": [
            (pair(1, 4), pair(3, 4), np.array([0.2, 3, 0.7, 5])), (pair(5, 4), pair(7, 4), np.array([1.0, 2, 3, 4]))
        ],
    },
    result="it returns two pairs of a kernel and a bias",
    mistakes={
        "the first layer's bias needs the factors too.": one(first=lambda a, s: (a[0] * s, a[1])),
        "the factors go to the first kernel's last axis.": one(first=lambda a, s: (a[0] * s[:, None], a[1] * s)),
        "you divide by the factors: the channels are to come out multiplied.": lambda a, b, s: rescaled(a, b, 1 / s),
        "a mean is no factor: each channel has its own.": lambda a, b, s: rescaled(a, b, np.full(len(s), s.mean())),
        "the second layer is as it was: its kernel must take the factors back.": one(second=lambda b, s: b),
        "the second layer must divide by the factors.": one(second=lambda b, s: (b[0] * s[:, None], b[1])),
        "divide along the second kernel's third axis: factors[:, None].": one(second=lambda b, s: (b[0] / s, b[1])),
        "the second bias stays as it is.": one(second=lambda b, s: (b[0] / s[:, None], b[1] / s)),
    },
    hint="multiply the first kernel's last axis and its bias; divide the second kernel's third axis, what it reads.",
)  # fmt: skip


# --- the best read-out


def fit(S, T, constant=True):
    S = np.column_stack([S, np.ones(len(S))]) if constant else S
    return S @ np.linalg.lstsq(S, T, rcond=None)[0]


def unexplained(S, T, constant=True, scale=np.var):
    return np.var(T - fit(S, T, constant), axis=0) / scale(T, axis=0)


FEATURES, NOISE = 2 + random(400, 3, seed=2), random(400, 2, seed=4)
SUMS = FEATURES @ random(3, 2, seed=3)

best_readout = Exercise(
    right=unexplained,
    cases={
        "it is the part of the variance that is left": (FEATURES, SUMS + 2 * NOISE + (7, 0)),
        "it is 0 for sums of the features": (FEATURES, SUMS),
        "a constant added to a target is no matter": (FEATURES, FEATURES[:, :2] + 50),
        "it is nearly 1 for unrelated targets": (FEATURES, NOISE + 9),
        "targets times 10 give the same": (FEATURES, 10 * SUMS + 20 * NOISE + (70, 0)),
    },
    result="there is a number for each target",
    mistakes={
        "you return the explained part: what is left is asked for.": lambda S, T: 1 - unexplained(S, T),
        "give S a column of ones.": lambda S, T: unexplained(S, T, constant=False),
        "divide by the variance of T, not by its mean square.":
            lambda S, T: unexplained(S, T, scale=lambda T, axis: np.mean(T**2, axis)),
        "divide by the variance of T, not by its deviation.": lambda S, T: unexplained(S, T, scale=np.std),
        "in other units it must be the same part: divide by the variance.": lambda S, T: np.var(T - fit(S, T), axis=0),
        "that is a ratio of deviations: of variances, please, so square it.": lambda S, T: np.sqrt(unexplained(S, T)),
        "one number for each channel of T: average over axis 0 only.": lambda S, T: np.mean(unexplained(S, T)),
        "one number for each channel: sum or average over the positions.": lambda S, T: (T - fit(S, T)) ** 2,
        "that is the fit itself: what it leaves is asked for.": fit,
        "nothing is read out: fit T by S with np.linalg.lstsq first.": lambda S, T: np.ones(T.shape[1]),
    },
    hint="it is var(T - fit) / var(T) for each target.",
)  # fmt: skip
