"""What stlib says, in the reader's language: English, which reads no file, or Chinese, from data/zh_CN.json.

The environment variable STLIB_LANGUAGE (en, zh_CN) decides, else the locale.
"""

import functools
import os
import re
import sys
from pathlib import Path

CATALOG = Path(__file__).parent / "data/zh_CN.json"  # written by tools/translate.py
CHINESE = re.compile(r"zh($|[_-]?(cn|sg|hans))", re.I)  # simplified Chinese
WINDOWS = {0x0804: "zh_CN", 0x1004: "zh_SG"}  # its numbers of languages


def is_chinese():
    """Whether the reader wants Chinese; of the variables that are set the first decides."""
    for variable in ("STLIB_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        if os.environ.get(variable):
            return bool(CHINESE.match(os.environ[variable]))
    if sys.platform == "win32":  # it sets none of them
        import ctypes

        return ctypes.windll.kernel32.GetUserDefaultUILanguage() in WINDOWS
    return False


def translate(text, part="messages"):
    """Return a text in the reader's language; one that is not known stays.

    `part` of the catalog: "messages", "figures" or "sheets". In the latter two, lines and what stands before and after
    ": " or ", " are also looked up by themselves; a path broken into lines stays.
    """
    if not is_chinese() or "/\n" in text:
        return text
    known = catalog(part)
    for whole in (text, text.replace("\n", " ")):  # a title may be broken into lines
        if known(whole) != whole or part == "messages":
            return known(whole)

    def in_pieces(line):
        if known(line) != line:
            return known(line)
        said = "".join(map(known, re.split("(: |, )", line)))
        return said.replace(": ", "：").replace(", ", "，").replace(" x ", " × ")

    said = "\n".join(map(in_pieces, text.split("\n")))
    known_word = re.search("[\u4e00-\u9fff]", said)
    return said if known_word else re.sub(r"(?<=\d) x (?=\d)", " × ", text)


def translate_errors():
    """In a notebook: say what stlib raises in the reader's language. Errors of others, and tracebacks, stay."""
    from IPython import get_ipython

    def show(shell, kind, error, traceback, tb_offset=None):
        last = traceback
        while last.tb_next:
            last = last.tb_next
        if last.tb_frame.f_globals.get("__name__", "").startswith("stlib."):
            error.args = tuple(translate(part) if isinstance(part, str) else part for part in error.args)
        shell.showtraceback((kind, error, traceback), tb_offset)

    if shell := get_ipython():
        shell.set_custom_exc((ValueError, OSError), show)


def wrap(text, width):
    """Lines of at most `width` columns, of which a Chinese character takes two, punctuation never first."""
    import textwrap

    if not is_chinese():
        return textwrap.wrap(text, width)
    after = "[，。；：！？、）》”]*\\s*"
    pieces = re.findall(rf"[（《“]*[\u2e80-\uffef]{after}|[^\s\u2e80-\uffef]+{after}", text)  # letters, words
    lines = [""]
    for piece in pieces:
        if lines[-1] and columns(lines[-1] + piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def columns(text):
    """How many columns of a terminal a text takes: Chinese letters take two."""
    return sum(2 if "\u2e80" <= letter <= "\uffef" else 1 for letter in text)


@functools.cache
def catalog(part):
    """Read a part of the catalog."""
    import json

    return Catalog(json.loads(CATALOG.read_text(encoding="utf-8"))[part])


def most_first(pair):
    """Order of templates: what begins with a word before what begins with {0}, the long before the short."""
    return pair[0].startswith("{0}"), -len(pair[0])


class Catalog:
    """A function of a text to its translation.

    A message filled in, such as "it gives 3, expected 4.", is found by its template "it gives {0}, expected {1}.", and
    what is filled in is translated, too. `texts` and `templates` are dicts of English to Chinese.
    """

    def __init__(self, messages):
        self.texts, self.templates = messages["texts"], []
        for template, chinese in sorted(messages["templates"].items(), key=most_first):
            parts = re.split(r"(\{\d+\})", template)
            parts = [
                re.escape(p.replace("{{", "{").replace("}}", "}")) if k % 2 == 0 else p for k, p in enumerate(parts)
            ]
            names = re.sub(r"\{(\d+)\}", r"(?P<_\1>.*?)", "".join(parts))
            self.templates.append((re.compile(names, re.S), re.sub(r"\{(\d+)\}", r"{_\1}", chinese)))

    def __call__(self, text):
        if text in self.texts:
            return self.texts[text]
        for pattern, chinese in self.templates:
            if match := pattern.fullmatch(text):
                return chinese.format(**{name: self(value) for name, value in match.groupdict().items()})
        return text
