"""Distill a network into the slim architecture: how vgg19_slim.npz was made, for other teachers and other pictures.

    python -m stlib.weights.train_slim --images FOLDER --teacher vgg19 --out FILE.npz

A student learns to compute features from which 1x1 convolutions predict the teacher's (Romero et al., *FitNets: Hints
for thin deep nets*, 2015). MODEL_CARD.md says what the shipped file is; notebook A3 explains each step.
A batch is float32 (B, h, w, 3), RGB in [0, 1]; pictures are uint8 (n, 144, 144, 3).
"""

import argparse
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from stlib import images
from stlib.network import build_slim, feature_extractor, load_vgg19, preprocess
from stlib.weights.training import SIDE, Training, in_one_sentence, read_pictures

WIDTHS = (16, 32, 64, 128, 128)  # channels of the five blocks: a quarter of VGG19's
LAST = ("block1_conv2", "block2_conv2", "block3_conv4", "block4_conv4", "block5_conv1")  # of each block
CROP, BATCH = 128, 16  # pixels of a training crop; crops in a step
CLIP = 25  # squared errors of standardized channels are cut here, so that rare outliers do not rule
STATISTICS = 64  # pictures from which the teacher's means and deviations are taken


def batch_at(pictures, step, seed=0):
    """The batch of one step, (16, 128, 128, 3): random crops, flips, gains and offsets; the same for the same seed."""
    rng = np.random.default_rng((seed, step))
    batch = np.empty((BATCH, CROP, CROP, 3), np.float32)
    for k, n in enumerate(rng.integers(len(pictures), size=BATCH)):
        top, left = rng.integers(SIDE - CROP + 1, size=2)
        crop = pictures[n, top : top + CROP, left : left + CROP]
        batch[k] = crop[:, ::-1] if rng.integers(2) else crop
    gains = rng.uniform(0.85, 1.15, (BATCH, 1, 1, 3)) * rng.uniform(0.8, 1.2, (BATCH, 1, 1, 1))
    offsets = rng.uniform(-20, 20, (BATCH, 1, 1, 1))
    return np.clip((batch * gains + offsets) / 255, 0, 1, dtype=np.float32)


def load_teacher(name):
    """Load a teacher: a model from a batch to {(layer of the student, layer of the teacher): activations}.

    name: "vgg19" (ImageNet, downloaded once), "slim", the path of a VGG19 file (.h5), or of a Tiny Darknet (.npz).
    Raises ValueError or OSError in one sentence.
    """
    if Path(name).suffix == ".npz":
        return _load_darknet(Path(name))
    network = load_vgg19("imagenet" if name == "vgg19" else name)
    features = feature_extractor(network, LAST)
    return lambda batch: {(layer, layer): F for layer, F in features(batch).items()}


def _load_darknet(path):
    """Tiny Darknet: convolution, normalization, leaky ReLU; pooled after convolutions 1, 2, 6 and 10."""
    targets = dict(zip((1, 2, 4, 6, 8, 10, 12, 14), np.repeat(LAST, (1, 1, 2, 2, 2))))  # the same stride in both
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        x = image = keras.Input((None, None, 3))
        outputs = {}
        for k in range(1, 15):
            kernel, *norm = (arrays[f"conv{k}/{name}"] for name in ("kernel", "gamma", "beta", "mean", "variance"))
            convolution = keras.layers.Conv2D(kernel.shape[-1], kernel.shape[0], padding="same", use_bias=False)
            x, normalization = convolution(x), keras.layers.BatchNormalization(epsilon=1e-3)
            x = keras.layers.LeakyReLU(0.1)(normalization(x))
            convolution.set_weights([kernel])
            normalization.set_weights(norm)
            if k in targets:
                outputs[f"{targets[k]} conv{k}"] = x
            if k in (1, 2, 6, 10):
                x = keras.layers.MaxPooling2D(2, padding="same")(x)
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no file {path}: give vgg19, slim or the path of a teacher.") from None
    except Exception as error:  # a broken or foreign file makes NumPy and Keras raise almost any type
        raise ValueError(f"{path} is not a Tiny Darknet archive ({images.one_line(error)}).") from error
    network = keras.Model(image, outputs)
    network.trainable = False
    return lambda batch: {tuple(pair.split()): F for pair, F in network(batch, training=False).items()}


