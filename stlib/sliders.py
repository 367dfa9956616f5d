"""Sliders under a figure, to play with its values. Those of ipywidgets have a label, and no name for screen readers."""

from pathlib import Path

import anywidget
import ipywidgets
from IPython.display import display


class Names(anywidget.AnyWidget):
    """Nothing to see: it gives the sliders on its page the names that their labels say."""

    _esm = Path(__file__).with_name("sliders.js")


def interact(show, **arguments):
    """ipywidgets.interact, which calls `show` anew when a slider moves; the sliders have names."""
    display(Names())
    return ipywidgets.interact(show, **arguments)
