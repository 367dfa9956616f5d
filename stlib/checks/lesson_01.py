"""Checks of lesson 01: kernels, strided convolution, the size of a stack of layers, what a classifier goes by."""

import itertools

import numpy as np

from stlib.checks.exercise import Exercise, Law, but

BAR = np.arange(21) == 10
LINES = {"a line \\": np.eye(21), "a line /": np.eye(21)[::-1],
         "a horizontal line": np.outer(BAR, np.ones(21)), "a vertical line": np.outer(np.ones(21), BAR)}  # fmt: skip
EYE = np.eye(3)


def strongest(K, line):
    """The largest answer of a kernel on a line; on the line \\ in its middle."""
    windows = np.lib.stride_tricks.sliding_window_view(LINES[line], K.shape)
    return np.trace(K) if line == "a line \\" else (windows * K).sum((-1, -2)).max()


def no_answer(K):
    if np.trace(K) < 0:
        return "the sign is wrong: the diagonal must be positive and its surroundings negative. Try -kernel."
    if np.trace(K[:, ::-1]) > 1e-9:
        return "it answers to the other diagonal, from bottom left to top right: mirror it with np.fliplr."
    return "it answers 0 on the line: it finds the border between two areas. Give the diagonal the largest numbers."


def less_on(line, *broken_by):
    def hint(K):
        if line == "a line /" and strongest(K, line) > np.trace(K):
            return "it answers most to the other diagonal: mirror it with np.fliplr."
        return f"{line} gets {strongest(K, line):g}, a line \\ gets {np.trace(K):g}: lower the numbers beside it."

    return Law(f"{line} gets less", lambda K: strongest(K, line) < np.trace(K) * (1 - 1e-6), hint, broken_by)


diagonal_kernel = Exercise(
    right=3 * EYE - 1,
    unique=False,
    seen=lambda kernel: np.asarray(kernel, float),
    call=lambda kernel: kernel,
    cases={"the kernel": ()},
    starter=np.zeros((3, 3)),
    laws=(
        Law("it is a square with an odd side", lambda K: K.ndim == 2 and len(K) == K.shape[1] and len(K) % 2 == 1,
            lambda K: f"its shape is {K.shape}, expected (3, 3): a list of three rows.",
            (3 * EYE.ravel() - 1, [[1, -1], [-1, 1]])),
        Law("it is not zero everywhere", lambda K: np.abs(K).max() > 0, "a kernel of zeros finds nothing.",
            (np.zeros((5, 5)),)),
        Law("its numbers sum to zero, so a flat wall stays dark", lambda K: abs(K.sum()) < 1e-6 * np.abs(K).sum(),
            lambda K: f"they sum to {K.sum():g}: subtract their mean, {K.mean():.3g}, from each number.", (EYE,)),
        Law("on a line \\ its answer is positive", lambda K: np.trace(K) > 1e-9, no_answer,
            (1 - 3 * EYE, [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], [[0, 1, 2], [-1, 0, 1], [-2, -1, 0]],
             [[-1, -1, -1], [2, 2, 2], [-1, -1, -1]], 3 * EYE[::-1] - 1)),
        less_on("a line /", [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], [[1, -2, 2], [-2, 2, -2], [2, -2, 1]]),
        less_on("a horizontal line", [[1, -1, -1], [1, 1, 2], [-2, -2, 1]]),
        less_on("a vertical line", [[1, 1, -2], [-1, 1, -2], [-1, 2, 1]]),
    ),
)  # fmt: skip


# --- a convolution with stride


