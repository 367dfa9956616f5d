"""A long run that may be killed: what it goes on from, in a file that is always whole."""

import hashlib
import json
import time
import warnings
from pathlib import Path

import numpy as np

from stlib import disk
from stlib.settings import as_tuple

EVERY = 60  # seconds of work that may be lost


class Checkpoint:
    """The state of a run of `stylize` in the file `path`, renewed about once a minute.

    made: {name: value} of all that the picture depends on. Raises ValueError in one sentence if the file that is there
    is no checkpoint, or one of another picture.
    """

    def __init__(self, path, made):
        self.path, self.made = disk.check_output(path), json.loads(json.dumps(made))
        self.renewed = self.asked = time.monotonic()
        self.begun = self._read() if self.path.exists() else None

    def _read(self):
        """What `renew` has written: scale, rows and state, with the image."""
        try:
            with np.load(disk.check_file(self.path), allow_pickle=False) as file:
                kept = json.loads(str(file["kept"]))
                other = [name for name in kept["made"] if kept["made"][name] != self.made.get(name)]
                if not other:
                    state = {name: [file[f"{name}{k}"] for k in range(kept["bands"])] for name in ("bands", "m", "v")}
                    return kept["scale"], kept["rows"], state | {"t": kept["t"], "image": file["image"]}
        except Exception as error:  # a file of another kind makes NumPy raise almost any type
            raise ValueError(f"{self.path} is no checkpoint, or damaged: delete it to begin anew.") from error
        raise ValueError(
            f"{self.path} is of a picture with another {', '.join(other)}: paint that one, or delete it to begin anew."
        )

    def renew(self, scale, rows, image, state):
        """Write what a run needs to go on, if by the next time a minute would be over; before a step.

        scale: its number; rows: of the history; image: a batch; state: of the optimizer.
        A full disk is a warning, and the checkpoint before it stays.
        """
        now = time.monotonic()
        step, self.asked = now - self.asked, now
        if not state or now - self.renewed + step <= EVERY:
            return
        kept = dict(made=self.made, scale=scale, rows=rows, t=state["t"], bands=len(state["bands"]))
        arrays = {f"{name}{k}": band for name in ("bands", "m", "v") for k, band in enumerate(state[name])}
        try:
            part = part_of(self.path)
            with disk.whole_file(self.path, part), open(part, "wb") as file:
                np.savez(file, kept=json.dumps(kept), image=image, **arrays)
        except OSError as error:
            warnings.warn(f"{self.path} could not be written ({error.strerror}): the one before stays.", stacklevel=2)
        self.renewed = time.monotonic()


def remove(path):
    """The picture is done and saved."""
    for each in (Path(path), part_of(path)):
        each.unlink(missing_ok=True)


def part_of(path):
    """What a checkpoint is called until it is whole."""
    return Path(path).with_name(f"{Path(path).name}.part")


def digest(*arrays):
    """A name for the values of arrays: equal only if they are."""
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(np.ascontiguousarray(array))
    return whole.hexdigest()


def weights_of(network):
    """What `digest` needs of a network, or of several: its arrays, and its kinds of layers for the pooling."""
    networks = as_tuple(network)
    kinds = " ".join(type(layer).__name__ for each in networks for layer in each.layers)
    return [np.frombuffer(kinds.encode(), np.uint8), *(array for each in networks for array in each.get_weights())]


def path_of(picture):
    """Where the command line keeps the checkpoint of a picture: a file beside it."""
    return Path(picture).with_name(f"{Path(picture).name}.checkpoint")
