"""Weights files: every layout gives the same activations, every failure one clear sentence, and nothing is deleted."""

import contextlib
import http.server
import threading
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from stlib import weights as files
from stlib.network import feature_extractor, load_network, preprocess

LAYER = "block5_conv4"


@pytest.fixture(scope="module")
def source():
    """A real-size VGG19 with random weights and the activations that a faithful copy of it must have."""
    model = keras.applications.VGG19(include_top=False, weights=None)
    image = np.random.default_rng(0).uniform(size=(1, 64, 48, 3)).astype(np.float32)
    cut = keras.Model(model.input, model.get_layer(LAYER).output)
    return model, image, cut(preprocess(image)).numpy()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, source):
    """One file in each layout: current, whole model, and legacy, as published and renamed."""
    folder, model = tmp_path_factory.mktemp("weights"), source[0]
    model.save_weights(folder / "current.weights.h5")
    model.save(folder / "current.keras")
    for name in ("legacy.h5", "legacy renamed.weights.h5"):
        write_legacy(folder / name, model)
    return folder


def write_legacy(path, model):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}_W_1:0", f"{layer.name}_b_1:0"] if layer.weights else []
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, values in zip(names, layer.get_weights()):
                group[name] = values


@pytest.mark.parametrize("name", ["current.weights.h5", "current.keras", "legacy.h5", "legacy renamed.weights.h5"])
def test_every_layout_gives_the_activations_of_its_source(name, folder, source, no_sockets):
    _, image, expected = source
    assert expected.std() > 0
    network = load_network(folder / name)
    np.testing.assert_allclose(feature_extractor(network, LAYER)(image)[LAYER], expected, rtol=1e-4, atol=1e-5)


def test_environment_variable_and_average_pooling(folder, source, no_sockets, monkeypatch):
    monkeypatch.setenv("STLIB_NETWORK", str(folder / "legacy.h5"))
    average = load_network(pooling="average")
    np.testing.assert_array_equal(average.get_layer(LAYER).kernel, source[0].get_layer(LAYER).kernel)
    assert load_network("slim").name == "slim"


def test_slim_opens_no_socket(no_sockets):
    assert load_network().name == load_network("slim").name == "slim"


def test_a_missing_a_wrong_and_a_truncated_file(folder, tmp_path, no_sockets):
    with pytest.raises(FileNotFoundError, match=r"no network nowhere\.h5: give 'slim', 'vgg16', 'vgg19' or the path"):
        load_network("nowhere.h5")
    with pytest.raises(FileNotFoundError, match="the path of a file of VGG16 or VGG19"):
        load_network("vgg99")
    broken = {}
    for name in ("legacy.h5", "current.weights.h5", "current.keras"):
        broken[f"truncated {name}"] = (folder / name).read_bytes()[:1_000_000]
    broken["text.h5"] = b"not weights at all"
    broken["empty.weights.h5"] = b""
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "other.weights.h5")
    broken["other.weights.h5"] = (tmp_path / "other.weights.h5").read_bytes()
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file.attrs["layer_names"] = [b"conv"]
        file.create_group("conv").attrs["weight_names"] = []
    broken["foreign.h5"] = (tmp_path / "foreign.h5").read_bytes()
    for name, content in broken.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match="is not a network, expected a complete file of VGG16 or VGG19.*copy or download"
        ) as error:
            load_network(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)
        assert path.read_bytes() == content


