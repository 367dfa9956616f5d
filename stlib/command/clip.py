"""One video for `python -m stlib paint`: painted in segments beside it, so that it can be stopped and gone on with."""

import itertools
import json
import secrets
import shutil

from tqdm import tqdm

from stlib import checkpoint, disk, images, video
from stlib.command import program

SEGMENT = 48  # frames, about two seconds of a film: what is lost if the command is killed
BAR = "{desc}: {percentage:3.0f}%|{bar}| frame {n_fmt} of {total_fmt}, {remaining} left"


def paint_video(source, target, painter, made, shrink):
    """Paint a video and save it with `made`, a dict that says how and from what it was made.

    What is painted lies in a folder beside `target` until all of it is; a run that finds it there goes on. After Ctrl-C
    what there is becomes a video of its own, called unfinished. shrink: (h, w, ...) of a frame -> (h, w) to paint.
    Raises ValueError or OSError in one sentence, or KeyboardInterrupt.
    """
    disk.check_folder(target.parent)
    with video.open_video(source) as stream:
        parts = _parts(target)
        _begin(parts, made | {"painter_sha256": checkpoint.digest(*painter.get_weights())})
        segments = sorted(parts.glob("[0-9]*.nut"))
        fresh = parts / f"fresh-{secrets.token_hex(4)}.nut"  # of this run: another may paint the same
        painting = _Painting(stream, painter, shrink, source.name, done=len(segments) * SEGMENT)
        try:
            while video.write_segment(itertools.islice(painting.frames, SEGMENT), fresh, target.suffix.lower(), stream):
                if not painting.stopped:
                    segments.append(fresh.replace(parts / f"{len(segments):06}.nut"))
            if not painting.stopped:
                _finish(segments, painting, stream, source, target, made)
        except KeyboardInterrupt:  # while a frame was written: the segment is lost; or while all were joined
            painting.stopped = True
        finally:
            painting.bar.close()
        if painting.stopped:
            try:
                _leave_unfinished([*segments, *parts.glob(fresh.name)], source, target, made)
            except (ValueError, OSError) as error:  # said, but Ctrl-C is meant for all files
                program.complain(error)
            raise KeyboardInterrupt
    clear(target, made)


class _Painting:
    """The painted frames of a video, pairs of an image and its time, without the first `done`; Ctrl-C ends them."""

    def __init__(self, stream, painter, shrink, name, done):
        self.end, self.damaged, self.stopped = 0, 0, False
        total = video.count_frames(stream)
        self.bar = tqdm(total=total, initial=done, desc=name, bar_format=BAR, leave=False, disable=None)
        self.frames = self._paint(stream, painter, shrink, done)

    def _paint(self, stream, painter, shrink, done):
        from stlib.painter import paint

        count, matrix, shape = 0, None, None
        try:
            for frame in video.read_frames(stream):
                if frame is None:
                    self.damaged += 1
                    continue
                count += 1
                matrix = matrix or video.display_matrix(frame)
                if count > done or not shape:
                    image = video.to_image(frame, stream.sample_aspect_ratio, matrix)
                    shape = shape or shrink(image.shape)  # the first frame's, whoever paints it
                if count > done:
                    yield paint(images.resize(image, shape), painter), frame.pts
                    self.bar.update()
                self.end = frame.pts + frame.duration
        except KeyboardInterrupt:
            self.stopped = True


def _parts(target):
    return target.with_name(f"{target.name}.parts")


def _begin(parts, made):
    """Make the folder of the segments, or raise ValueError if it is of another video or of one painted otherwise."""
    made, note = json.dumps(made | {"encoder": video.library().__version__}), parts / "made.json"
    if not note.exists() and not any(parts.glob("[!.]*")):  # what begins with a dot was left by a write that was killed
        disk.check_folder(parts)
        with disk.whole_file(note) as part:
            part.write_text(made)
    if not note.exists() or note.read_text() != made:
        raise ValueError(
            f"{parts} holds the beginning of another video, or of one painted otherwise: choose another folder, or "
            "delete it to begin anew."
        )


def _finish(segments, painting, stream, source, target, made):
    """Join all of it."""
    if not segments:
        raise ValueError(f"{source} holds no frame that can be read: open it in a player and save it again.")
    end, expected = painting.end * stream.time_base, video.expected_end(stream) or 0
    if painting.damaged or end < expected - 2 / video.rate(stream):
        program.complain(
            f"{source} is damaged: what can be read of it, {float(end):.1f} of {expected:.1f} s, is painted."
        )
    video.join(segments, target, source, end, **made)


def _leave_unfinished(segments, source, target, made):
    """Join what is painted, under a name that says that it is not all."""
    path = disk.unfinished(target)
    if segments and _ours(path, made):
        video.join(segments, path, source, **made)
        program.complain(f"{path} is what is painted of {source}")


def _ours(path, made):
    """Whether this file may be replaced: it is not there, or was left by an earlier run."""
    return not path.exists() or made.items() <= video.load_metadata(path).items()


def clear(target, made):
    """Delete what was needed only while `target` was not finished."""
    if (_parts(target) / "made.json").exists():
        shutil.rmtree(_parts(target), ignore_errors=True)
    if _ours(disk.unfinished(target), made):
        disk.unfinished(target).unlink(missing_ok=True)
