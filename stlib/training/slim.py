"""Distill a network into a narrow one: how the embedded slim network was made from the embedded VGG16.

    python -m stlib.training slim --images FOLDER --out FILE.npz

The student starts as the teacher pruned. It learns to compute features from which 1x1 convolutions predict the
teacher's, layer by layer (Romero et al., *FitNets: Hints for thin deep nets*, 2015), also in pictures that are changed
to mislead it (Madry et al., *Towards deep learning models resistant to adversarial attacks*, 2018) and in pictures that
it painted itself. MODEL_CARD.md says what the shipped file is; notebook A3 explains each step.
A batch is float32 (B, h, w, 3), RGB in [0, 1]; pictures are uint8 (n, 144, 144, 3); the other letters are prune's.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from stlib import disk, images
from stlib.command import program
from stlib.network import build_network, feature_extractor, load_network, preprocess
from stlib.optimize import compiled
from stlib.settings import CONTENT_LAYERS, STYLE_LAYERS
from stlib.stylize import stylize
from stlib.training.loop import SIDE, Training, read_pictures
from stlib.training.prune import LEVELS, arrays_of, compute, prune, scale, standardize

WIDTHS = (16, 64, 112, 160, 176)  # channels of the five blocks; VGG16: 64, 128, 256, 512, 512
HINT = 0.25  # weight of the error in layers that painting does not read; in those that it reads 1
STEPS, CROP, BATCH = 2_500, 112, 8  # steps; pixels of a training crop; crops in a step
RATE, WARM_UP = 1e-3, 150  # Adam's learning rate; steps in which it rises; in the second half it falls to 0
MOVED = 4 / 255  # how far a misleading picture is from the true one, in each value of each pixel, at most
STATISTICS = 64  # pictures from which the start is computed
PAINTED, PAINTED_AT, PAINTING_STEPS = 64, 0.336, 30  # how many pictures the student paints; when, of all steps


def batch_at(pictures, step, seed=0, painted=None):
    """The batch of one step, (8, 112, 112, 3): random crops, flips, gains and offsets; the same for the same seed.

    painted: pictures from which the last quarter of the crops is taken.
    """
    rng = np.random.default_rng((seed, step))
    batch = np.empty((BATCH, CROP, CROP, 3), np.float32)
    for k, n in enumerate(rng.integers(len(pictures), size=BATCH)):
        picture = pictures[n] if painted is None or k < BATCH * 3 // 4 else painted[n % len(painted)]
        top, left = rng.integers(SIDE - CROP + 1, size=2)
        crop = picture[top : top + CROP, left : left + CROP]
        batch[k] = crop[:, ::-1] if rng.integers(2) else crop
    gains = rng.uniform(0.85, 1.15, (BATCH, 1, 1, 3)) * rng.uniform(0.8, 1.2, (BATCH, 1, 1, 1))
    offsets = rng.uniform(-20, 20, (BATCH, 1, 1, 1))
    return np.clip((batch * gains + offsets) / 255, 0, 1, dtype=np.float32)


def mislead(batch, gradient, noise):
    """Move each value by up to 4 gray levels up its gradient, from a random start: noise in [-1, 1]."""
    return tf.clip_by_value(batch + MOVED * tf.clip_by_value(noise + 1.25 * tf.sign(gradient), -1, 1), 0, 1)


def sparse(F, layer):
    """The positions at which a layer's error is taken: in blocks 1 and 2, which have many, every third each way."""
    return F[:, ::3, ::3] if layer < "block3" else F


def rescale(arrays, batch):
    """Scale filters so that each has mean activation 1 on `batch` (Gatys et al. 2016, section 2: normalized network).

    Returns the new arrays and the means before, {layer: (N,)}. A dead filter keeps its factor 1.
    """
    features = feature_extractor(build_network(arrays), list(arrays))(batch)
    means = {layer: F.numpy().mean(axis=(0, 1, 2)) for layer, F in features.items()}
    means = {layer: np.where(mean > 0, mean, 1) for layer, mean in means.items()}
    return scale(arrays, {layer: 1 / mean for layer, mean in means.items()}), means


