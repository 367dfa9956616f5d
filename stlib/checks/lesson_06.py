"""Checks of lesson 06: keep one number of each pixel, mix two styles, keep the sky, make a picture again."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from scipy import ndimage

from stlib import images
from stlib.checks.exercise import Exercise, Law, but


def random(*shape, seed=0):
    return np.float32(np.random.default_rng(seed).uniform(0.1, 0.9, shape))


def close(x, y):
    return np.shape(x) == np.shape(y) and np.allclose(x, y, atol=1e-5)


# --- one number of each pixel


def kept(painted, photo, w, along=None, shrink=images.resize):
    """The nearest picture with the photo's sums; `along`: where the change points, as long as to give w * change 1."""
    missing = (shrink(photo, painted.shape[:2]) - painted) @ w
    return painted + missing[..., None] * (w / (w @ w) if along is None else along(w))


PAINTED, PHOTO = random(6, 8, 3, seed=1), random(6, 8, 3, seed=2)
RAMP = np.float32(np.linspace(0, 1, 32)[None, :, None] * np.ones((24, 1, 3)))
GREEN, LUMINANCE, RED_BLUE, LARGE = np.float32([[0, 1, 0], [0.299, 0.587, 0.114], [2, 0, -1], [3, 2, 1]])

kept_channel = Exercise(
    right=kept,
    cases={
        "green is the photo's, red and blue the painting's": (PAINTED, PHOTO, GREEN),
        "the luminance is the photo's, in the nearest such picture": (PAINTED, PHOTO, LUMINANCE),
        "so is twice red minus blue, where a weight is negative": (PAINTED, PHOTO, RED_BLUE),
        "so it is with large weights": (PAINTED, PHOTO, LARGE),
    },
    result="the result has the shape of the painted picture",
    laws=(
        Law("a larger photo is shrunk as a whole",
            lambda keep: np.abs(np.asarray(keep(PAINTED, RAMP, GREEN))[..., 1] - np.linspace(0, 1, 8)).max() < 0.1,
            "you cut a piece out of the photo: shrink it whole, images.resize(photo, painted.shape[:2]).",
            (but(kept, shrink=lambda photo, shape: photo[: shape[0], : shape[1]]),)),
    ),
    mistakes={
        "the same for red, green and blue is a longer change than needed: which direction does w see best?":
            but(kept, along=lambda w: np.ones(3) / np.sum(w)),
        "the direction is right, the length is not: w * change must be what is missing.": but(kept, along=lambda w: w),
        "nearly: w * change must be what is missing, and w * w is not the length of w.":
            but(kept, along=lambda w: w / np.sqrt(w @ w)),
        "w * w is the sum of the squares, not the sum of the weights.": but(kept, along=lambda w: w / np.sum(w)),
        "one number alone can change, but sharing the change along w is shorter.":
            but(kept, along=lambda w: (np.arange(3) == np.argmax(np.abs(w))) / w[np.argmax(np.abs(w))]),
        "a third for each gives the sum, too, but is not the shortest change.":
            but(kept, along=lambda w: np.divide(1, 3 * w, out=np.zeros(3, np.float32), where=w != 0)),
        "0 is red and 2 is blue: an image here is RGB, not BGR.": lambda p, x, w: kept(p, x, w[::-1]),
        "nothing is kept: add what is missing.": lambda p, x, w: p,
        "that is the photo: of all pictures with its sums, the nearest to the painted one.": lambda p, x, w: x,
        "painting and photo are swapped: the result is near the painted picture.": lambda p, x, w: kept(x, p, w),
        "the change goes the wrong way: missing is photo minus painted.": lambda p, x, w: 2 * p - kept(p, x, w),
        "to multiply is not the shortest change: add.": lambda p, x, w: p * ((x @ w) / (p @ w))[..., None],
        "return the whole picture, with all three channels.": lambda p, x, w: kept(p, x, w) @ w,
    },
    hint="split a change into a part along w and one across it: which of the two does w see?",
)  # fmt: skip


# --- two styles in one picture


def halves(first, second, share):
    cut = round((1 - share) * first.shape[1])
    return np.concatenate([first[:, :cut], second[:, cut:]], axis=1)


def stripes(first, second, share):
    period = round(1 / share) if share else 10**6
    return np.where((np.arange(first.shape[1])[:, None] + 1) % period == 0, second, first)


