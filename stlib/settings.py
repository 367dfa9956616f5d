"""The settings of `stylize`: one frozen dataclass that checks itself, and from which the command line is made."""

import dataclasses

import numpy as np

from stlib import images

CONTENT_LAYERS = ("block4_conv2",)
STYLE_LAYERS = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1")
TERMS = ("content", "style", "total_variation")  # of the loss

# What suits one network does not suit another (notebook 06, VGG16.md). Style layers: weights relative to each other.
RECIPES = {
    "slim": dict(content_weight=0.03, learning_rate=0.02, style_layers=dict(zip(STYLE_LAYERS, (4, 2, 1, 1, 1)))),
    "vgg16": dict(content_weight=0.04, learning_rate=0.012, style_layers=dict(zip(STYLE_LAYERS, (4, 2, 1, 1, 0.5)))),
}
RECIPES["vgg19"] = RECIPES["vgg16"]  # the same kind of network; expected, not tuned

LARGE = 1024  # pixels; above, little is left to change: fewer and smaller steps, and the second of two networks
COARSEST = 256  # pixels, about: longest side of the first scale; each scale is 1.41 times the last
STEPS = 60, 38, 20  # at the first scales, then as many as at the last of these
STEPS_LARGE = 10  # above LARGE
GENTLER = 0.3  # times the learning rate above LARGE, where the first steps would bring grain that ten cannot remove
EFFORTS = {"draft": 0.5, "normal": 1.0, "fine": 2.0}  # times that many steps
REACH = 4  # pixels by which the picture moves at most
OUTSIDE = 10.0  # weight of the mean squared distance of the values from [0, 1]
LARGEST = 1e6  # of a weight: its product with a loss is finite in float32
CHOICES = {
    "method": ("pyramid", "adam", "lbfgs"),
    "statistics": ("gram", "split"),
    "init": ("content", "style", "noise", "image"),
}


def _setting(default, about):
    return dataclasses.field(default=default, metadata={"about": about})


@dataclasses.dataclass(frozen=True)
class Settings:
    """How `stylize` paints. Raises ValueError in one sentence for what cannot work.

    size: longest side of the result in pixels; the painting is used at the same size.
    steps: "draft", "normal" or "fine" (half as many steps, twice as many), at scales from about 256 pixels up, each
        1.41 times the last; or how many at each scale, coarse to fine, such as (60, 38); one number is one scale.
    content_weight, style_weight, total_variation_weight: factors of losses that have no units.
    style_layers: names, or {name: weight}.
    statistics: what a style is compared by, "split" (losses.split_statistics) or "gram", as in the paper.
    init: where to start, "content", "style", "noise" (drawn with `seed`) or "image", one of your own.
    method: "pyramid", Adam on the bands of a picture that moves; "adam" on the pixels; or "lbfgs" on the pixels, whose
        steps are evaluations of the loss.
    content_weight, learning_rate, style_layers: None stands for what suits the network (`of`). Above 1,024 pixels the
        learning rate is 0.3 times as large.
    memory: bytes that the process may take in all, about, TensorFlow's own 0.65 GB among them; None is all that is
        free. A picture that does not fit is computed in tiles, by the method "pyramid" only: the same picture up to
        rounding.
    """

    size: int = _setting(320, "longest side of the result in pixels")
    steps: str | int | tuple = _setting("normal", f"how long: {', '.join(EFFORTS)}, or N,N,... at each scale")
    content_weight: float | None = _setting(None, "more: closer to the photo")
    style_weight: float = _setting(1.0, "more: closer to the painting")
    total_variation_weight: float = 0.7
    content_layers: tuple = CONTENT_LAYERS
    style_layers: dict | None = None
    statistics: str = "split"
    init: str = _setting("content", "where to start: content, style or noise")
    method: str = "pyramid"
    learning_rate: float | None = None
    seed: int = _setting(0, "of the moves, and of the noise")
    memory: float | None = _setting(None, "bytes that it may take in all, such as 2GB: larger is painted in tiles")

    def __post_init__(self):
        layers = self.style_layers
        if layers is not None and not isinstance(layers, dict):
            layers = dict.fromkeys(as_tuple(layers), 1.0)
        steps = self.steps if isinstance(self.steps, str) else as_tuple(self.steps)
        # frozen: set here, and never again
        vars(self).update(steps=steps, content_layers=as_tuple(self.content_layers), style_layers=layers)
        numbers = {name: vars(self)[name] for name in (*(f"{name}_weight" for name in TERMS), "learning_rate")}
        numbers |= {f"The weight of {layer}": weight for layer, weight in (layers or {}).items()}
        for name, value in numbers.items():
            unset = value is None and name in RECIPES["slim"]
            if not (unset or (isinstance(value, (int, float, np.number)) and 0 <= value <= LARGEST)):  # false for NaN
                raise ValueError(f"{name} is {value!r}, expected a number from 0 to {LARGEST:g}.")
        if not any(vars(self)[f"{name}_weight"] != 0 for name in TERMS):
            raise ValueError("All weights are 0, so there is nothing to optimize: give at least style_weight=1.")
        if layers and not any(layers.values()):
            raise ValueError("The weights of all style layers are 0: give at least one of them a weight of 1.")
        for name, choices in CHOICES.items():
            if vars(self)[name] not in choices:
                value = vars(self)[name]
                raise ValueError(f"{name} is {value!r}, expected one of {', '.join(map(repr, choices))}.")
        if self.memory is not None and not (isinstance(self.memory, (int, float)) and self.memory > 0):
            raise ValueError(f"memory is {self.memory!r}, expected a number of bytes above 0, such as 2e9.")
        if not (isinstance(self.seed, (int, np.integer)) and self.seed >= 0):
            raise ValueError(f"seed is {self.seed!r}, expected a whole number from 0 up.")
        images.fit((1, 1), self.size)  # says what is wrong with a size
        self.counts()

    def of(self, network):
        """The same with what suits the network of that name where nothing was chosen."""
        recipe = RECIPES.get(network, RECIPES["slim"])
        return dataclasses.replace(self, **{name: recipe[name] for name in recipe if vars(self)[name] is None})

    def counts(self):
        """How many steps at each scale, coarse to fine."""
        if isinstance(self.steps, str) and self.steps in EFFORTS:
            scales = 1 + max(0, round(2 * np.log2(self.size / COARSEST)))
            sizes = [self.size * 2 ** (-k / 2) for k in reversed(range(scales))]
            last = len(STEPS) - 1
            normal = [STEPS_LARGE if size > LARGE else STEPS[min(k, last)] for k, size in enumerate(sizes)]
            return [round(EFFORTS[self.steps] * count) for count in normal]
        counts = as_tuple(self.steps)
        if not counts or not all(isinstance(count, (int, np.integer)) and count >= 1 for count in counts):
            raise ValueError(
                f"steps is {self.steps!r}, expected one of {', '.join(map(repr, EFFORTS))}, "
                "or whole numbers from 1 up, one for each scale, such as (60, 38)."
            )
        return list(counts)


def as_tuple(value):
    """One thing, or several in a list or tuple, as a tuple."""
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)