def write(path, arrays):
    """Write arrays as `load_network` reads them: kernels as float16, no pickles, whole or not at all."""
    with disk.whole_file(path) as part, part.open("wb") as file:
        kernels = {f"{layer}/kernel": np.float16(kernel) for layer, (kernel, _) in arrays.items()}
        biases = {f"{layer}/bias": np.float32(bias) for layer, (_, bias) in arrays.items()}
        np.savez(file, **{name: (kernels | biases)[name] for k in arrays for name in (f"{k}/kernel", f"{k}/bias")})


class Distillation(Training):
    """A student in training: arrays of the `teacher`, variables of the `student` and of its `predictors`."""

    def __init__(self, teacher, pictures, widths=WIDTHS, steps=STEPS, seed=0, painted=PAINTED):
        """teacher: a network; pictures: uint8 (n, 144, 144, 3); steps: of the whole training; painted: pictures."""
        super().__init__(pictures, steps, seed)
        self.teacher = arrays_of(teacher)
        sample = np.random.default_rng(seed).permutation(pictures)[:STATISTICS, 8:-8, 8:-8] / np.float32(255)
        arrays, predictors, self.factors = prune(self.teacher, sample, widths)
        parts = standardize(arrays, predictors, sample)
        self.student, self.predictors, self.means, self.centers = (
            {layer: [keras.Variable(np.float32(value)) for value in values] for layer, values in part.items()}
            for part in parts
        )
        self.painted = keras.Variable(np.zeros((painted, SIDE, SIDE, 3), np.uint8), dtype="uint8", trainable=False)
        self.paint_at = round(PAINTED_AT * steps) if painted else steps
        self.optimizer = keras.optimizers.Adam(RATE)
        self.weights = [w for each in (self.student, self.predictors) for values in each.values() for w in values]
        self.optimizer.build(self.weights)
        fixed = [each for part in (self.means, self.centers) for [each] in part.values()]
        self.state = [*self.weights, *self.optimizer.variables, *fixed, self.painted]
        self._compiled = compiled(self._train_step)

    def arrays(self):
        """The student as it is saved: without the means, each channel in the units of `units`."""
        arrays = {}
        for layer, (kernel, bias) in self.student.items():
            kernel, [mean] = kernel.numpy(), self.means[layer]
            arrays[layer] = [kernel, bias.numpy() - np.einsum("hwio,i->o", kernel, mean.numpy())]
        arrays["block1_conv1"][0] /= LEVELS
        return scale(arrays, self.units())

    def units(self):
        """By what each channel is multiplied: the length of the step in the teacher's features that it stands for.

        With T = F R + c, a channel's row of R. So a relative error of the student's Gram matrix weighs its channels
        nearly as the teacher's does.
        """
        lengths = {layer: np.linalg.norm(R / self.factors[layer], axis=1) for layer, (R, _) in self.predictors.items()}
        return {layer: np.maximum(length, 1e-6) for layer, length in lengths.items()}  # of a dead channel

    def targets(self, batch):
        """What is to be predicted, {layer: (B, h', w', N)}."""
        features = compute(preprocess(batch), self.teacher)
        return {layer: sparse(T, layer) * self.factors[layer] for layer, T in features.items()}

    def errors(self, batch, targets):
        """The mean squared error of each layer's prediction, {layer: scalar}."""
        F, errors = compute(preprocess(batch) / LEVELS, self.student, {k: mean for k, [mean] in self.means.items()}), {}
        for layer, (R, c) in self.predictors.items():
            prediction = tf.matmul(sparse(F[layer], layer) - self.centers[layer][0], R) + c
            errors[layer] = tf.reduce_mean(tf.square(prediction - targets[layer]))
        return errors

    def _update(self, batch, targets):
        """One update by Adam; returns the errors before it and the gradient with respect to the batch."""
        with tf.GradientTape() as tape:
            tape.watch(batch)
            errors = self.errors(batch, targets)
            read = (*CONTENT_LAYERS, *STYLE_LAYERS)
            loss = tf.add_n([error * (1 if layer in read else HINT) for layer, error in errors.items()])
        *gradients, gradient = tape.gradient(loss, [*self.weights, batch])
        self.optimizer.apply(gradients, self.weights)
        return errors, gradient

    def _train_step(self, batch, noise):
        targets = self.targets(batch)  # the dearest part, so it serves two updates
        errors, gradient = self._update(batch, targets)
        misled, _ = self._update(mislead(batch, gradient, noise), targets)
        return errors, misled

    def train_step(self):
        """Two updates, with the next batch and with one made of it to mislead the student; returns all errors."""
        if self.step == self.paint_at:
            self.painted.assign(self.paint())
        painted = self.painted.numpy() if self.step >= self.paint_at else None
        batch = batch_at(self.pictures, self.step, self.seed, painted)
        noise = np.random.default_rng((self.seed, self.step, 1)).uniform(-1, 1, batch.shape)
        self.optimizer.learning_rate = RATE * min(1, (self.step + 1) / WARM_UP, 2 * (1 - self.step / self.steps))
        errors, misled = self._compiled(tf.constant(batch), tf.constant(noise, tf.float32))
        self.step += 1
        errors |= {f"{layer}, misled": error for layer, error in misled.items()}
        return {name: float(error) for name, error in errors.items()}

    def paint(self):
        """Pictures painted with the student as it is, uint8 (n, 144, 144, 3): they show what it gets wrong."""
        network, random = build_network(self.arrays()), np.random.default_rng((self.seed, self.step, 2))
        pairs = self.pictures[random.integers(len(self.pictures), size=(self.painted.shape[0], 2))] / np.float32(255)
        painted = [stylize(*pair, network, size=SIDE, steps=PAINTING_STEPS).image for pair in pairs]
        return np.stack([images.to_uint8(image) for image in painted])

    def status(self, means):
        """What the progress bar shows: the mean of all errors."""
        return {"error": f"{np.mean([*means.values()]):.3f}"}

    def evaluate(self, pictures):
        """The part of the teacher's variance that is not predicted, {layer: float}; pictures: uint8 (n, h, w, 3)."""
        errors, variances = dict.fromkeys(self.teacher, 0.0), dict.fromkeys(self.teacher, 0.0)
        for part in np.array_split(pictures, -(-len(pictures) // BATCH)):
            targets = self.targets(part / np.float32(255))
            for layer, error in self.errors(part / np.float32(255), targets).items():
                errors[layer] += float(error)
                variances[layer] += float(tf.reduce_mean(tf.math.reduce_variance(targets[layer], (0, 1, 2))))
        return {layer: errors[layer] / variances[layer] for layer in errors}


def main(arguments):
    """Train, write the weights file, print the errors; return the exit status: see command/program.py."""
    parser = argparse.ArgumentParser("python -m stlib.training slim", description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="folder of the pictures to train on")
    parser.add_argument("--out", type=Path, required=True, help="weights file to write (.npz)")
    parser.add_argument("--teacher", default="vgg16", help="vgg16, vgg19, slim or a path (%(default)s)")
    parser.add_argument("--heldout", type=Path, help="folder of other pictures, on which the errors are printed")
    parser.add_argument("--steps", type=int, default=STEPS, help="of 8 crops each (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of crops, misleading and painted pictures (%(default)s)")
    return run(parser.parse_args(arguments))


def run(options):
    """Do what the command line says; return the exit status."""
    if options.out.suffix != ".npz" or options.steps < 4:
        raise ValueError(
            f"--out {options.out} --steps {options.steps}: expected a file ending in .npz and 4 steps or more."
        )
    disk.check_output(options.out, [options.teacher])
    teacher, pictures = load_network(options.teacher), read_pictures(options.images)
    heldout = read_pictures(options.heldout, CROP) if options.heldout else None
    training = Distillation(teacher, pictures, WIDTHS, options.steps, options.seed, PAINTED)
    checkpoint = options.out.with_suffix(".checkpoint.npz")
    recent = training.run(checkpoint)
    if recent is None:
        return program.INTERRUPTED
    write(options.out, training.arrays())
    checkpoint.unlink(missing_ok=True)
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")
    rows = (
        {"errors, last steps": {name: np.mean([errors[name] for errors in recent]) for name in recent[0]}}
        if recent
        else {}
    )
    rows |= {"unexplained, held out": training.evaluate(heldout)} if heldout is not None else {}
    for name, errors in rows.items():
        print(f"{name}:", "; ".join(f"{layer} {error:.3f}" for layer, error in errors.items()))
    return program.DONE
