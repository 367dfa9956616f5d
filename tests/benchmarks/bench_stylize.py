"""Speed and memory of `stylize`: run with `make bench` on an otherwise idle machine. Nothing here is a test.

Everything is given as a ratio within one run: pictures as multiples of the first engine's (first_engine.py), overhead
as a share of a step, steps as a share of the rate of a float32 matrix product, memory in bytes for each pixel.
"""

import functools
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import numpy as np
import tensorflow as tf
from first_engine import first_engine

from stlib import optimize, pyramid
from stlib.losses import total_variation_loss
from stlib.network import build_vgg, feature_extractor, floats_per_pixel, load_network
from stlib.settings import CONTENT_LAYERS, RECIPES, STYLE_LAYERS
from stlib.stylize import STATISTICS, _compile, _moves, moved, stylize

ASPECT = 0.75  # height by width


def main():
    """Print all measurements; with a network and a size as arguments, only its peak memory, in this process."""
    if len(sys.argv) > 1:
        return print(peak_memory(sys.argv[1], int(sys.argv[2])))
    rate = matrix_rate()
    print(f"float32 matrix product: {rate / 1e9:.0f} GFLOP/s on {os.cpu_count()} cores")

    print("\nseconds a picture, and multiples of the first engine with the first slim network")
    slim, vgg16, first = load_network("slim"), load_network("vgg16"), first_engine()
    engines = {
        "first": first,
        "slim": lambda content, style, size: stylize(content, style, slim, size=size).image,
        "slim, draft": lambda content, style, size: stylize(content, style, slim, size=size, steps="draft").image,
        "vgg16": lambda content, style, size: stylize(content, style, vgg16, size=size).image,
    }
    for paint in engines.values():
        paint(*pair(64), 64)  # compile
    for size, repeats in ((320, 3), (512, 3), (640, 2), (1024, 1)):
        seconds = {}
        for name, paint in engines.items():
            if name != "vgg16" or size == 512:
                times = [
                    timed(functools.partial(paint, *pair(size), size)) for _ in range(1 if name == "vgg16" else repeats)
                ]
                seconds[name] = min(times)
        ratios = ", ".join(f"{name} {s:.1f} s ({s / seconds['first']:.2f})" for name, s in seconds.items())
        more = f"; vgg16 / slim {seconds['vgg16'] / seconds['slim']:.1f}" if "vgg16" in seconds else ""
        print(f"{size:5} px: {ratios}{more}", flush=True)

    for network in (slim, vgg16):
        parts = {}
        for name, run in step_parts(network, 512).items():
            run(), run()
            parts[name] = np.median([timed(run) for _ in range(15)])
        whole = step_seconds(network, 512)
        print(f"\n{network.name}, a step at 512 px: {1e3 * whole:.0f} ms, of which")
        for name, seconds in parts.items():
            print(f"  {name:45} {1e3 * seconds:7.1f} ms  {seconds / whole:6.1%}")
        print(f"  not the network: {1 - parts['network, forward and backward'] / whole:.1%}")

    print("\nnetwork  size   s/step   GFLOP/step   share of the matrix product's rate")
    for network in (slim, vgg16, build_vgg()):  # random weights compute as long as trained ones
        for size in (256, 512):
            seconds, flops = step_seconds(network, size), operations(network, size)
            print(f"{network.name:10} {size:4} {seconds:8.4f} {flops / 1e9:9.1f} {flops / seconds / rate:15.2f}")

    print("\npeak memory above that of a small picture")
    for network in (slim, vgg16):
        for size in (512, 1024):
            command = [sys.executable, __file__, network.name, str(size)]
            most = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            floats = floats_per_pixel(network, STYLE_LAYERS + CONTENT_LAYERS)
            pixels = size * round(size * ASPECT)
            row = f"{most / 1e6:7.0f} MB {most / pixels:7.0f} bytes a pixel"
            print(f"{network.name:6} {size:5} px {row} ({floats:.0f} floats)")


def matrix_rate(n=2048, repeats=10):
    """Operations a second of a float32 matrix product, the best of `repeats`."""
    a = tf.random.normal((n, n))
    product = tf.function(lambda: tf.linalg.matmul(a, a))
    product()
    return 2 * n**3 / min(timed(product) for _ in range(repeats))


def timed(function):
    """Seconds that one call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def pair(size):
    """Return content and style, random images of that width."""
    return np.random.default_rng(0).uniform(size=(2, round(size * ASPECT), size, 3)).astype(np.float32)


def step_seconds(network, size, steps=12):
    """Median seconds between two steps of `stylize` at one scale."""
    times = []
    stylize(*pair(size), network, size=size, steps=steps, callback=lambda _: times.append(time.perf_counter()))
    return float(np.median(np.diff(times)[2:]))


def step_parts(network, size):
    """Functions that do parts of a step: a dict by name."""
    features = feature_extractor(network, STYLE_LAYERS + CONTENT_LAYERS)
    content, style = tf.constant(pair(size)[:1]), tf.constant(pair(size)[1:])
    recipe = RECIPES[network.name]
    _, style_targets, value_and_gradient = _compile(
        network, CONTENT_LAYERS, tuple(recipe["style_layers"].items()), "split"
    )
    F, move = features(style), _moves("pyramid", 0)[0]
    P, A = {layer: features(content)[layer] for layer in CONTENT_LAYERS}, style_targets(style)
    weights = {"content": recipe["content_weight"], "style": 1.0, "total_variation": 0.7}
    bands = pyramid.split(content)
    zeros = [tf.zeros_like(band) for band in bands]

    def gradient_of(function):
        @tf.function
        def gradient(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = function(x)
            return tape.gradient(y, x)

        return gradient

    alone = gradient_of(lambda image: list(features(image).values()))
    statistics = gradient_of(lambda F: [STATISTICS["split"](each) for each in F])
    variation, shift = gradient_of(total_variation_loss), gradient_of(lambda image: moved(image, move))
    layers = [F[layer] for layer in STYLE_LAYERS]
    return {
        "network, forward and backward": lambda: alone(content).numpy(),
        "with the losses": lambda: value_and_gradient(content, move, P, A, weights)[1].numpy(),
        "statistics, forward and backward": lambda: statistics(layers)[0].numpy(),
        "total variation": lambda: variation(content).numpy(),
        "the move": lambda: shift(content).numpy(),
        "bands: adjoint, Adam, sum": lambda: optimize._bands_step(bands, content, zeros, zeros, 1.0, 0.02)[0].numpy(),
    }


def operations(network, size):
    """Multiplications and additions of one step's convolutions: forward, and once more for the gradient."""
    total, positions = 0, size * round(size * ASPECT)
    for layer in network.layers[1:]:
        if "pool" in layer.name:
            positions /= 4
        else:
            total += 2 * positions * int(np.prod(layer.kernel.shape))
        if layer.name == STYLE_LAYERS[-1]:
            return 2 * total
    raise ValueError(f"{network.name} has no layer {STYLE_LAYERS[-1]}")


def peak_memory(name, size):
    """Peak bytes above those of a small picture while a few steps are made, in this process."""
    network = load_network(name)
    stylize(*pair(64), network, size=64, steps=2)  # compile first
    start = peak()
    stylize(*pair(size), network, size=size, steps=4)
    return peak() - start


def peak():
    """The most bytes that this process has held so far, TensorFlow's own included."""
    if sys.platform == "linux":  # where ru_maxrss begins with what the process had that started this one
        status = Path("/proc/self/status").read_text()
        return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
