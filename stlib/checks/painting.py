"""Checks of lesson 06: keep a channel, mix two styles, keep the sky, make a picture again."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from stlib import images
from stlib.checks.report import check

IN_PLACE = "your code writes into its argument: work on a copy."


@check
def kept_channel(keep):
    """Check `keep(painted, photo, channel)`: the painted picture with one of R, G, B (0, 1, 2) of the photo."""
    painted, photo = _random(6, 8, 3, seed=1), _random(6, 8, 3, seed=2)
    given = painted.copy(), photo.copy()
    out = [np.asarray(keep(painted, photo, channel)) for channel in range(3)]
    hint = f"it has shape {out[0].shape}: return the whole picture, with all three channels."
    yield "the result has the shape of the painted picture", out[0].shape == painted.shape, hint
    unchanged = np.array_equal(painted, given[0]) and np.array_equal(photo, given[1])
    yield "the arguments are unchanged", unchanged, IN_PLACE
    hint = "out[..., channel] = photo[..., channel]."
    if _close(out[0][..., 2], photo[..., 2]):
        hint = "0 is red and 2 is blue: an image here is RGB, not BGR."
    elif all(_close(out[c][..., 0], photo[..., 0]) for c in range(3)):
        hint = "it is always the same channel: use the argument."
    kept = all(_close(out[c][..., c], photo[..., c]) for c in range(3))
    yield "the channel asked for is the photo's", kept, hint
    hint = "start from a copy of the painted picture and change one channel of it, nothing else."
    others = all(_close(np.delete(out[c], c, axis=-1), np.delete(painted, c, axis=-1)) for c in range(3))
    yield "the two others are the painted picture's", others, hint
    ramp = np.float32(np.linspace(0, 1, 32)[None, :, None] * np.ones((24, 1, 3)))
    shrunk = np.asarray(keep(painted, ramp, 1))[..., 1]
    hint = "you cut a piece out of the photo: shrink it whole, images.resize(photo, painted.shape[:2])."
    yield "a larger photo is shrunk as a whole", np.abs(shrunk - np.linspace(0, 1, 8)).max() < 0.1, hint


@check
def mixed_style(mix):
    """Check `mix(first, second, share)`: two paintings (h, w, 3) to one whose Gram matrix mixes theirs."""
    first, second = _places(12, 16, 0.0), _places(12, 16, 0.5)
    given = first.copy(), second.copy()
    half = np.asarray(mix(first, second, 0.5))
    hint = f"it has shape {half.shape}: strokes keep their size only if the picture does; take a part of each painting."
    yield "the result is as large as each painting", half.shape == first.shape, hint
    unchanged = np.array_equal(first, given[0]) and np.array_equal(second, given[1])
    yield "the arguments are unchanged", unchanged, IN_PLACE
    hint = "the ends are swapped: share belongs to the second painting."
    if not _close(mix(first, second, 0), second):
        hint = "at 0 nothing of the second painting may be left, at 1 nothing of the first."
    ends = _close(mix(first, second, 0), first) and _close(mix(first, second, 1), second)
    yield "share 0 gives the first painting, share 1 the second", ends, hint
    colors = np.float32([[0.9, 0.2, 0.1], [0.1, 0.3, 0.8]])
    flat = [np.ones((12, 16, 1), np.float32) * color for color in colors]
    for share in (0.5, 0.25):
        G = _gram(mix(*flat, share))
        blended = (1 - share) * colors[0] + share * colors[1]
        hint = f"for share {share} that part of the pixels comes from the second painting, the rest from the first."
        if _close(G, np.outer(blended, blended)):
            hint = "you lay one over the other: the Gram matrix of a mean of pictures is not the mean of Gram matrices."
        right = (1 - share) * np.outer(colors[0], colors[0]) + share * np.outer(colors[1], colors[1])
        yield f"two flat colors, share {share}: the Gram matrix is the mix of theirs", _close(G, right), hint
    torn = [np.abs(np.diff(half[..., c], axis=axis) - 0.01) > 1e-3 for c, axis in ((1, 0), (2, 1))]
    hint = "neighbors in a painting must stay neighbors: one straight cut, no stripes, no squashing."
    yield "strokes stay whole, but for one cut", sum(map(np.count_nonzero, torn)) <= 16, hint


@check
def kept_region(blend):
    """Check `blend(painted, photo, keep, width)`: the photo where `keep`, fading to the painting within `width`."""
    painted, photo = _random(24, 32, 3, seed=1), _random(24, 32, 3, seed=2)
    keep = np.zeros((24, 32), bool)
    keep[:7, :20], keep[17, 26] = True, True  # a corner, and a single pixel
    given = painted.copy(), photo.copy(), keep.copy()
    out = np.asarray(blend(painted, photo, keep, 6))
    yield "the result has the shape of the pictures", out.shape == photo.shape, f"it has shape {out.shape}."
    unchanged = all(np.array_equal(x, y) for x, y in zip((painted, photo, keep), given))
    yield "the arguments are unchanged", unchanged, IN_PLACE
    rows, columns = np.indices(keep.shape)
    far = np.min([np.hypot(rows - i, columns - j) for i, j in np.argwhere(keep)], axis=0)  # from the kept pixels
    hint = "inside the region no painting may be left: fade outside of it, with the distance from it; a blur leaks in."
    if _close(out[0, 0], painted[0, 0]):  # deep inside
        hint = "photo and painting are swapped: where keep is True the photo stays."
    yield "where keep is True it is the photo, exactly", np.array_equal(out[keep], photo[keep]), hint
    black, white = np.zeros_like(photo), np.ones_like(photo)
    for width in (6, 3):
        share = np.asarray(blend(white, black, keep, width))  # of the painting, at each pixel
        hint = "a distance of `width` or more is all painting: np.clip(distance / width, 0, 1)."
        away = far >= width
        yield f"width {width}: further away it is the painting", _close(share[away], white[away]), hint
        step = max(np.abs(np.diff(share, axis=axis)).max() for axis in (0, 1))
        hint = f"a seam: the painting's share jumps by {step:.2f} between neighbors; let it grow with the distance."
        yield f"width {width}: no seam, the painting fades in", step < 2 / width, hint


@check
def made_again(remake):
    """Check `remake(path, pictures, network, paint)`: paint what the metadata of the file at `path` say."""
    content, style, picture = (np.rint(255 * _random(6, 8, 3, seed=seed)) / 255 for seed in range(3))
    settings = dict(size=8, style_weight=0.3, content_layers=["block3_conv2"], steps=[3, 2], seed=7)
    names = dict(content="here/photo.png", style="there/painting.png", network="some network")
    network, other, calls = SimpleNamespace(name="some network"), SimpleNamespace(name="another"), []

    def paint(*given, **keywords):
        calls.append((dict(zip(names, given)), keywords))
        return SimpleNamespace(image=picture)

    with tempfile.TemporaryDirectory() as folder:
        pictures = {names[key]: Path(folder, f"{key}.png") for key in ("content", "style")}
        for path, image in zip(pictures.values(), (content, style)):
            images.save(image, path)
        saved = images.save(picture, Path(folder, "saved.png"), **names, **settings)
        bare = images.save(picture, Path(folder, "bare.png"))
        made = remake(saved, pictures, network, paint)
        yield "it paints once", len(calls) == 1, f"paint was called {len(calls)} times: call it once."
        yield "it returns what paint returns", getattr(made, "image", None) is picture, "return paint(...)."
        given, rest = calls[0]
        hint = "take content, style and network out (settings.pop(name)), then pass the rest with **settings."
        yield "nothing is passed twice", not given.keys() & rest, hint
        given |= {key: rest.pop(key) for key in names if key in rest}
        hint = "first the photo, then the painting, loaded whole: images.load(pictures[name]); then the network."
        right = _close(given.get("content"), content) and _close(given.get("style"), style)
        yield "it paints from the photo and the painting that the file names", right, hint
        yield "it paints with the network", given.get("network") is network, hint
        rest = {key: list(value) if isinstance(value, tuple) else value for key, value in rest.items()}
        wrong = ", ".join(key for key in settings | rest if settings.get(key) != rest.get(key))
        hint = f"{wrong} differ from the file: pass all that is left of its settings, **settings."
        yield "with all settings of the file, by name, and nothing else", rest == settings, hint
        hint = "compare the name in the file with network.name, and raise ValueError before painting."
        yield "another network is refused with ValueError", _refuses(remake, saved, pictures, other, paint), hint
        hint = "images.load_metadata gives an empty dict: raise ValueError with a sentence for the reader."
        yield "so is a file without settings", _refuses(remake, bare, pictures, network, paint), hint
        yield "a refusal comes before painting", len(calls) == 1, "check first, then paint."


def _random(*shape, seed=0):
    return np.float32(np.random.default_rng(seed).uniform(0.1, 0.9, shape))


def _places(height, width, start):
    """A painting whose green and blue say row and column: neighbors differ by 0.01."""
    rows, columns = np.indices((height, width))
    return np.float32(start + np.stack([0 * rows, 0.01 * rows, 0.01 * columns], axis=-1))


def _gram(image):
    pixels = np.reshape(image, (-1, 3))
    return pixels.T @ pixels / len(pixels)


def _close(x, y):
    return np.shape(x) == np.shape(y) and np.allclose(x, y, atol=1e-5)


def _refuses(remake, *arguments):
    try:
        remake(*arguments)
    except ValueError:
        return True
    except (KeyError, TypeError):
        pass
    return False
