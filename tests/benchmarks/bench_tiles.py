"""Tiles beside the whole picture: time of a step, growth with the size, peak memory. Run with `make bench`; no test.

Times are multiples of the untiled step at 1,024 px and, as the size grows, seconds for a million pixels: a table, and
out/growth.png. A peak is that of a process of its own, in all.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import matplotlib.pyplot as plt
import numpy as np
from bench_stylize import pair, peak

from stlib.network import load_network
from stlib.settings import Settings
from stlib.stylize import plan, stylize

MEMORY = 2e9  # bytes in all


def main():
    """Print all measurements; with a network, a size and bytes of memory, only those of that run."""
    if len(sys.argv) > 1:
        return print(*step(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for name, sizes in (("slim", (512, 1024, 2048, 4096)), ("vgg16", (1024, 4096))):
        whole, _, _ = run(name, 1024, 1e12)
        print(f"{name}: a step at 1024 px untiled {whole:.1f} s; in tiles", end=" ")
        for memory in (0.85e9, 1e9, 1.2e9, 1.5e9) if name == "slim" else (1.2e9, 1.5e9, 2e9):
            seconds, _, side = run(name, 1024, memory)
            print(f"of {side} px in {memory / 1e9} GB: {seconds / whole:.2f} of that", end="; ", flush=True)
        print()
        grown = []
        for size in sizes:
            seconds, most, side = run(name, size, MEMORY)
            rate = seconds / (0.75 * size**2 / 1e6)
            grown.append((size, rate, most / 1e9))
            print(f"{size:5} px: tile {side}, {rate:.2f} s a million pixels, peak {most / 1e9:.2f} GB", flush=True)
        for axis, values in zip(axes, list(zip(*grown))[1:]):
            axis.semilogx(sizes, values, marker="o" if name == "slim" else "s", label=name)
    for axis, label in zip(axes, ("seconds for a million pixels", "peak in GB")):
        axis.set(xlabel="longest side in pixels", ylabel=label, ylim=(0, None))
        axis.set_xticks([512, 1024, 2048, 4096], ["512", "1,024", "2,048", "4,096"])
        axis.minorticks_off()
        axis.legend()
    out = Path(__file__).parents[2] / "out/growth.png"
    out.parent.mkdir(exist_ok=True)
    figure.savefig(out, dpi=120)
    print(out)


def run(*arguments):
    """Seconds of a step, peak in bytes, side of the tiles (None: untiled), measured in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *map(str, arguments)], capture_output=True, text=True, check=True)
    seconds, most, side = done.stdout.split()
    return float(seconds), float(most), side


def step(name, size, memory):
    """As `run`, in this process: the median of the steps after the first two, which compile."""
    network, times = load_network(name), []
    content, style = pair(1024)
    settings = dict(size=size, steps=(5,), memory=memory)
    side = plan(content, style, network, Settings(**settings))[-1].side
    stylize(content, style, network, callback=lambda progress: times.append(time.perf_counter()), **settings)
    return np.median(np.diff(times)[1:]), peak(), side


if __name__ == "__main__":
    main()
