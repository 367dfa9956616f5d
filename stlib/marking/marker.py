"""Mark submitted notebooks: python -m stlib.marking FOLDER -o marks.csv

FOLDER holds a notebook for each student, or a folder for each student with notebooks of any lessons; file names do not
matter. The table has a line for each student and a column for each exercise: 1 where its check passes, 0 where not,
nothing where the lesson was not handed in (of two copies the better mark counts). The column `note` says what went
wrong: "crash" (the process ended early), "time-out", "unreadable", "not of this course", "no notebook", or the name of
the first error that a cell raised; the cells after it are run all the same, as are the notebooks.

Each notebook runs in a process of its own (answers.py), in a copy of the course's folders. Which check belongs to which
answer is read from the course's notebooks, not from the submitted ones, and the checks are loaded anew after the last
cell. So it does not help to edit or delete check cells, to redefine or patch `checks`, NumPy or built-in functions, to
print what a check prints, or to end the process.

What no marker can do from the inside: stop a programmer who has read this file and works against it in the process of
the answers. It does not shield the computer either: submitted code runs with your rights. Copied answers pass.
"""

import ast
import csv
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat

from stlib import disk
from stlib.command import program

HERE = Path(__file__).parent
ANSWERS = (HERE / "answers.py").read_text(encoding="utf-8")  # both read before any answer runs
CHECKS = {path.name: path.read_text(encoding="utf-8") for path in (HERE.parent / "checks").glob("*.py")}


def main(arguments):
    """Write the table and return the exit status: see command/program.py."""
    parser = program.Parser("python -m stlib.marking", description="Mark submitted notebooks.")
    parser.add_argument("folder", type=Path, help="holds a notebook, or a folder of notebooks, for each student")
    parser.add_argument("-o", "--output", type=Path, default="marks.csv", help="the table (default: marks.csv)")
    parser.add_argument("--minutes", type=float, default=10, help="time limit of one notebook (default: 10)")
    parser.add_argument("--course", type=Path, default="notebooks", help="the course's notebooks (default: notebooks)")
    options = parser.parse_args(arguments)
    for folder in (options.course, options.folder):
        if not any(folder.rglob("*.ipynb")):
            parser.error(f"{folder} holds no notebooks")
    inputs = [path for folder in (options.course, options.folder) for path in folder.rglob("*.ipynb")]
    output, rows, status = disk.check_output(options.output, inputs), [], program.DONE
    course = {path.stem: read_lesson(path) for path in sorted(options.course.glob("*.ipynb"))}
    columns = [column for lesson in course.values() for column in lesson["exercises"]]
    students = [path for path in sorted(options.folder.iterdir()) if path.is_dir() or path.suffix == ".ipynb"]
    students = [path for path in students if not path.name.startswith((".", "__"))]
    try:
        with ThreadPoolExecutor(max(1, min(4, os.cpu_count() // 2))) as pool:
            for row in pool.map(lambda student: mark_or_say(student, course, options), students):
                rows.append(row)
                status = program.SOME_FAILED if row["note"].startswith("not marked") else status
                program.say(f"{row['student']}: {sum(row.get(c) == 1 for c in columns)} solved {row['note']}")
    except KeyboardInterrupt:
        output, status = disk.unfinished(output), program.INTERRUPTED
        program.complain(f"interrupted: {output} holds the marks so far", "stlib.marking")
    with disk.whole_file(output) as part, open(part, "w", newline="", encoding="utf-8-sig") as file:  # for spreadsheets
        table = csv.DictWriter(file, ["student", *columns, "note"])
        table.writeheader()
        table.writerows(rows)
    return status


def read_lesson(path):
    """Return the code of a lesson, to recognize it by, and its exercises: column -> (check, answer)."""
    lesson = {"code": set(code_cells(path)), "exercises": {}}
    for source in code_cells(path):
        for node in ast.parse(source).body if source.startswith("checks.") else []:
            check, answer = node.value.func.attr, ast.unparse(node.value.args[0])
            lesson["exercises"][f"{path.stem.split('_')[0]} {check}"] = check, answer
    return lesson


def code_cells(path):
    """Return the sources of the code cells of a notebook that hold any."""
    cells = nbformat.read(disk.check_file(path, "a notebook"), as_version=4).cells
    return [cell.source.strip() for cell in cells if cell.cell_type == "code" and cell.source.strip()]


def mark_or_say(student, course, options):
    """Mark a student; if that fails, such as on a full disk, the others get their turn and the note says why."""
    try:
        return mark_student(student, course, options)
    except Exception as error:
        return {"student": student.stem, "note": f"not marked: {program.sentence(error)}"}


def mark_student(student, course, options):
    """Mark all notebooks of a student; return a line of the table."""
    row, notes = {"student": student.stem if student.is_file() else student.name}, []
    paths = sorted(student.rglob("*.ipynb")) if student.is_dir() else [student]
    if student.is_dir():  # rglob passes over a folder that may not be read
        closed = []
        list(os.walk(student, onerror=closed.append))
        notes += [f"{Path(error.filename).name}: unreadable" for error in closed]
    for path in paths:
        if not any(part.startswith((".", "__")) for part in path.relative_to(student.parent).parts):  # checkpoints
            marks, note = mark_notebook(path, course, options)
            row |= {column: max(mark, row.get(column, 0)) for column, mark in marks.items()}
            notes += [f"{path.name}: {note}"] * bool(note)
    return row | {"note": "; ".join(notes) if paths or notes else "no notebook"}


def mark_notebook(path, course, options):
    """Return the marks of one notebook, column -> 0 or 1, and a note."""
    try:
        cells = code_cells(path)
    except Exception:  # whatever a file may hold
        return {}, "unreadable"
    lesson = max(course.values(), key=lambda lesson: len(lesson["code"].intersection(cells)))
    if not lesson["code"].intersection(cells):
        return {}, "not of this course"
    token, note = secrets.token_hex(), ""
    given = json.dumps({"token": token, "exercises": lesson["exercises"], "sources": CHECKS})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        notebooks = Path(folder, "notebooks")
        notebooks.mkdir()
        if (options.course.parent / "images").is_dir():
            shutil.copytree(options.course.parent / "images", Path(folder, "images"))
        (notebooks / "submitted.json").write_text(json.dumps(cells), encoding="utf-8")
        environment = os.environ | {"MPLBACKEND": "agg", "IPYTHONDIR": folder, "STLIB_NETWORK": "slim"}
        try:
            output = subprocess.run(
                [sys.executable, "-c", ANSWERS], cwd=notebooks, env=environment, input=given.encode(),
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60 * options.minutes,
            ).stdout  # fmt: skip
        except subprocess.TimeoutExpired as error:
            output, note = error.stdout or b"", "time-out"
    lines = output.decode(errors="replace").splitlines()
    said = [line.removeprefix(token).split(" ", 1) for line in lines if line.startswith(token)]
    marks = dict.fromkeys(lesson["exercises"], 0) | {value: 1 for kind, value in said if kind == "passed"}
    ends = [value for kind, value in said if kind == "end"]
    return marks, note or (ends[0] if ends else "crash")
