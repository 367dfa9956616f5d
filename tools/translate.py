"""The Chinese edition: collect what is to be translated (po/zh_CN/*.po), make the course in Chinese from it (out/zh).

usage: python tools/translate.py extract [NAME ...] | catalog | make [--execute]

extract    bring the .po files in step with the course: what is new is empty, what has changed is fuzzy
catalog    write stlib/data/zh_CN.json, from which stlib speaks Chinese
make       write out/zh; --execute runs the notebooks there, for figures with Chinese words
"""

import ast
import difflib
import io
import json
import os
import re
import sys
import tokenize
from collections import namedtuple
from pathlib import Path

import make_handout
import nbformat
import polib

from stlib import disk
from stlib.command import program
from stlib.language import Catalog

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "out/zh"
PO, CATALOG = ROOT / "po/zh_CN", ROOT / "stlib/data/zh_CN.json"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SPOKEN = ("messages", "figures", "sheets")  # what is translated when it is shown: the catalog's parts
FILES = [*(path.stem for path in NOTEBOOKS), "TEACHING", *SPOKEN]

# What a Chinese notebook has more than the English one: the language of checks and figures, and a note.
LANGUAGE = 'import os\n\nos.environ["STLIB_LANGUAGE"] = "zh_CN"  # 检查、报错、画室与插图中的文字用中文'
NOTE, EXECUTED = (
    f"*中文版：{which}练习的检查和新画的插图用中文。术语见[术语表](../po/GLOSSARY.md)。*"
    for which in ("程序的输出保留英文，已存的插图也是英文；重新运行后，", "程序的输出保留英文；")
)

CHECKED = re.compile("yes  |NO   |     Hint: |Not solved|All of it holds")  # lines that checks print

# A text to translate: a template is in the language of str.format, with {0}, {1} for what is filled in.
Unit = namedtuple("Unit", "text where kind template", defaults=(False,))

# ----------------------------------------------------------------------------------------------- what there is to say


def units(name):
    """What the file po/zh_CN/`name`.po must hold, in order, each text once."""
    if name == "TEACHING":
        found = [Unit(text, name, "text") for text in split(read("notebooks/TEACHING.md"))[::2] if has_words(text)]
    elif name in SPOKEN:
        found = [*{"messages": messages, "figures": figures, "sheets": sheets}[name]()]
    else:
        found = [unit for cell in read_notebook(name).cells for unit in of_cell(cell, name)]
    return list({unit.text: unit for unit in reversed(found)}.values())[::-1]


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def read_notebook(name):
    return nbformat.read(ROOT / f"notebooks/{name}.ipynb", as_version=4)


def of_cell(cell, name):
    """The units of a cell: the blocks of its text, or the comments and docstrings of its code."""
    where = f"{name}#{cell.id}"
    if cell.cell_type == "markdown":
        return [Unit(text, where, "text") for text in split(cell.source)[::2] if has_words(text)]
    return [Unit(text, where, kind) for _, _, text, kind in said_in_code(cell.source)]


def split(markdown):
    """Blocks of text, and between them the blank lines: [block, blank, block, ...]; code and formulas stay whole."""
    parts = re.split(r"(\n[ \t]*\n\s*)", markdown)
    whole = parts[:1]
    for blank, block in zip(parts[1::2], parts[2::2]):
        if whole[-1].count("```") % 2 or whole[-1].count("$$") % 2:
            whole[-1] += blank + block
        else:
            whole += [blank, block]
    return whole


WORDLESS = r"```.*?```|`[^`]*`|</?\w[^>]*>|\]\([^)]*\)|\\text\b|\$\$(?!.*\\text).*?\$\$|(?<!\$)\$(?!\$)[^$]*\$"


def has_words(text):
    """Whether there is something to translate: words that are no code, formula or target of a link."""
    return bool(re.search(r"[^\W\d_]{2}", re.sub(WORDLESS, " ", text, flags=re.S)))


def said_in_code(source):
    """Comments and docstrings of a cell as (start, end, text, kind), in order; lines that go on a comment are one."""
    lines = source.splitlines(keepends=True)
    starts = [sum(map(len, lines[:k])) for k in range(len(lines) + 1)]
    found = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        (row, column), text = token.start, token.string[1:].strip()
        if token.type == tokenize.COMMENT and has_words(text) and not re.match(r"NBVAL|noqa|fmt:", text):
            start, alone = starts[row - 1] + column, not lines[row - 1][:column].strip()
            if alone and found and found[-1][3] == f"comment {row - 1} {column}":
                start, _, before, _ = found.pop()
                text = f"{before}\n{text}"
            found.append((start, starts[row - 1] + column + len(token.string), text, f"comment {row * alone} {column}"))
    found = [(*each, "comment") for *each, _ in found]
    for node in docstrings(ast.parse(source)):
        first, last = lines[node.lineno - 1], lines[node.end_lineno - 1]  # columns count bytes
        start = starts[node.lineno - 1] + len(first.encode()[: node.col_offset].decode())
        end = starts[node.end_lineno - 1] + len(last.encode()[: node.end_col_offset].decode())
        quotes = re.match(r'\w*(?:"""|")', source[start:end]).end()
        found.append((start + quotes, end - (3 if source[start:end].endswith('"""') else 1), None, "docstring"))
    return sorted((start, end, text or source[start:end], kind) for start, end, text, kind in found)


