"""The Chinese edition: complete, in step with the English one, and with the same code, formulas, numbers and links."""

import ast
import json
import os
import re
import subprocess
import sys
import urllib.parse
import warnings

import matplotlib.pyplot as plt
import nbformat
import polib
import proofread
import pytest
import translate
from conftest import ROOT
from IPython.core.interactiveshell import InteractiveShell

from stlib import language, plots


@pytest.fixture(scope="module")
def course():
    """All files of notebooks/ in Chinese, name -> text."""
    return translate.translated_course()


def entry(english, chinese, *flags):
    return polib.POEntry(msgid=english, msgstr=chinese, flags=list(flags))


# --- complete and in step


@pytest.mark.parametrize("name", translate.FILES)
def test_translation(name):
    assert not [*proofread.proofread(name)]


def test_no_other_files():
    assert {path.stem for path in translate.PO.glob("*.po")} == set(translate.FILES)


def test_catalog_is_in_step():
    assert translate.CATALOG.read_text(encoding="utf-8") == translate.catalog(), "python tools/translate.py catalog"


def test_glossary_agrees_with_the_readme():
    known = {form.lower(): chinese for forms, _, chinese in proofread.glossary() for form in forms.split(", ")}
    readme = re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+。 \|$", (ROOT / "README.zh-CN.md").read_text("utf-8"), re.M)
    both = [(known[english.lower()], chinese) for english, chinese in readme if english.lower() in known]
    assert len(both) > 35  # measured: 40
    assert [pair for pair in both if not any(form in pair[1] for form in pair[0])] == []


def test_proofread_says_what_is_missing_and_what_is_stale(monkeypatch):
    units = [translate.Unit(text, "01#a", "text") for text in ("A text.", "Another one.")]
    there = polib.POFile()
    there.extend([entry("A text.", "一段文字。"), entry("An old one.", "旧的。")])
    monkeypatch.setattr(proofread, "units", lambda name: units)
    monkeypatch.setattr(proofread, "load", lambda name: there)
    assert [fault.split(":")[0] for fault in proofread.proofread("01")] == [
        "01#a",
        "no longer in the course, run `extract`",
    ]
    there.append(entry("Another one.", "另一段。"))
    there.remove(there.find("An old one."))
    assert not [*proofread.proofread("01")]


def test_extract(tmp_path, monkeypatch):
    monkeypatch.setattr(translate, "PO", tmp_path)
    texts = ["This paragraph has 3 words.", "It stays.", "It goes."]
    monkeypatch.setattr(translate, "units", lambda name: [translate.Unit(text, "01#a", "text") for text in texts])
    translate.extract(["01"])
    first = translate.load("01")
    assert [(each.msgid, each.msgstr) for each in first] == [(text, "") for text in texts]
    for each in first:
        each.msgstr = "译文"
    first.save(str(tmp_path / "01.po"))
    texts[:] = ["New, and before all others.", "This paragraph has 4 words.", "It stays."]
    translate.extract(["01"])
    new, changed, stays = translate.load("01")
    assert new.msgstr == "" and stays.translated()
    assert changed.fuzzy and changed.previous_msgid == "This paragraph has 3 words." and changed.msgstr == "译文"
    before = (tmp_path / "01.po").read_bytes()
    translate.extract(["01"])
    assert (tmp_path / "01.po").read_bytes() == before


# --- each rule finds what it is there for; English, Chinese, a word of the complaint

