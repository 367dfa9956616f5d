"""Checks of lesson 02: preprocessing, receptive fields, content targets, average pooling.

Each compares with a NumPy reference of its own on small random data, and knows the usual mistakes by their values.
"""

import keras
import numpy as np
import tensorflow as tf

from stlib.checks.report import check

MEAN = np.array([103.939, 116.779, 123.68], np.float32)  # of blue, green and red
STACKS = {
    "one 3x3 convolution": [(3, 1)],
    "two 3x3 convolutions": [(3, 1), (3, 1)],
    "a 2x2 pooling between two convolutions": [(3, 1), (2, 2), (3, 1)],
    "a 7x7 convolution with stride 2, then a 3x3 one": [(7, 2), (3, 1)],
    "VGG16 up to block4_conv2": [*[(3, 1), (3, 1), (2, 2)] * 2, *[(3, 1)] * 3, (2, 2), (3, 1), (3, 1)],
}


def _like(answer, reference, rtol=1e-4, atol=1e-3):
    answer = np.asarray(answer)
    return answer.shape == np.shape(reference) and np.allclose(answer, reference, rtol=rtol, atol=atol)


def _hint(answer, mistakes, otherwise):
    """The hint of the first mistake whose value is the answer."""
    return next((hint for value, hint in mistakes if _like(answer, value)), otherwise)


def _prepare(image):
    return image[..., ::-1] * 255 - MEAN


@check
def preprocess_and_inverse(answer):
    """The answer is a pair of functions: preprocess, and its inverse."""
    pair = isinstance(answer, (tuple, list)) and len(answer) == 2 and all(map(callable, answer))
    yield "there are two functions", pair, "give two functions: (my_preprocess, my_inverse)."
    preprocess, inverse = answer
    image = np.random.default_rng(0).uniform(size=(4, 5, 3)).astype(np.float32)
    before, x = image.copy(), np.asarray(preprocess(image.copy()))
    yield (
        "my_preprocess keeps the shape",
        x.shape == image.shape,
        f"(4, 5, 3) went in and {x.shape} came out; it must return the new image.",
    )
    mistakes = [
        (image * 255 - MEAN, "the colors are still in the order RGB: reverse the last axis, [..., ::-1]."),
        (_prepare(image) / 255 + MEAN / 255 - MEAN, "values in [0, 1] must be multiplied by 255 before the mean goes."),
        (image[..., ::-1] * 255, "the mean is not subtracted."),
        ((image * 255 - MEAN)[..., ::-1], "the mean is for BGR: reverse the colors first, then subtract it as it is."),
        (image[::-1] * 255 - MEAN, "the image is upside down: reverse its last axis, [..., ::-1]."),
        (image[:, ::-1] * 255 - MEAN, "the image is mirrored: reverse its last axis, [..., ::-1]."),
    ]
    otherwise = "three steps: reverse the last axis, multiply by 255, subtract IMAGENET_MEAN."
    yield "my_preprocess gives BGR, 0..255, minus the mean", _like(x, _prepare(image)), _hint(x, mistakes, otherwise)
    preprocess(image)
    in_place = "the caller's array was changed in place: write image * 255 and not image *= 255, or copy it first."
    yield "my_preprocess leaves its argument unchanged", np.array_equal(image, before), in_place
    batch = np.stack([before, before[::-1]])
    last = "with a leading axis another one is reversed: write [..., ::-1], the last axis, however many come before."
    yield "my_preprocess works for a batch too", _like(preprocess(batch.copy()), _prepare(batch)), last

    x = _prepare(before)
    argument = x.copy()
    back = np.asarray(inverse(argument))
    mistakes = [
        (before[..., ::-1], "the colors come out as BGR: reverse the last axis here too."),
        ((x[..., ::-1] + MEAN) / 255, "undo the steps in the opposite order: the mean first, then the axis."),
        (before * 255, "the values come out in 0..255: divide by 255."),
        (x[..., ::-1] / 255, "the mean is not added back."),
        (x[..., ::-1] / 255 + MEAN[::-1], "add the mean before you divide by 255."),
    ]
    in_place = "the caller's array was changed in place: write x + IMAGENET_MEAN and not x += IMAGENET_MEAN."
    otherwise = "undo each step, the last one first: add the mean, divide by 255, reverse the last axis."
    yield "my_inverse brings the image back", _like(back, before, atol=1e-4), _hint(back, mistakes, otherwise)
    yield "my_inverse leaves its argument unchanged", np.array_equal(argument, x), in_place
    x = _prepare(batch)
    yield "the round trip works for a batch", _like(inverse(x), batch, atol=1e-4), last


