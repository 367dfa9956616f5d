"""The network: layout, preprocessing, features, and a fingerprint of the embedded weights."""

import keras
import numpy as np
import pytest

from stlib.network import build_vgg19, feature_extractor, load_vgg19, minimum_side, preprocess
from stlib.stylize import CONTENT_LAYERS, STYLE_LAYERS


def test_layout_is_that_of_keras_vgg19():
    ours, real = build_vgg19(), keras.applications.VGG19(include_top=False, weights=None)
    assert [layer.name for layer in ours.layers][1:] == [layer.name for layer in real.layers][1:]
    assert [w.shape for w in ours.weights] == [w.shape for w in real.weights]
    assert ours.count_params() == 20_024_384
    ours.set_weights(real.get_weights())
    batch = preprocess(np.random.default_rng(0).uniform(size=(1, 64, 48, 3)).astype(np.float32))
    np.testing.assert_allclose(ours(batch), real(batch), rtol=1e-4, atol=1e-6)


def test_slim_layout(network):
    names = [layer.name for layer in network.layers][1:]
    assert names[0] == "block1_conv1" and names[-1] == "block5_conv1"
    assert names == [layer.name for layer in build_vgg19().layers][1 : len(names) + 1]
    widths = {layer.name: layer.filters for layer in network.layers if "conv" in layer.name}
    assert [widths[layer] for layer in STYLE_LAYERS] == [16, 32, 64, 128, 128]
    assert network.count_params() == 810_128
    assert not network.trainable_weights


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
    assert features["block1_conv1"].shape == (1, h, w, 16)
    assert features["block3_conv1"].shape == (1, h // 4, w // 4, 64)
    inner = [layer.name for each in extractor.layers if isinstance(each, keras.Model) for layer in each.layers]
    assert inner[-1] == "block3_conv1" and "block3_conv2" not in inner
    np.testing.assert_allclose(
        features["block1_conv1"], network.get_layer("block1_conv1")(preprocess(lake[None])), rtol=1e-5, atol=1e-3
    )


def test_extractor_takes_one_name_and_any_network(lake):
    extractor = feature_extractor(build_vgg19((4, 4, 4, 4, 4)), "block5_conv4")
    assert list(extractor(lake[None])) == ["block5_conv4"]


def test_unknown_layers_name_the_remedy(network):
    with pytest.raises(ValueError, match=r"no layer 'block4_conv22'.*'block4_conv2'"):
        feature_extractor(network, ["block4_conv22"])
    with pytest.raises(ValueError, match=r"ends at block5_conv1, before block5_conv2.*imagenet"):
        feature_extractor(network, ["block5_conv2"])
    with pytest.raises(ValueError, match="at least one"):
        feature_extractor(network, [])


def test_pooling(lake):
    average = load_vgg19("slim", pooling="average")
    maximum = load_vgg19("slim")
    features = [feature_extractor(n, "block2_conv1")(lake[None])["block2_conv1"] for n in (average, maximum)]
    assert features[0].numpy().mean() < features[1].numpy().mean()
    with pytest.raises(ValueError, match="pooling is 'mean', expected 'max' or 'average'"):
        load_vgg19("slim", pooling="mean")


@pytest.mark.parametrize(
    "layer, side", [("block1_conv2", 1), ("block1_pool", 2), ("block4_conv2", 8), ("block5_conv1", 16)]
)
def test_minimum_side_leaves_one_position(network, layer, side):
    assert minimum_side(network, ("block1_conv1", layer)) == side
    image = np.zeros((1, side, side, 3), np.float32)
    assert feature_extractor(network, layer)(image)[layer].shape[1:3] == (1, 1)


def test_fingerprint_of_slim(network, lake):
    """Mean activations on a bundled image, as stored when the network was added; float rounding moves them by 1e-6."""
    features = feature_extractor(network, STYLE_LAYERS + CONTENT_LAYERS)(lake[None])
    means = [float(np.mean(features[layer])) for layer in STYLE_LAYERS + CONTENT_LAYERS]
    np.testing.assert_allclose(means, [0.79447, 0.78234, 0.63864, 0.45062, 0.51225, 0.35642], rtol=1e-3)
