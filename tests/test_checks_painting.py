"""The checks of lesson 06 accept right answers, however written, and say of wrong ones what is wrong."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import unsolved
from scipy import ndimage

from stlib import checks, images


def keep_channel(painted, photo, channel):
    out = painted.copy()
    out[..., channel] = images.resize(photo, painted.shape[:2])[..., channel]
    return out


def keep_channel_by_mask(painted, photo, channel):
    mask = tf.one_hot(channel, 3)
    return mask * images.resize(photo, painted.shape[:2]) + (1 - mask) * painted


def keep_in_place(painted, photo, channel):
    painted[..., channel] = images.resize(photo, painted.shape[:2])[..., channel]
    return painted


def keep_cut_out(painted, photo, channel):
    out = painted.copy()
    out[..., channel] = photo[: painted.shape[0], : painted.shape[1], channel]
    return out


CHANNEL_MISTAKES = {
    "one channel": (lambda p, x, c: x[..., c], "return the whole picture"),
    "photo's size": (lambda p, x, c: keep_channel(x, p, c)[:, :4], "return the whole picture"),
    "BGR": (lambda p, x, c: keep_channel(p, x, 2 - c), "0 is red and 2 is blue"),
    "always red": (lambda p, x, c: keep_channel(p, x, 0), "use the argument"),
    "nothing kept": (lambda p, x, c: p, "out[..., channel] = photo"),
    "others of the photo": (lambda p, x, c: images.resize(x, p.shape[:2]), "start from a copy of the painted"),
    "others black": (lambda p, x, c: keep_channel(0 * p, x, c), "start from a copy of the painted"),
    "cut out": (keep_cut_out, "shrink it whole"),
    "in place": (keep_in_place, "work on a copy"),
}  # fmt: skip


def mix(first, second, share):
    cut = round((1 - share) * first.shape[1])
    return np.concatenate([first[:, :cut], second[:, cut:]], axis=1)


def mix_by_rows(first, second, share):
    cut = round(share * len(first))
    return tf.concat([second[:cut], first[: len(first) - cut]], axis=0)


def mix_by_where(first, second, share):
    return np.where(np.arange(first.shape[1])[:, None] < (1 - share) * first.shape[1], first, second)


def stripes(first, second, share):
    period = round(1 / share) if share else 10**6
    return np.where((np.arange(first.shape[1])[:, None] + 1) % period == 0, second, first)


def squashed(first, second, share):
    sides = [np.linspace(0, len(first.T[0]) - 1, round(s * first.shape[1])).astype(int) for s in (1 - share, share)]
    return np.concatenate([first[:, sides[0]], second[:, sides[1]]], axis=1)


def mix_in_place(first, second, share):
    first[:, round((1 - share) * first.shape[1]) :] = second[:, round((1 - share) * first.shape[1]) :]
    return first


MIX_MISTAKES = {
    "both whole": (lambda a, b, s: np.concatenate([a, b], axis=1), "take a part of each"),
    "swapped": (lambda a, b, s: mix(b, a, s), "the ends are swapped"),
    "always half": (lambda a, b, s: mix(a, b, 0.5), "at 0 nothing of the second"),
    "double exposure": (lambda a, b, s: (1 - s) * a + s * b, "you lay one over the other"),
    "half, but at the ends": (lambda a, b, s: mix(a, b, 0.5 if 0 < s < 1 else s), "for share 0.25"),
    "squared": (lambda a, b, s: mix(a, b, s**2), "for share 0.5"),
    "stripes": (stripes, "no stripes"),
    "squashed": (squashed, "no squashing"),
    "in place": (mix_in_place, "work on a copy"),
}  # fmt: skip


def sky(painted, photo, keep, width):
    share = np.clip(ndimage.distance_transform_edt(~keep) / width, 0, 1)[..., None]
    return np.where(keep[..., None], photo, (1 - share) * photo + share * painted)


def smooth_sky(painted, photo, keep, width):
    t = tf.cast(tf.clip_by_value(ndimage.distance_transform_edt(~keep) / width, 0, 1)[..., None], tf.float32)
    share = t * t * (3 - 2 * t)
    return photo + share * (painted - photo)


def blurred(painted, photo, keep, width):
    share = ndimage.uniform_filter(np.float32(~keep), 2 * width + 1)[..., None]
    return (1 - share) * photo + share * painted


def sky_in_place(painted, photo, keep, width):
    painted[:] = sky(painted, photo, keep, width)
    return painted


SKY_MISTAKES = {
    "swapped": (lambda p, x, k, w: sky(x, p, k, w), "photo and painting are swapped"),
    "inverted mask": (lambda p, x, k, w: sky(p, x, ~k, w), "photo and painting are swapped"),
    "blur": (blurred, "a blur leaks in"),
    "half and half": (lambda p, x, k, w: (p + x) / 2, "no painting may be left"),
    "hard edge": (lambda p, x, k, w: np.where(k[..., None], x, p), "a seam"),
    "fixed width": (lambda p, x, k, w: sky(p, x, k, 6), "a distance of `width` or more"),
    "too wide": (lambda p, x, k, w: sky(p, x, k, 2 * w), "a distance of `width` or more"),
    "map only": (lambda p, x, k, w: sky(p, x, k, w)[..., 0], "it has shape (24, 32)"),
    "mask without a channel axis": (lambda p, x, k, w: np.where(k, x, p), "your code raised ValueError"),
    "in place": (sky_in_place, "work on a copy"),
}  # fmt: skip


def remake(path, pictures, network, paint):
    settings = images.load_metadata(path)
    if settings.get("network") != network.name:
        raise ValueError("not made with this network")
    del settings["network"]
    content, style = (images.load(pictures[settings.pop(name)]) for name in ("content", "style"))
    return paint(content, style, network, **settings)


def remake_by_name(path, pictures, network, paint):
    saved = images.load_metadata(path)
    if not saved or saved["network"] != network.name:
        raise ValueError("no settings, or another network")
    saved |= {name: images.load(pictures[saved[name]]) for name in ("content", "style")} | {"network": network}
    return paint(**saved)


def unchecked(path, pictures, network, paint, order=("content", "style"), leave=(), change=None, size=None):
    settings = images.load_metadata(path)
    pair = [images.load(pictures[settings[name]], size) for name in order]
    rest = {k: v for k, v in settings.items() if k not in ("content", "style", "network", *leave)}
    return paint(*pair, network, **(rest | (change or {})))


def names_left(path, pictures, network, paint):
    saved = images.load_metadata(path)
    return paint(*(images.load(pictures[saved[name]]) for name in ("content", "style")), network, **saved)


def only_known(path, pictures, network, paint):
    if images.load_metadata(path).get("network", network.name) != network.name:
        raise ValueError("not made with this network")
    return unchecked(path, pictures, network, paint)


def paints_first(path, pictures, network, paint):
    settings = images.load_metadata(path)
    if settings:
        result = unchecked(path, pictures, network, paint)
    if settings.get("network") != network.name:
        raise ValueError("not made with this network")
    return result


REMAKE_MISTAKES = {
    "pair swapped": (lambda *a: unchecked(*a, order=("style", "content")), "first the photo, then the painting"),
    "shrunk": (lambda *a: unchecked(*a, size=4), "loaded whole"),
    "a setting lost": (lambda *a: unchecked(*a, leave=("steps",)), "steps differ from the file"),
    "a setting changed": (lambda *a: unchecked(*a, change={"size": 320}), "size differ from the file"),
    "names left in": (names_left, "take content, style and network out"),
    "no network": (lambda path, pics, net, paint: unchecked(path, pics, None, paint), "then the network"),
    "picture only": (lambda *a: unchecked(*a).image, "return paint(...)"),
    "painted twice": (lambda *a: unchecked(*a) and unchecked(*a), "call it once"),
    "any network": (unchecked, "compare the name in the file"),
    "KeyError": (only_known, "gives an empty dict"),
    "painted, then refused": (paints_first, "check first, then paint"),
}  # fmt: skip

ANSWERS = {
    checks.kept_channel: ([keep_channel, keep_channel_by_mask], CHANNEL_MISTAKES),
    checks.mixed_style: ([mix, mix_by_rows, mix_by_where], MIX_MISTAKES),
    checks.kept_region: ([sky, smooth_sky], SKY_MISTAKES),
    checks.made_again: ([remake, remake_by_name], REMAKE_MISTAKES),
}


@pytest.mark.parametrize("check, answer", [(check, answer) for check in ANSWERS for answer in ANSWERS[check][0]])
def test_accepts(check, answer, capsys):
    assert check(answer), capsys.readouterr().out
    assert "All of it holds" in capsys.readouterr().out


@pytest.mark.parametrize("check, mistake", [(check, mistake) for check in ANSWERS for mistake in ANSWERS[check][1]])
def test_rejects(check, mistake, capsys):
    answer, hint = ANSWERS[check][1][mistake]
    assert check(answer) is False
    assert hint in capsys.readouterr().out


@pytest.mark.parametrize("check", ANSWERS)
@pytest.mark.parametrize("answer", [unsolved, None, ...])
def test_unsolved_says_so(check, answer, capsys):
    assert check(answer) is False
    assert "Not solved yet" in capsys.readouterr().out
