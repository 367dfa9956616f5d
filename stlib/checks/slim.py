"""Checks of appendix A3: cost of a network, merging a predictor, rescaling, read-outs."""

import numpy as np

from stlib.checks.report import check


@check
def multiply_adds(count):
    """Check `count(widths, height, width)`: multiply-adds of VGG16's layout up to block5_conv1."""
    widths = (2, 3, 4, 5, 6)
    given = count(widths, 32, 48)
    yield "it is one number", np.ndim(given) == 0 and np.isreal(given), "return a single whole number."
    hint = "the sum does not depend on the size: multiply each kernel's numbers by its positions, height * width."
    yield "a larger image costs more", count(widths, 64, 48) > given, hint
    hint = "follow one 3 x 3 convolution: 9 * channels in * channels out at each of height * width positions."
    for mistake, change in {
        "the image has 3 channels, which the first convolution reads.": dict(colors=widths[0]),
        "a kernel has 3 * 3 places: a factor 9 is missing.": dict(places=1),
        "pooling halves height and width before the next block: a quarter of the positions is left.": dict(pool=1),
        "pooling quarters the positions: halve both sides, not one.": dict(pool=(2, 1)),
        "only the first convolution of a block reads the previous block's channels, the next ones their own.": dict(
            own=False
        ),
        "biases are additions only: leave them out.": dict(bias=1),
        "blocks 3 and 4 have three convolutions here, as in VGG16.": dict(convolutions=(2, 2, 4, 4, 1)),
        "block 5 has one convolution here.": dict(convolutions=(2, 2, 3, 3, 3)),
    }.items():
        if given == _multiply_adds(widths, 32, 48, **change):
            hint = mistake
    yield "at 48 x 32 pixels it is right", given == _multiply_adds(widths, 32, 48), hint
    hint = "pooling rounds an odd side down: height // 2, after every one of the first four blocks."
    yield "at 77 x 45 pixels too", count(widths, 45, 77) == _multiply_adds(widths, 45, 77), hint


@check
def merged_predictor(merge):
    """Check `merge(kernel, bias, R, c)`: a kernel and a bias that read F where the given ones read F R + c."""
    rng = np.random.default_rng(0)
    kernel, bias, F = rng.normal(size=(3, 3, 4, 3)), rng.normal(size=3), rng.normal(size=(6, 5, 2))
    R, c = rng.normal(size=(2, 4)), rng.normal(size=4)
    arguments = kernel, bias, R, c
    before = [each.copy() for each in arguments]
    new_kernel, new_bias = (np.asarray(each) for each in merge(*arguments))
    unchanged = all(np.array_equal(each, old) for each, old in zip(arguments, before))
    yield "the arguments are unchanged", unchanged, "+= and *= write into their argument: build new arrays."
    hint = "the kernel reads the n channels of F, its third axis; as many come out as before, its last."
    yield "the kernel has shape (3, 3, n, O)", new_kernel.shape == (3, 3, 2, 3), hint
    yield "the bias has shape (O,)", new_bias.shape == (3,), "one number for each channel that comes out."
    right = np.stack([R @ kernel[i, j] for i in range(3) for j in range(3)]).reshape(3, 3, 2, 3)
    hint = "at each of the 3 x 3 places it is R @ kernel[i, j]: a sum over the N channels that F R predicts."
    if np.allclose(new_kernel, right[::-1, ::-1]):
        hint = "the places are mirrored: leave the first two axes as they are."
    yield "the kernel is right at each place", np.allclose(new_kernel, right), hint
    constant = np.einsum("hwjo,j->o", kernel, c)
    hint = "put F R + c into the convolution and collect what is without F."
    for wrong, mistake in (
        (bias, "the constant c passes through the kernel too: it belongs into the bias."),
        (constant, "the convolution's own bias is missing."),
        (bias - constant, "the sign of what c adds is wrong."),
        (bias + c @ kernel[1, 1], "c is read at all of the 3 x 3 places, not at the middle one alone."),
        (bias + constant / 9, "sum over the 3 x 3 places; their mean is too little."),
    ):
        hint = mistake if np.allclose(new_bias, wrong) else hint
    yield "the bias is right", np.allclose(new_bias, bias + constant), hint
    one, two = _convolution(F @ R + c, kernel) + bias, _convolution(F, new_kernel) + new_bias
    yield "the outputs are equal inside", np.allclose(one[1:-1, 1:-1], two[1:-1, 1:-1]), "compare with the equation."


