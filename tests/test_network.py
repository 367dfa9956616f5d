"""The network: layout, preprocessing, features, and a fingerprint of the embedded weights."""

import shutil

import keras
import numpy as np
import pytest

from stlib.network import VGG16, build_network, build_vgg, feature_extractor, load_network, minimum_side, preprocess
from stlib.settings import CONTENT_LAYERS, STYLE_LAYERS
from stlib.weights import DATA


@pytest.mark.parametrize("ours, theirs", [(build_vgg(VGG16), "VGG16"), (build_vgg(), "VGG19")])
def test_layout_is_that_of_keras(ours, theirs):
    real = getattr(keras.applications, theirs)(include_top=False, weights=None)
    assert ours.name == theirs.lower()
    assert [layer.name for layer in ours.layers][1:] == [layer.name for layer in real.layers][1:]
    assert [w.shape for w in ours.weights] == [w.shape for w in real.weights]
    ours.set_weights(real.get_weights())
    batch = preprocess(np.random.default_rng(0).uniform(size=(1, 64, 48, 3)).astype(np.float32))
    np.testing.assert_allclose(ours(batch), real(batch), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["slim", "vgg16"])
def test_embedded_layout(name, no_sockets):
    network = load_network(name)
    names = [layer.name for layer in network.layers][1:]
    assert network.name == name and not network.trainable_weights
    assert names[0] == "block1_conv1" and names[-1] == "block5_conv1"
    assert set(STYLE_LAYERS + CONTENT_LAYERS) <= set(names)
    if name == "vgg16":
        assert names == [layer.name for layer in build_vgg(VGG16).layers][1 : len(names) + 1]
        assert [network.get_layer(layer).filters for layer in STYLE_LAYERS] == [64, 128, 256, 512, 512]
        assert network.count_params() == 9_995_072
        # As Keras publishes them, in float16: kernels to 0.05 %, biases in full.
        kernel, bias = network.get_layer("block1_conv1").get_weights()
        np.testing.assert_allclose(kernel[0, 0, 0, 0], 0.42947057, rtol=5e-4)
        published = (0.73429835, 0.09340367, 0.06775674, 0.8862966)
        np.testing.assert_allclose(bias[[0, 1, 2, 3]], published, rtol=1e-6)


def test_a_name_that_is_none():
    with pytest.raises(ValueError, match=r"^name is 16, expected 'slim', 'vgg16', 'vgg19' or the path of a file\.$"):
        load_network(16)


def test_preprocess_equals_keras(rng):
    image = rng.uniform(size=(2, 5, 7, 3)).astype(np.float32)
    before = image.copy()
    expected = keras.applications.vgg19.preprocess_input(image * 255)
    np.testing.assert_allclose(preprocess(image), expected, atol=1e-4)
    np.testing.assert_array_equal(image, before)