def docstrings(tree):
    """The constants of a syntax tree that are docstrings."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            if isinstance(body[0].value, ast.Constant) and isinstance(body[0].value.value, str):
                yield body[0].value


def strings(tree, leave_out=lambda node: False):
    """Strings of a syntax tree as (text, whether it is a template), without docstrings; in order."""
    left_out = set(docstrings(tree))

    def walk(node):
        if node in left_out or leave_out(node):
            return
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, False
        elif isinstance(node, ast.JoinedStr):
            values = [part for part in node.values if isinstance(part, ast.FormattedValue)]
            texts = [
                f"{{{values.index(part)}}}" if part in values else re.sub("([{}])", r"\1\1", part.value)
                for part in node.values
            ]
            yield "".join(texts), bool(values)
            for part in values:
                yield from walk(part.value)
        else:
            for child in ast.iter_child_nodes(node):
                yield from walk(child)

    yield from walk(tree)


def is_sentence(text):
    """Whether a string of a program is made of words for people."""
    words = re.findall(r"(?<![\w./\\-])[A-Za-z]{2,}(?![\w(=/\\])", re.sub(r"\{\d+\}", " 0 ", text))
    names = not any(word[0].islower() for word in words) and "{0}" not in text  # of fonts
    code = re.match(r"<|\.\{|\w+=\"[{0]|(python -m )?stlib\b", text)  # HTML, and names of programs
    return bool(words) and not names and not code and bool(re.search(r"\S\s+\S", text.strip()))


# What Python's reader of command lines says, what lessons 01, 04 and 05 put together, and the studio's single words.
MORE = (
    "usage: ", "positional arguments", "options", "show this help message and exit", "error", "argument {0}: {1}",
    "the following arguments are required: {0}", "unrecognized arguments: {0}", "expected one argument",
    "expected at least one argument", "invalid {0} value: {1}", "ambiguous option: {0} could match {1}",
    "program {0}", "picture {0}", "stranger {0}", "program", "picture", "stranger",
    "Paint", "Stop", "Save", "Code", "Network", "Erase", "Gallery", "colors", "none", "to", " and ", ", ",
)  # fmt: skip


def messages():
    """What stlib says: checks, errors, the command line."""
    for path in sorted((ROOT / "stlib").rglob("*.py")):
        name = path.relative_to(ROOT / "stlib").as_posix()
        if not name.startswith(("training/", "marking/answers")):  # for who works on the course
            for text, template in strings(ast.parse(path.read_text(encoding="utf-8")), not_said):
                if is_sentence(text):
                    yield Unit(text, name, "message", template)
    for text in MORE:
        yield Unit(text, "put together", "message", "{0}" in text)


def not_said(node):
    """Parts of a program whose strings nobody reads: the function `code` writes a program."""
    return (
        isinstance(node, (ast.Compare, ast.Slice))
        or (isinstance(node, ast.keyword) and node.arg in ("loc", "prog", "flex_flow"))
        or (isinstance(node, ast.FunctionDef) and node.name == "code")
    )


# Strings of notebooks that are no words of figures: names of layers, files and options, formulas, code.
WORDLESS_STRING = re.compile(
    r"\S*[_#*./^=<>]\S*|<.*|--\w+|[A-Z;]+|.*(\n {4}|\w[\[=(]\w|\{:| / ?$).*|"
    "abcef|adam|area|black|data|duration|float32|jpeg|loop|relu|softmax|stlib|up|white",
    re.S,
)


def figures():
    """Words that may stand in figures: strings of notebooks, the names of pictures and losses; some never do."""
    for name in [path.stem for path in NOTEBOOKS]:
        for cell in read_notebook(name).cells:
            for text, template in strings(ast.parse(cell.source), not_drawn) if cell.cell_type == "code" else ():
                words = re.sub(r"\$.*?\$|\{\d+\}", " ", text)
                if re.search("[A-Za-z]{2}", words) and not WORDLESS_STRING.fullmatch(text):
                    yield Unit(text.strip(), f"{name}#{cell.id}", "figure", template)
    for path in sorted((ROOT / "images").glob("*/*.jpg")):
        yield Unit(path.stem.replace("_", " "), "images", "figure")
    # what plots and lessons put together
    for text in ("content", "style", "photo", "painting", "total variation", "total", "step", "loss", "village street"):
        yield Unit(text, "plots.py", "figure")
    yield Unit("content {0}, style {1}", "06_full_stylization", "figure", template=True)


SHOWN = "label labels title titles xlabel ylabel names suptitle text".split()  # keywords whose strings are drawn


def not_drawn(node):
    """Parts of a program that draws whose strings are no words of the figure."""
    called = isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", ""))
    return (
        called
        in ("print", "axis", "set_xscale", "set_yscale", "load", "glob", "subplot_mosaic", "get_layer", "replace")
        or (isinstance(node, ast.keyword) and node.arg not in SHOWN)
        or isinstance(node, (ast.Compare, ast.Assert))
    )


# The words of a sheet that stand alone: other single words are code.
BARE = "symbol meaning shape equation picture symptom cause remedy photo painting number numbers image side".split()


def sheets():
    """What stands on the printed sheets and on the handout's first page."""
    for name in ("sheets.py", "make_handout.py"):
        tree = ast.parse(read(f"tools/{name}"))
        keys = {key for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys}
        keys -= {key for key in keys if isinstance(key, ast.Constant) and re.search(r"\w[|,( ]\S", str(key.value))}
        for text, template in strings(tree, lambda node, keys=keys: node in keys or isinstance(node, ast.keyword)):
            words = re.sub(r"\$.*?\$|\{\d+\}", " ", text, flags=re.S)
            code = re.fullmatch(r"[\w.]+[(=\[].*|\S*[_/]\S*|<.*|.*(\bimport |\\d).*|DejaVu.*|-.*", text.strip(), re.S)
            if text in BARE or (not code and is_sentence(text) and re.search("[A-Za-z]{3}", words)):
                yield Unit(text, name, "sheet", template)
    for text in make_handout.TEXT.findall(read("tools/handout_start.html")):
        yield Unit(text, "handout_start.html", "html")


