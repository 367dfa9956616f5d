"""The checks of lesson 02 accept right answers however written, and meet each usual mistake with a hint that helps."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import unsolved

from stlib import checks, losses, network

MEAN = np.array([103.939, 116.779, 123.68], np.float32)


def rejects(check, answer, phrase, capsys):
    assert check(answer) is False
    printed = capsys.readouterr().out
    assert phrase in printed, printed
    assert "Well done" not in printed


# 1. preprocess and its inverse


def inverse(x):
    return ((x + MEAN) / 255)[..., ::-1]


def preprocess_with_copies(image):
    x = np.array(image, np.float64)
    x *= 255
    return np.stack([x[..., 2 - k] - MEAN[k] for k in range(3)], axis=-1)


def preprocess_in_place(image):
    image *= 255
    return image[..., ::-1] - MEAN


def inverse_in_place(x):
    x += MEAN
    return x[..., ::-1] / 255


def test_preprocess_accepts():
    assert checks.preprocess_and_inverse((network.preprocess, inverse))
    assert checks.preprocess_and_inverse((preprocess_with_copies, lambda x: x[..., [2, 1, 0]] / 255 + MEAN[::-1] / 255))
    assert checks.preprocess_and_inverse([
        lambda image: tf.reverse(tf.convert_to_tensor(image), [-1]) * 255 - MEAN,
        lambda x: tf.reverse(x + MEAN, [-1]) / 255,
    ])  # fmt: skip


@pytest.mark.parametrize(
    "preprocess, phrase",
    [
        (unsolved, "Not solved yet"),
        (lambda image: None, "it must return"),
        (lambda image: image * 255 - MEAN, "still in the order RGB"),
        (lambda image: image[..., ::-1] - MEAN, "multiplied by 255"),
        (lambda image: image[..., ::-1] * 255, "mean is not subtracted"),
        (lambda image: (image * 255 - MEAN)[..., ::-1], "reverse the colors first"),
        (lambda image: image[..., ::-1] * 255 - MEAN[::-1], "subtract it as it is"),
        (lambda image: image[::-1] * 255 - MEAN, "upside down"),
        (lambda image: image[:, ::-1] * 255 - MEAN, "mirrored"),
        (lambda image: image.transpose(1, 0, 2)[..., ::-1] * 255 - MEAN, "(4, 5, 3) went in"),
        (lambda image: network.preprocess(image)[None], "(4, 5, 3) went in"),
        (lambda image: network.preprocess(image) / MEAN, "three steps"),
        (preprocess_in_place, "changed in place"),
        (lambda image: image[:, :, ::-1] * 255 - MEAN, "the last axis, however many"),
    ],
)
def test_preprocess_rejects(preprocess, phrase, capsys):
    rejects(checks.preprocess_and_inverse, (preprocess, inverse), phrase, capsys)


@pytest.mark.parametrize(
    "inverse, phrase",
    [
        (unsolved, "Not solved yet"),
        (lambda x: (x + MEAN) / 255, "come out as BGR"),
        (lambda x: (x[..., ::-1] + MEAN) / 255, "in the opposite order"),
        (lambda x: (x + MEAN)[..., ::-1], "divide by 255"),
        (lambda x: x[..., ::-1] / 255, "not added back"),
        (lambda x: (x / 255 + MEAN)[..., ::-1], "before you divide"),
        (lambda x: (x - MEAN)[..., ::-1] / 255, "the last one first"),
        (inverse_in_place, "changed in place"),
        (lambda x: (x + MEAN)[:, :, ::-1] / 255, "the last axis, however many"),
    ],
)
def test_inverse_rejects(inverse, phrase, capsys):
    rejects(checks.preprocess_and_inverse, (network.preprocess, inverse), phrase, capsys)


def test_preprocess_wants_a_pair(capsys):
    rejects(checks.preprocess_and_inverse, network.preprocess, "two functions", capsys)


# 2. the receptive field of a stack


def receptive_field(stack, start=1, less=1, early=False, strides=True):
    r, j = start, 1
    for kernel, stride in stack:
        if early:
            j *= stride
        r += (kernel - less) * j
        if not early and strides:
            j *= stride
    return r


def receptive_field_backwards(stack):
    r = 1
    for kernel, stride in stack[::-1]:
        r = (r - 1) * stride + kernel
    return np.int64(r)


def popping(stack):
    r, j = 1, 1
    while stack:
        kernel, stride = stack.pop(0)
        r, j = r + (kernel - 1) * j, j * stride
    return r


def test_receptive_field_accepts():
    assert checks.receptive_field(receptive_field)
    assert checks.receptive_field(receptive_field_backwards)
    assert checks.receptive_field(lambda stack: tf.constant(receptive_field(stack)))


@pytest.mark.parametrize(
    "answer, phrase",
    [
        (unsolved, "Not solved yet"),
        (lambda stack: receptive_field(stack, start=0), "start with a field of 1"),
        (lambda stack: receptive_field(stack, strides=False), "by the jump"),
        (lambda stack: receptive_field(stack, early=True), "then change the jump"),
        (lambda stack: receptive_field(stack, less=0), "adds k - 1 steps"),
        (lambda stack: np.prod([kernel for kernel, _ in stack]), "do not multiply"),
        (lambda stack: receptive_field([(k, s) for k, s in stack if s == 1]), "strides count as well"),
        (lambda stack: receptive_field(stack) + 3 * (len(stack) > 2), "the field and the jump"),
        (lambda stack: (receptive_field(stack), 1), "one whole number"),
        (lambda stack: print(receptive_field(stack)), "one whole number"),
        (popping, "do not pop"),
    ],
)
def test_receptive_field_rejects(answer, phrase, capsys):
    rejects(checks.receptive_field, answer, phrase, capsys)


# 3. a content target


def content_target(net, photo, layer, loss=losses.content_loss, features=network.feature_extractor):
    features = features(net, [layer])
    P = features(photo[None])[layer]
    return lambda x: loss(features(x[None])[layer], P)


def content_target_compiled(net, photo, layer):
    cut = keras.Model(net.input, net.get_layer(layer).output)
    P = cut.predict(network.preprocess(photo)[None], verbose=0)

    @tf.function
    def loss(x):
        return tf.nn.l2_loss(cut(network.preprocess(x)[None]) - P)

    return loss


def unprepared(net, layers):
    return keras.Model(net.input, {layer: net.get_layer(layer).output for layer in layers})


def rgb(net, layers):
    return lambda x: unprepared(net, layers)(x * 255 - MEAN)


def twice(net, layers):
    features = network.feature_extractor(net, layers)
    return lambda x: features(network.preprocess(x))


def changing(net, photo, layer):
    loss = content_target(net, photo.copy(), layer)
    photo *= 0.5
    return loss


def test_content_target_accepts():
    assert checks.content_target(content_target)
    assert checks.content_target(content_target_compiled)


@pytest.mark.parametrize(
    "answer, phrase",
    [
        (unsolved, "Not solved yet"),
        (lambda *a: content_target(*a)(tf.constant(a[1])), "return the function loss itself"),
        (lambda *a: content_target(*a, loss=lambda F, P: tf.reduce_sum((F - P) ** 2)), "factor 1/2 is missing"),
        (lambda *a: content_target(*a, loss=lambda F, P: tf.reduce_mean((F - P) ** 2)), "the mean of the squares"),
        (lambda *a: content_target(*a, loss=lambda F, P: tf.reduce_mean((F - P) ** 2) / 2), "divided by the number"),
        (lambda *a: content_target(*a, loss=lambda F, P: tf.reduce_sum(tf.abs(F - P)) / 2), "absolute values"),
        (lambda *a: content_target(*a, loss=lambda F, P: tf.reduce_sum((F - P) ** 2, -1) / 2), "sum over everything"),
        (lambda *a: content_target(*a, loss=lambda F, P: tf.nn.l2_loss(F)), "the target must be the features"),
        (lambda *a: content_target(*a, loss=lambda F, P: np.square(F - P).sum() / 2), "cannot follow NumPy"),
        (lambda *a: content_target(*a, features=unprepared), "was not preprocessed"),
        (lambda *a: content_target(*a, features=rgb), "RGB, not BGR"),
        (lambda *a: content_target(*a, features=twice), "preprocessed twice"),
        (lambda net, photo, layer: content_target(net, photo, "block2_conv1"), "read the features at the layer"),
        (changing, "changed in place"),
    ],
)
def test_content_target_rejects(answer, phrase, capsys):
    rejects(checks.content_target, answer, phrase, capsys)


# 4. an extractor with average pooling


def average_extractor(net, layers, pool=None, prepare=network.preprocess, own=lambda layer: layer):
    image, outputs = keras.Input((None, None, 3)), {}
    x = prepare(image)
    for layer in net.layers[1:]:
        x = (pool or keras.layers.AveragePooling2D(2))(x) if "pool" in layer.name else own(layer)(x)
        if layer.name in layers:
            outputs[layer.name] = x
    return keras.Model(image, outputs)


def average_extractor_cloned(net, layers):
    def clone(layer):
        if isinstance(layer, keras.layers.MaxPooling2D):
            return keras.layers.AveragePooling2D(2, name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    copy = keras.models.clone_model(net, clone_function=clone)
    copy.set_weights(net.get_weights())
    return network.feature_extractor(copy, layers)


def with_new_weights(layer):
    return layer.__class__.from_config(layer.get_config())


def damaging(net, layers):
    features = average_extractor_cloned(net, layers)
    net.set_weights([w * 2 for w in net.get_weights()])
    return features


def as_list(net, layers):
    features = average_extractor(net, layers)
    return keras.Model(features.input, list(features.output.values()))


def test_average_pooling_accepts():
    assert checks.average_pooling(average_extractor)
    assert checks.average_pooling(average_extractor_cloned)


@pytest.mark.parametrize(
    "answer, phrase",
    [
        (unsolved, "Not solved yet"),
        (network.feature_extractor, "still takes the maximum"),
        (lambda *a: average_extractor(*a, pool=lambda x: 4 * keras.layers.AveragePooling2D(2)(x)), "sum of four"),
        (lambda *a: average_extractor(*a, pool=lambda x: -keras.layers.MaxPooling2D(2)(-x)), "minimum of four"),
        (lambda *a: average_extractor(*a, pool=lambda x: x[:, ::2, ::2]), "one of four values"),
        (
            lambda *a: average_extractor(*a, pool=lambda x: 2 * keras.layers.AveragePooling2D(2)(x)),
            "order of the layers",
        ),
        (lambda *a: average_extractor(*a, pool=keras.layers.AveragePooling2D(2, strides=1)), "strides of 2"),
        (lambda *a: average_extractor(*a, pool=keras.layers.GlobalAveragePooling2D(keepdims=True)), "not global"),
        (lambda *a: average_extractor(*a, prepare=lambda x: x), "call preprocess"),
        (lambda *a: average_extractor(*a, prepare=lambda x: x * 255 - MEAN), "must be BGR"),
        (lambda *a: average_extractor(*a, prepare=lambda x: network.preprocess(network.preprocess(x))), "twice"),
        (lambda *a: average_extractor(*a, own=with_new_weights), "weights of the network"),
        (lambda net, layers: average_extractor(net, layers[:1]), "must be a dict"),
        (as_list, "must be a dict"),
        (damaging, "leave this one alone"),
    ],
)
def test_average_pooling_rejects(answer, phrase, capsys):
    rejects(checks.average_pooling, answer, phrase, capsys)