@check
def rescaled_pair(rescale):
    """Check `rescale(first, second, factors)`: the first layer times `factors`, the second as before."""
    rng = np.random.default_rng(1)
    first, second = ((rng.normal(size=(3, 3, 4, 4)), rng.normal(size=4)) for _ in range(2))
    factors, x = np.array([0.2, 3.0, 0.7, 5.0]), rng.normal(size=(8, 6, 4))
    before = [each.copy() for each in (*first, *second)]
    new_first, new_second = ([np.asarray(each) for each in pair] for pair in rescale(first, second, factors))
    unchanged = all(np.array_equal(each, old) for each, old in zip((*first, *second), before))
    yield "the arguments are unchanged", unchanged, "*= writes into its argument: build new arrays."
    F, G = _layer(x, first), _layer(x, new_first)
    hint = "multiply kernel and bias of the first layer by factors; channels that come out are the kernel's last axis."
    for wrong, mistake in (
        (_layer(x, (first[0] * factors, first[1])), "the first layer's bias needs the factors too."),
        (
            _layer(x, (first[0] * factors[:, None], first[1] * factors)),
            "the factors go to the last axis of the kernel.",
        ),
        (F / factors, "you divide by the factors: here the channels are to come out multiplied."),
    ):
        hint = mistake if np.allclose(G, wrong) else hint
    yield "the first layer's channels are multiplied", np.allclose(G, F * factors), hint
    kernel, bias = second
    hint = "the second layer reads channels that are factors times as large: divide its kernel along the axis it reads."
    for wrong, mistake in (
        (kernel, "the second layer is as it was: its kernel must take the factors back."),
        (kernel / factors, "divide along the kernel's third axis, the channels that come in: factors[:, None]."),
        (kernel * factors[:, None], "the second layer must divide by the factors."),
    ):
        hint = mistake if np.allclose(new_second[0], wrong) else hint
    if np.allclose(new_second[0], kernel / factors[:, None]) and not np.allclose(new_second[1], bias):
        hint = "the second layer's bias stays as it is: its inputs alone were rescaled."
    yield "the second layer's are as before", np.allclose(_layer(G, new_second), _layer(F, second)), hint
    same = np.allclose(_layer(_pool(G), new_second), _layer(_pool(F), second))
    yield (
        "so they are with a max pooling between",
        same,
        "a positive factor passes through a maximum: change nothing else.",
    )


@check
def best_readout(readout):
    """Check `readout(S, T)`: the part of each target's variance that the best linear read-out leaves."""
    rng = np.random.default_rng(2)
    S, noise = rng.normal(2, 1, (400, 3)), rng.normal(size=(400, 2))
    T = S @ rng.normal(size=(3, 2)) + 2 * noise + (7, 0)
    given = np.asarray(readout(S, T))
    hint = "return one number for each channel of T: sum or average over the positions, axis 0, only."
    yield "there is a number for each target", given.shape == (2,), hint
    exact = np.asarray(readout(S, S @ rng.normal(size=(3, 2))))
    hint = "you return the explained part, or the fit itself: here what is left is asked for."
    yield "it is 0 for sums of the features", np.allclose(exact, 0, atol=1e-6), hint
    offset = np.asarray(readout(S, S[:, :2] + 50))
    yield "a constant added to a target is no matter", np.allclose(offset, 0, atol=1e-6), "give S a column of ones."
    unrelated = np.asarray(readout(S, noise[::-1] + 9))
    hint = "divide the variance of what is left by the variance of T, not by its mean square or its deviation."
    yield "it is nearly 1 for unrelated targets", np.all((unrelated > 0.9) & (unrelated <= 1 + 1e-6)), hint
    hint = "a target in other units must give the same part: divide by its variance."
    yield "targets times 10 give the same", np.allclose(readout(S, 10 * T), given), hint
    centered = S - S.mean(0)
    rest = T - T.mean(0) - centered @ np.linalg.solve(centered.T @ centered, centered.T @ (T - T.mean(0)))
    right, hint = rest.var(0) / T.var(0), "it is var(T - fit) / var(T) for each target."
    hint = (
        "that is a ratio of deviations: of variances, please, so square it." if np.allclose(given**2, right) else hint
    )
    yield "it is the part of the variance that is left", np.allclose(given, right), hint


def _multiply_adds(widths, height, width, colors=3, places=9, pool=2, own=True, bias=0, convolutions=(2, 2, 3, 3, 1)):
    """The right count; each keyword is the place of a mistake."""
    total, read = 0, colors
    for N, count in zip(widths, convolutions):
        for k in range(count):
            total += height * width * (places * (read if k == 0 or not own else N) + bias) * N
        down, across = np.broadcast_to(pool, 2)
        read, height, width = N, height // int(down), width // int(across)
    return total


def _convolution(x, kernel):
    """3 x 3, zero padding "same": (h, w, n) to (h, w, N)."""
    h, w, _ = x.shape
    x = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    return sum(x[i : i + h, j : j + w] @ kernel[i, j] for i in range(3) for j in range(3))


def _layer(x, layer):
    return np.maximum(_convolution(x, layer[0]) + layer[1], 0)


def _pool(x):
    h, w, n = x.shape
    return x.reshape(h // 2, 2, w // 2, 2, n).max((1, 3))