def squashed(first, second, share):
    sides = [np.linspace(0, first.shape[1] - 1, round(s * first.shape[1])).astype(int) for s in (1 - share, share)]
    return np.concatenate([first[:, sides[0]], second[:, sides[1]]], axis=1)


def gram(image):
    pixels = np.reshape(image, (-1, 3))
    return pixels.T @ pixels / len(pixels)


def torn(mix):
    """Neighbors in the result that were none in the paintings, whose green and blue say row and column."""
    rows, columns = np.indices((12, 16))
    places = np.float32(np.stack([0 * rows, 0.01 * rows, 0.01 * columns], axis=-1))
    half = np.asarray(mix(places, places + np.float32(0.5), 0.5))
    return sum(np.sum(np.abs(np.diff(half[..., c], axis=axis) - 0.01) > 1e-3) for c, axis in ((1, 0), (2, 1)))


ONE, TWO = random(12, 16, 3, seed=3), random(12, 16, 3, seed=4)
RED, BLUE = np.float32([0.9, 0.2, 0.1]), np.float32([0.1, 0.3, 0.8])
FLAT = [np.ones((12, 16, 1), np.float32) * color for color in (RED, BLUE)]


def mixes(share):
    right = (1 - share) * np.outer(RED, RED) + share * np.outer(BLUE, BLUE)
    return lambda mix: close(gram(mix(*FLAT, share)), right)


mixed_style = Exercise(
    right=halves,
    unique=False,
    cases={"two paintings": [(ONE, TWO, share) for share in (0.5, 0, 1, 0.25)]},
    laws=(
        Law("the result is as large as each painting", lambda mix: np.shape(mix(ONE, TWO, 0.5)) == ONE.shape,
            "strokes keep their size only if the picture does; take a part of each painting.",
            (lambda a, b, s: np.concatenate([a, b], axis=1), lambda a, b, s: a[:, ::2])),
        Law("share 0 gives the first painting, share 1 the second",
            lambda mix: close(mix(ONE, TWO, 0), ONE) and close(mix(ONE, TWO, 1), TWO),
            "at 0 nothing of the second painting may be left, at 1 nothing of the first.",
            (lambda a, b, s: halves(a, b, 0.5),)),
        Law("two flat colors, share 0.5: the Gram matrix is the mix of theirs", mixes(0.5),
            "for share 0.5 half of the pixels come from the second painting.", (lambda a, b, s: halves(a, b, s**2),)),
        Law("two flat colors, share 0.25: the Gram matrix is the mix of theirs", mixes(0.25),
            "for share 0.25 that part of the pixels comes from the second painting, the rest from the first.",
            (lambda a, b, s: halves(a, b, 0.5 if 0 < s < 1 else s),)),
        Law("strokes stay whole, but for one cut", lambda mix: torn(mix) <= 16,
            "neighbors in a painting must stay neighbors: one straight cut, no stripes, no squashing.",
            (stripes, squashed)),
    ),
    mistakes={
        "the ends are swapped: share belongs to the second painting.": lambda a, b, s: halves(b, a, s),
        "you lay one over the other: the Gram matrix of a mean of pictures is not the mean of Gram matrices.":
            lambda a, b, s: (1 - s) * a + s * b,
    },
)  # fmt: skip


# --- a region of the photo


def faded(painted, photo, keep, width, distance=ndimage.distance_transform_edt, scale=1):
    """The photo where `keep` is; with another distance, or another width, it makes a mistake."""
    far = distance(~keep) if keep.any() else np.full(keep.shape, np.inf)
    share = np.clip(far / (scale * width), 0, 1)[..., None]
    return (1 - share) * photo + share * painted


BLACK, WHITE = np.zeros((24, 32, 3)), np.ones((24, 32, 3))
BEFORE, AFTER = random(24, 32, 3, seed=1), random(24, 32, 3, seed=2)
KEEP = np.zeros((24, 32), bool)
KEEP[:7, :20], KEEP[17, 26] = True, True  # a corner, and a single pixel
PLACES = np.indices(KEEP.shape)
FAR = np.min([np.hypot(PLACES[0] - i, PLACES[1] - j) for i, j in np.argwhere(KEEP)], axis=0)


def share(blend, width):
    """The painting's share at each pixel."""
    return np.asarray(blend(WHITE, BLACK, KEEP, width))[..., 0]


def jump(blend, width):
    return max(np.abs(np.diff(share(blend, width), axis=axis)).max() for axis in (0, 1))


