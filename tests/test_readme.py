"""What the README shows is so: the method on one page, the module's files. The Chinese README is in step with it."""

import re
import urllib.parse

import numpy as np
import pytest
from conftest import ROOT

from stlib import images

ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
CODE = re.compile(r"^```.*?^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def table(text, columns, head):
    """Rows below the head of the table whose first line contains `head`, each a list of filled cells."""
    lines = iter(text.splitlines())
    next(line for line in lines if line.startswith("|") and head in line)
    assert set(next(lines)) == set("|-")
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
        assert len(rows[-1]) == columns and all(rows[-1]), line
    return rows


def commands(text):
    """The lines of all code blocks, without comments."""
    blocks = [block.splitlines()[1:-1] for block in CODE.findall(text)]
    return [[re.sub(r"\s+#.*", "", line) for line in block] for block in blocks]


def prose(text):
    """Text without code blocks and glossary."""
    return CODE.sub("", text.split("## 术语表")[0])


def test_notebook_tables():
    english, chinese = table(ENGLISH, 4, "Minutes"), table(CHINESE, 4, "分钟")
    assert len(english) >= 7
    for one, other in zip(english, chinese, strict=True):
        assert one[0] == other[0] and one[3] == other[3]
        assert LINK.findall(one[1]) == LINK.findall(other[1]) != []
        assert re.search("[一-鿿]", other[1]) and re.search("[一-鿿]", other[2]), "not translated"


def test_table_has_every_notebook():
    listed = [LINK.search(row[1])[1] for row in table(CHINESE, 4, "分钟")]
    assert listed == [f"notebooks/{path.name}" for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]


def test_commands():
    assert commands(ENGLISH) == commands(CHINESE)
    assert sum(map(len, commands(CHINESE))) >= 10


@pytest.mark.parametrize(
    "pattern",
    [r"(?<!`)`([^`]+)`(?!`)", r"\d[\d.]* [MG]B", r"^##(?= )", r"!\[[^\]]*\]\(([^)]+)\)"],
    ids=["names in code", "sizes", "sections", "pictures"],
)
def test_same(pattern):
    english, chinese = (re.findall(pattern, prose(text), re.M) for text in (ENGLISH, CHINESE))
    assert sorted(set(english)) == sorted(set(chinese)) != []
    assert len(english) == len(chinese)


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["English", "Chinese"])
def test_links_resolve(text):
    for target in LINK.findall(CODE.sub("", text)):
        if target.startswith("#"):
            heading = urllib.parse.unquote(target[1:])
            assert heading in [h.lower().replace(" ", "-") for h in re.findall(r"^#+ (.+)$", text, re.M)], target
        elif "://" not in target:
            assert (ROOT / target).exists(), target


def test_languages_link_to_each_other():
    assert "](README.zh-CN.md)" in "\n".join(ENGLISH.splitlines()[:5])
    assert "](README.md)" in "\n".join(CHINESE.splitlines()[:5])


def test_the_method_on_one_page_runs(tmp_path, monkeypatch):
    """At a small size: the loss falls, and the picture is no longer the photo."""
    (script,) = (block for block in CODE.findall(ENGLISH) if "import tensorflow" in block)
    script = script.strip("`\n")
    assert len(script.splitlines()) <= 60
    losses = []
    monkeypatch.chdir(tmp_path)
    for sizes, steps in (("(48,)", "(1,)"), ("(32, 48)", "(4, 8)")):
        changed = script.replace("(256, 362), (100, 40)", f"{sizes}, {steps}").replace('"images/', f'"{ROOT}/images/')
        namespace = {"print": lambda line: losses.append(float(line.split()[-1]))}
        exec(changed, namespace)
    assert losses[-1] < 0.5 * losses[0]  # measured: 0.16
    photo = images.load(ROOT / "images/content/summer_palace.jpg", 48)
    assert np.abs(images.load(tmp_path / "script.png") - photo).mean() > 0.05  # measured: 0.11


def test_files_of_stlib():
    listed = {}
    for name, lines, about in table(ENGLISH, 3, "Lines"):
        assert about
        listed[LINK.search(name)[1].removeprefix("stlib/")] = int(lines.replace(",", ""))
    there = {path.name: [path] for path in (ROOT / "stlib").glob("[!_]*.py")}
    there |= {f"{path.parent.name}/": [*path.parent.glob("*.py")] for path in (ROOT / "stlib").glob("*/__init__.py")}
    lengths = {name: sum(len(each.read_text("utf-8").splitlines()) for each in files) for name, files in there.items()}
    assert listed.keys() == lengths.keys()
    for name, length in lengths.items():
        assert abs(listed[name] - length) <= max(10, length / 10), f"{name} has {length} lines"
    assert [row[:2] for row in table(ENGLISH, 3, "Lines")] == [row[:2] for row in table(CHINESE, 3, "行数")]


def test_glossary():
    rows = table(CHINESE, 3, "English")
    assert 35 <= len(rows) <= 50
    for column in (0, 1):
        terms = [row[column].lower() for row in rows]
        assert len(set(terms)) == len(terms), f"twice: {[term for term in terms if terms.count(term) > 1]}"
    for english, _, meaning in rows:
        assert re.search("[A-Za-z]", english) and re.search("[一-鿿]", meaning) and meaning.endswith("。")
