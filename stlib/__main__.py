"""The command line: `python -m stlib CONTENT... STYLE -o OUT` and `python -m stlib paint`.

Also installed as `stlib`.
"""

import sys

from stlib.command import program


def main(arguments=None):
    """Do what the command line says and return the exit status: see command/program.py."""
    return program.run(_command, arguments)


def _command(arguments):
    if arguments[:1] == ["paint"]:
        from stlib.command import folder

        return folder.main(arguments[1:])
    from stlib.command import photos  # both here: Ctrl-C meanwhile is no traceback

    return photos.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