WRONG = [
    ("A short text.", "", "not translated"),
    ("Read the long text below.", "Read the long text below.", "not in Chinese"),
    ("It is $F^T F$ here.", "这里是 $F F^T$。", "formula"),
    ("$$a = 1$$", "$$a = 2$$", "formula"),
    ("Call `load` here.", "在此调用 `save`。", "code"),
    ("It has 3 rows.", "有 4 行。", "numbers"),
    ("See [this](a.md).", "见[此](b.md)。", "link"),
    ("<details>more</details>", "<details>更多", "tag"),
    ("| a |\n| b |", "| 甲 |", "table"),
    ("- one\n- two", "- 一", "list"),
    ("## Some title", "# 标题", "heading"),
    ("The Gram matrix counts.", "克数阵很重要。", "格拉姆矩阵"),
    ("Gram matrices count.", "克数阵很重要。", "格拉姆矩阵"),
    ("It is here, too.", "这里,也有。", "half-width"),
    ("It is (not) here.", "不(在)这里。", "half-width"),
    ("It is here.", "在这里.", "half-width"),
    ("VGG is here.", "这里有VGG。", "no space"),
    ("There are 3 of them.", "有3个。", "no space"),
    ("Now `x` is here.", "现在`x` 在此。", "no space"),
    ("A window of 3 x 3.", "3 x 3 的窗口。", "sign ×"),
    ("A window of 3 x 3.", "3×3 的窗口。", "sign ×"),
    ("There are 3 of them.", "有 ３ 个。", "full-width letters"),
    ("It is here, too.", "这里， 也有。", "a space beside"),
    ("**Look:** there.", "**看：**那里。", "does not end"),
    ("Look at *that* there.", "看*《那个》* 吧。", "does not begin"),
]


@pytest.mark.parametrize("english, chinese, complaint", WRONG)
def test_rules(english, chinese, complaint):
    assert any(complaint in fault for fault in proofread.faults(entry(english, chinese), "text"))


def test_rules_of_what_programs_say():
    message = entry("{0} has {1} rows.", "{0} 有 {2} 行。", "python-brace-format")
    assert any("filled in" in fault for fault in proofread.faults(message, "message", template=True))
    assert any(
        "an option" in each for each in proofread.faults(entry("try --steps draft", "试试 --step draft"), "message")
    )
    assert any("argument" in each for each in proofread.faults(entry("a side (%(default)s)", "一边"), "message"))
    assert any("spaces" in each for each in proofread.faults(entry("     Hint", "提示"), "message"))
    assert any("has changed" in each for each in proofread.faults(entry("It is so.", "是这样。", "fuzzy"), "text"))


RIGHT = [
    (
        "**Predict:** which `conv` of the 3 sees $x_i$ (or *all*)?",
        "**预测**：3 个 `conv` 中哪一个看到 $x_i$（还是*全部*）？",
    ),
    ("See [lesson 02](02.ipynb#The-map), 1,500 words.", "见[第 02 课](02.ipynb#The-map)，共 1,500 个词。"),
    (r"$$a \text{ if } b$$" "\nThe Gram matrices, `a, b`.", r"$$a \text{ 若 } b$$" "\n诸格拉姆矩阵，`a, b`。"),
    ("1.3 million in *A guide to noise*.", "130 万（*A guide to noise*）。"),
    ("- a) 3 x 3: **right**\n- b) none", "- a) 3 × 3：**对**\n- b) 无"),
    ("Type `3 x 3`, or 8x10 inches.", "键入 `3 x 3`，或 8x10 英寸。"),
]


@pytest.mark.parametrize("english, chinese", RIGHT)
def test_rules_leave_alone_what_is_right(english, chinese):
    assert not [*proofread.faults(entry(english, chinese), "text")]


# --- the Chinese notebooks


def without_words(source):
    """A program's syntax tree without docstrings."""
    tree = ast.parse(source)
    for node in translate.docstrings(tree):
        node.value = ""
    return ast.dump(tree)


@pytest.mark.parametrize("path", translate.NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path, course):
    english = nbformat.read(path, as_version=4).cells
    chinese = nbformat.reads(course[path.name], as_version=4).cells
    assert [(cell.id, cell.cell_type, cell.metadata) for cell in chinese] == [
        (cell.id, cell.cell_type, cell.metadata) for cell in english
    ]
    code = [[cell.source for cell in cells if cell.cell_type == "code"] for cells in (english, chinese)]
    code[1][0] = code[1][0].removeprefix(translate.LANGUAGE).lstrip("\n")
    same = len({*code[0]} & {*code[1]})  # by these the marker recognizes a lesson; measured: 8 or more
    assert same > 5 or same == len(code[0]) == 1, "or it is the studio, which is one cell"
    for before, after in zip(*code):
        assert without_words(before) == without_words(after)
        assert before.count("# NBVAL_CHECK_OUTPUT") == after.count("# NBVAL_CHECK_OUTPUT")
        assert len(before.splitlines()) >= len(after.splitlines()) - 3
    images = [[str(cell.get("outputs")).count("image/") for cell in cells] for cells in (english, chinese)]
    assert images[0] == images[1]


