"""Weights files: the embedded networks, read as {layer: [kernel, bias]}, published files of VGG, and painters.

kernel is float32 (3, 3, in, out), bias (out,). MODEL_CARD.md and PAINTERS.md say what the embedded files are.
Every failure is one sentence that says what to do; nothing of the user's is ever deleted or replaced.
"""

import hashlib
import http.client
import os
import urllib.request
import warnings
import zipfile
from importlib import resources
from pathlib import Path

import h5py
import numpy as np
from tqdm import tqdm

from stlib.disk import check_file, whole_file
from stlib.images import one_line

DATA = resources.files("stlib") / "data"
EMBEDDED = {  # SHA-256 of the networks that come with the course
    "slim": "45bea51212866d8417d8d98477975a9a8d3ec9ec4a9766bd4ccec051f0283ed4",
    "vgg16": "d59ea6ddc78138a91a030b224e9f34c46cd7ab7c7c8cfdd567808dfea3c56410",
}
PAINTERS = {  # SHA-256; starry_night_flickers went on without the stability term, for comparison
    "starry_night": "e47476fd8ae55d3ee186c6c88d36a2ec9644d6f96e6d547507a6ad8a1d66479b",
    "great_wave": "61c645ae0f6450985da1f350b824de7c22657438e7678f50027a90010162a112",
    "village_street_auvers": "0f6a3dbd8053b3e316c1ef2e34b8a7cb5555f3764f7578918b2ef783384788f4",
    "composition_viii": "92d79acd567885ab5d6af87e6a7c9e417921223cc213e7faf1b68a06aba476ef",
    "citrus_slices": "890a81f96a049486d1706a8826049e5f9975dbfd8a56185555195a8b333be589",
    "ocean_waves": "bc4dd9e4011330df6461c62da35f3eae007144115efd649c9fe8febcac293c6f",
    "starry_night_flickers": "1437cc4abe359c38b779e7b6c878db37432b11c67d18954a99a8ba574c1b97de",
}
VGG19_MD5 = "253f8cb515780f3b799900260a226db6"  # of the published file, as Keras states it
VGG19_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg19/"
    "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
)
TIMEOUT = 10  # seconds without an answer after which a download counts as hanging


def read_embedded(name):
    """Read an embedded network. Raises ValueError if a single byte of it was changed."""
    return read_npz(_published(name, EMBEDDED[name]))


def check_network(name):
    """Raise FileNotFoundError or ValueError if `name` cannot be a network: at once, without TensorFlow."""
    path = Path(name)
    if path.suffix == ".npz":
        read_npz(path)
    elif name != "vgg19" and name not in EMBEDDED:
        _check_network_file(path)
        if not (h5py.is_hdf5(path) or zipfile.is_zipfile(path)):
            raise _not_published(path)


def read_npz(path):
    """Read a network of VGG's kind as {layer: [kernel, bias]}. Raises FileNotFoundError or ValueError."""
    _check_network_file(path)
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            layers = dict.fromkeys(name.split("/")[0] for name in arrays)  # a set that keeps the order
            arrays = {layer: [np.float32(arrays[f"{layer}/{part}"]) for part in ("kernel", "bias")] for layer in layers}
        counts = [sum(layer.startswith(f"block{block}_") for layer in arrays) for block in range(1, 6)]
        if 0 in counts or list(arrays) != [
            f"block{b}_conv{k}" for b, n in enumerate(counts, 1) for k in range(1, n + 1)
        ]:
            raise ValueError(f"its layers are {', '.join(arrays)}")
        channels = 3
        for layer, (kernel, bias) in arrays.items():
            if kernel.shape != (3, 3, channels, *bias.shape):
                raise ValueError(f"the kernel of {layer} has shape {kernel.shape}")
            channels = len(bias)
    except Exception as error:  # NumPy raises almost any type for a broken or foreign file
        raise ValueError(
            f"{path} is not a network, expected a file (.npz) that the training of slim wrote: "
            "copy it again, or name another."
        ) from error
    return arrays


