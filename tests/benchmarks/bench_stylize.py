"""Speed and memory of `stylize`: run with `make bench` on an otherwise idle machine. Nothing here is a test.

Everything is given as a ratio within one run: a step as a share of the rate of a float32 matrix product, overhead as
a share of a step, growth as a multiple of the smallest size.
"""

import os
import subprocess
import sys
import threading
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import numpy as np
import psutil
import tensorflow as tf

from stlib.network import build_vgg19, feature_extractor, load_vgg19
from stlib.stylize import CONTENT_LAYERS, STYLE_LAYERS, _compile, stylize


def main():
    """Print all measurements; with a size as argument, only time and peak memory at that size, in this process."""
    if len(sys.argv) > 1:
        return print(*memory_and_time(int(sys.argv[1])))
    rate = matrix_rate()
    print(f"float32 matrix product: {rate / 1e9:.0f} GFLOP/s on {os.cpu_count()} cores")

    print("\nnetwork  size   s/step   GFLOP/step   share of the matrix product's rate")
    for network in (load_vgg19("slim"), build_vgg19()):  # random weights compute as long as trained ones
        for size in (256, 512):
            seconds, flops = step_seconds(network, size), operations(network, size)
            print(f"{network.name:10} {size:4} {seconds:8.4f} {flops / 1e9:9.1f} {flops / seconds / rate:15.2f}")

    network = load_vgg19("slim")
    rows = [(network_seconds(network, 320), losses_seconds(network, 320), step_seconds(network, 320)) for _ in range(5)]
    alone, losses, whole = np.median(rows, axis=0)
    print(f"\nat 320 px: network and its gradient {alone:.4f} s, with losses {losses:.4f} s, whole step {whole:.4f} s")
    print(f"outside the compiled losses and gradient: {1 - losses / whole:.1%} of a step (aim: at most 10 %)")
    print(f"losses and optimizer together: {1 - alone / whole:.1%} of a step")

    print("\nsize   pixels   time   peak memory above the start (multiples of 256 px), MB")
    first = None
    for size in (256, 362, 512, 724, 1024):
        output = subprocess.run(
            [sys.executable, __file__, str(size)], capture_output=True, text=True, check=True
        ).stdout
        seconds, peak = map(float, output.split())
        first = first or (size, seconds, peak)
        pixels, time_ratio, memory_ratio = (size / first[0]) ** 2, seconds / first[1], peak / first[2]
        print(f"{size:4} {pixels:8.1f} {time_ratio:6.1f} {memory_ratio:8.1f} {peak / 1e6:10.0f}")


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


def square(size):
    """Return content and style, random images of size x size."""
    return np.random.default_rng(0).uniform(size=(2, size, size, 3)).astype(np.float32)


def step_seconds(network, size, steps=12):
    """Median seconds between two steps of `stylize` at one scale."""
    times = []
    stylize(*square(size), network, size=size, steps=steps, callback=lambda _: times.append(time.perf_counter()))
    return float(np.median(np.diff(times)[2:]))


def network_seconds(network, size, repeats=12):
    """Median seconds of the network forward and of its gradient with respect to the image, nothing else."""
    features = feature_extractor(network, STYLE_LAYERS + CONTENT_LAYERS)

    @tf.function
    def gradient(image):
        with tf.GradientTape() as tape:
            tape.watch(image)
            outputs = list(features(image).values())
        return tape.gradient(outputs, image)

    image = tf.constant(square(size)[:1])
    gradient(image)
    return float(np.median([timed(lambda: gradient(image).numpy()) for _ in range(repeats)]))


def losses_seconds(network, size, repeats=12):
    """Median seconds of the compiled losses with their gradient, as `stylize` uses them."""
    compute_targets, value_and_gradient = _compile(network, CONTENT_LAYERS, STYLE_LAYERS)
    content, style = square(size)[:, None]
    P, A = compute_targets(content, style)
    weights = {"content": 0.05, "style": 1.0, "total_variation": 2.0}
    image = tf.constant(content)
    value_and_gradient(image, P, A, weights)
    return float(
        np.median([timed(lambda: value_and_gradient(image, P, A, weights)[1].numpy()) for _ in range(repeats)])
    )


def operations(network, size):
    """Multiplications and additions of one step's convolutions: forward, and once more for the gradient."""
    total, positions = 0, size * size
    for layer in network.layers[1:]:
        if "pool" in layer.name:
            positions /= 4
        else:
            total += 2 * positions * int(np.prod(layer.kernel.shape))
        if layer.name == STYLE_LAYERS[-1]:
            return 2 * total
    raise ValueError(f"{network.name} has no layer {STYLE_LAYERS[-1]}")


def memory_and_time(size):
    """Seconds for a step and peak bytes above the start, with the slim network, in this process."""
    network, process = load_vgg19("slim"), psutil.Process()
    stylize(*square(64), network, size=64, steps=2)  # compile first
    start, peak, running = process.memory_info().rss, 0, True

    def watch():
        nonlocal peak
        while running:
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.002)

    thread = threading.Thread(target=watch)
    thread.start()
    seconds = step_seconds(network, size)
    running = False
    thread.join()
    return seconds, peak - start


if __name__ == "__main__":
    main()