def strided(image, kernels, stride, begin=None):
    """Convolution without padding, written out: (h, w, n_in), (k, k, n_in, n_out) -> (h', w', n_out)."""
    k, n_out = kernels.shape[0], kernels.shape[-1]
    rows, columns = ((side - k) // stride + 1 for side in image.shape[:2])
    y, begin = np.zeros((rows, columns, n_out)), begin or stride
    for i, j, n in itertools.product(range(rows), range(columns), range(n_out)):
        y[i, j, n] = (image[i * begin : i * begin + k, j * begin : j * begin + k] * kernels[..., n]).sum()
    return y


def padded(image, kernels, stride):
    """With a rim of zeros, as TensorFlow's "SAME"."""
    k, sides = len(kernels), image.shape[:2]
    rims = [max((-(-side // stride) - 1) * stride + k - side, 0) for side in sides]
    return strided(np.pad(image, [(rim // 2, rim - rim // 2) for rim in rims] + [(0, 0)]), kernels, stride)


def example(h, w, n_in, n_out, k, stride):
    rng = np.random.default_rng(h)
    return rng.normal(size=(h, w, n_in)).astype("f"), rng.normal(size=(k, k, n_in, n_out)).astype("f"), stride


strided_convolution = Exercise(
    right=strided,
    cases={
        "one channel, stride 1: (7, 8, 1) -> (5, 6, 1)": example(7, 8, 1, 1, 3, 1),
        "several channels in and out: (8, 6, 3) -> (6, 4, 4)": example(8, 6, 3, 4, 3, 1),
        "stride 2: (9, 12, 1) -> (4, 5, 1)": example(9, 12, 1, 1, 3, 2),
        "stride 3 and a border left over: (13, 9, 2) -> (4, 3, 3)": example(13, 9, 2, 3, 2, 3),
        "kernels as large as the image, and of one pixel": [example(4, 4, 2, 3, 4, 2), example(14, 3, 2, 2, 1, 2)],
        "other shapes": [example(12, 14, 1, 1, 2, 2), example(7, 8, 4, 2, 4, 3), example(6, 7, 3, 3, 2, 3)],
    },
    result="the shape is right: (side - k) // stride + 1 windows fit",
    mistakes={
        "you flip the kernel: deep learning's convolution does not.": lambda x, w, s: strided(x, w[::-1, ::-1], s),
        "the kernel is transposed: its first axis is rows.": lambda x, w, s: strided(x, w.transpose(1, 0, 2, 3), s),
        "only the first input channel is used: sum over all.": lambda x, w, s: strided(x[..., :1], w[:, :, :1], s),
        "the windows begin at (i, j), not at (i * stride, j * stride).": lambda x, w, s: strided(x, w, s, begin=1),
        "you average over the input channels: sum over them.": lambda x, w, s: strided(x, w, s) / w.shape[2],
        "you average over the window: sum over it.": lambda x, w, s: strided(x, w, s) / w[..., 0, 0].size,
        "you take the mean: sum over window and channels.": lambda x, w, s: strided(x, w, s) / w[..., 0].size,
        "it is twice the sum: a factor of 2 has crept in.": lambda x, w, s: 2 * strided(x, w, s),
        "you apply a ReLU: leave negative values as they are.": lambda x, w, s: np.maximum(strided(x, w, s), 0),
        "the sum over the input channels is missing.":
            lambda x, w, s: np.stack([strided(x[..., [c]], w[:, :, [c]], s) for c in range(x.shape[2])], axis=2),
        "image and answer have no batch axis: drop the leading 1.": lambda x, w, s: strided(x, w, s)[None],
        "the output channels are missing, as the last axis.": lambda x, w, s: strided(x, w, s)[..., 0],
        "there are as many output channels as kernels, the last axis.": lambda x, w, s: strided(x, w, s)[..., :1],
        "height and width are swapped: rows first.": lambda x, w, s: strided(x, w, s).swapaxes(0, 1),
        "the stride is not used: window (i, j) begins at row i * stride.": lambda x, w, s: strided(x, w, 1),
        "that is the size with padding: every window lies fully inside the image.": padded,
    },
    hint="compare one position by hand: (window * kernels[..., n]).sum() for window (0, 0).",
    atol=1e-4,
)  # fmt: skip


# --- size and parameters of a stack


def ceil(side, k, s):
    return -(-side // s)


def floor(side, k, s):
    return (side - k) // s + 1


def stacked(
    shape, stack, bias=1, inputs=True, window=2, shared=True, same=ceil, valid=floor, pool=(0, floor), new=True
):
    """Output shape and parameters of a stack; each setting is the place of a mistake."""
    (h, w, n), parameters = shape, 0
    for kind, *settings in stack:
        if kind == "pool":
            h, w, parameters = (*(pool[1](side, settings[0], settings[0]) for side in (h, w)), parameters + pool[0])
            continue
        filters, k, s, padding = settings
        h, w = ((same if padding == "same" else valid)(side, k, s) for side in (h, w))
        parameters += (k**window * (n if inputs else 1) + bias) * filters * (1 if shared else h * w)
        n = filters if new else n
    return (h, w, n), parameters


def rim(p):
    """Sizes with a padding of p(k) pixels on both sides."""
    return lambda side, k, s: (side + 2 * p(k) - k) // s + 1


def stays(side, k, s):
    return side


def conv(filters, k, stride, padding):
    return "conv", filters, k, stride, padding


stack_summary = Exercise(
    right=stacked,
    starter=lambda shape, stack: (shape, 0),
    cases={
        "one convolution: (8, 9, 2) -> (6, 7, 4), 76 parameters": ((8, 9, 2), [conv(4, 3, 1, "valid")]),
        "padding: (9, 12, 3) -> (9, 12, 5), 140 parameters": ((9, 12, 3), [conv(5, 3, 1, "same")]),
        "stride: (10, 13, 2) -> (4, 6, 4)": ((10, 13, 2), [conv(4, 3, 2, "valid")]),
        "stride and padding: (9, 12, 2) -> (5, 6, 4)": ((9, 12, 2), [conv(4, 3, 2, "same")]),
        "even kernels with padding": [((9, 12, 2), [conv(4, k, s, "same")]) for k, s in ((2, 1), (4, 2), (4, 3))],
        "pooling: (9, 12, 3) -> (4, 6, 3), 0 parameters": ((9, 12, 3), [("pool", 2)]),
        "two blocks": ((33, 40, 3), [conv(8, 5, 1, "valid"), ("pool", 2), conv(16, 3, 1, "same"), ("pool", 3)]),
    },
    result="it returns a pair: (height, width, channels), parameters",
    mistakes={
        "the biases are missing: one for each filter.": but(stacked, bias=0),
        "a kernel reaches through all input channels: multiply by them.": but(stacked, inputs=False),
        "a kernel has k * k numbers for each input channel, not k.": but(stacked, window=1),
        "the kernel is shared by all positions: do not multiply by the output size.": but(stacked, shared=False),
        "pooling has nothing to learn, 0 parameters.": but(stacked, pool=(1, floor)),
        "pooling rounds down: a border that is left over is dropped.": but(stacked, pool=(0, ceil)),
        "height and width are swapped: the shape is (height, width, channels).":
            lambda shape, stack: stacked((shape[1], shape[0], shape[2]), stack),
        "with 'same' padding and stride 1 the size stays.": but(stacked, same=floor),
        "with 'same' a side of n becomes n / s, rounded up.": but(stacked, same=lambda side, k, s: side // s),
        "with 'same', k // 2 on both sides is too much for even k.": but(stacked, same=rim(lambda k: k // 2)),
        "with 'same', (k - 1) // 2 on both sides is too little.": but(stacked, same=rim(lambda k: (k - 1) // 2)),
        "'valid' rounds down: (n - k) // s + 1.": but(stacked, valid=lambda side, k, s: ceil(side - k, k, s) + 1),
        "without padding, or with a stride, it shrinks.": but(stacked, same=stays, valid=stays, pool=(0, stays)),
        "one channel for each filter comes out, pooling keeps them.": but(stacked, new=False),
        "return both, the shape and the number of parameters.": lambda shape, stack: stacked(shape, stack)[0],
    },
    hint="work through the formula for one side by hand; (k * k * channels in + 1) * filters are learned.",
    rtol=0, atol=0,
)  # fmt: skip


# --- what a classifier goes by


def nearest(features, x, labels, x_new, k=15):
    """Labels of the patches x_new by the k nearest of the patches x; features: patches to numbers (n, m)."""
    a, b = features(np.asarray(x, float)), features(np.asarray(x_new, float))
    order = np.argsort(((b[:, None] - a[None]) ** 2).sum(-1), axis=1, kind="stable")[:, :k]
    return np.array([np.bincount(row).argmax() for row in np.asarray(labels)[order]])


def edges(g):
    """Mean strength of steps down and across of gray patches (n, h, w), between neighbors and over three pixels."""
    steps = [np.abs(g[:, d:] - g[:, :-d]) for d in (1, 3)] + [np.abs(g[..., d:] - g[..., :-d]) for d in (1, 3)]
    return np.stack([step.mean((1, 2)) for step in steps], axis=1)


def contrast(x):
    return x.mean(-1).std((1, 2))[:, None]


GOES_BY = {
    "a": lambda x: x.mean((1, 2)),
    "b": lambda x: x.mean((1, 2, 3))[:, None],
    "c": contrast,
    "d": lambda x: edges(x.mean(-1)) / contrast(x),
    "e": lambda x: edges(x.mean(-1)),
    "f": lambda x: x.mean((1, 2)) / x.mean((1, 2, 3))[:, None],
    "g": lambda x: x[:, : x.shape[1] // 2, : x.shape[2] // 2].mean((1, 2)),
}
STRANGERS = {"A": "f", "B": "d", "C": "g", "D": "c", "E": "a"}
SIGNS = {
    "a": "it needs color, in no special place. Does a darker patch, times 0.6, leave its answers, as it leaves (f)'s?",
    "c": "it sees neither color nor place. Do its answers change with patch + 0.2, or only with 0.6 * patch?",
    "d": "it sees no color, and which pixels are neighbors. Does 0.6 * patch leave its answers, as it leaves (d)'s?",
    "f": "it needs color, in no special place. Does a darker patch, times 0.6, leave its answers, as it leaves (f)'s?",
    "g": "one control moves pixels and leaves all that lies beside each other beside each other: mirror the patches.",
}


def strangers(x, labels):
    """Five classifiers made from patches and labels: name -> a function of new patches (n, h, w, 3) to labels."""
    return {name: but(nearest, GOES_BY[letter], x, labels) for name, letter in STRANGERS.items()}


def letters(answer):
    if not isinstance(answer, dict):
        return answer
    return {str(name).upper(): str(letter).strip(" ()").lower() for name, letter in answer.items()}


def diagnosis(right, signs, kind, unused):
    """An exercise: which of the letters a to g belongs to each name; `signs`: hints by letter; two letters are unused.

    right: name -> letter, in order; kind: what is named.
    """
    seen, names = letters(right), [*right]
    first, second, *_, last = names
    return Exercise(
        right=right,
        unique=False,
        seen=letters,
        laws=(
            Law(f"it is a dict with an answer for each {kind}", lambda a: isinstance(a, dict) and {*a} == {*seen},
                f'write it as {{{first!r}: "x", {second!r}: "y", ...}}, from {first} to {last}.',
                ("".join(right.values()), {name: right[name] for name in names[:-1]})),
            Law("each answer is one of the seven letters", lambda a: set(a.values()) <= set("abcdefg"),
                "each answer is a letter, from a to g.", (right | {first: "x"},)),
            Law("no letter stands twice", lambda a: len(set(a.values())) == len(right),
                "each time it is a different one.", (right | {first: right[second]},)),
            *(Law(f"{kind} {name}", lambda a, name=name: a[name] == seen[name],
                  f"look at {kind} {name} again: {signs[letter]}", tuple(right | {name: each} for each in unused))
              for name, letter in seen.items()),
        ),
    )  # fmt: skip


five_strangers = diagnosis(STRANGERS, SIGNS, "stranger", "be")