def _support(stack):
    """Pixels across on which the gradient of one last value is not zero, for kernels of ones with strides."""
    gradient = np.ones(1)
    for kernel, stride in reversed(stack):
        spread = np.zeros((len(gradient) - 1) * stride + 1)
        spread[::stride] = gradient
        gradient = np.convolve(spread, np.ones(kernel))
    return np.flatnonzero(gradient).max() + 1


def _field_mistakes(stack):
    """Values of the usual mistakes for a stack, each with its hint."""
    start, product, early, total, kernels, steady = 0, 1, 1, 1, 1, 1
    jump = jump_early = 1
    for kernel, stride in stack:
        start += (kernel - 1) * jump
        jump_early *= stride
        early += (kernel - 1) * jump_early
        total += kernel - 1
        kernels += kernel * jump
        product *= kernel
        steady += (kernel - 1) * (stride == 1)
        jump *= stride
    return [
        (start, "one value alone sees one pixel: start with a field of 1, not 0."),
        (total, "after a stride, neighbors lie further apart: multiply what a kernel adds by the jump."),
        (early, "a layer's own stride counts for the layers after it: add to the field first, then change the jump."),
        (kernels, "a kernel of size k adds k - 1 steps, because it already stands on one value."),
        (steady, "layers with strides count as well: a 2x2 pooling adds one step and doubles the jump."),
        (product, "kernel sizes do not multiply: each adds (k - 1) steps of the current jump."),
    ]


@check
def receptive_field(answer):
    """The answer gives the receptive field of a list of (kernel, stride)."""
    rng = np.random.default_rng(0)
    some = [[(int(rng.integers(s, 6)), s) for s in map(int, rng.integers(1, 4, size=5))] for _ in range(20)]
    for name, stack in (STACKS | {f"random stack {n}": stack for n, stack in enumerate(some, 1)}).items():
        argument = list(stack)
        value, right = answer(argument), _support(stack)
        if value is None or np.ndim(value) or argument != stack:
            changed = "the caller's list was changed: loop over it, and do not pop or reverse it."
            yield name, False, changed if argument != stack else f"one whole number was expected, not {value!r}."
        hint = _hint(value, _field_mistakes(stack), "keep two numbers through the loop: the field and the jump.")
        if not name.startswith("random") or value != right:
            yield f"{name}: {right}", value == right, f"you have {value}; {hint} The stack is {stack}."
    yield "20 random stacks equal the support of the gradient", True, ""


