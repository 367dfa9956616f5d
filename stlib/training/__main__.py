"""The command line of the trainings: `python -m stlib.training slim ...` and `python -m stlib.training painter ...`."""

import importlib
import sys

from stlib.command import program

TRAININGS = "slim", "painter"


def main(arguments=None):
    """Train and return the exit status: see command/program.py."""
    return program.run(_command, arguments, "stlib.training")


def _command(arguments):
    if arguments[:1] not in [[name] for name in TRAININGS]:
        raise ValueError(f"Say what to train: python -m stlib.training {' or '.join(TRAININGS)}, then its options.")
    training = importlib.import_module(f"stlib.training.{arguments[0]}")  # here: Ctrl-C meanwhile is no traceback
    return training.main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
