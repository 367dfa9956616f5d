"""Train a painter: a network that paints any photo in one style in a single pass.

    python -m stlib.training painter --style FILE --images FOLDER --out FILE.npz

Johnson, Alahi & Fei-Fei, *Perceptual losses for real-time style transfer and super-resolution*, 2016, with the course's
relative losses, the style matched at three sizes, the picture moved a little before the network sees it, as in
`stylize`, a term for stability (what is moved and noisy should be painted as what is not), one against a mesh (what
repeats every 4 pixels), and grain, which gives even areas their strokes. A training on VGG16's losses is slow; it may
go on from a painter that a smaller network taught (--network slim, then --start). Notebook A5 explains each step;
PAINTERS.md says how the shipped painters were trained.
A batch is float32 (B, 256, 256, 3), RGB in [0, 1]; pictures are uint8 (n, 144, 144, 3).
"""

import argparse
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from stlib import disk, images
from stlib.checkpoint import digest
from stlib.command import program
from stlib.losses import gram_per_position, relative_error, total_variation_loss
from stlib.network import feature_extractor, load_network
from stlib.optimize import compiled
from stlib.painter import GRAIN, PATTERN, STRIDE, build_painter, grain_pattern, load_painter
from stlib.settings import CONTENT_LAYERS, REACH, STYLE_LAYERS
from stlib.stylize import moved
from stlib.training.loop import Training, read_pictures

CROP = 256  # pixels
STYLE_SIZES = (384, 192, 96)  # longest side of the painting, at each size at which styles are compared
LAYER_WEIGHTS = dict(zip(STYLE_LAYERS, (2, 1, 1, 2, 2)))  # the first has the colors; the last are learned last
WITHOUT = 0.25  # share of the steps without grain, since films have none
NOISE = 0.04  # standard deviation of the noise under which the painting should stay the same
LEARNING_RATE, LATER_RATE = 2e-3, 1e-3  # of a new painter; of one that has learned already