# ------------------------------------------------------------------------------------------------------- the .po files


def load(name):
    """The translations of a file; empty if there is none yet."""
    path = PO / f"{name}.po"
    return polib.pofile(str(path), wrapwidth=110) if path.exists() else polib.POFile(wrapwidth=110)


def extract(names):
    """Bring these .po files in step with the course."""
    PO.mkdir(parents=True, exist_ok=True)
    for name in names:
        before, after = load(name), polib.POFile(wrapwidth=110)
        after.metadata = {"Language": "zh_CN", "MIME-Version": "1.0", "Content-Type": "text/plain; charset=UTF-8"}
        after.metadata |= {"Content-Transfer-Encoding": "8bit"}
        known, wanted = {entry.msgid: entry for entry in before}, units(name)
        vanished = [text for text in known if text not in {unit.text for unit in wanted} and known[text].msgstr]
        for unit in wanted:
            entry = polib.POEntry(msgid=unit.text, occurrences=[(unit.where, "")], comment=unit.kind)
            entry.flags = ["python-brace-format"] * unit.template
            if unit.text in known:
                old = known[unit.text]
                entry.msgstr, entry.previous_msgid = old.msgstr, old.previous_msgid
                entry.flags += ["fuzzy"] * old.fuzzy
            else:
                for text in difflib.get_close_matches(unit.text, vanished, 1, 0.6):
                    entry.msgstr, entry.previous_msgid = known[text].msgstr, text
                    entry.flags.append("fuzzy")
            after.append(entry)
        text = str(after)
        if not (PO / f"{name}.po").exists() or text != (PO / f"{name}.po").read_text(encoding="utf-8"):
            (PO / f"{name}.po").write_text(text, encoding="utf-8")
        left = [entry for entry in after if not entry.translated()]
        print(f"{name}: {len(after)} texts, {len(left)} to translate")


# ------------------------------------------------------------------------------------------------ the course in Chinese


def catalog():
    """What stlib/data/zh_CN.json must hold: for each part, the translations of texts and those of templates."""
    parts = {}
    for name in SPOKEN:
        entries = [entry for entry in load(name) if entry.translated()]
        parts[name] = {"texts": {}, "templates": {}}
        for entry in entries:
            parts[name]["templates" if "python-brace-format" in entry.flags else "texts"][entry.msgid] = entry.msgstr
    return json.dumps(parts, ensure_ascii=False, indent=0, sort_keys=True) + "\n"


