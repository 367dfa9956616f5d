"""stlib: the small module behind the course on neural style transfer.

Read it in this order: images, network, losses, pyramid, optimize, stylize, plots; then what stands around the method:
weights and disk (files), command/ (the command line), checks/ (of the exercises), marking/, training/.
Importing the package itself imports nothing else, so ask for what you need:
`from stlib import images, losses, plots`, `from stlib.stylize import stylize`.
"""

__version__ = "0.1.0"
