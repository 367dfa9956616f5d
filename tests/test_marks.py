"""The marker: right answers pass, wrong ones and cheats do not, and whatever a notebook does, its line is written."""

import ast
import csv
import os

import nbformat
import pytest
from conftest import ROOT, quicker
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from stlib import checks
from stlib.marking import marker
from stlib.marking.__main__ import main

IMPORTS = "import numpy as np\nfrom stlib import checks"
UNSOLVED = (
    "def my_gram(features):\n    raise NotImplementedError",
    "def my_factor(N, M):\n    raise NotImplementedError",
)
LOOP = "sum(np.outer(f, f) for f in F.reshape(-1, F.shape[-1]))"
SOLVED = f"my_gram = lambda F: {LOOP}", "def my_factor(N, M):\n    return N**2 / 4"
WRONG = "my_gram = lambda F: np.zeros((F.shape[-1],) * 2)", "my_factor = lambda N, M: N / 4"
CHECKS = "checks.gram_by_loops(my_gram);", "checks.layer_factor(my_factor);"
COLUMNS = ["07 gram_by_loops", "07 layer_factor"]
CHEATS = [  # each of them would do against a marker that believes the notebook
    'print("All of it holds. Well done!")',
    f"checks.gram_by_loops(lambda F: {LOOP}); checks.layer_factor(lambda N, M: N**2 / 4);",
    "import stlib\nstlib.checks.gram_by_loops = stlib.checks.layer_factor = lambda answer: True",
    "from stlib.checks import appendix_A1, exercise, lesson_03",
    "exercise.Exercise.__call__ = exercise.Exercise.agree = exercise.matches = lambda *a: True",
    "object.__setattr__(lesson_03.gram_by_loops, 'right', my_gram)",
    "lesson_03.gram_by_loops = appendix_A1.layer_factor = lambda answer: True",
    "np.allclose = np.array_equal = np.isclose = np.all = lambda *a, **k: True",
    "import builtins\nbuiltins.all = lambda values: True\nbuiltins.abs = lambda value: 0",
    "class checks:\n    gram_by_loops = layer_factor = staticmethod(lambda answer: True)",
    "import sys\nsys.modules['stlib.checks'] = sys.modules['stlib.checks.exercise'] = checks",
    "raise SystemExit(0)",
    "def my_factor(N, M):\n    np.allclose = np.isclose = lambda *a, **k: True\n    return N / 4",
]
BORROWED = [  # the check's own right answer, a function of stlib; bare, in a partial, and called by an own function
    "my_gram = checks.gram_by_loops.right",
    "from stlib import losses\nmy_gram = losses.gram_matrix",
    "import functools\nmy_gram = functools.partial(checks.gram_by_loops.right)",
    "right = checks.gram_by_loops.right\nmy_gram = lambda F: right(F)",
    "my_factor = lambda N, M: checks.layer_factor.right(N, M)",
]
LEAVE = """
import os
for descriptor in range(3, 20):
    try:
        os.write(descriptor, b"\\xffpassed 07 gram_by_loops\\nend \\n")
    except OSError:
        pass
os._exit(0)
"""


def save(path, *sources):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=[new_markdown_cell("# A lesson"), *map(new_code_cell, sources)]), path)


def lesson(answers):
    return [IMPORTS, answers[0], CHECKS[0], answers[1], CHECKS[1]]


@pytest.fixture
def without_tensorflow(tmp_path, monkeypatch):
    """Stand-ins for what these two checks do not use, and a process takes seconds to import."""
    for name in ("tensorflow", "keras"):
        (tmp_path / "empty modules").mkdir(exist_ok=True)
        (tmp_path / f"empty modules/{name}.py").touch()
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'empty modules'}{os.pathsep}{ROOT}")


@pytest.fixture
def mark(tmp_path):
    """Return a function that marks the folder `submitted` and returns its lines, student -> line."""

    def mark(*options, course=tmp_path / "notebooks"):
        table = tmp_path / "marks.csv"
        assert main([str(tmp_path / "submitted"), "-o", str(table), "--course", str(course), *options]) == 0
        with open(table, newline="", encoding="utf-8-sig") as file:
            return {row["student"]: row for row in csv.DictReader(file)}

    save(tmp_path / "notebooks/07_lesson.ipynb", *lesson(UNSOLVED))
    return mark


@pytest.mark.usefixtures("without_tensorflow")
def test_a_line_a_student(mark, tmp_path, capsys):
    submitted = tmp_path / "submitted"
    save(submitted / "ada/some folder/my copy.ipynb", "print(", "undefined", *lesson(SOLVED))
    save(submitted / "ada/.ipynb_checkpoints/my copy-checkpoint.ipynb", *lesson(UNSOLVED))
    (submitted / "ada/broken.ipynb").write_text("{")
    save(submitted / "cleo.ipynb", IMPORTS, *WRONG, *CHEATS)  # without the check cells
    save(submitted / "dan.ipynb", *lesson(SOLVED), LEAVE)
    save(submitted / "eve.ipynb", IMPORTS, SOLVED[0], "import os\nmy_factor = lambda N, M: os._exit(0)")
    save(submitted / "finn.ipynb", "print(1)")
    (submitted / "gus").mkdir()
    rows = mark()
    assert list(rows) == ["ada", "cleo", "dan", "eve", "finn", "gus"]
    expected = {
        "ada": ("1", "1", "broken.ipynb: unreadable; my copy.ipynb: SyntaxError"),
        "cleo": ("0", "0", "cleo.ipynb: SystemExit"),
        "dan": ("0", "0", "dan.ipynb: crash"),
        "eve": ("1", "0", "eve.ipynb: crash"),  # what passed before counts
        "finn": ("", "", "finn.ipynb: not of this course"),
        "gus": ("", "", "no notebook"),
    }
    assert {student: (*map(row.get, COLUMNS), row["note"]) for student, row in rows.items()} == expected
    assert "All of it holds" not in capsys.readouterr().out


