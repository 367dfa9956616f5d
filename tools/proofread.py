"""The rules of a translation into Chinese (po/zh_CN): what must stay, which terms, how it is written.

usage: python tools/proofread.py [NAME ...]     NAME: a file of po/zh_CN without its ending
"""

import functools
import re
import sys
from collections import Counter

from translate import FILES, ROOT, load, units

from stlib.command import program

HAN = r"[\u4e00-\u9fff]"
CODE = r"```.*?```|`[^`\n]*`"
MATHS = r"\$\$.*?\$\$|(?<![\\$\w])\$(?!\$)[^$]+\$(?![a-z])"
LINK = r"(?<=\])\([^()\s]*(?:\([^()]*\))?[^()\s]*\)|https?://[\w./%#?=&~-]+"
TAG = r"</?[a-zA-Z!][^<>]*>"
SUMMARY = (CODE, MATHS, LINK, TAG)

# what must be the same in both languages: name -> pattern, in whatever order
SAME = {
    "code": CODE, "a formula": MATHS, "the target of a link": LINK, "a tag": TAG,
    "a table": r"(?m)^\||(?<=.)\|$", "a list": r"(?m)^ *(?:[-*] |\d+\. )", "a heading": r"(?m)^#+ ",
    "an option": r"(?<![\w-])--[a-z][a-z-]+", "an argument": r"%\(\w+\)\w",
    "what is filled in": r"\{\w*\}|\$[a-z]+\b",
}  # fmt: skip


def faults(entry, kind, template=False):
    """Yield what is wrong with a translation, an entry of a .po file with msgid and msgstr."""
    english, chinese = entry.msgid, entry.msgstr
    if not chinese:
        yield "it is not translated"
        return
    if entry.fuzzy:
        yield f"the text has changed, from {entry.previous_msgid!r}: mend the translation and delete the line 'fuzzy'"
    for name, pattern in SAME.items():
        if name == "what is filled in" and not (template or kind == "html"):
            continue
        before, after = ([plain_math(each) for each in re.findall(pattern, text, re.S)] for text in (english, chinese))
        if Counter(before) != Counter(after):
            yield f"{name} is not the same: {listed(before, after)} became {listed(after, before)}"
    joins = re.fullmatch(r"\W+(?:and\W+)?", english)  # between words, where Chinese has no spaces
    if kind == "message" and not joins and spaces(chinese) != spaces(english):
        yield "spaces or lines at its beginning or end are not the same"
    english, chinese = prose(english), prose(chinese)
    before, after = numbers(english), numbers(chinese)
    if before != after:
        yield f"numbers are not the same: {listed(before, after)} became {listed(after, before)}"
    for title in re.findall(r"\[[^\]]+\]|\*[^*]+\*", english):  # of a paper, which keeps it
        english = english.replace(title, "") if title in chinese else english
    for term, pattern, allowed in glossary():
        if re.search(pattern, english, re.I) and not any(each.lower() in chinese.lower() for each in allowed):
            yield f"{term} is {' or '.join(allowed)}"
    if not re.search(HAN, chinese) and len(re.findall(r"\b[a-z]{2,}\b", english)) >= 3:
        yield "it is not in Chinese"
    for name, pattern in WRITTEN.items():
        if found := re.search(pattern, chinese):
            start = max(0, found.start() - 6)
            yield f"{name}: {chinese[start : found.end() + 6]!r}"
    for number, stars in enumerate(re.finditer(r"\*+", chinese)):  # Markdown's rule of what begins and ends emphasis
        before, after = chinese[: stars.start()][-1:], chinese[stars.end() :][:1]
        inside, outside = (after, before) if number % 2 == 0 else (before, after)
        if kind == "text" and re.match(r"\w", outside) and re.match(r"[^\w\s]", inside):
            yield (
                f"emphasis that does not {'end' if number % 2 else 'begin'}, as a letter stands before or after it "
                f"and punctuation in it: {chinese[max(0, stars.start() - 6) : stars.end() + 6]!r}"
            )


WRITTEN = {
    "half-width punctuation beside Chinese": rf'{HAN}[*_]*[,;:!?"()]|[,;:!?"()][*_]*{HAN}|{HAN}[*_]*\.(?!\w)',
    "no space between Chinese and Latin": rf"{HAN}[A-Za-z0-9§]|[A-Za-z0-9%§]{HAN}",
    "x for the sign ×, or no spaces around it": r"[\d}] x (?=[\d{])|[\d}]×|×[\d{]",
    "full-width letters or digits": r"[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]",
    "a space beside full-width punctuation": rf"[，。；：！？、（《“] +[\w§]|{HAN} +[，。；：！？、）》”]",
}


def prose(text):
    """A text without code, formulas, targets of links and tags: one § for each."""
    for pattern in SUMMARY:
        text = re.sub(pattern, "§" if pattern in (CODE, MATHS) else "", text, flags=re.S)
    return text


def plain_math(text):
    """A formula without the words in it and without spaces."""
    return re.sub(r"\s+", "", re.sub(r"\\text(?:bf|it)?\{[^{}]*\}", "", text)) if text.startswith("$") else text


def numbers(text):
    for word, factor in (("million", 100), ("billion", 10)):  # 1.3 million is 130 万, 1.3 billion 13 亿
        text = re.sub(rf"([\d.]+) {word}", lambda match, by=factor: f"{float(match[1]) * by:g}", text)
    return Counter(re.findall(r"\d+(?:[.,]\d+)*", re.sub(r"\{\d+\}", "", text)))


def listed(these, others):
    """What these have more of than the others, in words."""
    return ", ".join((Counter(these) - Counter(others)).elements()) or "nothing"


def spaces(text):
    return re.match(r"\s*", text)[0] + "|" + re.search(r"\s*$", text)[0]


@functools.lru_cache(None)
def glossary():
    """The terms of po/GLOSSARY.md: (English, pattern, Chinese forms)."""
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", (ROOT / "po/GLOSSARY.md").read_text("utf-8"), re.M)
    terms = [(english, english.split(", "), chinese.split(" / ")) for english, chinese in rows if english != "English"]
    return [
        (term, rf"(?<![\w-])(?:{'|'.join(map(re.escape, forms))})(?:s|es)?(?![\w-])", allowed)
        for term, forms, allowed in terms
    ]


def proofread(name):
    """All faults of a file of po/zh_CN, each with where it is."""
    entries, wanted = {entry.msgid: entry for entry in load(name)}, units(name)
    for unit in wanted:
        entry = entries.get(unit.text)
        if entry is None:
            yield f"{unit.where}: not in the file, run `python tools/translate.py extract`: {unit.text[:60]!r}"
            continue
        for fault in faults(entry, unit.kind, unit.template):
            yield f"{unit.where}: {fault}  [{unit.text[:50]!r}]"
    texts = {unit.text for unit in wanted}
    yield from (f"no longer in the course, run `extract`: {text[:60]!r}" for text in entries if text not in texts)


def main(arguments):
    """Print the faults of the files named, or of all; return the exit status."""
    found = [f"{name}: {fault}" for name in arguments or FILES for fault in proofread(name)]
    print("\n".join([*found, f"{len(found)} faults"]))
    return program.SOME_FAILED if found else program.DONE


if __name__ == "__main__":
    sys.exit(program.run(main, name="proofread"))
