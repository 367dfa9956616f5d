"""Checks of lesson 01: kernels, strided convolution, the size of a stack of layers, a classifier without color."""

import itertools

import numpy as np

from stlib.checks.report import check


def _windows(image, side):
    """All windows of an image (h, w, ...): (h - side + 1, w - side + 1, ..., side, side)."""
    return np.lib.stride_tricks.sliding_window_view(image, (side, side), axis=(0, 1))


@check
def diagonal_kernel(kernel):
    """A square kernel with zero sum that answers most to a bright line from top left to bottom right."""
    K = np.asarray(kernel, float)
    square = K.ndim == 2 and K.shape[0] == K.shape[1] and K.shape[0] % 2 == 1
    yield "it is a square with an odd side", square, f"its shape is {K.shape}, expected (3, 3): a list of three rows."
    yield "it is not zero everywhere", np.abs(K).max() > 0, "a kernel of zeros finds nothing: replace the zeros."
    yield (
        "its numbers sum to zero, so a flat wall stays dark",
        abs(K.sum()) <= 1e-6 * np.abs(K).max() * K.size,
        f"they sum to {K.sum():g}: subtract their mean, {K.mean():.3g}, from each number.",
    )
    n = 4 * K.shape[0] + 1
    lines = dict.fromkeys(("a line \\", "a line /", "a horizontal line", "a vertical line"))
    bar = np.arange(n) == n // 2
    lines.update(zip(lines, (np.eye(n), np.eye(n)[::-1], np.outer(bar, np.ones(n)), np.outer(np.ones(n), bar))))
    answers = {name: (_windows(line, len(K)) * K).sum((-1, -2)) for name, line in lines.items()}
    on_line = np.trace(K)  # the window in the middle of the line \
    hint = "it answers 0 on the line: it finds the border between two areas. Give the diagonal the largest numbers."
    if on_line < 0:
        hint = "the sign is wrong: the diagonal must be positive and its surroundings negative. Try -kernel."
    elif np.trace(K[:, ::-1]) > 1e-9:
        hint = "it answers to the other diagonal, from bottom left to top right: mirror it with np.fliplr."
    yield "on a line \\ its answer is positive", on_line > 1e-9, hint
    for name in list(lines)[1:]:
        strongest = answers[name].max()
        hint = f"{name} gets {strongest:g}, a line \\ gets {on_line:g}: lower the numbers that lie beside the diagonal."
        if name == "a line /" and strongest > on_line:
            hint = "it answers most to the other diagonal: mirror it with np.fliplr."
        yield f"{name} gets less", strongest < on_line * (1 - 1e-6), hint


