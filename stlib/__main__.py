"""The command line: `python -m stlib CONTENT... STYLE -o OUT` (photos.py) and `python -m stlib paint` (folder.py).

Also installed as `stlib`.
"""

import sys

from stlib import program


def main(arguments=None):
    """Do what the command line says and return the exit status: see program.py."""
    return program.run(_command, arguments)


def _command(arguments):
    if arguments[:1] == ["paint"]:
        from stlib import folder

        return folder.main(arguments[1:])
    from stlib import photos  # both here: Ctrl-C while they are imported is no traceback

    return photos.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
