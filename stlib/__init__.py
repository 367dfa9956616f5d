"""stlib: the small module behind the course on neural style transfer.

Read it in this order: images, network, losses, optimize, stylize, plots; then what the command line is made of,
program, disk, photos, folder.
Importing the package itself imports nothing else, so ask for what you need:
`from stlib import images, losses, plots`, `from stlib.stylize import stylize`.
"""

__version__ = "0.1.0"
