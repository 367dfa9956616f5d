"""Execute the notebooks in order, without a browser: `make run` and, with --write, `make outputs`.

usage: python tools/run_notebooks.py [--write] [NAME ...]     NAME: the start of a file name, such as 03
"""

import functools
import math
import os
import queue
import subprocess
import sys
import time
import warnings
from pathlib import Path

from stlib import disk
from stlib.command import program

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS, OUT = ROOT / "notebooks", ROOT / "out"


def main(arguments):
    """Run the notebooks named, or all, whatever fails among them; return the exit status."""
    write = "--write" in arguments
    names = tuple(name for name in arguments if name != "--write") or ("",)
    paths = [path for path in sorted(NOTEBOOKS.glob("*.ipynb")) if path.name.startswith(names)]
    if not paths:
        print(f"No notebook in {NOTEBOOKS} begins with {' or '.join(names)}.")
        return program.USAGE
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="zmq")  # Windows' event loop, harmless
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"  # TensorFlow's greetings say nothing to a reader
    if write:
        os.environ |= {"STLIB_NETWORK": "slim", "STLIB_LANGUAGE": "en"}  # committed outputs are the same everywhere
    began, failed = time.time(), []
    for number, path in enumerate(paths, start=1):
        print(f"[{number}/{len(paths)}] {path.name} ... ", end="", flush=True)
        start = time.perf_counter()
        try:
            notebook = execute(path)
            if write:
                store(clean(notebook), path)
        except Exception as error:  # of a cell, or of a file that is no notebook
            print(f"failed\n{error}")
            failed.append(path.name)
        else:
            print(f"{time.perf_counter() - start:.0f} s", flush=True)
    pictures = [path for path in sorted(OUT.rglob("*")) if path.is_file() and path.stat().st_mtime >= began]
    print("\n".join(["Pictures:", *(f"  {os.path.relpath(path)}" for path in pictures)]))
    print("".join(f"Failed: {name}\n" for name in failed), end="")
    return program.SOME_FAILED if failed else program.DONE


def execute(path):
    """Execute one notebook in its own folder with this Python and return it, its outputs filled in."""
    import nbformat  # here, as all that takes time: Ctrl-C is no traceback
    from nbclient import NotebookClient

    notebook = nbformat.read(disk.check_file(path, "a notebook"), as_version=4)
    options = dict(timeout=600, kernel_name="python3", record_timing=False)
    options["coalesce_streams"] = True  # what one cell prints is one output, however the kernel sent it
    client = NotebookClient(notebook, resources={"metadata": {"path": path.parent}}, **options)

    def ask_again(**_):
        channel = client.kc.shell_channel
        channel.get_msg = functools.partial(in_turns, type(channel).get_msg, channel)

    client.on_cell_start = ask_again
    return client.execute(stderr=subprocess.DEVNULL)  # the kernel's log, not what cells print


async def in_turns(get_msg, channel, timeout=None, turn=1):
    """A message of a channel, asked for each second: pyzmq's asyncio may miss that it has come, and wait for ever."""
    end = math.inf if timeout is None else time.monotonic() + timeout
    while True:
        try:
            return await get_msg(channel, timeout=turn)
        except queue.Empty:
            if time.monotonic() > end:
                raise


def clean(notebook):
    """Drop what differs from machine to machine or needs a kernel: stderr, kernel versions, widgets."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr" and not widget(output)]
    return notebook


def widget(output):
    return "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def store(notebook, path):
    """Write a notebook, whole or not at all."""
    import nbformat

    with disk.whole_file(path) as part:
        nbformat.write(notebook, part)


if __name__ == "__main__":
    sys.exit(program.run(main, name="run_notebooks"))