def in_order(blend):
    """Whether the share grows with the distance, and is the same at the same distance."""
    shares, distances = share(blend, 9).ravel(), FAR.round(4).ravel()
    lowest, highest = ([f(shares[distances == d]) for d in np.unique(distances)] for f in (np.min, np.max))
    return np.all(np.array(lowest[1:]) > np.array(highest[:-1]) - 1e-4) and np.ptp(shares[distances == 5]) < 1e-4


kept_region = Exercise(
    right=faded,
    unique=False,
    cases={"a corner": (BEFORE, AFTER, KEEP, 6)},
    laws=(
        Law("the result has the shape of the pictures", lambda f: np.shape(f(BEFORE, AFTER, KEEP, 6)) == AFTER.shape,
            "return a picture (h, w, 3): the share needs a last axis, [..., None].", (lambda *a: faded(*a)[..., 0],)),
        Law("where keep is True it is the photo, exactly",
            lambda blend: np.array_equal(np.asarray(blend(BEFORE, AFTER, KEEP, 6))[KEEP], AFTER[KEEP]),
            "inside the region no painting may be left: fade outside of it, with the distance; a blur leaks in.",
            (lambda p, x, keep, width: faded(p, x, keep, 1, lambda m: ndimage.uniform_filter(1.0 * m, 2 * width + 1)),
             lambda p, x, keep, width: (p + x) / 2)),
        *(Law(f"width {width}: further away it is the painting",
              lambda f, width=width: close(share(f, width)[FAR >= width], WHITE[..., 0][FAR >= width]),
              "a distance of `width` or more is all painting: np.clip(distance / width, 0, 1).", (broken,))
          for width, broken in ((6, lambda *a: faded(*a, scale=2)), (3, lambda *a: faded(*a[:3], 6)))),
        *(Law(f"width {width}: no seam, the painting fades in", lambda f, width=width: jump(f, width) < 2 / width,
              lambda blend, width=width: f"a seam: the painting's share jumps by {jump(blend, width):.2f} between "
              "neighbors; let it grow with the distance.", (broken,))
          for width, broken in ((6, lambda p, x, keep, width: np.where(keep[..., None], x, p)),
                                (3, lambda *a: faded(*a, scale=1 if a[3] > 3 else 0.3)))),
        Law("the share grows with the straight distance", in_order,
            "steps along rows and columns are not the straight distance: ndimage.distance_transform_edt(~keep).",
            (lambda *a: faded(*a, distance=lambda mask: ndimage.distance_transform_cdt(mask, "taxicab")),)),
        Law("if nothing is kept it is all painting", lambda blend: close(blend(BEFORE, AFTER, KEEP & False, 6), BEFORE),
            "without a kept pixel there is no distance, and distance_transform_edt means nothing: ask keep.any().",
            (lambda *a: faded(*a) if a[2].any() else a[1],
             lambda p, x, keep, width: faded(p, x, keep, width) if keep.any() else (p + x) / 2)),
    ),
    mistakes={
        "photo and painting are swapped: where keep is True the photo stays.": lambda p, x, *a: faded(x, p, *a),
        "photo and painting are swapped, or the mask: where keep is True the photo stays.":
            lambda p, x, keep, width: faded(p, x, ~keep, width),
    },
)  # fmt: skip


# --- a picture made again

NAMES = {"content": "here/photo.png", "style": "there/painting.png", "network": "some network"}
SETTINGS = {"size": 8, "style_weight": 0.3, "content_layers": ["block3_conv2"], "steps": [3, 2], "seed": 7}
CONTENT, STYLE, PICTURE = (np.rint(255 * random(12, side, 3, seed=side)) / 255 for side in (16, 20, 8))
SOME, OTHER = SimpleNamespace(name="some network"), SimpleNamespace(name="another")


