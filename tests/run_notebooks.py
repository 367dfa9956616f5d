"""Execute the notebooks in order, without a browser: `make run` and, with --write, `make outputs`.

usage: python tests/run_notebooks.py [--write] [NAME ...]     NAME: the start of a file name, such as 03
"""

import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS, OUT = ROOT / "notebooks", ROOT / "out"


def main(arguments):
    """Run the notebooks named, or all; return the exit code."""
    write = "--write" in arguments
    names = tuple(name for name in arguments if name != "--write") or ("",)
    paths = [path for path in sorted(NOTEBOOKS.glob("*.ipynb")) if path.name.startswith(names)]
    if not paths:
        print(f"No notebook in {NOTEBOOKS} begins with {' or '.join(names)}.")
        return 2
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="zmq")  # Windows' event loop, harmless
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"  # TensorFlow's greetings say nothing to a reader
    if write:
        os.environ["STLIB_NETWORK"] = "slim"  # committed outputs are the same everywhere
    began = time.time()
    for number, path in enumerate(paths, start=1):
        print(f"[{number}/{len(paths)}] {path.name} ... ", end="", flush=True)
        start = time.perf_counter()
        try:
            notebook = execute(path)
        except CellExecutionError as error:
            print(f"failed\n{error}")
            return 1
        print(f"{time.perf_counter() - start:.0f} s", flush=True)
        if write:
            nbformat.write(clean(notebook), path)
    pictures = [path for path in sorted(OUT.rglob("*")) if path.is_file() and path.stat().st_mtime >= began]
    print("\n".join(["Pictures:", *(f"  {os.path.relpath(path)}" for path in pictures)]))
    return 0


def execute(path):
    """Execute one notebook in its own folder with this Python and return it, its outputs filled in."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", record_timing=False, resources={"metadata": {"path": path.parent}}
    )
    return client.execute(stderr=subprocess.DEVNULL)  # the kernel's log, not what cells print


def clean(notebook):
    """Drop what differs from machine to machine and is not for the reader: stderr and kernel versions."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
