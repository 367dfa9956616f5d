"""The Makefile's set-up, with stand-ins for Python: which one it takes, what it installs, and when."""

import os
import shutil
import subprocess

import pytest
from conftest import ROOT

GOOD = """#!/bin/sh
echo "$0 $*" >> calls
case "$*" in
  *"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
esac
"""
BAD = "#!/bin/sh\nexit 1\n"  # a Python of another version, or without venv


@pytest.fixture
def make(tmp_path):
    """Return a function that calls make in a folder of its own, with only the named stand-ins as Python."""
    if not shutil.which("make"):
        pytest.skip("make is not installed here")
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("make", "sh", "mkdir", "cp", "touch", "echo"):
        (tools / name).symlink_to(shutil.which(name))

    def call(target, **pythons):
        for name, program in pythons.items():
            (tools / name.replace("_", ".")).write_text(program)
            (tools / name.replace("_", ".")).chmod(0o755)
        environment = {"PATH": str(tools), "HOME": os.environ.get("HOME", "/")}
        done = subprocess.run(["make", target], cwd=tmp_path, env=environment, capture_output=True, text=True)
        calls = tmp_path / "calls"
        return done, calls.read_text().splitlines() if calls.exists() else []

    return call


def test_one_line_without_a_supported_python(make):
    done, _ = make("run", python3=BAD, python3_12=BAD)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("make:")]
    assert done.returncode != 0 and len(lines) == 1
    assert lines[0].startswith("No Python 3.10 to 3.13 with venv was found: install one")


def test_first_call_installs_second_does_not(make, tmp_path):
    done, calls = make("run", python3=BAD, python3_11=GOOD)
    assert done.returncode == 0, done.stderr
    assert [call.split("/")[-1] for call in calls[1:2]] == ["python3.11 -m venv .venv"]
    assert "-m pip install" in calls[2] and "tools/run_notebooks.py" in calls[3] and len(calls) == 4
    done, calls = make("test")
    assert done.returncode == 0 and len(calls) == 5 and "-m pytest" in calls[4]
    os.utime(tmp_path / "pyproject.toml", (2**31, 2**31))  # a new dependency: install again, keep the environment
    _, calls = make("test")
    assert len(calls) == 7 and "-m pip install" in calls[5]


def test_an_interrupted_installation_is_repeated(make):
    failing = GOOD.replace("esac", '  *"pip install"*) exit 1 ;;\nesac')
    done, calls = make("test", python3_13=failing)
    assert done.returncode != 0 and not any("-m pytest" in call for call in calls)
    _, calls = make("test")
    assert sum("pip install" in call for call in calls) == 2