def _strided(image, kernels, stride):
    """Convolution without padding, written out: (h, w, n_in), (k, k, n_in, n_out) -> (h', w', n_out)."""
    k, n_out = kernels.shape[0], kernels.shape[-1]
    rows, columns = ((side - k) // stride + 1 for side in image.shape[:2])
    y = np.zeros((rows, columns, n_out))
    for i, j, n in itertools.product(range(rows), range(columns), range(n_out)):
        window = image[i * stride : i * stride + k, j * stride : j * stride + k]
        y[i, j, n] = (window * kernels[..., n]).sum()
    return y


def _size_hint(got, expected, image, k, stride):
    """Say why an output of shape `got` has the wrong size."""
    if len(got) == 4:
        if got[-2:] == (image.shape[-1], expected[-1]):
            return "the sum over the input channels is missing: it runs over the window and over the channels."
        return f"its shape is {got}: image and answer have no batch axis, drop the leading 1."
    if len(got) == 2:
        return f"its shape is {got}: the output channels are missing, as the last axis (one for each kernel)."
    if got[2] != expected[2]:
        return f"it has {got[2]} channels, expected {expected[2]}: as many as the kernels' last axis is long."
    h, w = image.shape[:2]
    if got[:2] == (expected[1], expected[0]):
        return "height and width are swapped: the first axis is the rows."
    if got[:2] == (h - k + 1, w - k + 1):
        return "the stride is not used: window (i, j) begins at row i * stride, column j * stride."
    if got[:2] in ((h, w), (-(-h // stride), -(-w // stride))):
        return "that is the size with padding: here every window lies fully inside the image."
    return f"it is {got[0]} x {got[1]}, expected {expected[0]} x {expected[1]}: (side - k) // stride + 1 windows fit."


def _value_hint(y, image, kernels, stride):
    """Say which well-known mistake gives the values `y`, if one does."""
    expected, k = _strided(image, kernels, stride), kernels.shape[0]
    first = _strided(image[..., :1], kernels[..., :1, :], stride)
    dense = _strided(image, kernels, 1)[: y.shape[0], : y.shape[1]]
    mistakes = [
        (_strided(image, kernels[::-1, ::-1], stride), "you flip the kernel: deep learning's convolution does not."),
        (_strided(image, kernels.transpose(1, 0, 2, 3), stride), "the kernel is transposed: its first axis is rows."),
        (first, "only the first input channel is used: sum over all of them."),
        (dense, "the windows begin at (i, j): with a stride they begin at (i * stride, j * stride)."),
        (expected / image.shape[-1], "you average over the input channels: sum over them."),
        (expected / k**2, "you average over the window: sum over it."),
        (expected / (k**2 * image.shape[-1]), "you take the mean: a convolution sums over window and channels."),
        (2 * expected, "it is twice the sum: a factor of 2 has crept in."),
        (np.maximum(expected, 0), "you apply a ReLU: leave negative values as they are."),
    ]
    for wrong, hint in mistakes:
        if y.shape == wrong.shape and np.allclose(y, wrong, atol=1e-4):
            return hint
    return "compare one position by hand: (window * kernels[..., n]).sum() for window (0, 0)."


@check
def strided_convolution(conv):
    """`conv(image, kernels, stride)` equals the loops above on random shapes and leaves its arguments alone."""
    rng = np.random.default_rng(1)
    cases = [("one channel, stride 1", 7, 8, 1, 1, 3, 1), ("several channels in and out", 8, 6, 3, 4, 3, 1)]
    cases += [("stride 2", 9, 12, 1, 1, 3, 2), ("stride 3 and a border left over", 13, 9, 2, 3, 2, 3)]
    for _ in range(8):
        k, stride = int(rng.integers(1, 5)), int(rng.integers(1, 4))
        shape = (*(int(n) for n in rng.integers(k + 1, 15, 2)), *(int(n) for n in rng.integers(1, 5, 2)))
        cases.append((f"random: {k} x {k} kernel, stride {stride}", *shape, k, stride))
    for name, h, w, n_in, n_out, k, stride in cases:
        image = rng.normal(size=(h, w, n_in)).astype(np.float32)
        kernels = rng.normal(size=(k, k, n_in, n_out)).astype(np.float32)
        mine, mine_too = image.copy(), kernels.copy()
        y, expected = conv(mine, mine_too, stride), _strided(image, kernels, stride)
        if y is None or y is Ellipsis:
            raise NotImplementedError
        y = np.asarray(y)
        hint = ""
        if not (np.array_equal(mine, image) and np.array_equal(mine_too, kernels)):
            hint = "your code writes into its arguments: image and kernels must stay as they are, fill a new array."
        elif y.shape != expected.shape:
            hint = _size_hint(y.shape, expected.shape, image, k, stride)
        elif not np.allclose(y, expected, atol=1e-4):
            hint = _value_hint(y, image, kernels, stride)
        yield f"{name}: {image.shape} -> {expected.shape}", not hint, hint


def _stack(shape, layers):
    """Output shape and parameters of a stack; also what they are after common mistakes."""
    (h, w, n), parameters, mistakes = shape, 0, dict.fromkeys(("bias", "inputs", "positions", "window"), 0)
    for layer in layers:
        if layer[0] == "pool":
            h, w = h // layer[1], w // layer[1]
            continue
        _, filters, k, stride, padding = layer
        if padding == "same":
            h, w = -(-h // stride), -(-w // stride)
        else:
            h, w = (h - k) // stride + 1, (w - k) // stride + 1
        own = (k * k * n + 1) * filters
        parameters += own
        mistakes["bias"] += own - filters
        mistakes["inputs"] += (k * k + 1) * filters
        mistakes["positions"] += own * h * w
        mistakes["window"] += (k * n + 1) * filters
        n = filters
    return (h, w, n), parameters, mistakes


STACKS = [
    ("one convolution", (8, 9, 2), [("conv", 4, 3, 1, "valid")]),
    ("padding", (9, 12, 3), [("conv", 5, 5, 1, "same")]),
    ("stride", (10, 13, 2), [("conv", 4, 3, 2, "valid")]),
    ("stride and padding", (9, 12, 2), [("conv", 4, 3, 2, "same")]),
    ("pooling", (9, 12, 3), [("pool", 2)]),
    ("two blocks", (33, 40, 3), [("conv", 8, 5, 1, "valid"), ("pool", 2), ("conv", 16, 3, 1, "same"), ("pool", 3)]),
]


@check
def stack_summary(summary):
    """`summary(shape, layers)` gives the output shape and the number of parameters of a stack of layers."""
    for name, shape, layers in STACKS:
        answer = summary(shape, list(layers))
        if answer is None or answer is Ellipsis:
            raise NotImplementedError
        if not (isinstance(answer, (tuple, list)) and len(answer) == 2 and np.size(answer[0]) == 3):
            hint = f"it returns {answer!r}, expected a pair: (height, width, channels), parameters."
            yield f"{name}: it returns a shape and a number", False, hint
        got, parameters = tuple(int(n) for n in answer[0]), answer[1]
        (h, w, n), expected, mistakes = _stack(shape, layers)
        hint = f"it gives {got}, expected {(h, w, n)}: work through the formula for one side by hand, rounding down."
        if got[2] != n:
            hint = f"it gives {got[2]} channels, expected {n}: one for each filter, pooling keeps them."
        elif got[:2] == (w, h):
            hint = "height and width are swapped: the shape is (height, width, channels)."
        elif got[:2] == shape[:2]:
            hint = f"it gives {got}, the size of the input: without padding, with a stride or pooling it shrinks."
        elif name == "padding":
            hint = f"it gives {got}: with 'same' padding and stride 1 the size stays."
        elif name == "pooling":
            hint = f"it gives {got}: pooling divides the sides by its size, rounding down."
        yield f"{name}: the shape is {(h, w, n)}", got == (h, w, n), hint
        hint = f"it gives {parameters}: (k * k * channels in + 1) * filters for a convolution, 0 for pooling."
        for mistake, text in (
            ("bias", "the biases are missing: one for each filter."),
            ("inputs", "a kernel reaches through all input channels: multiply by them."),
            ("positions", "the kernel is shared by all positions: do not multiply by the output size."),
            ("window", "a kernel has k * k numbers for each input channel, not k."),
        ):
            if parameters == mistakes[mistake] != expected:
                hint = text
        if expected == 0:
            hint = f"it gives {parameters}: pooling has nothing to learn, 0 parameters."
        yield f"{name}: {expected} parameters", parameters == expected, hint


def _brightness_baseline(training, validation, k=15):
    """Accuracy of k nearest neighbors on one number a patch, its mean brightness; at least that of guessing."""
    (x, y), (x_new, y_new) = training, validation
    a, b = (np.asarray(patches, float).mean((1, 2, 3)) for patches in (x, x_new))
    nearest = np.argsort(np.abs(b[:, None] - a[None]), axis=1, kind="stable")[:, :k]
    right = np.mean([np.bincount(np.asarray(y)[row]).argmax() == label for row, label in zip(nearest, y_new)])
    return max(right, np.bincount(y_new).max() / len(y_new))


@check
def patch_classifier(answer):
    """`(classifier, training, validation)`: the classifier sees no color and beats the brightness baseline.

    classifier(x, y, x_new) -> labels of x_new; training and validation are pairs of patches and labels.
    """
    classifier, training, validation = answer
    (x, y), (x_new, y_new) = training, validation
    rng = np.random.default_rng(1)
    order = rng.permuted(np.tile(np.arange(3), (len(x_new), 1)), axis=1)  # another color, the same brightness
    recolored = np.take_along_axis(np.asarray(x_new), order[:, None, None, :], axis=-1)
    got = classifier(x, y, np.concatenate([x_new, recolored]))
    if got is None or got is Ellipsis:
        raise NotImplementedError
    got = np.asarray(got)
    n = len(x_new)
    hint = f"its shape is {got.shape} for {2 * n} new patches, expected ({2 * n},): one label a patch."
    if got.ndim == 2 and len(got) == 2 * n:
        hint = f"its shape is {got.shape}: take the most likely label of each row, np.argmax(..., axis=1)."
    elif len(np.atleast_1d(got)) == len(x):
        hint = "it labels the training patches: label x_new."
    yield "it returns one label for each new patch", got.shape == (2 * n,), hint
    known = np.isin(got, np.unique(y)).all()
    yield (
        "the labels are those of the training patches",
        known,
        f"it also returns {set(got.tolist()) - set(y.tolist())}.",
    )
    same = np.mean(got[:n] == got[n:])
    yield (
        "it sees no color: with the color channels swapped its answers stay",
        same > 0.97,
        f"{1 - same:.0%} of its answers change: average the three channels first, x.mean(axis=-1).",
    )
    accuracy, baseline = np.mean(got[:n] == np.asarray(y_new)), _brightness_baseline(training, validation)
    hint = "You are near: add a kernel, center minus surroundings, or the same edges on patches shrunk by 2 and by 4."
    if accuracy < baseline:
        hint = "Edges of both signs cancel in a mean: take absolute values first. Use several directions."
    if accuracy < 1.2 / len(np.unique(y)):
        hint = (
            "That is chance: do labels and patches stay in the same order, and are new patches prepared like old ones?"
        )
    yield (
        f"it beats brightness alone ({baseline:.2f}) by 0.05 or more: {accuracy:.2f}",
        accuracy >= baseline + 0.05,
        f"its accuracy is {accuracy:.2f}. {hint}",
    )