def batch_at(pictures, step, seed=0, crops=2):
    """The batch of one step, (crops, 256, 256, 3): windows of 128 to 256 px of random pictures, enlarged.

    Some are mirrored. Beyond its edge a picture goes on in its mirror image. The same for the same seed.
    """
    rng, batch = np.random.default_rng((seed, step)), []
    margin = max(0, (CROP - pictures.shape[1]) // 2)
    for n in rng.integers(len(pictures), size=crops):
        picture = np.pad(pictures[n], ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
        side = rng.integers(CROP // 2, CROP + 1)
        top, left = rng.integers(len(picture) - side + 1, size=2)
        window = picture[top : top + side, left : left + side][:, :: rng.choice((1, -1))]
        batch.append(images.resize(window / np.float32(255), (CROP, CROP)))
    return np.stack(batch)


class PainterTraining(Training):
    """A painter in training: `painter`, `features` of the network that teaches, the Gram matrices at each size."""

    def __init__(
        self, style, pictures, network, steps=4_000, seed=0, content_weight=0.1, stability=2.0, start=None, crops=2
    ):
        """What is learned, and from what.

        style: float image; pictures: uint8 (n, 144, 144, 3); network: from `load_network`, measures the losses;
        content_weight: more keeps more of the photo; stability: weight of the term for stability;
        start: the painter to go on from, None for a new one; crops: how many there are in a step.
        """
        digests = dict(style=digest(images.to_uint8(style)), network=digest(*network.get_weights()))
        digests |= {"bfloat16": True} if network.compute_dtype == "bfloat16" else {}
        digests |= {"start": digest(*start.get_weights())} if start else {}
        factors = dict(content=content_weight, total_variation=2.0, mesh=500.0, stability=stability)  # style: 1
        super().__init__(pictures, steps, seed, factors=factors, crops=crops, **digests)
        keras.utils.set_random_seed(seed)
        self.factors, self.crops, self.painter = factors, crops, build_painter()
        if start:
            self.painter.set_weights(start.get_weights())
        self.features = _features(network, CONTENT_LAYERS + STYLE_LAYERS)
        self.content_features = _features(network, CONTENT_LAYERS)
        self.targets = []
        for size in STYLE_SIZES:
            F = self.features(images.resize(style, images.fit(style.shape, size))[None])
            self.targets.append({layer: gram_per_position(F[layer][0]) for layer in STYLE_LAYERS})
        rate = keras.optimizers.schedules.CosineDecay(LATER_RATE if start else LEARNING_RATE, steps, 0.01)
        self.optimizer = keras.optimizers.Adam(rate)
        self.optimizer.build(self.painter.trainable_variables)
        self.state = [*self.painter.variables, *self.optimizer.variables]
        self._compiled = compiled(self._train_step)

    def losses(self, batch, noise, move, grain=0.0):
        """The losses of the paintings of a batch, (B, h, w, 3), seen with `grain`, (h, w, 3), after a move (see
        stylize.moved); the first picture is painted again, moved before and with `noise`, (1, h, w, 3)."""
        seen, unstable = batch + grain, tf.zeros(())
        painted, batch = moved(self.painter(seen), move), moved(batch, move)
        if self.factors["stability"]:
            noisy = tf.clip_by_value(moved(seen, move)[:1] + noise, 0, 1)
            unstable = tf.reduce_mean(tf.square(painted[:1] - self.painter(noisy)))
        P, F = self.content_features(batch), self.features(painted)
        losses = {
            "content": tf.reduce_mean(
                [relative_error(F[k][b], P[k][b]) for k in CONTENT_LAYERS for b in range(batch.shape[0])]
            ),
            "style": self.style_loss(F, self.targets[0]) / len(self.targets),
            "total_variation": total_variation_loss(painted),
            "stability": unstable,
            "mesh": mesh_loss(painted),
        }
        for targets in self.targets[1:]:  # each half the size of the one before
            painted = tf.nn.avg_pool2d(painted, 2, 2, "VALID")
            losses["style"] += self.style_loss(self.features(painted), targets) / len(self.targets)
        return losses | {"total": tf.add_n([self.factors.get(name, 1) * loss for name, loss in losses.items()])}

    def style_loss(self, F, A):
        """Relative error of the Gram matrices, each picture's by itself: weighted mean over the layers."""
        pictures, total = range(F[STYLE_LAYERS[0]].shape[0]), sum(LAYER_WEIGHTS.values())
        errors = [
            weight / total * tf.reduce_mean([relative_error(gram_per_position(F[k][b]), A[k]) for b in pictures])
            for k, weight in LAYER_WEIGHTS.items()
        ]
        return tf.add_n(errors)

    def _train_step(self, batch, noise, move, grain):
        with tf.GradientTape() as tape:
            losses = self.losses(batch, noise, move, grain)
        gradient = tape.gradient(losses["total"], self.painter.trainable_variables)
        self.optimizer.apply(gradient, self.painter.trainable_variables)
        return losses

    def train_step(self):
        """One step of Adam on the next batch; returns the losses before it, a dict of floats."""
        rng = np.random.default_rng((self.seed, self.step, 1))
        noise, move = np.float32(rng.normal(0, NOISE, (1, CROP, CROP, 3))), rng.integers(0, 2 * REACH + 1, 2)
        top, left = rng.integers(0, PATTERN - CROP + 1, 2)
        grain = grain_pattern()[top : top + CROP, left : left + CROP] * GRAIN * (rng.random() > WITHOUT)
        batch = batch_at(self.pictures, self.step, self.seed, self.crops)
        losses = self._compiled(*map(tf.constant, (batch, noise, np.int32(move), np.float32(grain))))
        self.step += 1
        return {name: float(loss) for name, loss in losses.items()}

    def status(self, means):
        """What the progress bar shows."""
        return {name: f"{means[name]:.3f}" for name in ("content", "style")}


def mesh_loss(painted):
    """What repeats in each square of 4 x 4 pixels, which a painter enlarges from one position: the variance of its 16
    means over a picture. The style loss takes it for texture; in skies it shows.

    painted: (B, h, w, 3), 4 divides h and w.
    """
    count, height, width = tf.unstack(tf.shape(painted)[:3])
    squares = tf.reshape(painted, (count, height // STRIDE, STRIDE, width // STRIDE, STRIDE, 3))
    return tf.reduce_mean(tf.math.reduce_variance(tf.reduce_mean(squares, axis=(1, 3)), axis=(1, 2)))


def load_teacher(name, bfloat16=False):
    """Load the network of that name; in bfloat16 it computes with 8 bits of precision, a third quicker where the
    processor can: what that changes in a gradient is little beside what the next crop changes."""
    keras.config.set_dtype_policy("mixed_bfloat16" if bfloat16 else "float32")
    try:
        return load_network(name)
    finally:
        keras.config.set_dtype_policy("float32")


def _features(network, layers):
    """As network.feature_extractor, in float32 whatever the network computes with."""
    features = feature_extractor(network, layers)
    return lambda image: {layer: tf.cast(F, tf.float32) for layer, F in features(image).items()}


def write(path, painter):
    """Write a painter as `load_painter` reads it: float16, no pickles, whole or not at all."""
    with disk.whole_file(path) as part, part.open("wb") as file:
        np.savez(file, **{variable.path: np.float16(variable) for variable in painter.variables})


def main(arguments):
    """Train and write the painter; return the exit status: see command/program.py."""
    parser = argparse.ArgumentParser("python -m stlib.training painter", description=__doc__.split("\n")[0])
    parser.add_argument("--style", type=Path, required=True, help="the painting whose style is to be learned")
    parser.add_argument("--images", type=Path, required=True, help="folder of the photos to train on")
    parser.add_argument("--out", type=Path, required=True, help="painter to write (.npz)")
    parser.add_argument(
        "--network", default="vgg16", help="whose losses: vgg16, slim, vgg19 or a path; slim is quick (%(default)s)"
    )
    parser.add_argument("--start", help="painter to go on from: starry_night, ..., or a file (default: a new one)")
    parser.add_argument("--steps", type=int, default=4_000, help="how many (%(default)s)")
    parser.add_argument("--crops", type=int, default=2, help="in a step (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and crops (%(default)s)")
    parser.add_argument("--content-weight", type=float, default=0.1, help="more: more of the photo (%(default)s)")
    parser.add_argument(
        "--stability", type=float, default=2, help="weight; more: less flicker in moving pictures (%(default)s)"
    )
    parser.add_argument(
        "--bfloat16",
        action="store_true",
        help="the losses at half precision: a third less time where the processor can",
    )
    return run(parser.parse_args(arguments))


def run(options):
    """Do what the command line says; return the exit status."""
    weights = options.content_weight, options.stability
    valid = min(options.steps, options.crops) >= 1 and all(0 <= weight < np.inf for weight in weights)
    if options.out.suffix != ".npz" or not valid:
        raise ValueError(
            f"--out {options.out} --steps {options.steps} --crops {options.crops} --content-weight {weights[0]} "
            f"--stability {weights[1]}: expected a file ending in .npz, 1 step and crop or more, and weights from 0 up."
        )
    disk.check_output(options.out, [options.style, options.network, options.start])
    style, network = images.load(options.style), load_teacher(options.network, options.bfloat16)
    start = load_painter(options.start) if options.start else None
    settings = {name: getattr(options, name) for name in ("steps", "seed", "content_weight", "stability", "crops")}
    training = PainterTraining(style, read_pictures(options.images), network, start=start, **settings)
    checkpoint = options.out.with_suffix(".checkpoint.npz")
    recent = training.run(checkpoint)
    if recent is None:
        return program.INTERRUPTED
    write(options.out, training.painter)
    checkpoint.unlink(missing_ok=True)
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")
    if recent:
        means = {name: np.mean([losses[name] for losses in recent]) for name in recent[-1]}
        print("last steps: " + ", ".join(f"{name} {loss:.4f}" for name, loss in means.items()))
    return program.DONE
