"""The wheel: built from a copy, installed outside the checkout, it loads its network and paints."""

import os
import shutil
import subprocess
import sys
import zipfile

from conftest import ROOT


def test_wheel_paints_outside_the_checkout(tmp_path):
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(ROOT / "stlib", source / "stlib", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, source])
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"stlib/weights/vgg19_slim.npz", "stlib/weights/MODEL_CARD.md", "stlib/checks/report.py"} <= set(names)
    run([sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", site, wheel])
    program = """
import sys, numpy, stlib
assert stlib.__file__.startswith(sys.argv[1]), stlib.__file__
from stlib.stylize import stylize
content, style = numpy.random.default_rng(0).uniform(size=(2, 32, 32, 3))
print(stylize(content, style, size=32, steps=2).image.shape)
"""
    output = run([sys.executable, "-c", program, str(site)], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(site)})
    assert "(32, 32, 3)" in output


def run(command, **keywords):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **keywords)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
