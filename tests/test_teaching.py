"""TEACHING.md: every lesson has its quiz, every wrong answer its misconception, every link its target."""

import re

import pytest
from conftest import ROOT

TEXT = (ROOT / "notebooks/TEACHING.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))
LESSONS = sorted((ROOT / "notebooks").glob("0[1-9]_*.ipynb"))


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_lesson(path):
    title = re.search(r'"# (.+?)\\n', path.read_text(encoding="utf-8"))[1]
    section = SECTIONS[f"Lesson {path.name[:2]}: {title}"]
    for words in (
        "**Goals.**",
        "**Misconceptions to provoke**",
        "**Skip if short of time",
        "**Where a class gets stuck",
    ):
        assert words in section
    assert len(re.findall(r"^\d\. \*.+?\*", section, re.M)) == 2, "two misconceptions"
    questions = re.findall(r"^\*\*(\d)\.\*\* .+?\n((?:- [a-c]\) .+\n?)+)", section, re.M)
    assert [number for number, _ in questions] == list("12345678")
    for number, options in questions:
        named = re.findall(r"^- ([a-c])\) .+: (\*\*right\*\*|\*[^*]+\*)$", options, re.M)
        assert [letter for letter, _ in named] == list("abc"), number
        assert [name for _, name in named].count("**right**") == 1, number


def test_the_right_letter_is_no_pattern():
    right = re.findall(r"^- ([a-c])\) .+\*\*right\*\*$", TEXT, re.M)
    assert all(right.count(letter) > len(right) / 5 for letter in "abc")


def test_plans_and_rubric():
    for count in (5, 10):
        sessions = re.findall(r"^\| (\d+) \|", SECTIONS[f"A course of {count} x 50 minutes"], re.M)
        assert sessions == [str(k) for k in range(1, count + 1)]
    rubric = re.findall(r"^\| [A-Z][a-z ]+ \| (\d+) \|", SECTIONS["The project"], re.M)
    assert [int(points) for points in rubric] == [40, 30, 20, 10]


def test_links_resolve():
    headings = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.+)$", TEXT, re.M)}
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXT):
        file, _, anchor = target.partition("#")
        assert (ROOT / "notebooks" / file).exists() if file else anchor in headings, target
