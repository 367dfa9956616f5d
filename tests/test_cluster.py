"""`--scheduler`: the files of a folder painted by a Dask cluster, with nothing lost where a worker is killed."""

import logging
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from conftest import ROOT
from test_video import make, painter, pictures  # noqa: F401

from stlib import __main__ as cli
from stlib import images

distributed = pytest.importorskip("distributed", reason="clusters need Dask")


@pytest.fixture
def cluster():
    """A Dask scheduler in this process, and two workers, processes by name that nobody starts again."""
    quiet = dict(dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL)
    with distributed.LocalCluster(n_workers=0, **quiet) as local:
        command = [sys.executable, "-m", "distributed.cli.dask_worker", local.scheduler_address, "--nthreads", "1"]
        command += ["--no-nanny", "--no-dashboard"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        workers = {
            name: subprocess.Popen([*command, "--name", name], env=environment, stderr=subprocess.DEVNULL)
            for name in ("first", "second")
        }
        yield local.scheduler, workers
    for worker in workers.values():
        worker.kill()
        worker.wait()


def paint(folder, painter, out, *more):  # noqa: F811
    return cli.main(["paint", str(folder / "in"), "--painter", str(painter), "-o", str(folder / out), *more])


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_a_killed_worker_loses_nothing(cluster, painter, tmp_path, rng, capsys):  # noqa: F811
    scheduler, workers = cluster
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        make(tmp_path / f"in/{name}.mkv", frames=110)
    for k in range(4):
        images.save(rng.uniform(size=(20, 30, 3)), tmp_path / f"in/photo{k}.png")
    (tmp_path / "in/broken.jpg").write_text("Dear diary")
    images.save(np.zeros((20, 30, 3)), tmp_path / "in/black.png")
    killed = []

    def kill():
        """Once there is a segment of a video, end a worker that paints."""
        while not [*tmp_path.glob("out/*.parts/0*.nut")]:
            time.sleep(0.02)
        worker = next(worker for worker in list(scheduler.workers.values()) if worker.processing)
        killed.append(worker.address)
        workers[worker.name].kill()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    assert paint(tmp_path, painter, "out", "--scheduler", scheduler.address) == 1
    printed = capsys.readouterr()
    assert killed and killed[0] not in scheduler.workers and len(scheduler.workers) == 1
    assert "7 painted, 0 there already, 1 not painted" in printed.out
    assert "broken.jpg cannot be read as an image" in printed.err
    assert "black.png is of one color" in printed.err  # said on a worker
    assert paint(tmp_path, painter, "plain") == 1
    files = sorted(path.name for path in (tmp_path / "plain").iterdir())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == files and len(files) == 7
    for name in files:
        if name.endswith(".mp4"):
            for one, other in zip(pictures(tmp_path / "out" / name), pictures(tmp_path / "plain" / name)):
                np.testing.assert_array_equal(one, other)
        else:
            assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    assert paint(tmp_path, painter, "out", "--scheduler", scheduler.address) == 1
    assert "0 painted, 7 there already, 1 not painted" in capsys.readouterr().out


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "ftp://127.0.0.1:8786"])
def test_no_cluster_is_one_sentence(address, painter, tmp_path, monkeypatch, capsys):  # noqa: F811
    images.save(np.zeros((20, 30, 3)), tmp_path / "in/black.png")
    monkeypatch.setattr("stlib.command.cluster.PATIENCE", 0.5)
    assert paint(tmp_path, painter, "out", "--scheduler", address) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith(f"stlib: {address} is no Dask scheduler that answers (")
    assert not [*(tmp_path / "out").iterdir()]


def test_without_dask(painter, tmp_path, monkeypatch, capsys):  # noqa: F811
    images.save(np.zeros((20, 30, 3)), tmp_path / "in/black.png")
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert paint(tmp_path, painter, "out", "--scheduler", "tcp://127.0.0.1:9") == 2
    assert "Clusters are reached by Dask, which is not there: pip install distributed" in capsys.readouterr().err
