"""How a command ends on a bad day: one sentence instead of a traceback, and an exit status to rely on.

It imports nothing that takes time, so that Ctrl-C is answered while TensorFlow is imported, too.
"""

import argparse
import contextlib
import os
import signal
import sys
import warnings

from stlib.language import translate, wrap

DONE, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130  # every exit status there is


def run(main, arguments=None, name="stlib"):
    """Call `main(arguments)` and return the exit status: what it returns, or 2 if it raises, or 130 after Ctrl-C.

    2 means that the command could not begin: `main` itself deals with single files that fail (`attempt`) and returns 1.
    What is raised or warned becomes a line on stderr that begins with `name`. SIGTERM is like Ctrl-C.
    """
    null = 0
    while null <= 2:  # streams that were closed: a file must not get their numbers
        null = os.open(os.devnull, os.O_RDWR)
    os.close(null)
    out, err = _Stream(sys.stdout), _Stream(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: complain(message, name)
        try:
            with contextlib.suppress(ValueError):  # not in the main thread
                signal.signal(signal.SIGTERM, signal.default_int_handler)
            status = main(sys.argv[1:] if arguments is None else arguments)
        except SystemExit as end:  # argparse has said why
            status = end.code
        except KeyboardInterrupt:
            complain("interrupted", name)
            status = INTERRUPTED
        except Exception as error:
            complain(sentence(error), name)
            status = USAGE
        if out.error and not isinstance(out.error, BrokenPipeError):
            complain(f"standard output could not be written ({out.error.strerror}).", name)
            status = status or SOME_FAILED
    return status


class _Stream:
    """A standard stream that never stops the work.

    What it cannot encode is escaped. When nobody reads it any more, or its disk is full, the rest is dropped; `error`
    says why.
    """

    def __init__(self, stream):
        self.stream, self.error = stream or open(os.devnull, "w"), None  # None: it was closed from the start
        if hasattr(self.stream, "reconfigure"):
            self.stream.reconfigure(errors="backslashreplace")

    def write(self, text):
        try:
            self.stream.write(text)
            self.stream.flush()
        except OSError as error:
            self.error = error
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
        return len(text)

    def __getattr__(self, name):
        return getattr(self.stream, name)


def complain(message, name="stlib"):
    """Print one line on stderr, above a progress bar."""
    from tqdm import tqdm  # here: see above

    tqdm.write(f"{name}: {translate(str(message))}", sys.stderr)


def say(text):
    """Print a line, in the reader's language."""
    print(translate(text))


class Parser(argparse.ArgumentParser):
    """A parser that speaks the reader's language."""

    def __init__(self, prog, **how):
        super().__init__(prog, formatter_class=_Formatter, **how)

    def format_help(self):
        self.description, self.epilog = translate(self.description), translate(self.epilog or "")
        for each in self._action_groups:
            each.title = translate(each.title)
        for each in self._actions:
            each.help = translate(each.help)
        return super().format_help()

    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {translate('error')}: {translate(message)}\n")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def add_usage(self, usage, actions, groups, prefix=None):
        super().add_usage(usage, actions, groups, translate("usage: "))

    def _split_lines(self, text, width):
        return wrap(text, width)


def sentence(error):
    """What an exception says, in one line; what has no sentence of ours gets one."""
    if isinstance(error, OSError) and error.strerror:  # the system's
        return translate(f"{error.filename or 'A file'} could not be read or written: {error.strerror}.")
    text = " ".join(str(error).split())
    ours = isinstance(error, (ValueError, OSError)) and text
    return translate(text if ours else f"It ended with {type(error).__name__} ({text}).")


def attempt(work, source, *arguments):
    """Return `work(source, *arguments)`; if it fails, say why in a line that names the file `source`, return None."""
    try:
        return work(source, *arguments)
    except Exception as error:  # whatever is wrong with one file, the next gets its turn
        text = sentence(error)
        complain(text if str(source) in text else f"{source}: {text}")
