"""What both trainings share: reading pictures, checkpoints, a loop that can be stopped and goes on."""

import hashlib
import json
import warnings
from pathlib import Path

import numpy as np
from tqdm import tqdm

from stlib import disk, images

SIDE, FEWEST = 144, 16  # pixels of a picture, fewest pictures to train on
CHECKPOINT_EVERY = 250  # steps


def read_pictures(folder, side=SIDE):
    """Read all pictures under `folder` as uint8 (n, side, side, 3), the middle square of each; warn of unreadable ones.

    Raises ValueError if there are fewer than 16.
    """
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in images.FORMATS)
    pictures = []
    for path in tqdm(paths, desc="pictures", unit="file"):
        try:
            picture = images.load(path)
        except (ValueError, OSError) as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
            continue
        height, width = picture.shape[:2]
        short = min(height, width)
        top, left = (height - short) // 2, (width - short) // 2
        square = images.resize(picture[top : top + short, left : left + short], (side, side))
        pictures.append(images.to_uint8(square))
    if len(pictures) < FEWEST:
        raise ValueError(f"{folder} holds {len(pictures)} readable pictures, expected at least {FEWEST}: name another.")
    return np.stack(pictures)


class Training:
    """A training that can be stopped and continued.

    A subclass adds `train_step()`, which returns a dict of losses and counts `step`, `status(means)`, what the progress
    bar shows of them, and `state`, the list of all variables.
    """

    def __init__(self, pictures, steps, seed, **settings):
        """pictures: uint8 (n, 144, 144, 3); steps: how many the whole training has; settings: what else is its own."""
        self.pictures, self.steps, self.seed, self.step, self.state = pictures, steps, seed, 0, []
        digest = hashlib.sha256(pictures.tobytes()).hexdigest()
        self._settings = dict(steps=steps, seed=seed, pictures=digest, **settings)

    def settings(self):
        """All that must be equal for a checkpoint to fit, as text."""
        return json.dumps(self._settings | {"shapes": [list(variable.shape) for variable in self.state]})

    def save(self, path):
        """Write a checkpoint, whole or not at all."""
        with disk.whole_file(path) as part, part.open("wb") as file:
            state = {f"state{k}": variable.numpy() for k, variable in enumerate(self.state)}
            np.savez(file, step=self.step, settings=self.settings(), **state)

    def restore(self, path):
        """Continue from a checkpoint; raises ValueError if it belongs to other settings or pictures."""
        try:
            with np.load(disk.check_file(path), allow_pickle=False) as file:
                step, settings = int(file["step"]), str(file["settings"])
                values = [file[f"state{k}"] for k in range(len(self.state))]
        except Exception as error:  # a broken file makes NumPy raise almost any type
            raise ValueError(f"{path} is not a checkpoint of a training: move it away.") from error
        if settings != self.settings():
            raise ValueError(f"{path} is of a training with other settings or pictures: move it away to begin anew.")
        for variable, value in zip(self.state, values):
            variable.assign(value)
        self.step = step

    def run(self, checkpoint):
        """Train from `checkpoint`, if there is one, to the end; return the last losses, or None after Ctrl-C."""
        if checkpoint.exists():
            self.restore(checkpoint)
        recent = []
        try:
            with tqdm(total=self.steps, initial=self.step, unit="step") as bar:
                while self.step < self.steps:
                    recent = [*recent[-99:], self.train_step()]
                    means = {name: float(np.mean([losses[name] for losses in recent])) for name in recent[-1]}
                    bar.set_postfix(self.status(means), refresh=False)
                    bar.update()
                    if self.step % CHECKPOINT_EVERY == 0:
                        self.save(checkpoint)
        except KeyboardInterrupt:
            self.save(checkpoint)
            print(f"\nStopped after step {self.step}: the same command goes on from {checkpoint}.")
            return None
        return recent