def translated_text(markdown, known):
    """A text with each block that is known in Chinese."""
    return "".join(known.get(part, part) for part in split(markdown))


def translated_code(source, known):
    """Code with comments and docstrings in Chinese."""
    for start, end, text, kind in reversed(said_in_code(source)):
        chinese = known.get(text, text)
        if kind == "comment":  # on lines of its own, or one, at the end of a line
            chinese = "# " + chinese.replace("\n", "\n" + re.search(r"[^\n]*$", source[:start])[0] + "# ")
        source = source[:start] + chinese + source[end:]
    return source


def known(name):
    """The translations of a file: English to Chinese."""
    return {entry.msgid: entry.msgstr for entry in load(name) if entry.translated()}


def headings(markdown):
    return re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", markdown, flags=re.S), re.M)


def jupyter_anchor(heading):
    """The id that JupyterLab gives a heading."""
    return re.sub(r"\s+", "-", heading.strip())


def github_anchor(heading):
    """The id that GitHub gives a heading."""
    return re.sub(r"[^\w\s-]", "", heading.strip().lower()).replace(" ", "-")


def markdown(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def translated_notebook(name, note):
    """A notebook in Chinese; what its checks print, too. Other outputs stay, and nothing is executed."""
    notebook, texts, says = read_notebook(name), known(name), Catalog(json.loads(catalog())["messages"])
    for cell in notebook.cells:
        cell.source = (translated_text if cell.cell_type == "markdown" else translated_code)(cell.source, texts)
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                lines = output.text.split("\n")
                output.text = "\n".join(says(line) if CHECKED.match(line) else line for line in lines)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source = f"{LANGUAGE}\n\n{first.source}"
    notebook.cells[0].source += f"\n\n{note}"
    return notebook


def make(execute=False):
    """Write out/zh: the notebooks and TEACHING.md in Chinese with all they need, and the handout."""
    os.environ["STLIB_LANGUAGE"] = "zh_CN"
    from run_notebooks import clean
    from run_notebooks import execute as run

    with disk.whole_folder(OUT) as part:
        (part / "notebooks").mkdir()
        for name, text in translated_course(NOTE if not execute else EXECUTED).items():
            (part / "notebooks" / name).write_text(text, encoding="utf-8")
        make_handout.copy_course(part / "notebooks", part)
        if execute:
            for path in sorted((part / "notebooks").glob("*.ipynb")):
                print(f"{path.name} ...", flush=True)
                nbformat.write(clean(run(path)), path)
        make_handout.make_handout(part / "handout", notebooks=part / "notebooks")
    print(f"{OUT.relative_to(ROOT)}: begin with notebooks/00_first_picture.ipynb; for a class, handout/START.html")


def translated_course(note=NOTE):
    """All files of notebooks/ in Chinese, name -> text, with links that lead to the Chinese headings."""
    pairs = {path.name: (read_notebook(path.stem), translated_notebook(path.stem, note)) for path in NOTEBOOKS}
    lessons, lessons_zh = ({name: markdown(pair[k]) for name, pair in pairs.items()} for k in (0, 1))
    english = lessons | {"TEACHING.md": read("notebooks/TEACHING.md")}
    chinese = lessons_zh | {"TEACHING.md": translated_text(english["TEACHING.md"], known("TEACHING"))}
    anchors = {}
    for name, text in english.items():
        anchor = github_anchor if name.endswith(".md") else jupyter_anchor
        anchors[name] = {anchor(a): anchor(b) for a, b in zip(headings(text), headings(chinese[name]))}

    def led(text, name):
        def link(match):
            file, anchor = match.groups()
            return f"]({file}#{anchors.get(file or name, {}).get(anchor, anchor)})"

        return re.sub(r"\]\(([^()#\s]*)#([^()\s]*(?:\([^()]*\))?[^()\s]*)\)", link, text)

    for name, (_, notebook) in pairs.items():
        for cell in notebook.cells:
            cell.source = led(cell.source, name) if cell.cell_type == "markdown" else cell.source
    files = {name: nbformat.writes(notebook) for name, (_, notebook) in pairs.items()}
    return files | {"TEACHING.md": led(chinese["TEACHING.md"], "TEACHING.md")}


def main(arguments):
    """Do what the first argument says and return the exit status."""
    command, names = arguments[:1], arguments[1:]
    if command == ["extract"]:
        extract(names or FILES)
    elif command == ["catalog"]:
        CATALOG.write_text(catalog(), encoding="utf-8")
    elif command == ["make"]:
        make("--execute" in names)
    else:
        print(__doc__)
        return program.USAGE
    return program.DONE


if __name__ == "__main__":
    sys.exit(program.run(main, name="translate"))