def test_links_lead_to_chinese_headings(course):
    anchors = {
        name: {
            (translate.github_anchor if name.endswith(".md") else translate.jupyter_anchor)(heading)
            for heading in translate.headings(text_of(text, name))
        }
        for name, text in course.items()
    }
    checked = 0
    for name, text in course.items():
        for target in re.findall(r"\]\(((?:[^()\s]|\([^()\s]*\))+)\)", text_of(text, name)):
            file, _, anchor = target.partition("#")
            if "://" not in target:
                assert not file or file in course or (ROOT / "notebooks" / file).exists(), target
                if anchor and (file or name) in anchors:
                    assert urllib.parse.unquote(anchor) in anchors[file or name], f"{name}: {target}"
                    checked += 1
    assert checked > 20  # measured: 28


def text_of(text, name):
    return text if name.endswith(".md") else translate.markdown(nbformat.reads(text, as_version=4))


def test_a_heading_that_is_translated_takes_its_links_along(monkeypatch):
    original = translate.known
    heading = {"## The map of the course": "## 课程的 地图", "## The project": "## 项目：一览"}
    monkeypatch.setattr(translate, "known", lambda name: original(name) | heading)
    course = translate.translated_course()
    assert "](00_first_picture.ipynb#课程的-地图)" in text_of(course["01_convolutions.ipynb"], "01_convolutions.ipynb")
    assert "](#项目一览)" in course["TEACHING.md"]


def test_comments_and_docstrings():
    source = (
        'def f(x):\n    """Twice it."""\n    # one line\n    # and another\n    return 2 * x  # é twice\n\n\n'
        'y = "# none"  # (2, 3)\n'
    )
    said = [(text, kind) for _, _, text, kind in translate.said_in_code(source)]
    assert said == [("Twice it.", "docstring"), ("one line\nand another", "comment"), ("é twice", "comment")]
    known = {"Twice it.": "两倍。", "one line\nand another": "一行\n又一行", "é twice": "两倍"}
    chinese = translate.translated_code(source, known)
    assert '"""两倍。"""\n    # 一行\n    # 又一行\n    return 2 * x  # 两倍\n' in chinese
    assert chinese.endswith('y = "# none"  # (2, 3)\n')


def test_blocks():
    text = "# A title\n\nA text\nof two lines.\n\n$$\na\n\nb\n$$\n\n```\nx\n\ny\n```\n\n\n- last\n"
    blocks = translate.split(text)
    assert "".join(blocks) == text
    assert blocks[::2] == ["# A title", "A text\nof two lines.", "$$\na\n\nb\n$$", "```\nx\n\ny\n```", "- last\n"]
    assert [translate.has_words(block) for block in blocks[::2]] == [True, True, False, False, True]


# --- what stlib says


