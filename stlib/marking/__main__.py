"""The command line of the marker: `python -m stlib.marking FOLDER -o marks.csv` (marker.py)."""

import sys

from stlib.command import program


def main(arguments=None):
    """Write the table and return the exit status: see command/program.py."""
    return program.run(_command, arguments, "stlib.marking")


def _command(arguments):
    from stlib.marking import marker  # here: Ctrl-C while it is imported is no traceback

    return marker.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
