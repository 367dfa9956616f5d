"""The wheel: built from a copy, installed outside the checkout, it loads its network and paints."""

import os
import subprocess
import sys
import zipfile

PROGRAM = """
import sys, numpy, stlib
assert stlib.__file__.startswith(sys.argv[1]), stlib.__file__
from stlib.stylize import stylize
content, style = numpy.random.default_rng(0).uniform(size=(2, 32, 32, 3))
print(stylize(content, style, size=32, steps=2).image.shape)
from stlib.painter import load_painter, paint
assert paint(content, load_painter("starry_night")).shape == content.shape
"""


def test_wheel_paints_outside_the_checkout(wheel, site, tmp_path):
    names = zipfile.ZipFile(wheel).namelist()
    assert {
        "stlib/data/slim.npz",
        "stlib/data/vgg16.npz",
        "stlib/data/MODEL_CARD.md",
        "stlib/marking/answers.py",
    } <= set(names)
    command, environment = [sys.executable, "-c", PROGRAM, str(site)], os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "(32, 32, 3)" in done.stdout, done.stderr