def test_extractor_names_order_shapes_and_cut(network, lake):
    layers = ("block3_conv1", "block1_conv1")
    extractor = feature_extractor(network, layers)
    features = extractor(lake[None])
    h, w = lake.shape[:2]
    assert list(features) == list(layers)
    N1, N3 = (network.get_layer(layer).filters for layer in ("block1_conv1", "block3_conv1"))
    assert features["block1_conv1"].shape == (1, h, w, N1)
    assert features["block3_conv1"].shape == (1, h // 4, w // 4, N3)
    inner = [layer.name for each in extractor.layers if isinstance(each, keras.Model) for layer in each.layers]
    assert inner[-1] == "block3_conv1" and "block3_conv2" not in inner
    np.testing.assert_allclose(
        features["block1_conv1"], network.get_layer("block1_conv1")(preprocess(lake[None])), rtol=1e-5, atol=1e-3
    )


def test_extractor_takes_one_name_and_any_network(lake):
    extractor = feature_extractor(build_vgg(widths=(4, 4, 4, 4, 4)), "block5_conv4")
    assert list(extractor(lake[None])) == ["block5_conv4"]


def test_unknown_layers_name_the_remedy(network):
    with pytest.raises(ValueError, match=r"no layer 'block4_conv22'.*'block4_conv2'"):
        feature_extractor(network, ["block4_conv22"])
    with pytest.raises(
        ValueError,
        match=r"'slim' has no layer block5_conv2, it ends at block5_conv1: take 'block5_conv1', or VGG19 with",
    ):
        feature_extractor(network, ["block5_conv2"])
    with pytest.raises(ValueError, match=r"'vgg16' has no layer block3_conv4, .*take 'block3_conv\d', or VGG19 with"):
        feature_extractor(build_network(build_arrays((2, 2, 3, 3, 1)), name="vgg16"), ["block3_conv4"])
    with pytest.raises(ValueError, match="at least one"):
        feature_extractor(network, [])


def build_arrays(convolutions, width=2):
    """Weights of a tiny network, {layer: [kernel, bias]}, of ones."""
    names = [f"block{b}_conv{k}" for b, count in enumerate(convolutions, 1) for k in range(1, count + 1)]
    channels = [3, *[width] * (len(names) - 1)]
    return {name: [np.ones((3, 3, N, width)), np.ones(width)] for name, N in zip(names, channels)}


@pytest.mark.parametrize("convolutions", [(2, 2, 4, 4, 1), (1, 1, 1, 1, 2), (3, 1, 2, 1, 1)])
def test_build_network_takes_its_layout_from_the_weights(convolutions):
    arrays = build_arrays(convolutions)
    network = build_network(arrays, name="mine")
    assert [layer.name for layer in network.layers if "conv" in layer.name] == list(arrays)
    assert sum("pool" in layer.name for layer in network.layers) == 4 and network.name == "mine"
    assert all((weight == 1).all() for weight in network.get_weights())


def test_a_file_is_called_what_it_holds(tmp_path):
    """By its name a network gets the settings that suit it, and the right time is foretold."""
    for name in ("slim", "vgg16"):
        path = shutil.copy(DATA / f"{name}.npz", tmp_path / "mine.npz")
        assert load_network(path).name == name
    widths = [64, 64, 128, 128, *[256] * 4, *[512] * 5]
    real = {
        k: [np.ones((3, 3, a, b)), np.ones(b)] for k, a, b in zip(build_arrays((2, 2, 4, 4, 1)), [3, *widths], widths)
    }
    assert build_network(real).name == "vgg19" and build_network(build_arrays((2, 2, 3, 3, 1))).name == "slim"


def test_pooling(lake):
    average = load_network("slim", pooling="average")
    maximum = load_network("slim")
    features = [feature_extractor(n, "block2_conv1")(lake[None])["block2_conv1"] for n in (average, maximum)]
    assert features[0].numpy().mean() < features[1].numpy().mean()
    with pytest.raises(ValueError, match="pooling is 'mean', expected 'max' or 'average'"):
        load_network("slim", pooling="mean")


@pytest.mark.parametrize(
    "layer, side", [("block1_conv2", 1), ("block1_pool", 2), ("block4_conv2", 8), ("block5_conv1", 16)]
)
def test_minimum_side_leaves_one_position(network, layer, side):
    assert minimum_side(network, ("block1_conv1", layer)) == side
    image = np.zeros((1, side, side, 3), np.float32)
    assert feature_extractor(network, layer)(image)[layer].shape[1:3] == (1, 1)


FINGERPRINTS = {
    "slim": [60.23108, 323.59033, 347.73853, 246.68585, 27.75712, 132.85492],
    "vgg16": [27.66064, 192.9333, 257.45209, 166.46904, 24.26793, 97.04373],
}


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_fingerprint(name, lake):
    """Mean activations on a bundled image, as stored when the network was added; float rounding moves them by 1e-6."""
    features = feature_extractor(load_network(name), STYLE_LAYERS + CONTENT_LAYERS)(lake[None])
    means = [float(np.mean(features[layer])) for layer in STYLE_LAYERS + CONTENT_LAYERS]
    np.testing.assert_allclose(means, FINGERPRINTS[name], rtol=1e-3)
