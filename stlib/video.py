"""Videos through PyAV, at constant memory: frames one by one, painted ones in segments, segments and sound joined.

A segment is a file of some frames that needs no other to be shown: a long run is cut into them, so that what ends it
costs one. They are NUT files, which keep every time to the tick; MP4 would round the first, Matroska all.
"""

import contextlib
import heapq
import itertools
import json
import math
import re
from fractions import Fraction
from operator import itemgetter

import numpy as np

from stlib import disk, images

FORMATS = {".mp4": ("mp4", {"movflags": "+faststart"}), ".webm": ("webm", {})}  # of paintings, with their options
ENDINGS = (*FORMATS, *".3gp .avi .flv .m2ts .m4v .mkv .mov .mpeg .mpg .mts .ogv .wmv".split())
# H.264 without frames that wait for later ones: segments follow each other. For the same bits each time
# without mbtree, with which x264 writes a small video otherwise now and then, and VP9 on one thread.
ENCODERS = {
    ".mp4": ("libx264", {"crf": "16", "bf": "0", "mbtree": "0"}),
    ".webm": ("libvpx-vp9", {"crf": "24", "b": "0", "cpu-used": "4", "threads": "1"}),
}
COPIED = {".mp4": ("aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"), ".webm": ("opus", "vorbis")}  # kinds of sound
SOUND = {".mp4": ("aac", None), ".webm": ("libopus", 48_000)}  # what others become: encoder, samples a second
LAYOUTS = {1: "mono", 6: "5.1"}  # of so many channels; of other numbers stereo is made
ABOUT = "stlib: a synthetic video made by neural style transfer"
BT709 = 1  # the matrix, primaries and curve of high-definition video, in ITU-T H.273


def library():
    """The module av; ValueError in one sentence if it is not there."""
    try:
        import av
    except ImportError:
        raise ValueError("Videos are read and written by PyAV, which is not there: pip install av.") from None
    return av


@contextlib.contextmanager
def open_video(path):
    """Give the stream of pictures (PyAV) in a video file to the `with` block.

    Raises FileNotFoundError if there is no such file, ValueError if there is no video in it, or no PyAV.
    """
    av, path = library(), disk.check_file(path, "a video")
    with contextlib.ExitStack() as opened:
        try:
            container = opened.enter_context(_open(path))
        except (av.error.FFmpegError, OSError) as error:
            raise ValueError(
                f"{path} cannot be read as a video ({images.one_line(error)}): expected a complete MP4, WebM, MOV, MKV "
                "or AVI file; open it in a player and save it again."
            ) from error
        stream = picture_stream(container)
        if stream is None or stream.codec_context is None:
            raise ValueError(f"{path} holds no video that can be read: expected moving pictures, not sound alone.")
        yield stream


def picture_stream(container):
    """The first stream of moving pictures, not a song's cover; None if there is none."""
    cover = library().stream.Disposition.attached_pic
    return next((stream for stream in container.streams.video if not stream.disposition & cover), None)


def _open(path):
    """Open a file for reading, and nothing else: a list of addresses in it stays unread."""
    return library().open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="replace")


def read_frames(stream):
    """Yield the frames (PyAV) of a stream as they are shown, each later than the last; None where data is damaged."""
    packets, broken, last = stream.container.demux(stream), library().error.FFmpegError, None
    step = max(1, round(1 / (rate(stream) * stream.time_base)))
    while True:
        try:
            frames = next(packets).decode()
        except StopIteration:
            return
        except broken:
            yield None
            continue
        for frame in frames:
            if last is not None and (frame.pts is None or frame.pts <= last):
                frame.pts = last + step
            last = frame.pts = frame.pts or 0
            frame.duration = frame.duration or step
            yield frame


def rate(stream):
    """Frames a second, on average."""
    return stream.average_rate or stream.guessed_rate or Fraction(25)


def display_matrix(frame):
    """How players turn the frames of a video: a, b, c, d of x' = a x + c y, y' = b x + d y, read from one of them."""
    matrix = frame.side_data.get("DISPLAYMATRIX")  # of one: a frame that was asked stays until garbage is collected
    if matrix is None:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5] / 65536
    return a, b, c, d


def to_image(frame, ratio=None, matrix=(1, 0, 0, 1)):
    """A frame (PyAV) as players show it: float32 (h, w, 3), RGB in [0, 1].

    ratio: width by height of a pixel, 1 if None. matrix: a `display_matrix`; quarter turns and mirrors are taken.
    """
    image = frame.to_ndarray(format="rgb24").astype(np.float32) / 255
    image = images.resize(image, (image.shape[0], max(1, round(image.shape[1] * (ratio or 1)))))
    a, b, c, d = matrix
    if abs(a) < abs(b):
        image, a, d = image.swapaxes(0, 1), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def expected_end(stream):
    """Where the file says that its pictures end, in seconds; None if it does not say."""
    if stream.duration:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    tag = re.fullmatch(r"(\d+):(\d+):([\d.]+)", stream.metadata.get("DURATION", ""))  # of Matroska and WebM
    return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3]) if tag else None


def count_frames(stream):
    """About how many frames a stream holds; None if the file does not say."""
    end, start = expected_end(stream), (stream.start_time or 0) * stream.time_base
    return stream.frames or (end and round((end - start) * rate(stream)))