def read_painter(name):
    """Read a painter as {variable: array}: one of PAINTERS, or the path of a file that the training of a painter wrote.

    Raises ValueError if a single byte of an embedded one was changed or if the file is no archive of arrays,
    FileNotFoundError if there is no such file.
    """
    path = _published(f"painter_{name}", PAINTERS[name]) if name in PAINTERS else Path(name)
    if not path.exists():
        raise FileNotFoundError(
            f"There is no painter {name}: give one of {', '.join(PAINTERS)}, "
            "or the path of a file that the training of one wrote."
        )
    check_file(path, "a painter")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return {variable: np.float32(arrays[variable]) for variable in arrays}
    except Exception as error:  # NumPy raises almost any type for a broken or foreign file
        raise ValueError(
            f"{path} is not a painter, expected a file (.npz) that the training of a painter wrote: "
            "copy it again, or name another."
        ) from error


def _published(name, digest):
    path = DATA / f"{name}.npz"
    if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        raise ValueError(f"{path} is not the network that stlib was published with: install stlib again.")
    return path


def _check_network_file(path):
    if not path.exists():
        raise FileNotFoundError(
            f"There is no network {path}: give 'slim', 'vgg16', 'vgg19' or the path of a file of VGG16 or VGG19."
        )
    check_file(path, "a network")


def _not_published(path):
    return ValueError(
        f"{path} is not a network, expected a complete file of VGG16 or VGG19 without top (.h5, .weights.h5, .keras): "
        "copy or download it again."
    )


def read_published(path, networks):
    """Load a file without top, in Keras' current or legacy HDF5 layout, into the one of `networks` that it fits.

    Returns that network. Raises FileNotFoundError or ValueError.
    """
    check_network(path)
    for network in networks:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # Keras only warns when a file lacks layers
                if not (h5py.is_hdf5(path) and _read_legacy(path, network)):
                    network.load_weights(path)
            return network
        except Exception as error:  # h5py and Keras raise almost any type for a broken or foreign file
            failure = error
    raise _not_published(path) from failure


def _read_legacy(path, network):
    """Read the layout of the published file whatever its name; False if it is another layout."""
    with h5py.File(path) as file:
        if "layer_names" not in file.attrs:
            return False
        for layer in network.layers:
            if layer.weights:
                group = file[layer.name]
                layer.set_weights([group[name][()] for name in group.attrs["weight_names"]])
    return True


def vgg19_file():
    """Return the path of the published VGG19 file in Keras' cache, downloaded if it is not there yet."""
    cache = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    path = cache / "models" / VGG19_URL.rsplit("/", 1)[1]
    if not path.exists():
        _download(VGG19_URL, path)
    elif _md5(check_file(path)) != VGG19_MD5:
        raise ValueError(f"{path} is damaged (wrong MD5 sum): move it away, then try again to download it anew.")
    return path


def _download(url, path):
    """Fetch `url` into `path`, which appears whole and checked or not at all.

    Keras' own get_file waits without limit, and replaces a damaged file in the cache without a word.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, part.open("wb") as file:
                size = int(answer.headers.get("Content-Length", 0)) or None
                with tqdm(total=size, unit="B", unit_scale=True, desc="VGG19 weights") as bar:
                    while block := answer.read(1 << 16):
                        file.write(block)
                        bar.update(len(block))
            if _md5(part) != VGG19_MD5:
                raise OSError("the file that came is not the published one (wrong MD5 sum)")
    except (OSError, http.client.HTTPException) as error:  # no network, a refusal, a time-out, a broken answer
        raise OSError(
            f"VGG19 could not be downloaded ({one_line(error)}): try again later, or copy the file from somebody "
            f"who has it to {path}, or take 'vgg16', which comes with stlib."
        ) from error


def _md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
