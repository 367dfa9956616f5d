"""stlib: the small module behind the course on neural style transfer.

Read it in this order: images, network, losses, pyramid, optimize, settings, scales, stylize, plots; then what stands
around: weights, disk and checkpoint (files), language, large/ (tiles), command/ (the command line), compose and
studio/ (the studio), checks/ (of the exercises), marking/, training/.
Importing the package itself imports nothing else, so ask for what you need:
`from stlib import images, losses, plots`, `from stlib.stylize import stylize`. Except in a notebook: there it imports
TensorFlow, quietly, so that no lesson begins with a red box.
"""

import sys

from stlib.quiet import quiet

__version__ = "0.1.0"

if "ipykernel" in sys.modules:
    with quiet():
        import tensorflow  # noqa: F401
