"""The network: VGG19's convolutional part, and the features read out of it.

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


def load_vgg19(weights=None, pooling="max"):
    """Load VGG19 without its classifier: a frozen Keras model from a preprocessed batch to the last layer.

    weights: "slim", the embedded network with a quarter of the channels, up to block5_conv1;
        "imagenet", the real VGG19 from Keras' cache, or else downloaded (80 MB, once);
        a path to a VGG19 weights file without top (.h5, .weights.h5 or .keras), or to a slim network that
        stlib.weights.train_slim made (.npz);
        None, the environment variable STLIB_WEIGHTS if it is set, else "slim".
    pooling: "max", as VGG19 was trained, or "average".
    Raises ValueError or OSError (FileNotFoundError, if there is no such file) in one sentence.
    """
    weights = weights or os.environ.get("STLIB_WEIGHTS") or "slim"
    if weights == "slim":
        return build_slim(files.read_slim(), pooling, name="vgg19_slim")
    if Path(weights).suffix == ".npz":
        return build_slim(files.read_npz(Path(weights)), pooling)
    path = files.imagenet_file() if weights == "imagenet" else Path(weights)
    network = build_vgg19(pooling=pooling)
    files.read_vgg19(path, network)
    network.trainable = False
    return network


def build_slim(arrays, pooling="max", name="slim"):
    """Build a frozen network of VGG19's layout from {layer: [kernel, bias]}, up to the last layer given.

    kernel: (3, 3, in, out), bias: (out,); the widths of the blocks are theirs.
    """
    widths = [len(arrays[f"block{block}_conv1"][1]) for block in range(1, 6)]
    network = build_vgg19(widths, pooling, name)
    for layer, values in arrays.items():
        network.get_layer(layer).set_weights(values)
    network = keras.Model(network.input, network.get_layer(list(arrays)[-1]).output, name=network.name)
    network.trainable = False
    return network


def build_vgg19(widths=(64, 128, 256, 512, 512), pooling="max", name="vgg19"):
    """Build VGG19's five blocks of 3x3 convolutions with random weights; `widths` are their channels."""
    if pooling not in ("max", "average"):
        raise ValueError(f"pooling is {pooling!r}, expected 'max' or 'average'.")
    if keras.backend.backend() != "tensorflow":
        raise ValueError(f"Keras runs on {keras.backend.backend()}, expected tensorflow: set KERAS_BACKEND=tensorflow.")
    pool = keras.layers.MaxPooling2D if pooling == "max" else keras.layers.AveragePooling2D
    x = image = keras.Input((None, None, 3))
    for block, (width, convolutions) in enumerate(zip(widths, (2, 2, 4, 4, 4)), start=1):
        for k in range(1, convolutions + 1):
            x = keras.layers.Conv2D(width, 3, padding="same", activation="relu", name=f"block{block}_conv{k}")(x)
        x = pool(2, name=f"block{block}_pool")(x)
    return keras.Model(image, x, name=name)


def preprocess(image):
    """Turn RGB in [0, 1] into what VGG19 was trained on: BGR in 0..255 minus the ImageNet mean.

    Shape (..., 3) in and out; arrays and tensors. The same as keras.applications.vgg19.preprocess_input.
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
        if layer in [each.name for each in build_vgg19().layers]:
            raise ValueError(
                f"The slim network ends at block5_conv1, before {layer}: load VGG19 with load_vgg19('imagenet')."
            )
        nearest = difflib.get_close_matches(str(layer), names, n=1, cutoff=0)[0]
        raise ValueError(f"The network has no layer {layer!r}: did you mean {nearest!r}?")


def minimum_side(network, layers):
    """Shortest side in pixels at which the deepest of `layers` still has one position."""
    return 2 ** sum("pool" in layer.name for layer in _until_deepest(network, layers))


def floats_per_pixel(network, layers):
    """How many activations the network holds for each pixel of the image, up to the deepest of `layers`."""
    total, positions = 0.0, 1.0  # positions for each pixel: a quarter after each pooling
    for layer in _until_deepest(network, layers):
        positions /= 4 if "pool" in layer.name else 1
        total += layer.output.shape[-1] * positions
    return total


def _until_deepest(network, layers):
    names = [layer.name for layer in network.layers]
    return network.layers[1 : max(names.index(layer) for layer in layers) + 1]
