"""Files painted by the workers of a Dask cluster: each file a task, which another worker takes over if its own is lost.

Scheduler, workers and command have stlib installed and see the same disk under the same paths. A worker needs one
thread: TensorFlow takes all cores.
"""

import contextlib
import functools
import io
import logging
import sys
import warnings
from pathlib import Path

from tqdm import tqdm

from stlib import weights as files
from stlib.command import program
from stlib.images import one_line
from stlib.quiet import quiet

PATIENCE, RETRIES = 10, 2  # seconds for a scheduler to answer; of a task that failed, besides lost workers


def outcomes(address, jobs, painter, made, paint_once):
    """Yield pairs of a file and "painted", "there" or None for failed, said why, as they come from the cluster.

    address: the scheduler's, such as tcp://host:8786. jobs: pairs of a file and the file to write. painter: its name
    or path. paint_once: paints one of them, from the two paths, the loaded painter and `made`. Raises ValueError or
    OSError if there is no such cluster.
    """
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise ValueError("Clusters are reached by Dask, which is not there: pip install distributed.") from None
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters of it is said here, in a sentence
    painter = painter if painter in files.PAINTERS else str(Path(painter).absolute())
    try:
        client = Client(address, timeout=PATIENCE)
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{address} is no Dask scheduler that answers ({one_line(error)}): start one with `dask scheduler` and "
            "give the address that it prints, such as tcp://host:8786."
        ) from error
    with client:
        if not client.nthreads():
            program.complain(
                f"{address} has no workers yet: start some with `dask worker {address} --nthreads 1 --memory-limit 0`."
            )
        sources = {
            client.submit(
                _paint, paint_once, source.absolute(), target.absolute(), painter, made, pure=False, retries=RETRIES
            ): source
            for source, target in jobs
        }
        for future in as_completed(sources):
            yield sources[future], program.attempt(_result, sources[future], future)


def _result(source, future):
    outcome, said = future.result()
    tqdm.write(said, sys.stderr, end="")
    if isinstance(outcome, ValueError):
        raise outcome
    return outcome


def _paint(paint_once, source, target, painter, made):
    """Paint one file on a worker; return the outcome, or the ValueError that says why not, and what was said on stderr.

    Whatever else is raised may pass, such as a disk that does not answer: it is tried again.
    """
    with contextlib.redirect_stderr(io.StringIO()) as said, warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: program.complain(message)
        try:
            outcome = paint_once(source, target, _load(painter), made)
        except ValueError as error:  # the same on every worker
            outcome = error
    return outcome, said.getvalue()


@functools.lru_cache(maxsize=1)
def _load(painter):
    with quiet():
        from stlib.painter import load_painter
    return load_painter(painter)
