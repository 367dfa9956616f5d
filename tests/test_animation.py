"""Moving pictures: frames, their number and timing come back, nothing still begins to move, faults are one sentence."""

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from stlib import animation, images

DURATIONS = [50, 120, 200, 50, 1000]


@pytest.fixture
def frames():
    """Five frames of odd size: a square that moves over a still photo."""
    background = images.load(ROOT / "images/content/chelsea_cat.jpg", 51)
    frames = [background.copy() for _ in DURATIONS]
    for k, frame in enumerate(frames):
        frame[5:15, 8 * k : 8 * k + 8] = (1, 0.5, 0)
    return frames


def test_number_timing_and_metadata_come_back(frames, tmp_path):
    path = tmp_path / "a.gif"
    animation.save_frames(frames, path, {"duration": DURATIONS, "loop": 2}, painter="p", size=3)
    again, timing = animation.load_frames(path)
    assert timing == {"duration": DURATIONS, "loop": 2}
    assert images.load_metadata(path) == {"painter": "p", "size": 3}
    assert len(again) == len(frames)
    for before, after in zip(frames, again):
        assert after.shape == before.shape and after.dtype == np.float32
        assert np.abs(after - before).mean() < 0.02  # 256 colors; measured: 0.009


def test_what_is_still_stays_still(frames, tmp_path):
    again, _ = animation.load_frames(animation.save_frames(frames, tmp_path / "a.gif", {"duration": DURATIONS}))
    for frame in again[1:]:
        np.testing.assert_array_equal(frame[16:], again[0][16:])


@pytest.mark.parametrize("frame", [np.zeros((20, 20, 3)), np.random.default_rng(1).uniform(size=(20, 20, 3))])
def test_equal_frames_are_all_kept(frame, tmp_path):
    animation.save_frames([frame] * 4, tmp_path / "a.gif", {"duration": [100, 200, 100, 300], "loop": 0})
    again, timing = animation.load_frames(tmp_path / "a.gif")
    assert len(again) == 4 and timing["duration"] == [100, 200, 100, 300]


def test_an_animation_from_elsewhere(tmp_path):
    """Frames that only hold what changes, a transparent ground, no word on repeating."""
    pictures = [Image.new("RGBA", (30, 20)) for _ in range(3)]
    for k, picture in enumerate(pictures):
        picture.paste((0, 0, 255, 255), (10 * k, 0, 10 * k + 10, 20))
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=70, disposal=2)
    frames, timing = animation.load_frames(tmp_path / "a.gif")
    alphas = timing.pop("alpha")
    assert timing == {"duration": [70, 70, 70]} and [alpha.mean() for alpha in alphas] == pytest.approx([1 / 3] * 3)
    for k, frame in enumerate(frames):
        np.testing.assert_allclose(frame[:, 10 * k : 10 * k + 10], np.broadcast_to((0, 0, 1), (20, 10, 3)), atol=0.01)
        assert frame.sum() == pytest.approx(20 * 10 + 20 * 20 * 3, rel=0.01)  # blue square, white ground
    assert images.load_metadata(tmp_path / "a.gif") == {}


def test_broken_files(frames, tmp_path):
    path = animation.save_frames(frames, tmp_path / "a.gif", {"duration": DURATIONS})
    whole = path.read_bytes()
    with pytest.raises(FileNotFoundError, match="no file"):
        animation.load_frames(tmp_path / "nowhere.gif")
    for content in (b"", b"GIF89a", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="cannot be read as an (image|animation)"):
            animation.load_frames(path)