def build_student(widths=WIDTHS):
    """VGG19's layout with batch normalization after each convolution: a preprocessed batch to {layer: F}."""
    x = image = keras.Input((None, None, 3))
    outputs = {}
    for block, (width, convolutions) in enumerate(zip(widths, (2, 2, 4, 4, 1)), start=1):
        for k in range(1, convolutions + 1):
            name = f"block{block}_conv{k}"
            x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False, name=name)(x)
            x = keras.layers.BatchNormalization(momentum=0.98, epsilon=1e-3, name=f"{name}_norm")(x)
            outputs[name] = x = keras.layers.ReLU()(x)
        x = keras.layers.MaxPooling2D(2)(x)
    return keras.Model(image, {name: outputs[name] for name in LAST})


def fold(student):
    """Put each normalization into the convolution before it: {layer: [kernel, bias]} that compute the same.

    gamma (k * x - mean) / sqrt(variance + epsilon) + beta is a convolution with k' = k gamma / sqrt(...) and a bias.
    """
    arrays = {}
    for layer in student.layers:
        if isinstance(layer, keras.layers.Conv2D):
            norm = student.get_layer(f"{layer.name}_norm")
            gamma, beta, mean, variance = norm.get_weights()
            factor = gamma / np.sqrt(variance + norm.epsilon)
            arrays[layer.name] = [layer.get_weights()[0] * factor, beta - mean * factor]
    return arrays


def rescale(arrays, batch):
    """Rescale filters so that each has mean activation 1 on `batch` (Gatys et al. 2016, section 2: normalized network).

    ReLU and max pooling commute with positive factors: channel i becomes F_i / mean F_i, and the next layer's kernel
    takes the factor back. Returns the new arrays and the means, {layer: (N,)}. A dead filter keeps its factor 1.
    """
    features = feature_extractor(build_slim(arrays), list(arrays))(batch)
    means = {layer: F.numpy().mean(axis=(0, 1, 2)) for layer, F in features.items()}
    means = {layer: np.where(mean > 0, mean, 1) for layer, mean in means.items()}
    rescaled, before = {}, np.ones(3, np.float32)
    for layer, (kernel, bias) in arrays.items():
        rescaled[layer] = [kernel * before[:, None] / means[layer], bias / means[layer]]
        before = means[layer]
    return rescaled, means


def write(path, arrays):
    """Write {layer: [kernel, bias]} as `load_vgg19` reads it: kernels as float16, no pickles, whole or not at all."""
    with images.whole_file(path) as part, part.open("wb") as file:
        kernels = {f"{layer}/kernel": np.float16(kernel) for layer, (kernel, _) in arrays.items()}
        biases = {f"{layer}/bias": np.float32(bias) for layer, (_, bias) in arrays.items()}
        np.savez(file, **{name: (kernels | biases)[name] for k in arrays for name in (f"{k}/kernel", f"{k}/bias")})


