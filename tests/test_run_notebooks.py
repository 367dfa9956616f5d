"""The notebook runner: each notebook gets its turn, and only a whole one is stored."""

import asyncio
import os
import queue
import signal
import sys

import nbformat
import pytest
import run_notebooks
from nbformat.v4 import new_code_cell, new_notebook

from stlib.command import program


@pytest.mark.skipif(sys.platform == "win32", reason="has no named pipes")
def test_one_that_fails_does_not_stop_the_rest(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_notebooks, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(run_notebooks, "OUT", tmp_path / "out")
    monkeypatch.setenv("STLIB_NETWORK", "slim")  # what main sets is undone
    (tmp_path / "01_broken.ipynb").write_text("{")
    os.mkfifo(tmp_path / "02_pipe.ipynb")
    for name, source in {"03_fails": "print('so far'); 1 / 0", "04_good": "print(6 * 7)"}.items():
        nbformat.write(new_notebook(cells=[new_code_cell(source)]), tmp_path / f"{name}.ipynb")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert run_notebooks.main(["--write"]) == 1
    printed = capsys.readouterr().out
    assert "02_pipe.ipynb is a pipe" in printed and "ZeroDivisionError" in printed
    assert printed.endswith("Failed: 01_broken.ipynb\nFailed: 02_pipe.ipynb\nFailed: 03_fails.ipynb\n")
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert "42" in after["04_good.ipynb"].decode() and after.keys() == before.keys()
    assert all(after[name] == before[name] for name in ("01_broken.ipynb", "03_fails.ipynb"))


def test_interrupted_it_keeps_what_was_stored(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_notebooks, "NOTEBOOKS", tmp_path)
    monkeypatch.setenv("STLIB_NETWORK", "slim")
    for name in ("01_whole", "02_long", "03_next"):
        nbformat.write(new_notebook(), tmp_path / f"{name}.ipynb")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def execute(path):
        if path.name == "02_long.ipynb":
            os.kill(os.getpid(), signal.SIGINT)
        return new_notebook(cells=[new_code_cell("done")])

    monkeypatch.setattr(run_notebooks, "execute", execute)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert program.run(run_notebooks.main, ["--write"], name="run_notebooks") == program.INTERRUPTED
    assert "run_notebooks: interrupted" in capsys.readouterr().err
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert [name for name in before if before[name] != after[name]] == ["01_whole.ipynb"]
    assert after.keys() == before.keys() and b"done" in after["01_whole.ipynb"]


def test_what_cannot_be_written_stays(tmp_path, monkeypatch):
    path = tmp_path / "a.ipynb"
    nbformat.write(new_notebook(), path)
    before = path.read_bytes()

    def full_disk(notebook, part):
        part.write_text("half")
        raise OSError("No space left on device")

    monkeypatch.setattr(nbformat, "write", full_disk)
    with pytest.raises(OSError, match="No space left"):
        run_notebooks.store(new_notebook(), path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_reply_is_asked_for_again():
    """One that came while nobody looked is found; a kernel that never answers ends at the timeout."""
    answers = [{"msg_type": "execute_reply"}, None, None]

    async def get_msg(channel, timeout):
        if answers and (answer := answers.pop()):
            return answer
        raise queue.Empty

    assert asyncio.run(run_notebooks.in_turns(get_msg, None, 60)) == {"msg_type": "execute_reply"}
    with pytest.raises(queue.Empty):
        asyncio.run(run_notebooks.in_turns(get_msg, None, 0))
