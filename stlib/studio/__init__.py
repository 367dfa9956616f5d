"""The studio: paint without code, in a notebook. `studio.Studio()` as the last line of a cell shows it."""

from stlib.studio.app import Studio

__all__ = ["Studio"]