def _convolve(x, kernel, bias):
    """3x3 "same" convolution and ReLU, (h, w, n) -> (h, w, m), in NumPy."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    h, w = x.shape[:2]
    taps = [padded[a : a + h, b : b + w] @ kernel[a, b] for a in range(3) for b in range(3)]
    return np.maximum(sum(taps) + bias, 0)


def _pool(x, reduce):
    h, w, n = x.shape
    return reduce(x[: h // 2 * 2, : w // 2 * 2].reshape(h // 2, 2, w // 2, 2, n), axis=(1, 3))


def _network():
    """A Keras network of two convolutions with a max pooling between them, and a NumPy reference of its features."""
    rng = np.random.default_rng(0)
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="block1_conv1")(image)
    x = keras.layers.MaxPooling2D(2, name="block1_pool")(x)
    x = keras.layers.Conv2D(5, 3, padding="same", activation="relu", name="block2_conv1")(x)
    network = keras.Model(image, x)
    weights = [rng.normal(size=w.shape).astype(np.float32) for w in network.get_weights()]
    weights[0] /= 100  # inputs are about 100
    weights[3] += 2
    network.set_weights(weights)
    network.trainable = False

    def reference(picture, reduce=np.max, prepare=_prepare):
        first = _convolve(prepare(picture), *weights[:2])
        return {"block1_conv1": first, "block2_conv1": _convolve(_pool(first, reduce), *weights[2:])}

    return network, reference


@check
def content_target(answer):
    """The answer makes a content loss from a network, a photo (h, w, 3) and the name of a layer."""
    network, reference = _network()
    photo, x = np.random.default_rng(1).uniform(size=(2, 8, 10, 3)).astype(np.float32)
    before = photo.copy()
    for layer in ("block1_conv1", "block2_conv1"):
        other = "block2_conv1" if layer == "block1_conv1" else "block1_conv1"
        loss = answer(network, photo, layer)
        yield f"a function comes back for {layer}", callable(loss), "return the function loss itself, not its value."
        in_place = "the caller's photo was changed in place: copy it first."
        yield "the photo is as before", np.array_equal(photo, before), in_place
        at_photo, value = loss(tf.constant(photo)), loss(tf.constant(x))
        shape = np.shape(value)
        yield "its value is a single number", shape == (), f"it has shape {shape}: sum over everything, positions too."
        target = "the target must be the features of the photo, prepared in the same way as x."
        yield "it is 0 for the photo itself", np.allclose(at_photo, 0, atol=1e-3), f"it is {at_photo:.3g}: {target}"

        def half_squares(layer, prepare=_prepare):
            F, P = reference(x, prepare=prepare), reference(photo, prepare=prepare)
            return np.square(F[layer] - P[layer]).sum() / 2

        right = half_squares(layer)
        F, P = reference(x)[layer], reference(photo)[layer]
        mistakes = [
            (2 * right, "it is twice the content loss: the factor 1/2 is missing."),
            (half_squares(other), f"it is the content loss at {other}: read the features at the layer asked for."),
            (2 * right / F.size, "it is the mean of the squares: the content loss is half their sum."),
            (right / F.size, "it is divided by the number of values: the content loss is half the sum."),
            (np.abs(F - P).sum() / 2, "it sums absolute values: square the differences."),
            (half_squares(layer, lambda image: image), "the image was not preprocessed: use feature_extractor."),
            (half_squares(layer, lambda image: image * 255 - MEAN), "the colors are in the order RGB, not BGR."),
            (half_squares(layer, lambda image: _prepare(_prepare(image))), "the image is preprocessed twice."),
        ]
        otherwise = "half the sum of squared differences between the features of x and of the photo at this layer."
        right_value = np.allclose(value, right, rtol=1e-3)
        yield f"it is the content loss at {layer}", right_value, _hint(value, mistakes, otherwise)
        with tf.GradientTape() as tape:
            pixels = tf.Variable(x)
            value = loss(pixels)
        gradient = tape.gradient(value, pixels) if tf.is_tensor(value) else None
        numpy = "the tape cannot follow NumPy: compute the loss with TensorFlow, and do not call .numpy() in it."
        yield "it has a gradient", gradient is not None, numpy


@check
def average_pooling(answer):
    """The answer is a feature extractor that averages where the network pools."""
    network, reference = _network()
    image = np.random.default_rng(2).uniform(size=(16, 16, 3)).astype(np.float32)
    x, layers = tf.constant(image[None]), ["block1_conv1", "block2_conv1"]
    before = np.asarray(network(_prepare(image)[None]))
    features = answer(network, layers)
    yield "a model comes back", callable(features), "return the model, keras.Model(image, outputs)."
    F = features(x)
    named = isinstance(F, dict) and sorted(F) == layers
    yield "it gives a dict of the layers asked for", named, "its outputs must be a dict: layer name -> activations."
    first = np.asarray(F["block1_conv1"])[0]
    mistakes = [
        (reference(image, prepare=lambda image: image)["block1_conv1"], "call preprocess on the image first."),
        (reference(image, prepare=lambda image: image * 255 - MEAN)["block1_conv1"], "RGB goes in: it must be BGR."),
        (reference(image, prepare=lambda i: _prepare(_prepare(i)))["block1_conv1"], "the image is preprocessed twice."),
    ]
    otherwise = "the convolutions must have the weights of the network: call its own layers, or copy their weights."
    right = reference(image)["block1_conv1"]
    yield "before the first pooling nothing changes", _like(first, right), _hint(first, mistakes, otherwise)

    second = np.asarray(F["block2_conv1"])[0]
    smaller = "pooling halves height and width: AveragePooling2D(2) has strides of 2, not 1, and is not global."
    yield "pooling halves the size", second.shape == (8, 8, 5), f"{second.shape[:2]} instead of (8, 8): {smaller}"
    mistakes = [
        (reference(image, np.max)["block2_conv1"], "it still takes the maximum: put AveragePooling2D where it pools."),
        (reference(image, np.sum)["block2_conv1"], "it is the sum of four values: the average divides by 4."),
        (reference(image, np.min)["block2_conv1"], "it is the minimum of four values: the average was asked for."),
        (reference(image, lambda a, axis: a[:, 0, :, 0])["block2_conv1"], "it takes one of four values: average all."),
    ]
    right, otherwise = reference(image, np.mean)["block2_conv1"], f"check the order of the layers; {otherwise}"
    yield "after it come the features of averages", _like(second, right), _hint(second, mistakes, otherwise)
    flat = np.full((16, 16, 3), 0.7, np.float32)
    inside = np.asarray(features(tf.constant(flat[None]))["block2_conv1"])[0, 2:-2, 2:-2]
    same = _like(inside, reference(flat)["block2_conv1"][2:-2, 2:-2])
    yield "inside a constant image nothing changes", same, "the average of four equal values is that value."
    after = np.asarray(network(_prepare(image)[None]))
    yield "the network itself is as before", np.array_equal(before, after), "build a new model, leave this one alone."