def test_language(monkeypatch):
    for variable in ("STLIB_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(variable, raising=False)
    assert not language.is_chinese()
    for value, chinese in {"zh_CN.UTF-8": True, "zh": True, "zh-CN": True, "zh_TW": False, "de_DE": False}.items():
        monkeypatch.setenv("LANG", value)
        assert language.is_chinese() == chinese, value
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert language.is_chinese()
    monkeypatch.setenv("STLIB_LANGUAGE", "en")
    assert not language.is_chinese()


def test_english_reads_no_catalog():
    program = """
import sys
from stlib import language
language.CATALOG = None
assert language.translate("All of it holds. Well done!") == "All of it holds. Well done!"
assert not {"json", "ctypes", "polib"} & set(sys.modules)
"""
    subprocess.run(
        [sys.executable, "-S", "-c", program],
        check=True,
        env=os.environ | {"STLIB_LANGUAGE": "en", "PYTHONPATH": str(ROOT)},
    )


@pytest.fixture
def chinese(monkeypatch):
    """Let stlib speak Chinese, from a small catalog."""
    monkeypatch.setenv("STLIB_LANGUAGE", "zh_CN")
    parts = {
        "messages": {
            "texts": {
                "it is one number": "结果是一个数", "options": "选项", "usage: ": "用法：",
                "the photos to paint": "要画的照片",
            },
            "templates": {
                "yes  {0}": "对  {0}", "NO   {0}": "错  {0}", "     Hint: {0}": "     提示：{0}",
                "{0} Now {1}": "{0} 现在{1}", "it gives {0}, expected {1}.": "得到 {0}，应为 {1}。",
                "a dict of {0}": "{0} 的字典", "{{x}}: {1} of {0}": "{{x}}：{0} 中的 {1}",
                "There is no file {0}: check the name and the folder ({1}).": "没有文件 {0}：请检查文件夹（{1}）。",
                "the following arguments are required: {0}": "缺少参数：{0}",
            },
        },
        "figures": {
            "texts": {"loss": "损失", "style": "风格", "starry night": "星夜"},
            "templates": {"size {0}": "边长 {0}"},
        },
    }  # fmt: skip
    catalogs = {name: language.Catalog(part) for name, part in parts.items()}
    monkeypatch.setattr(language, "catalog", catalogs.__getitem__)


def test_messages(chinese):
    assert language.translate("it is one number") == "结果是一个数"
    assert language.translate("yes  it is one number") == "对  结果是一个数"
    assert language.translate("NO   it gives a dict of a, b, expected 3.") == "错  得到 a, b 的字典，应为 3。"
    assert language.translate("     Hint: add. Now it gives 1, expected 2.") == "     提示：add. 现在得到 1，应为 2。"
    assert language.translate("{x}: 1 of 2") == "{x}：2 中的 1"
    assert language.translate("what nobody knows") == "what nobody knows"
    assert language.translate("loss\n3 x 4: style\nX: 1, 2", "figures") == "损失\n3 × 4：风格\nX：1，2"
    assert language.translate("(3, 4)", "figures") == "(3, 4)"
    assert language.translate("conv1, 3\n20 x 20", "figures") == "conv1, 3\n20 × 20"
    assert language.translate("starry\nnight", "figures") == "星夜"
    assert language.translate("pictures/\nstyle", "figures") == "pictures/\nstyle"


def test_a_check_speaks_chinese(chinese, capsys):
    from stlib.checks.exercise import Exercise

    check = Exercise(right=lambda x: x + 1, cases={"it is one more": (1,)}, result="it is one number", hint="add.")
    assert not check(lambda x: x + 2)
    assert capsys.readouterr().out.splitlines()[0] == "对  结果是一个数"
    assert not check(lambda x: x + 2)
    assert "提示：add. 现在得到 3，应为 2。" in capsys.readouterr().out


def test_the_command_line_speaks_chinese(chinese, capsys):
    from stlib.__main__ import main

    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("用法：stlib") and "选项:" in out and "要画的照片" in out
    assert main(["a.jpg", "b.jpg"]) == 2
    assert "缺少参数：-o/--out" in capsys.readouterr().err
    assert main(["no.jpg", "none.jpg", "-o", "out.png"]) == 2
    assert "没有文件 none.jpg" in capsys.readouterr().err


def test_errors_in_a_notebook_are_in_chinese(chinese, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # the shell puts its own there
    shell = InteractiveShell()
    shell.run_line_magic("colors", "nocolor")
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    language.translate_errors()
    result = shell.run_cell("from stlib import images\nimages.load('no.jpg')")
    assert isinstance(result.error_in_exec, FileNotFoundError)
    printed = capsys.readouterr().out
    assert "FileNotFoundError: 没有文件 no.jpg：" in printed and "images.load('no.jpg')" in printed
    shell.run_cell("raise ValueError('it is one number')")  # not stlib's
    assert "ValueError: it is one number" in capsys.readouterr().out


def test_wrap(monkeypatch):
    text = "图片的最长边，以像素为单位（默认为 512），例如 example_of_a_word。"
    monkeypatch.setenv("STLIB_LANGUAGE", "zh_CN")
    lines = language.wrap(text, 16)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "") and len(lines) > 3
    assert max(map(language.columns, lines)) <= 20  # a long word, punctuation at the end
    assert not any(line[0] in "，。）" for line in lines)
    monkeypatch.setenv("STLIB_LANGUAGE", "en")
    assert language.wrap("one two three", 7) == ["one two", "three"]


@pytest.fixture
def settings():
    """Put back what use_style changes."""
    english = plt.Text.set_text
    with plt.rc_context():
        yield
    plt.Text.set_text = english


def test_figures(chinese, settings, monkeypatch):
    monkeypatch.setattr(plots, "FONTS", ("No Such Font", "DejaVu Sans"))
    plots.use_style()
    plots.use_style()
    figure, axis = plt.subplots()
    axis.set(title="loss", xlabel="size 3", ylabel="accuracy")
    assert [axis.get_title(), axis.get_xlabel(), axis.get_ylabel()] == ["损失", "边长 3", "accuracy"]
    plt.close(figure)


def test_figures_without_a_font(chinese, settings, monkeypatch):
    monkeypatch.setattr(plots, "FONTS", ("No Such Font",))
    with pytest.warns(UserWarning, match="install"):
        plots.use_style()
    figure, axis = plt.subplots()
    assert axis.set_title("loss").get_text() == "loss"
    plt.close(figure)


def test_a_font_that_was_installed_since(monkeypatch):
    font = next(font for font in plots.fontManager.ttflist if font.name == "cmr10")
    monkeypatch.setattr(plots, "FONTS", ("cmr10",))
    monkeypatch.setattr(plots.fontManager, "ttflist", [])  # as matplotlib remembers
    monkeypatch.setattr(plots, "findSystemFonts", lambda: [__file__])
    assert plots.chinese_font() is None
    monkeypatch.setattr(plots, "findSystemFonts", lambda: [__file__, font.fname])
    assert plots.chinese_font() == "cmr10"


def test_figures_in_english(settings, monkeypatch):
    monkeypatch.setenv("STLIB_LANGUAGE", "en")
    english = plt.Text.set_text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.use_style()
    assert plt.Text.set_text is english


def test_every_figure_finds_its_words():
    """What may be drawn is among the texts to translate, whether or not the picture is stored; code is not."""
    texts = {unit.text for unit in translate.units("figures")}
    assert {"brighter at {0} degrees: yellow", "luminance", "teacher", "after {0} steps", "photo", "painting"} <= texts
    assert {"max pooling", "starry night", "{0} steps on bands", "relative error", "too small", "AdaIN"} <= texts
    assert not {"off", "RdBu_r", "black", "block4_conv2", "--shard", "extract(x)", "yi,bijc,xj->byxc"} & texts


def test_start_page_in_chinese(chinese):
    import make_handout

    page = (ROOT / "tools/handout_start.html").read_text(encoding="utf-8")
    texts = make_handout.TEXT.findall(page)
    assert "3. The notebooks" in texts and "Title" in texts and any(text.startswith("A pavilion") for text in texts)
    rest = re.sub(r"(?s)<style>.*?</style>|<pre>.*?</pre>|<ul>.*?</ul>", "", make_handout.TEXT.sub("", page))
    assert not re.findall(r">[^<>$]*[A-Za-z]{3,}[^<>]*<", rest), "text that nobody translates"


def test_stored_outputs_of_checks_are_in_chinese(monkeypatch):
    done = "All of it holds. Well done!"
    parts = {
        "messages": {"texts": {done: "全部成立。"}, "templates": {"yes  {0}": "对  {0}"}},
        "figures": {},
        "sheets": {},
    }
    monkeypatch.setattr(translate, "catalog", lambda: json.dumps(parts))
    notebook = translate.translated_notebook("01_convolutions", "")
    printed = "".join(o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", []))
    assert "对  " in printed and "全部成立。" in printed and done not in printed
