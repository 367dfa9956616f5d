"""`python -m stlib paint` on videos: frames, times and sound as they were, whatever stops it; played in a browser.

The clips are made here: a panned photo with grain, over which a square moves.
"""

import base64
import functools
import io
import itertools
import os
import re
import resource
import signal
import subprocess
import sys
import time
from fractions import Fraction
from unittest import mock

import keras
import numpy as np
import psutil
import pytest
from conftest import ROOT

from stlib import __main__ as cli
from stlib import images, video
from stlib import painter as painters
from stlib.command import clip
from stlib.painter import build_painter, load_painter
from stlib.training.painter import write

av = pytest.importorskip("av", reason="videos need PyAV")
PHOTO = images.load(ROOT / "images/content/chelsea_cat.jpg", 200)
load_once = functools.lru_cache(load_painter)  # it is compiled anew each time


@pytest.fixture(scope="module")
def painter(tmp_path_factory):
    """The file of a painter with random weights."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("painter") / "random.npz"
    write(path, build_painter())
    return path


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(painters, "load_painter", load_once)
    monkeypatch.setattr(clip, "SEGMENT", 4)


def make(
    path,
    frames=10,
    size=(64, 48),
    codec="libx264",
    sound="aac",
    rate=25,
    times=None,
    base=None,
    options=None,
    hertz=48_000,
    layout="mono",
):
    """Write a clip, with a tone that rises, in the last channel. times: in ticks of `base`."""
    rng, (width, height) = np.random.default_rng(0), size
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if base:
            stream.time_base = stream.codec_context.time_base = base
        tone = output.add_stream(sound, rate=hertz, layout=layout) if sound else None
        for k in range(frames):
            image = PHOTO[:height, k % 100 : k % 100 + width] + 0.02 * rng.standard_normal((height, width, 3))
            image[10:20, k % 20 : k % 20 + 10] = (1, 0.5, 0)
            frame = av.VideoFrame.from_ndarray(images.to_uint8(image), "rgb24")
            if times:
                frame.pts, frame.time_base = times[k], base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if tone:
            t = np.arange(round(frames / rate * hertz)) / hertz
            heard = np.zeros((len(t), tone.channels), np.int16)
            heard[:, -1] = 9000 * np.sin(2000 * t * (1 + t))
            samples = av.AudioFrame.from_ndarray(heard.reshape(1, -1), "s16", layout)
            samples.sample_rate, samples.pts, samples.time_base = hertz, 0, Fraction(1, hertz)
            output.mux(tone.encode(samples))
            output.mux(tone.encode(None))
    return path


def pictures(path):
    """All frames, uint8 (n, h, w, 3), and their times in seconds; of MP4 also when the last one ends."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    ticks = [frame.pts for frame in frames]
    if path.suffix.lower() != ".webm":  # which says so in its own length only
        ticks.append(frames[-1].pts + frames[-1].duration)
    pixels = np.array([frame.to_ndarray(format="rgb24") for frame in frames])
    return pixels, [tick * frames[0].time_base for tick in ticks]


def length(path):
    """How long a video takes, in seconds."""
    with av.open(str(path)) as container:
        return container.duration / 1e6