@pytest.mark.usefixtures("without_tensorflow")
def test_an_endless_loop_is_a_line(mark, tmp_path):
    save(tmp_path / "submitted/ada.ipynb", *lesson(SOLVED), "import time\nwhile True:\n    time.sleep(1)")
    (row,) = mark("--minutes", "0.03").values()
    assert [row[column] for column in COLUMNS] == ["0", "0"] and row["note"] == "ada.ipynb: time-out"


def test_a_lesson_of_the_course(mark, tmp_path):
    """All of its exercises but the last, solved by its own solutions, pass."""
    notebook = nbformat.read(next((ROOT / "notebooks").glob("04*.ipynb")), as_version=4)
    fours = zip(notebook.cells, notebook.cells[1:], notebook.cells[2:])
    exercises = [cells for cells in fours if "solution" in cells[2].metadata.get("tags", [])]
    for cell in notebook.cells:
        cell.source = quicker(cell.source)
    for starter, check, solution in exercises:
        given = ast.parse(check.source).body[0].value.args[0]
        solved = ast.parse(solution.source).body[-1].test.args[0]
        if solution is not exercises[-1][2]:
            starter.source = f"{solution.source}\n{ast.unparse(given)} = {ast.unparse(solved)}"
        notebook.cells.remove(solution)
    (tmp_path / "submitted").mkdir()
    nbformat.write(notebook, tmp_path / "submitted/ada.ipynb")
    (row,) = mark(course=ROOT / "notebooks").values()
    assert [mark for column, mark in row.items() if column.startswith("04 ")] == ["1"] * (len(exercises) - 1) + ["0"]
    assert set(mark for column, mark in row.items() if column.startswith("03 ")) == {""} and row["note"] == ""


@pytest.mark.usefixtures("without_tensorflow")
def test_a_borrowed_answer_is_none(mark, tmp_path, capsys):
    for answer in BORROWED[:3]:  # a reader is told
        names = {"checks": checks}
        exec(answer, names)
        assert not checks.gram_by_loops(names["my_gram"])
        assert "Hint: " in capsys.readouterr().out
    save(tmp_path / "submitted/ada.ipynb", IMPORTS, *BORROWED[3:], *CHECKS)  # and the marker sees through a call
    assert [(*map(row.get, COLUMNS), row["note"]) for row in mark().values()] == [("0", "0", "")]


@pytest.mark.parametrize("missing", ["submitted", "notebooks"])
def test_a_bad_folder_is_said(missing, tmp_path, capsys):
    save(tmp_path / "course/07_lesson.ipynb", IMPORTS)
    (tmp_path / "empty").mkdir()
    folders = {"submitted": tmp_path / "course", "notebooks": tmp_path / "course", missing: tmp_path / "empty"}
    arguments = [str(folders["submitted"]), "-o", str(tmp_path / "marks.csv"), "--course", str(folders["notebooks"])]
    assert main(arguments) == 2
    assert "holds no notebooks" in capsys.readouterr().err
    assert not (tmp_path / "marks.csv").exists()


def test_nothing_is_lost_and_nobody_left_out(mark, tmp_path, capsys, monkeypatch):
    save(tmp_path / "submitted/ada.ipynb", *lesson(SOLVED))
    save(tmp_path / "submitted/cleo.ipynb", "print(1)")
    os.mkfifo(tmp_path / "submitted/ben.ipynb")
    before = (tmp_path / "submitted/ada.ipynb").read_bytes()
    command = [str(tmp_path / "submitted"), "--course", str(tmp_path / "notebooks"), "-o"]
    assert main([*command, str(tmp_path / "submitted/./ada.ipynb")]) == 2
    assert "is one of the inputs" in capsys.readouterr().err
    assert (tmp_path / "submitted/ada.ipynb").read_bytes() == before
    real = marker.mark_student

    def full_disk(student, *more):
        if student.stem == "ada":
            raise OSError("No space left on device")
        return real(student, *more)

    monkeypatch.setattr(marker, "mark_student", full_disk)
    assert main([*command, str(tmp_path / "marks.csv")]) == 1
    table = (tmp_path / "marks.csv").read_text(encoding="utf-8-sig")
    assert all(words in table for words in ("not marked: No space", "ben.ipynb: unreadable", "cleo.ipynb: not of"))

    def interrupted(student, *more):
        raise KeyboardInterrupt

    monkeypatch.setattr(marker, "mark_student", interrupted)
    assert main([*command, str(tmp_path / "marks.csv")]) == 130
    assert (tmp_path / "marks.csv").read_text(encoding="utf-8-sig") == table
    assert sorted(path.name for path in tmp_path.glob("*marks*")) == ["marks.csv", "marks.unfinished.csv"]