class Distillation(Training):
    """A student in training: `student`, `teacher`, and a 1x1 convolution for each pair of their layers."""

    def __init__(self, teacher, pictures, widths=WIDTHS, steps=12_000, seed=0):
        """teacher: from `load_teacher`; pictures: uint8 (n, 144, 144, 3); steps: how many the whole training has."""
        super().__init__(pictures, steps, seed)
        keras.utils.set_random_seed(seed)
        self.teacher = teacher
        self.student = build_student(widths)
        sample = np.random.default_rng(seed).permutation(pictures)[:STATISTICS] / np.float32(255)
        targets = teacher(sample)
        self.statistics = {pair: tf.nn.moments(F, (0, 1, 2)) for pair, F in targets.items()}  # mean, variance
        self.predictors = {pair: keras.layers.Conv2D(F.shape[-1], 1) for pair, F in targets.items()}
        for (layer, _), predictor in self.predictors.items():
            predictor.build(self.student.output[layer].shape)
        warm_up = min(300, steps // 4)
        self.optimizer = keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(
                1e-4, steps - warm_up, 0.01, warmup_target=3e-3, warmup_steps=warm_up
            )
        )
        models = [self.student, *self.predictors.values()]
        self.weights = [weight for model in models for weight in model.trainable_weights]
        self.optimizer.build(self.weights)
        self.state = [*self.student.variables, *self.weights, *self.optimizer.variables]
        self._compiled = tf.function(self._train_step)

    def errors(self, batch, training=False):
        """For each pair the part of the teacher's variance that is not predicted, squared errors clipped."""
        features, targets = self.student(preprocess(batch), training=training), self.teacher(batch)
        errors = {}
        for pair, F in targets.items():
            mean, variance = self.statistics[pair]
            error = self.predictors[pair](features[pair[0]]) - (F - mean) / tf.sqrt(variance + 1e-6)
            errors[pair] = tf.reduce_mean(tf.minimum(tf.square(error), CLIP))
        return errors

    def _train_step(self, batch):
        with tf.GradientTape() as tape:
            errors = self.errors(batch, training=True)
            loss = tf.add_n(list(errors.values())) / len(errors)
        self.optimizer.apply(tape.gradient(loss, self.weights), self.weights)
        return errors

    def train_step(self):
        """One step of Adam on the next batch; returns the errors before it, a dict of floats."""
        errors = self._compiled(tf.constant(batch_at(self.pictures, self.step, self.seed)))
        self.step += 1
        return {pair: float(error) for pair, error in errors.items()}

    def status(self, means):
        """What the progress bar shows: the mean of all errors."""
        return {"error": f"{np.mean([*means.values()]):.3f}"}

    def evaluate(self, pictures):
        """The errors on `pictures`, uint8 (n, h, w, 3), with the student as it will be saved: a dict of floats."""
        parts = [self.errors(part / np.float32(255)) for part in np.array_split(pictures, -(-len(pictures) // BATCH))]
        return {pair: float(np.mean([part[pair] for part in parts])) for pair in self.predictors}


def main(arguments=None):
    """Train, write the weights file, print the errors; return 0, 2 for bad input, or 130 if interrupted."""
    parser = argparse.ArgumentParser("python -m stlib.weights.train_slim", description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="folder of the pictures to train on")
    parser.add_argument("--teacher", required=True, help="vgg19, slim, or the path of a VGG19 or Tiny Darknet file")
    parser.add_argument("--out", type=Path, required=True, help="weights file to write (.npz)")
    parser.add_argument(
        "--heldout", type=Path, help="folder of other pictures, on which the errors are printed at the end"
    )
    parser.add_argument("--steps", type=int, default=12_000, help="of 16 crops each (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and crops (%(default)s)")
    parser.add_argument("--rescale", action="store_true", help="give every filter mean activation 1 at the end")
    return in_one_sentence("train_slim", run, parser.parse_args(arguments))


def run(options):
    """Do what the command line says; return the exit code."""
    if options.out.suffix != ".npz" or options.steps < 4:
        raise ValueError(
            f"--out {options.out} --steps {options.steps}: expected a file ending in .npz and 4 steps or more."
        )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    teacher, pictures = load_teacher(options.teacher), read_pictures(options.images)
    heldout = read_pictures(options.heldout, CROP) if options.heldout else None
    training = Distillation(teacher, pictures, steps=options.steps, seed=options.seed)
    checkpoint = options.out.with_suffix(".checkpoint.npz")
    recent = training.run(checkpoint)
    if recent is None:
        return 130
    arrays = fold(training.student)
    if options.rescale:
        arrays, _ = rescale(arrays, pictures[:STATISTICS] / np.float32(255))
    write(options.out, arrays)
    checkpoint.unlink(missing_ok=True)
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")
    rows = {"last steps": {pair: np.mean([errors[pair] for errors in recent]) for pair in recent[-1]} if recent else {}}
    rows |= {"held out": training.evaluate(heldout)} if heldout is not None else {}
    for name, errors in rows.items():
        print(f"unexplained, {name}: mean {np.mean([*errors.values()]):.3f};", end=" ")
        print(", ".join(f"{' from '.join(pair[::-1])} {error:.3f}" for pair, error in errors.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
