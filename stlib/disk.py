"""Files on disk: only regular ones are read, no input is replaced, and what is written appears whole or not at all."""

import contextlib
import hashlib
import os
import secrets
import shutil
from pathlib import Path


def check_file(path, what="a file"):
    """Return `path` as a Path if it is a regular file or a link to one; else raise FileNotFoundError or ValueError.

    A pipe, a socket or a device could keep its reader waiting for ever.
    """
    path = Path(path)
    if path.is_file():
        return path
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}: check the name and the folder ({path.absolute().parent}).")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, expected {what}: name one file in it.")
    raise ValueError(f"{path} is a pipe, a socket or a device, expected {what}: save it as a file first.")


def digest(path):
    """The SHA-256 of a file of any size."""
    whole = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            whole.update(piece)
    return whole.hexdigest()


def identity(path):
    """What a file is known by under whatever name, link or case of letters; None if there is no such file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def check_output(path, inputs=()):
    """Return `path` as a Path where a file can be written, its folder made; raise OSError if not.

    Raises ValueError if it is one of the files `inputs`, which would be lost.
    """
    path, known = Path(path), {identity(each) for each in inputs if each} - {None}
    if identity(path) in known:
        raise ValueError(f"{path} is one of the inputs, which would be replaced: choose another name for the output.")
    if (path.exists() and not path.is_file()) or not _make_folder(path.parent):
        raise OSError(f"{path} cannot be written: choose a folder that exists and that you may write to.")
    return path


def check_folder(path):
    """Return `path` as a Path of a folder, made if need be, where files can be written; raise ValueError or OSError."""
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file, expected a folder: choose another name.")
    if not _make_folder(path):
        raise OSError(f"{path} cannot be written to: choose a folder that exists and that you may write to.")
    return path


def _make_folder(path):
    try:
        path.mkdir(parents=True, exist_ok=True)
        return os.access(path, os.W_OK)
    except OSError:
        return False


def unfinished(path):
    """The name that a file gets if it is not all."""
    return path.with_stem(f"{path.stem}.unfinished")


@contextlib.contextmanager
def whole_file(path, part=None):
    """Give the path of a part to write beside `path`, which takes its place at the end: whole, or not at all.

    part: a name of its own for the part, so that the next one replaces what a killed process left.
    """
    part = part or _part_of(path)
    try:
        yield part
        part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


@contextlib.contextmanager
def whole_folder(path):
    """Give a folder to fill beside `path`, whose place it takes at the end: whole, or not at all."""
    part = _part_of(path)
    part.mkdir(parents=True)
    try:
        yield part
        shutil.rmtree(path, ignore_errors=True)
        part.replace(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _part_of(path):
    return path.with_name(f".{secrets.token_hex(8)}.part")  # unique on a cluster, too, and short whatever the name