@pytest.mark.parametrize(
    "save", [lambda model, path: model.save_weights(path), lambda model, path: write_legacy(path, model)]
)
def test_a_file_of_vgg16_is_known_by_its_layers(save, tmp_path, no_sockets):
    model, path = keras.applications.VGG16(include_top=False, weights=None), tmp_path / "mine.weights.h5"
    save(model, path)
    network = load_network(path)
    assert network.name == "vgg16" and not network.trainable_weights
    for mine, theirs in zip(network.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("name", files.EMBEDDED)
def test_any_changed_byte_is_refused(name, tmp_path, monkeypatch):
    original = (files.DATA / f"{name}.npz").read_bytes()
    path = tmp_path / f"{name}.npz"
    monkeypatch.setattr(files, "DATA", tmp_path)
    path.write_bytes(original)
    assert list(files.read_embedded(name))[0] == "block1_conv1"
    for position in (0, len(original) // 2, len(original) - 1):
        changed = bytearray(original)
        changed[position] ^= 1
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=rf"{name}\.npz is not the network that stlib was published with: install"):
            load_network(name)


def test_archives_that_are_no_network(tmp_path):
    kernel, bias = np.zeros((3, 3, 3, 2), np.float16), np.zeros(2, np.float32)
    whole = {f"block{b}_conv1": [np.zeros((3, 3, 3 if b == 1 else 2, 2), np.float16), bias] for b in range(1, 6)}
    broken = {
        "an empty archive": {},
        "foreign names": {"conv": [kernel, bias]},
        "four blocks": {name: whole[name] for name in list(whole)[:4]},
        "another order": {name: whole[name] for name in reversed(whole)},
        "no first convolution": {"block1_conv2": whole["block1_conv1"]} | {n: whole[n] for n in list(whole)[1:]},
        "wrong channels": whole | {"block3_conv1": [np.zeros((3, 3, 5, 2)), bias]},
        "5 x 5": whole | {"block3_conv1": [np.zeros((5, 5, 2, 2)), bias]},
    }
    for name, arrays in broken.items():
        path = tmp_path / f"{name}.npz"
        np.savez(
            path,
            **{f"{layer}/{part}": array for layer in arrays for part, array in zip(("kernel", "bias"), arrays[layer])},
        )
        with pytest.raises(ValueError, match="is not a network, expected a file .*slim wrote: copy") as error:
            load_network(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)


@contextlib.contextmanager
def server(answer):
    """Serve `answer(handler)` on this machine; yields the address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answer(self)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.daemon_threads = True
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()  # ends as soon as it is told
        yield f"http://127.0.0.1:{httpd.server_port}/vgg19.h5"
        httpd.shutdown()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty Keras cache, and its file's future path."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "models" / "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"


def send(handler, content, length=None):
    handler.send_response(200)
    handler.send_header("Content-Length", str(length or len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def test_download_then_cache(cache, folder, source, monkeypatch, request):
    """With the published address and sum replaced by those of a local file, everything else is the real code."""
    monkeypatch.setattr(files, "VGG19_MD5", files._md5(folder / "legacy.h5"))
    with server(lambda handler: send(handler, (folder / "legacy.h5").read_bytes())) as url:
        monkeypatch.setattr(files, "_download", lambda _, path, original=files._download: original(url, path))
        network = load_network("vgg19")
    assert cache.exists() and len(list(cache.parent.iterdir())) == 1
    np.testing.assert_array_equal(network.get_layer(LAYER).kernel, source[0].get_layer(LAYER).kernel)
    request.getfixturevalue("no_sockets")
    load_network("vgg19")  # from the cache now


def test_a_corrupt_file_in_the_cache_stays_and_is_named(cache, no_sockets):
    cache.parent.mkdir()
    cache.write_bytes(b"half a file")
    with pytest.raises(ValueError, match=r"notop\.h5 is damaged .*move it away, then try again"):
        load_network("vgg19")
    assert cache.read_bytes() == b"half a file"


RELEASE, ENDED = threading.Event(), threading.Event()


def hang():
    """Keep the connection open, silently, until the client has given up."""
    RELEASE.wait(60)
    ENDED.set()


FAILURES = {
    "refused by the server": lambda handler: handler.send_error(404),
    "another file": lambda handler: send(handler, b"<html>Sign in to the school's network</html>"),
    "cut off": lambda handler: send(handler, b"some", length=1000),
    "not HTTP": lambda handler: handler.wfile.write(b"garbage\r\n\r\n"),
    "hanging": lambda handler: hang(),
    "hanging midway": lambda handler: (send(handler, b"some", length=1000), hang()),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_download_is_one_sentence_and_leaves_nothing(failure, cache, monkeypatch):
    assert files.TIMEOUT == 10
    RELEASE.clear()
    ENDED.clear()
    monkeypatch.setattr(files, "TIMEOUT", 0.3)
    with server(FAILURES[failure]) as url:
        monkeypatch.setattr(files, "VGG19_URL", f"{url}/{cache.name}")
        with pytest.raises(OSError, match=r"VGG19 could not be downloaded .*: try again later, or copy") as error:
            load_network("vgg19")
        assert not ENDED.is_set()  # the client gave up first
        RELEASE.set()
    assert str(cache) in str(error.value) and "\n" not in str(error.value)
    assert not list(cache.parent.iterdir())


def test_no_network_and_no_cache_folder(cache, monkeypatch, tmp_path):
    monkeypatch.setattr(files, "VGG19_URL", f"http://127.0.0.1:9/{cache.name}")  # nobody listens there
    with pytest.raises(OSError, match="take 'vgg16', which comes with stlib"):
        load_network("vgg19")
    blocker = tmp_path / "a file"
    blocker.write_text("in the way")
    monkeypatch.setenv("KERAS_HOME", str(blocker / "keras"))
    with pytest.raises(OSError, match="VGG19 could not be downloaded"):
        load_network("vgg19")


@pytest.mark.vgg19
def test_the_published_file_where_it_is(request):
    path = Path.home() / ".keras/models/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
    if not path.exists():
        pytest.skip("the published VGG19 file is not in Keras' cache")
    request.getfixturevalue("no_sockets")
    assert load_network("vgg19").count_params() == 20_024_384
