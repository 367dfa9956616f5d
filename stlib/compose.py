"""Pictures of several parts, each painted by `stylize`: a second painting, a region of its own, the photo's colors.

Images are (h, w, 3), RGB in [0, 1]. Notebook A4 puts such wishes into the loss itself; here pictures are put together
before and after, so that a wish costs no new loss.
"""

import dataclasses

import numpy as np
from scipy import ndimage

from stlib import color, images, painter
from stlib.settings import Settings
from stlib.stylize import stylize

SOFT = 0.01  # of the longest side: over about twice as much a region becomes what is around it


def paint(photo, painting, network=None, *, second=None, share=0.5, mask=None, strokes=1.0, keep_colors=False,
          callback=None, **settings):  # fmt: skip
    """Paint `photo` like `stylize` and return its Result, with up to four wishes more.

    second: another painting. It is mixed with the first, `share` (0 to 1) of it; or, with a mask, it paints the region.
    mask: an image, white where the region is; without a second painting the region keeps the photo.
    strokes: their size; 2 has them twice as large as the painting does, as far as the network sees so large ones.
    keep_colors: True for the photo's colors; only light and dark are painted (Gatys and others 2016, see stlib.color).
    callback, settings: those of `stylize`, such as size=320, for each of the paintings.
    Stopped in the first painting, it does not begin the second. Raises ValueError in one sentence.
    """
    check(share, strokes)
    size = round(settings.get("size", Settings.size) * strokes)
    settings = dict(steps=tuple(Settings(size=size).counts())) | settings
    paintings = [painting] if second is None or mask is None else [painting, second]
    if second is not None and mask is None:
        paintings = [mixed(painting, second, share)]
    results = []
    for each in (sized(each, strokes) for each in paintings):
        pair = color.gray_pair(photo, each) if keep_colors else (photo, each)
        results.append(stylize(*pair, network, callback=callback, **settings))
        if results[-1].interrupted:
            break
    image = put_together(photo, [result.image for result in results], mask, keep_colors)
    return dataclasses.replace(results[-1], image=image)


def check(share, strokes):
    """Raise ValueError unless share and strokes are numbers that `paint` can use."""
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share!r}, expected a number from 0 (the first painting) to 1 (the second).")
    if not 0.25 <= strokes <= 4:
        raise ValueError(f"strokes is {strokes!r}, expected a number from 0.25 (small) to 4 (large).")


def mixed(first, second, share):
    """One painting out of two, side by side, `share` (0 to 1) of its width from the second.

    The Gram matrix of its features is the mean of those of its parts, weighted by their size, but for the seam; its
    strokes stay whole, where those of two pictures laid over each other would not.
    """
    height, width = first.shape[:2]
    factor = max(height / second.shape[0], width / second.shape[1])
    second = images.resize(second, [max(side, round(factor * n)) for side, n in zip((height, width), second.shape)])
    cut = round((1 - share) * width)
    return np.concatenate([first[:, :cut], second[:height, cut:width]], axis=1)


def sized(painting, strokes):
    """The painting with strokes of another size, next to its own: its middle, or more of it, mirrored at the edges."""
    height, width = (max(1, round(side / strokes)) for side in painting.shape[:2])
    more = [(max(0, side - n) // 2, -(-max(0, side - n) // 2)) for side, n in zip((height, width), painting.shape)]
    painting = np.pad(painting, [*more, (0, 0)], mode="symmetric")
    top, left = (painting.shape[0] - height) // 2, (painting.shape[1] - width) // 2
    return painting[top : top + height, left : left + width]


def put_together(photo, painted, mask, keep_colors):
    """Pictures of the same size, painted from the photo, as one: the second, or else the photo, where the mask is."""
    image, *others = painted
    photo = images.resize(photo, image.shape[:2])
    if keep_colors:
        image, *others = (color.with_luminance(photo, color.luminance(each)) for each in painted)
    if mask is None:
        return image
    soft = ndimage.gaussian_filter(images.resize(mask, image.shape[:2])[..., :1], (*[SOFT * max(image.shape)] * 2, 0))
    return (1 - soft) * image + soft * (others or [photo])[0]


def preview(photo, painting, network, *, second=None, second_network=None, share=0.5, balance=0.5, mask=None,
            strokes=1.0, keep_colors=False):  # fmt: skip
    """Guess in a moment what `paint` would paint: painters, networks that have learned one painting, need one pass.

    network, second_network: of the paintings, from `load_painter`; None gives the photo their colors, without a stroke.
    balance: 0 (nearly the photo) to 1 (all painting).
    """
    check(share, strokes)
    kept = max(0.0, 0.8 - 1.2 * balance)  # of the photo: a painter knows one balance only

    def painted(painting, network):
        if network is None:
            return kept * photo + (1 - kept) * color.match_colors(photo, painting)
        shape = [max(painter.MINIMUM_SIDE, round(side / strokes)) for side in photo.shape[:2]]
        image = painter.paint(images.resize(photo, shape), network, painter.GRAIN)
        return kept * photo + (1 - kept) * images.resize(image, photo.shape[:2])

    parts = [painted(painting, network)] + ([] if second is None else [painted(second, second_network)])
    if len(parts) == 2 and mask is None:
        parts = [(1 - share) * parts[0] + share * parts[1]]
    return put_together(photo, parts, mask, keep_colors)
