"""Make a narrow network of a wide one without training: keep the channels from which all the others can be predicted.

He, Zhang & Sun, *Channel pruning for accelerating very deep neural networks*, 2017. The slim network starts so.
A network's arrays are {layer: [kernel (3, 3, in, out), bias (out,)]}.
T: the wide network's features, N channels; F: the narrow one's, n channels.
"""

import keras
import numpy as np
import tensorflow as tf

from stlib.network import preprocess

LEVELS = 64  # gray levels: the unit of the student's input while training
SAMPLE = 50_000  # positions from which the channels' covariance is taken


def arrays_of(network, last="block5_conv1"):
    """The arrays of a network of VGG's kind, up to the layer `last`."""
    layers = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D) and layer.name <= last]
    return {layer.name: layer.get_weights() for layer in layers}


def compute(x, arrays, means=None):
    """All layers of a network, {layer: F}, from its input (B, h, w, 3).

    arrays: of the network, or variables; means: {layer: (in,)}, taken from the input of each convolution.
    """
    features = {}
    for layer, (kernel, bias) in arrays.items():
        x = pooled(x, layer)
        if means:  # zeros are put around the input before its mean is taken away, as in the network without means
            x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]) - means[layer]
        features[layer] = x = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "VALID" if means else "SAME") + bias)
    return features


def pooled(x, layer):
    """What the convolution of a layer gets: half the size, if it is the first of blocks 2 to 5."""
    return tf.nn.max_pool2d(x, 2, 2, "VALID") if layer.endswith("conv1") and layer != "block1_conv1" else x


def choose(C, n):
    """Choose n channels from which all are predicted well, one after the other; C: (N, N), the channels' covariance.

    What channel j explains of all variance is sum_i C_ij^2 / C_jj. The best is taken, and what it explains leaves C.
    """
    C, chosen = np.float64(C), []
    for _ in range(min(n, len(C))):
        gain = np.sum(C * C, axis=0) / np.maximum(np.diag(C), 1e-9)
        gain[chosen] = -1
        j = int(np.argmax(gain))
        chosen.append(j)
        C = C - np.outer(C[j], C[j]) / max(C[j, j], 1e-9)
    return sorted(chosen)


def predict(F, T):
    """Least squares: R (n, N) and c (N,) for which F R + c is nearest to T; F: (M, n), T: (M, N)."""
    deviation = np.maximum(F.std(0), 1e-3)
    x = np.concatenate([F / deviation, np.ones((len(F), 1), np.float32)], 1)  # (M, n + 1)
    A = np.float64(x.T @ x) / len(x) + 1e-4 * np.eye(x.shape[1])  # a little more, for channels that are always 0
    solution = np.linalg.solve(A, np.float64(x.T @ T) / len(x))
    return [solution[:-1] / deviation[:, None], solution[-1]]


def prune(arrays, batch, widths):
    """Prune a network to `widths` channels in blocks 1 to 5; batch: (B, h, w, 3), RGB in [0, 1].

    From each layer the best channels are kept. They predict all, T = F R + c, and R and c go into the kernel and the
    bias of the next layer, which expects all. Channels of T are divided by the roots of their deviations, so that
    strong ones count more but do not rule (all of T together then has variance N).
    Returns three dicts by layer: the narrow arrays, the predictors [R (n, N), c (N,)], and the factors (N,) of T.
    """
    F = T = preprocess(tf.constant(batch))
    R, c = np.eye(3), np.zeros(3)
    narrow, predictors, factors = {}, {}, {}
    for layer, (kernel, bias) in arrays.items():
        T = compute(T, {layer: (kernel, bias)})[layer]
        deviation = np.std(T, (0, 1, 2))
        factors[layer] = 1 / np.sqrt(np.maximum(deviation, 1e-3 * deviation.mean()) * deviation.mean())
        flat = np.reshape(T * factors[layer], (-1, len(deviation)))  # (M, N)
        chosen = choose(np.cov(flat[:: max(1, len(flat) // SAMPLE)].T), widths[int(layer[5]) - 1])
        bias = np.float32(bias[chosen] + np.einsum("hwio,i->o", kernel[..., chosen], c))
        kernel = np.float32(np.einsum("hwio,ji->hwjo", kernel[..., chosen], R))
        F = compute(F, {layer: (kernel, bias)})[layer]
        R, c = predict(np.reshape(F, (len(flat), -1)), flat)
        narrow[layer], predictors[layer] = [kernel, bias], [R, c]
        R, c = R / factors[layer], c / factors[layer]
    return narrow, predictors, factors


def standardize(arrays, predictors, batch):
    """The same network and predictors with weights that are easy to learn; four dicts of lists by layer.

    The input is in units of 64 gray levels and each channel in units of its deviation on `batch`, so that all weights
    are of one order. A convolution gets its input without its mean, and a predictor too: ReLU's outputs are positive,
    and a mean that all have in common makes a slow valley of the loss (LeCun et al., *Efficient BackProp*, 1998).
    Returns kernels and biases, predictors, the means of inputs, and the means of F.
    """
    student, standard, means, centers = {}, {}, {}, {}
    x, unit = preprocess(batch), np.full(3, LEVELS)
    for layer, (kernel, bias) in arrays.items():
        R, c = predictors[layer]
        mean = np.mean(pooled(x, layer), (0, 1, 2))
        x = compute(x, {layer: (kernel, bias)})[layer]
        center, deviation = np.mean(x, (0, 1, 2)), np.maximum(np.std(x, (0, 1, 2)), 1e-3)
        bias = bias + np.einsum("hwio,i->o", kernel, mean)
        student[layer] = [kernel * unit[:, None] / deviation, bias / deviation]
        standard[layer] = [R * deviation[:, None], c + center @ R]
        means[layer], centers[layer] = [mean / unit], [center / deviation]
        unit = deviation
    return student, standard, means, centers


def scale(arrays, factors):
    """Multiply each channel by a positive factor, {layer: (N,)}: ReLU and pooling commute, the next kernel divides."""
    scaled, before = {}, np.ones(3, np.float32)
    for layer, (kernel, bias) in arrays.items():
        scaled[layer] = [kernel / before[:, None] * factors[layer], bias * factors[layer]]
        before = factors[layer]
    return scaled