def write_segment(frames, path, ending, stream):
    """Write pairs of an image (h, w, 3) in [0, 1] and its time in ticks of `stream`, the source; return their number.

    ending: that of the video, which says how it is compressed. A side of odd length loses a pixel: color is kept for
    two by two. Without frames no file. Raises OSError in one sentence.
    """
    frames, count = iter(frames), 0
    first = next(frames, None)
    if first is None:
        return count
    with _written(path, "nut") as output:
        name, options = ENCODERS[ending]
        encoder = output.add_stream(name, rate=rate(stream), options=options)
        encoder.height, encoder.width = (side // 2 * 2 for side in first[0].shape[:2])
        encoder.time_base = encoder.codec_context.time_base = stream.time_base
        for name in ("colorspace", "color_primaries", "color_trc"):
            setattr(encoder.codec_context, name, BT709)
        for image, time in itertools.chain([first], frames):
            pixels = images.to_uint8(image[: encoder.height, : encoder.width])
            frame = library().VideoFrame.from_ndarray(pixels, "rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
            frame.pts, frame.time_base = time, stream.time_base
            output.mux(encoder.encode(frame))
            count += 1
        output.mux(encoder.encode(None))
    return count


@contextlib.contextmanager
def _written(path, kind, options=None):
    """Give the container (PyAV) of a file to write, which appears whole or not at all; OSError in one sentence."""
    av = library()
    try:
        with disk.whole_file(path) as part, av.open(f"file:{part}", "w", format=kind, options=options or {}) as output:
            yield output
    except (av.error.FFmpegError, OSError) as error:
        raise OSError(
            f"{path} could not be written ({images.one_line(error)}): free some space or choose another folder."
        ) from error


def join(segments, path, source, end=None, **metadata):
    """Write the video of these segments with the sound of the file `source`, both copied, not compressed again.

    end: the second at which the last frame ends; None if more are to come: then sound ends with the pictures. Sound
    that the format of `path` cannot hold is encoded anew. `metadata` goes with it as JSON, as a comment.
    Raises OSError in one sentence.
    """
    with contextlib.ExitStack() as opened:
        first, original = opened.enter_context(_open(segments[0])), opened.enter_context(_open(source))
        output = opened.enter_context(_written(path, *FORMATS[path.suffix.lower()]))
        output.metadata.update(comment=json.dumps(metadata), description=ABOUT)
        pictures, seen = output.add_stream_from_template(first.streams.video[0]), picture_stream(original)
        pictures.time_base, pictures.codec_context.framerate = seen.time_base, rate(seen)  # a segment's tick is finer
        voices = {
            stream: _add_sound(output, stream, path.suffix.lower())
            for stream in original.streams.audio
            if stream.codec_context
        }
        clock = _first_second(original)
        both = _pictures(segments, pictures, clock, end), _sound(original, voices, clock)
        for _, packet in heapq.merge(*both, key=itemgetter(0)):
            if packet is None:
                break
            output.mux(packet)


def _first_second(container):
    """What its clock shows as it begins: in MPEG's streams, cut from a broadcast that went on, any time."""
    return Fraction(container.start_time or 0, library().time_base) if "mpeg" in container.format.name else 0


def _packets(container, streams, clock):
    """The packets of these streams, their times counted from where the clock shows `clock` seconds."""
    for packet in container.demux(streams) if streams else ():
        if packet.pts is not None:
            packet.pts -= round(clock / packet.time_base)
        if packet.dts is not None:
            packet.dts -= round(clock / packet.time_base)
        yield packet


def _pictures(segments, output, clock, end):
    """Pairs of seconds and a packet of pictures, each shown until the next; if there is no `end`, None comes last."""
    last = None
    for path in segments:
        with _open(path) as segment:
            for packet in _packets(segment, segment.streams.video[:1], clock):
                if packet.pts is None:  # the end of the file
                    continue
                if last:
                    last.duration = packet.pts - last.pts
                    yield float(last.pts * last.time_base), last
                last, packet.stream = packet, output
    if end is not None:
        last.duration = round((end - clock) / last.time_base) - last.pts
    yield float(last.pts * last.time_base), last
    if end is None:
        yield float((last.pts + last.duration) * last.time_base), None


def _add_sound(output, stream, ending):
    """A stream of `output` for what the audio stream of the source becomes."""
    own = stream.codec_context.sample_rate
    if _kind(stream) in COPIED[ending] and (_kind(stream) != "mp3" or own >= 16_000):  # MP4 has no slower MP3
        return output.add_stream_from_template(stream)
    name, rate = SOUND[ending]
    known = library().Codec(name, "w").audio_rates
    layout = LAYOUTS.get(stream.codec_context.channels, "stereo")
    return output.add_stream(name, rate=rate or (own if own in known else 48_000), layout=layout)


def _kind(stream):
    return stream.codec_context.codec.canonical_name


def _sound(container, voices, clock):
    """Pairs of seconds and a packet of sound, copied or encoded anew. voices: source stream -> output stream."""
    broken, latest = library().error.FFmpegError, {}
    with contextlib.suppress(broken):  # where the file breaks off, so does its sound
        for packet in _packets(container, list(voices), clock):
            output, made, ended = voices[packet.stream], [packet], packet.dts is None
            if _kind(packet.stream) != _kind(output):
                made = []
                with contextlib.suppress(broken):
                    made = [new for frame in packet.decode() for new in output.encode(frame)]
                made += output.encode(None) if ended else []
            for new in made:
                if new.dts is not None and new.dts > latest.get(output, -math.inf):
                    latest[output], new.stream = new.dts, output
                    yield float(new.dts * new.time_base), new


def load_metadata(path):
    """Read back the `metadata` of a video that `join` wrote, as a dict; empty if there is none."""
    with open_video(path) as stream:
        tags = {name.lower(): text for name, text in stream.container.metadata.items()}
    return images.parse(tags.get("comment", ""))
