"""The network: VGG's convolutional part, and the features read out of it.

Simonyan & Zisserman, *Very deep convolutional networks for large-scale image recognition*, 2015.
Layers are named as in Keras: `block4_conv2` is the output of the paper's conv4_2 after its ReLU.
"""

import difflib
import os
from pathlib import Path

import keras
import numpy as np

from stlib import weights as files

IMAGENET_MEAN = np.array([103.939, 116.779, 123.68], np.float32)  # of blue, green and red, in 0..255
VGG16, VGG19 = (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)  # convolutions in each block
WIDTHS = (64, 128, 256, 512, 512)  # channels of each block, in both


def load_network(name=None, pooling="max"):
    """Load a network without its classifier: a frozen Keras model from a preprocessed batch to the last layer.

    name: "slim", small and quick, or "vgg16", the real one, both embedded up to block5_conv1;
        "vgg19", the network of the paper, from Keras' cache or else downloaded (80 MB, once);
        a path to a file of VGG16 or VGG19 without top (.h5, .weights.h5 or .keras), or to a network that
        stlib.training.slim made (.npz);
        None, the environment variable STLIB_NETWORK if it is set, else "slim".
    pooling: "max", as VGG was trained, or "average".
    Raises ValueError or OSError (FileNotFoundError, if there is no such file) in one sentence.
    """
    name = name or os.environ.get("STLIB_NETWORK") or "slim"
    if not isinstance(name, (str, os.PathLike)):
        raise ValueError(f"name is {name!r}, expected 'slim', 'vgg16', 'vgg19' or the path of a file.")
    if name in files.EMBEDDED:
        return build_network(files.read_embedded(name), pooling, name)
    if Path(name).suffix == ".npz":
        return build_network(files.read_npz(Path(name)), pooling)
    published = [build_vgg(VGG19, pooling=pooling), build_vgg(VGG16, pooling=pooling)]  # before a download of 80 MB
    network = files.read_published(files.vgg19_file() if name == "vgg19" else Path(name), published)
    network.trainable = False
    return network


def build_network(arrays, pooling="max", name=None):
    """Build a frozen network of VGG's kind from {layer: [kernel, bias]}, up to the last layer given.

    kernel: (3, 3, in, out), bias: (out,); how many convolutions a block has, and its channels, are theirs.
    name: by which settings.RECIPES knows it; None is "vgg16" or "vgg19" if it has their channels, else "slim".
    """
    blocks = [[layer for layer in arrays if layer.startswith(f"block{block}_")] for block in range(1, 6)]
    blocks = [block for block in blocks if block]
    counts, widths = [len(block) for block in blocks], tuple(len(arrays[block[0]][1]) for block in blocks)
    real = "vgg19" if 4 in counts else "vgg16"
    name = name or (real if widths == WIDTHS[: len(widths)] else "slim")
    whole = build_vgg(counts, widths, pooling, name)
    network = keras.Model(whole.input, whole.get_layer(list(arrays)[-1]).output, name=name)
    for layer, values in arrays.items():
        network.get_layer(layer).set_weights(values)
    network.trainable = False
    return network


def build_vgg(convolutions=VGG19, widths=WIDTHS, pooling="max", name=None):
    """Build VGG's blocks of 3x3 convolutions with random weights: how many, and their channels, for each block."""
    if pooling not in ("max", "average"):
        raise ValueError(f"pooling is {pooling!r}, expected 'max' or 'average'.")
    if keras.backend.backend() != "tensorflow":
        raise ValueError(f"Keras runs on {keras.backend.backend()}, expected tensorflow: set KERAS_BACKEND=tensorflow.")
    pool = keras.layers.MaxPooling2D if pooling == "max" else keras.layers.AveragePooling2D
    name = name or {VGG16: "vgg16", VGG19: "vgg19"}.get(tuple(convolutions), "vgg")
    x = image = keras.Input((None, None, 3))
    for block, (width, count) in enumerate(zip(widths, convolutions), start=1):
        for k in range(1, count + 1):
            x = keras.layers.Conv2D(width, 3, padding="same", activation="relu", name=f"block{block}_conv{k}")(x)
        x = pool(2, name=f"block{block}_pool")(x)
    return keras.Model(image, x, name=name)


def preprocess(image):
    """Turn RGB in [0, 1] into what VGG was trained on: BGR in 0..255 minus the ImageNet mean.

    Shape (..., 3) in and out; arrays and tensors. The same as keras.applications.vgg16.preprocess_input.
    """
    return image[..., ::-1] * 255.0 - IMAGENET_MEAN


def feature_extractor(network, layers):
    """Build a Keras model from an image batch (1, h, w, 3) in [0, 1] to a dict layer name -> (1, h', w', N).

    Nothing deeper than the deepest layer asked for is computed. Raises ValueError for an unknown layer.
    """
    layers = [layers] if isinstance(layers, str) else list(dict.fromkeys(layers))
    check_layers(network, layers)
    cut = keras.Model(network.input, {layer: network.get_layer(layer).output for layer in layers})
    image = keras.Input((None, None, 3))
    return keras.Model(image, cut(preprocess(image)), name="features")


def check_layers(network, layers):
    """Raise ValueError, with the remedy, unless every name in `layers` is a layer of `network`."""
    if not layers:
        raise ValueError("No layer was named: give at least one, such as 'block4_conv2'.")
    names = [layer.name for layer in network.layers[1:]]
    for layer in layers:
        if layer in names:
            continue
        nearest = difflib.get_close_matches(str(layer), names, n=1, cutoff=0)[0]
        if layer in [each.name for each in build_vgg(VGG19).layers]:
            raise ValueError(
                f"The network {network.name!r} has no layer {layer}, it ends at {names[-1]}: "
                f"take {nearest!r}, or VGG19 with load_network('vgg19')."
            )
        raise ValueError(f"The network has no layer {layer!r}: did you mean {nearest!r}?")


def minimum_side(network, layers):
    """Shortest side in pixels at which the deepest of `layers` still has one position."""
    return 2 ** sum("pool" in layer.name for layer in until_deepest(network, layers))


def floats_per_pixel(network, layers):
    """How many activations the network holds for each pixel of the image, up to the deepest of `layers`."""
    return floats(until_deepest(network, layers))


def floats(chain):
    """How many activations layers that follow each other hold for each position of their input."""
    total, positions = 0.0, 1.0  # positions for each of the input: a quarter after each pooling
    for layer in chain:
        positions /= 4 if "pool" in layer.name else 1
        total += layer.output.shape[-1] * positions
    return total


def until_deepest(network, layers):
    """The layers of the network, without its input, up to the deepest of those named."""
    names = [layer.name for layer in network.layers]
    return network.layers[1 : max(names.index(layer) for layer in layers) + 1]