def samples(path):
    """The sound, (channels, n), and when its first sample is heard."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=-1), frames[0].time


def paint(source, painter, *more, out="out"):
    return cli.main(["paint", str(source), "--painter", str(painter), "-o", str(source.parent / out), *more])


JITTER = [900 + 3003 * k + 700 * (k % 3) for k in range(10)]
CLIPS = {
    "MP4": ("a.mp4", {}, "a.mp4"),
    "WebM": ("a.webm", {"codec": "libvpx-vp9", "sound": "libopus"}, "a.webm"),
    "VP8 and Vorbis": ("a.WEBM", {"codec": "libvpx", "sound": "libopus"}, "a.WEBM"),
    "variable frame rate": ("a.mp4", {"times": JITTER, "base": Fraction(1, 90_000)}, "a.mp4"),
    "variable frame rate, WebM": (
        "a.webm", {"codec": "libvpx", "sound": "libopus", "times": [7, 30, 31, 90, 95, 200, 300, 500, 501, 900],
                   "base": Fraction(1, 1000)}, "a.webm",
    ),
    "29.97 a second": ("a.mp4", {"rate": Fraction(30_000, 1001)}, "a.mp4"),
    "without sound": ("a.mp4", {"sound": None}, "a.mp4"),
    "odd sides": ("a.webm", {"codec": "libvpx-vp9", "sound": "libopus", "size": (65, 47)}, "a.webm"),
    "MKV": ("a.mkv", {"sound": "flac"}, "a.mkv.mp4"),
    "AVI": ("a.avi", {"codec": "mpeg4", "sound": "libmp3lame", "options": {"bf": "0"}}, "a.avi.mp4"),
    "MOV": ("a.mov", {"sound": "pcm_s16le"}, "a.mov.mp4"),
}  # fmt: skip


@pytest.mark.parametrize("name", CLIPS)
def test_frames_times_and_sound_come_back(name, painter, tmp_path, capsys):
    source, options, expected = CLIPS[name]
    source, target = make(tmp_path / source, **options), tmp_path / "out" / expected
    assert paint(source, painter) == 0
    assert "1 painted" in capsys.readouterr().out and [*target.parent.iterdir()] == [target]
    (before, asked), (after, times) = pictures(source), pictures(target)
    assert times == asked and abs(length(target) - length(source)) < 0.03  # MOV: sound ends with a block
    assert after.shape == (10, before.shape[1] // 2 * 2, before.shape[2] // 2 * 2, 3)
    assert np.abs(np.int16(after) - before[:, : after.shape[1], : after.shape[2]]).mean() > 12  # it was painted
    if options.get("sound", "aac"):
        (heard, start), (again, again_start) = samples(source), samples(target)
        if name == "MOV":  # PCM became AAC, in whole blocks of 1,024
            heard = np.pad(heard / 32768, ((0, 0), (0, -heard.shape[1] % 1024)))
            assert np.abs(heard - again).mean() < 0.01  # measured: 0.002, of 0.18
        else:
            np.testing.assert_array_equal(again, heard)
        assert again_start == start
    made = video.load_metadata(target)
    assert made.pop("content_sha256") and made == {"content": source.name, "painter": "random", "size": 512}


@pytest.mark.parametrize(
    "ending, codec, sound, hertz", [("mov", "libx264", "pcm_s16le", 11_127), ("avi", "mpeg4", "libmp3lame", 8_000)]
)
def test_sound_at_rates_that_mp4_has_not(ending, codec, sound, hertz, painter, tmp_path):
    source = make(tmp_path / f"a.{ending}", codec=codec, sound=sound, hertz=hertz, frames=25, options={"bf": "0"})
    assert paint(source, painter) == 0
    with av.open(str(tmp_path / f"out/a.{ending}.mp4")) as target:
        [voice] = target.streams.audio
        assert abs(float(voice.duration * voice.time_base) - 1) < 0.2  # seconds
        assert voice.codec_context.name == "aac"


def test_all_channels_of_sound_that_is_encoded_anew(painter, tmp_path):
    source = make(tmp_path / "a.mov", sound="pcm_s16le", layout="5.1", frames=25)
    assert paint(source, painter) == 0
    (heard, _), (again, _) = samples(source), samples(tmp_path / "out/a.mov.mp4")
    assert len(again) == 6 and not heard.reshape(-1, 6)[:, :5].any()  # which are interleaved
    *silent, loud = np.square(again).mean(axis=1)
    assert loud > 0.01 and max(silent) < 1e-4 * loud  # measured: 0.04 and 0


def test_a_broadcast_s_clock_begins_at_0(painter, tmp_path):
    with mock.patch.object(av, "open", functools.partial(av.open, options={"output_ts_offset": "10"})):
        source = make(tmp_path / "a.m2ts", frames=10)
    assert paint(source, painter) == 0
    (frames, asked), (_, times) = pictures(source), pictures(tmp_path / "out/a.m2ts.mp4")
    with av.open(str(source)) as container:
        start = Fraction(container.start_time, 1_000_000)
    assert start > 9 and len(frames) == 10
    late = [float(time - (begun - start)) for time, begun in zip(times, asked, strict=True)]
    assert np.abs(late).max() < 1e-3 and 0 < times[0] < 0.1  # to what MP4 counts: its sound begins before its pictures
    (heard, began), (again, begins) = samples(source), samples(tmp_path / "out/a.m2ts.mp4")
    np.testing.assert_array_equal(again, heard)
    assert abs(began - begins - start) < 1e-4


def test_frames_of_another_size_later_on(painter, tmp_path, monkeypatch):
    """The size of a video is that of its first frame, also where the run that went on never paints that one."""
    source = make(tmp_path / "a.mp4", frames=10)
    to_image = video.to_image

    def smaller(frame, *more):
        image = to_image(frame, *more)
        return image if float(frame.pts * frame.time_base) < 0.2 else image[:32, :40]  # after five frames

    monkeypatch.setattr(video, "to_image", smaller)
    with monkeypatch.context() as patch:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        painting(patch, 9)
        assert paint(source, painter) == 130
    assert paint(source, painter) == 0
    assert pictures(tmp_path / "out/a.mp4")[0].shape == (10, 48, 64, 3)


def test_size_makes_smaller_and_never_larger(painter, tmp_path):
    source = make(tmp_path / "a.mp4", frames=2)
    assert paint(source, painter, "--size", "40") == 0
    assert pictures(tmp_path / "out/a.mp4")[0].shape[1:3] == (30, 40)


def first_image(path):
    with video.open_video(path) as stream:
        frame = next(video.read_frames(stream))
        return video.to_image(frame, stream.sample_aspect_ratio, video.display_matrix(frame))


UPRIGHT = (1, 0, 0, 1)
TURNS = {  # a, b, c, d of the display matrix, and what a player does
    "quarter": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "half": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "three quarters": ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
    "mirror": ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
}


@pytest.mark.parametrize("name", TURNS)
def test_turned_as_players_do(name, tmp_path):
    matrix, turn = TURNS[name]
    path = make(tmp_path / "a.mp4", frames=1, sound=None)
    upright, content = first_image(path), path.read_bytes()
    at = content.index(b"tkhd") + 44  # a, b, u, c, d, v, x, y, w in big-endian numbers of four bytes

    def numbers(a, b, c, d):
        return np.array([a * 65536, b * 65536, 0, c * 65536, d * 65536], ">i4").tobytes()

    assert content[at : at + 20] == numbers(*UPRIGHT)
    path.write_bytes(content[:at] + numbers(*matrix) + content[at + 20 :])
    np.testing.assert_array_equal(first_image(path), turn(upright))


def test_a_turned_clip_is_painted_upright(painter, tmp_path):
    path = make(tmp_path / "a.mp4", frames=1)
    content = path.read_bytes()
    at = content.index(b"tkhd") + 44
    quarter = np.array([0, 65536, 0, -65536, 0], ">i4").tobytes()
    path.write_bytes(content[:at] + quarter + content[at + 20 :])
    assert paint(path, painter) == 0
    assert pictures(tmp_path / "out/a.mp4")[0].shape[1:3] == (64, 48)
    assert first_image(tmp_path / "out/a.mp4").shape == (64, 48, 3)  # and turned once only


def test_pixels_that_are_not_square(tmp_path):
    path = tmp_path / "a.mp4"
    make(path, frames=1, options={"x264-params": "sar=4/3"})
    assert first_image(path).shape == (48, 85, 3)


@pytest.mark.parametrize("ending", video.FORMATS)
def test_colors_come_back(ending, tmp_path):
    colors = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.2, 0.2, 0.2], [0.9, 0.6, 0.1]], np.float32)
    image = np.repeat(np.repeat(colors[None], 16, axis=1), 32, axis=0)  # (32, 80, 3)
    with video.open_video(make(tmp_path / "a.mkv", frames=1, sound=None)) as source:
        assert video.write_segment([(image, 0), (image, 40)], tmp_path / "a.nut", ending, source) == 2
    video.join([tmp_path / "a.nut"], tmp_path / f"b{ending}", tmp_path / "a.mkv", Fraction(1))
    again = first_image(tmp_path / f"b{ending}")
    np.testing.assert_allclose(again[16, 8::16], colors, atol=0.03)  # measured: 0.012
    with av.open(str(tmp_path / f"b{ending}")) as container:
        assert container.streams.video[0].codec_context.colorspace == video.BT709  # players need not guess


def painting(monkeypatch, stop_at=None):
    """Count the frames that are painted, in a list; while the frame `stop_at` is painted, Ctrl-C is pressed."""
    real, painted = painters.paint, []

    def counts(image, painter):
        painted.append(image.shape)
        if len(painted) == stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        return real(image, painter)

    monkeypatch.setattr(painters, "paint", counts)
    return painted


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_killed_and_gone_on_with(painter, tmp_path, monkeypatch):
    source = make(tmp_path / "a.mp4", frames=120)
    command = [
        sys.executable,
        "-c",
        "import sys; from stlib.command import clip; clip.SEGMENT = 4; import stlib.__main__",
    ]
    command[-1] += "; sys.exit(stlib.__main__.main())"
    command += ["paint", str(source), "--painter", str(painter), "-o", str(tmp_path / "out")]
    parts = tmp_path / "out/a.mp4.parts"
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)
    while len(list(parts.glob("[0-9]*.nut"))) < 3 and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    done = len(list(parts.glob("[0-9]*.nut")))
    assert 3 <= done < 30 and not (tmp_path / "out/a.mp4").exists()
    painted = painting(monkeypatch)
    assert paint(source, painter) == 0
    assert len(painted) == 120 - 4 * done
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.mp4"]
    assert paint(source, painter, out="whole") == 0
    (frames, times), (whole, asked) = pictures(tmp_path / "out/a.mp4"), pictures(tmp_path / "whole/a.mp4")
    assert times == asked == pictures(source)[1]
    np.testing.assert_array_equal(frames, whole)
    np.testing.assert_array_equal(samples(tmp_path / "out/a.mp4")[0], samples(source)[0])


@pytest.mark.parametrize("ending", video.FORMATS)
def test_ctrl_c_leaves_a_video_that_plays(ending, painter, tmp_path, monkeypatch, capsys):
    options = {".mp4": {}, ".webm": {"codec": "libvpx", "sound": "libopus"}}[ending]
    source, out = make(tmp_path / f"a{ending}", frames=20, **options), tmp_path / "out"
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stop_at, count in ((2, 1), (14, 13)):  # nothing whole, then three segments
        with monkeypatch.context() as patch:
            painting(patch, stop_at)
            assert paint(source, painter) == 130
        said = capsys.readouterr().err
        assert f"a.unfinished{ending} is what is painted of {source}" in said and "goes on where it stopped" in said
        frames, times = pictures(out / f"a.unfinished{ending}")
        assert len(frames) == count and times[:count] == pictures(source)[1][:count]
        heard, whole = samples(out / f"a.unfinished{ending}")[0], samples(source)[0]
        assert 0 <= heard.shape[1] / 48_000 - len(frames) / 25 < 0.05 < whole.shape[1] / 48_000  # sound ends with it
        assert not (out / f"a{ending}").exists()
    painted = painting(monkeypatch)
    assert paint(source, painter) == 0
    assert len(painted) == 20 - 12
    assert [path.name for path in out.iterdir()] == [f"a{ending}"]
    assert pictures(out / f"a{ending}")[1] == pictures(source)[1]
    assert paint(source, painter) == 0 and "1 there already" in capsys.readouterr().out and len(painted) == 8


def test_ctrl_c_is_meant_for_all_files(painter, tmp_path, monkeypatch, capsys):
    (tmp_path / "photos").mkdir()
    make(tmp_path / "photos/a.mp4"), make(tmp_path / "photos/b.mp4")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    painted = painting(monkeypatch, 7)
    monkeypatch.setattr(video, "join", mock.Mock(side_effect=OSError("the disk is full")))
    assert paint(tmp_path / "photos", painter, out="painted") == 130
    assert "the disk is full" in capsys.readouterr().err and len(painted) == 7


def test_ctrl_c_while_all_is_joined(painter, tmp_path, monkeypatch, capsys):
    source, real = make(tmp_path / "a.mp4"), video.join
    with monkeypatch.context() as patch:
        patch.setattr(video, "join", mock.Mock(side_effect=[KeyboardInterrupt, mock.DEFAULT], wraps=real))
        assert paint(source, painter) == 130
    assert "a.unfinished.mp4 is what is painted" in capsys.readouterr().err
    assert len(pictures(tmp_path / "out/a.unfinished.mp4")[0]) == 10
    assert paint(source, painter) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("nested_at", [2, 6, 10])
def test_two_runs_paint_the_same_video(nested_at, painter, tmp_path, monkeypatch, capsys):
    """The quicker one finishes it, and what both had begun is gone: nothing fails, nothing is left."""
    source, real, painted = make(tmp_path / "a.mp4"), painters.paint, []

    def counts(image, painter_):
        painted.append(image.shape)
        if len(painted) == nested_at:
            assert paint(source, painter) == 0
        return real(image, painter_)

    monkeypatch.setattr(painters, "paint", counts)
    assert paint(source, painter) == 0
    said = capsys.readouterr().out
    assert "1 painted, 0 there" in said and "0 painted, 1 there already, 0 not painted" in said
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.mp4"]
    assert len(pictures(tmp_path / "out/a.mp4")[0]) == 10


def test_what_a_killed_write_left_is_no_beginning(painter, tmp_path):
    source, parts = make(tmp_path / "a.mp4"), tmp_path / "out/a.mp4.parts"
    parts.mkdir(parents=True)
    (parts / ".made.json.part").touch()
    assert paint(source, painter) == 0 and not parts.exists()


def test_what_was_begun_otherwise_is_not_mixed(painter, tmp_path, monkeypatch, capsys):
    source = make(tmp_path / "a.mp4", frames=10)
    with monkeypatch.context() as patch:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        painting(patch, 7)
        assert paint(source, painter) == 130
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    other = tmp_path / "random.npz"  # of the same name
    write(other, build_painter())
    for name, more in ((painter, ["--size", "40"]), (other, [])):
        assert paint(source, name, *more) == 1
        assert "a.mp4.parts holds the beginning of another video, or of one painted" in capsys.readouterr().err
    make(source, frames=11)
    assert paint(source, painter) == 1
    assert {path: path.read_bytes() for path in before} == before


def test_what_was_made_otherwise_is_not_replaced(painter, tmp_path, capsys):
    source = make(tmp_path / "a.mp4", frames=2)
    assert paint(source, painter) == 0
    before = (tmp_path / "out/a.mp4").read_bytes()
    assert paint(source, painter, "--size", "30") == 1
    assert "a.mp4 is there already, made otherwise or from another picture" in capsys.readouterr().err
    assert (tmp_path / "out/a.mp4").read_bytes() == before


def faststart(path):
    """An MP4 with its index in front, so that a truncated one can be read."""
    with video.open_video(make(path.with_name("whole.mkv"), frames=40)) as stream:
        frames = list(video.read_frames(stream))
        video.write_segment([(video.to_image(f), f.pts) for f in frames], path.with_name("a.nut"), ".mp4", stream)
    video.join([path.with_name("a.nut")], path, path.with_name("whole.mkv"), Fraction(8, 5))
    return path


def test_damaged_clips_are_painted_as_far_as_they_go(painter, tmp_path, capsys):
    make(tmp_path / "cut.webm", frames=40, codec="libvpx-vp9", sound="libopus")
    faststart(tmp_path / "cut.mp4")
    faststart(tmp_path / "hole.mp4")
    for name in ("cut.webm", "cut.mp4"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) * 6 // 10])
    content = (tmp_path / "hole.mp4").read_bytes()
    middle = len(content) // 2
    (tmp_path / "hole.mp4").write_bytes(content[:middle] + bytes(2000) + content[middle + 2000 :])
    for name, least in (("cut.webm", 10), ("cut.mp4", 10), ("hole.mp4", 20)):
        assert paint(tmp_path / name, painter) == 0
        assert f"{name} is damaged: what can be read of it" in capsys.readouterr().err
        frames, times = pictures(tmp_path / "out" / name)
        assert least <= len(frames) <= 40
        assert set(times[: len(frames)]) <= set(pictures(tmp_path / "whole.mkv")[1])


def test_what_is_no_video_is_one_sentence(painter, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "text.mp4").write_text("Dear diary")
    (folder / "empty.mov").touch()
    (folder / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
    (folder / "half.mp4").write_bytes(make(tmp_path / "a.mp4").read_bytes()[:5000])
    with av.open(str(folder / "song.mp4"), "w") as output:
        tone = output.add_stream("aac", rate=48_000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate = 48_000
        output.mux(tone.encode(silence))
        output.mux(tone.encode(None))
    make(folder / "tiny.mp4", size=(64, 14), frames=1)
    assert paint(folder, painter) == 1
    lines = capsys.readouterr().err.splitlines()
    for name, words in {
        "text.mp4": "cannot be read as a video",
        "empty.mov": "cannot be read as a video",
        "list.mp4": "cannot be read as a video",
        "half.mp4": "cannot be read as a video",
        "song.mp4": "holds no video that can be read",
        "tiny.mp4": "fewer than the 20 on the short side",
    }.items():
        assert any(str(folder / name) in line and words in line for line in lines), name
    assert not [path for path in (tmp_path / "out").rglob("*") if path.suffix == ".mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="limits")
def test_a_full_disk_keeps_whole_segments(painter, tmp_path, capsys):
    """Real writes that fail: files may have a third of the size of the video, which is more than a segment's."""
    source, limits = make(tmp_path / "a.mp4", frames=60), resource.getrlimit(resource.RLIMIT_FSIZE)
    assert paint(source, painter, out="whole") == 0
    size = (tmp_path / "whole/a.mp4").stat().st_size
    for limit, left in ((size // 100, 0), (size // 3, 15)):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
        try:
            assert paint(source, painter) == 1
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert "could not be written" in (said := capsys.readouterr().err) and "free some space" in said
        files = sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file())
        assert files == [*(f"{k:06}.nut" for k in range(left)), "made.json"]
    assert paint(source, painter) == 0
    np.testing.assert_array_equal(pictures(tmp_path / "out/a.mp4")[0], pictures(tmp_path / "whole/a.mp4")[0])


def test_without_pyav(painter, tmp_path, monkeypatch, capsys):
    source = make(tmp_path / "a.mp4", frames=1)
    monkeypatch.setitem(sys.modules, "av", None)
    assert paint(source, painter) == 1
    assert "Videos are read and written by PyAV, which is not there: pip install av" in capsys.readouterr().err


def test_a_terminal_shows_the_time_left(painter, tmp_path, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    assert paint(make(tmp_path / "a.mp4", frames=30), painter) == 0
    assert re.search(r"a\.mp4: +[1-9]\d*%.*frame [1-9]\d* of 30, \d\d:\d\d left", terminal.getvalue())


def test_memory_does_not_grow_with_the_length(tmp_path):
    """What the process holds after each segment; without a painter, which has the same work with every frame."""
    source, held = make(tmp_path / "a.mp4", frames=288, size=(96, 64), sound=None), []
    with video.open_video(source) as stream:
        shown = ((video.to_image(frame), frame.pts) for frame in video.read_frames(stream))
        while video.write_segment(itertools.islice(shown, 48), tmp_path / "a.nut", ".mp4", stream):
            held.append(psutil.Process().memory_info().rss)
    assert len(held) == 6
    assert held[-1] - held[2] < 5e6  # measured: 0.9 MB; the frames as floats: 11 MB


PLAY = """async ([address, second]) => {
    const video = document.createElement("video");
    video.muted = true;
    video.src = address;
    await new Promise((resolve, reject) => {
        video.onended = resolve;
        video.onerror = () => reject(video.error.message);
        video.play().catch(reject);
    });
    const played = video.currentTime;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    const context = canvas.getContext("2d");
    await new Promise(resolve => {  // "seeked" can come before its frame is shown: wait for the frame itself
        const look = (now, frame) => {
            if (frame.mediaTime > second || frame.mediaTime + 1 / 25 <= second) {
                return video.requestVideoFrameCallback(look);
            }
            context.drawImage(video, 0, 0);
            resolve();
        };
        video.requestVideoFrameCallback(look);
        video.currentTime = second;
    });
    const pixels = [...context.getImageData(0, 0, canvas.width, canvas.height).data];
    return {width: video.videoWidth, height: video.videoHeight, duration: video.duration, played, pixels};
}"""


@pytest.mark.parametrize("ending", video.FORMATS)
def test_plays_in_a_browser(ending, painter, tmp_path, browser):
    """From the beginning to the end; and the frame at a moment has the colors that were painted."""
    options = {".mp4": {}, ".webm": {"codec": "libvpx-vp9", "sound": "libopus"}}[ending]
    source, target = make(tmp_path / f"a{ending}", frames=15, **options), tmp_path / f"out/a{ending}"
    assert paint(source, painter) == 0
    kind = {".mp4": 'video/mp4; codecs="avc1.640028"', ".webm": 'video/webm; codecs="vp9"'}[ending]
    page = browser.new_page()
    if not page.evaluate("kind => document.createElement('video').canPlayType(kind)", kind):
        pytest.skip(f"this Chromium does not play {kind}")
    content = base64.b64encode(target.read_bytes()).decode()
    seen = page.evaluate(PLAY, [f"data:video/{ending[1:]};base64,{content}", 7.5 / 25])
    assert (seen["width"], seen["height"]) == (64, 48)
    assert seen["duration"] == pytest.approx(0.6, abs=0.05) and seen["played"] == seen["duration"]
    image = np.reshape(seen["pixels"], (48, 64, 4))[..., :3]
    np.testing.assert_allclose(image, pictures(target)[0][7], atol=20)  # measured: 7 to 11; its neighbors: 130
    assert image.std() > 10  # measured: 46