def attempts(remake):
    """What an answer does with a file of this network, with one of another, and with one without settings."""
    calls, errors = [], []

    def paint(*given, **keywords):
        calls.append((dict(zip(NAMES, given)), keywords))
        return SimpleNamespace(image=PICTURE)

    with tempfile.TemporaryDirectory() as folder:
        pictures = {
            NAMES[key]: images.save(image, Path(folder, f"{key}.png"))
            for key, image in (("content", CONTENT), ("style", STYLE))
        }
        saved = images.save(PICTURE, Path(folder, "saved.png"), **NAMES, **SETTINGS)
        bare = images.save(PICTURE, Path(folder, "bare.png"))
        given_pictures = dict(pictures)
        made = remake(saved, given_pictures, SOME, paint)
        times, unchanged = len(calls), given_pictures == pictures
        for path, network in ((saved, OTHER), (bare, SOME)):
            try:
                errors.append(remake(path, dict(pictures), network, paint) and None)
            except Exception as error:
                errors.append(error)
    given, rest = calls[0] if calls else ({}, {})
    twice = given.keys() & rest
    given |= {key: rest.pop(key) for key in NAMES if key in rest and key not in given}
    rest = {key: list(value) if isinstance(value, tuple) else value for key, value in rest.items()}
    return SimpleNamespace(
        made=made, times=times, unchanged=unchanged, given=given, rest=rest, twice=twice, errors=errors,
        late=len(calls) - times,
    )  # fmt: skip


def differ(seen):
    names = ", ".join(key for key in SETTINGS | seen.rest if SETTINGS.get(key) != seen.rest.get(key))
    return f"{names} differ from the file: pass all that is left of its settings, **settings."


def refused(number):
    return lambda seen: isinstance(seen.errors[number], ValueError)


def is_other(saved, network):
    return saved.get("network") != network.name


def never(saved, network):
    return False


def again(path, pictures, network, paint, other=is_other, order=("content", "style"), out=NAMES, change=(), size=None):
    """The right answer; each setting is the place of a mistake."""
    saved = images.load_metadata(path)
    if other(saved, network):
        raise ValueError(f"{path} was not made with the network {network.name}")
    pair = [images.load(pictures[saved[name]], saved["size"] if size else None) for name in order]
    return paint(*pair, network, **({key: value for key, value in saved.items() if key not in out} | dict(change)))


def without_words(*arguments):
    try:
        return again(*arguments)
    except ValueError:
        raise ValueError("network") from None


PAIR = "first the photo, then the painting, loaded whole: images.load(pictures[name]); then the network."

made_again = Exercise(
    right=again,
    unique=False,
    seen=attempts,
    laws=(
        Law("it paints once", lambda seen: seen.times == 1, lambda seen: f"{seen.times} calls of paint, not one.",
            (lambda *a: again(*a) and again(*a), lambda *a: images.load_metadata(a[0]))),
        Law("it returns what paint returns", lambda seen: getattr(seen.made, "image", 0) is PICTURE,
            "return paint(...).", (lambda *a: again(*a).image,)),
        Law("the arguments are unchanged", lambda seen: seen.unchanged,
            "your code changes the dict pictures, which belongs to the caller: look up in it, change nothing.",
            (lambda path, pictures, *a: (again(path, pictures, *a), pictures.clear())[0],)),
        Law("nothing is passed twice", lambda seen: not seen.twice,
            "take content, style and network out (settings.pop(name)), then pass the rest: **settings.",
            (but(again, out=()),)),
        Law("it paints from the photo and the painting that the file names, whole",
            lambda seen: close(seen.given.get("content"), CONTENT) and close(seen.given.get("style"), STYLE), PAIR,
            (but(again, order=("style", "content")), but(again, size=True))),
        Law("it paints with the network", lambda seen: seen.given.get("network") is SOME, PAIR,
            (lambda *a: again(*a[:3], lambda photo, style, _, **rest: a[3](photo, style, None, **rest)),)),
        Law("with all settings of the file, by name, and nothing else", lambda seen: seen.rest == SETTINGS, differ,
            (but(again, out=[*NAMES, "steps"]), but(again, change={"size": 320}))),
        Law("another network is refused with ValueError", refused(0),
            "compare the name in the file with network.name, then raise ValueError.", (but(again, other=never),)),
        Law("so is a file without settings", refused(1),
            "images.load_metadata gives an empty dict: raise ValueError with a sentence.",
            (but(again, other=lambda saved, network: is_other({"network": network.name} | saved, network)),)),
        Law("both say why, in a sentence", lambda seen: all(len(str(e).split()) > 3 for e in seen.errors),
            "raise ValueError with a sentence for the reader: which file, and what is the matter.", (without_words,)),
        Law("a refusal comes before painting", lambda seen: not seen.late, "check first, then paint.",
            (lambda *a: (a[2] is SOME or again(*a, other=never)) and again(*a),)),
    ),
)  # fmt: skip
