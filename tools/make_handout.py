"""Make the class version without solutions: `make handout`; with all wheels for a class without network: `make class`.

usage: python tools/make_handout.py [--class [PYTHON]]     PYTHON: the class's version, such as 3.12, if not this one
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path
from string import Template

from stlib import disk
from stlib.command import program
from stlib.language import is_chinese, translate

ROOT = Path(__file__).resolve().parent.parent

# The texts of handout_start.html.
TEXT = re.compile(
    r"(?<=<title>).*?(?=</title>)|(?<=<h[12]>).*?(?=</h)|(?<=<th>).*?(?=</th>)"
    r'|(?<=<p>)(?![$]|<img).*?(?=</p>)|(?<=alt=").*?(?=")',
    re.S,
)

# The platforms of a class: the tags of wheels that run there, and what Python says of itself there.
PLATFORMS = {
    "Linux x86-64 (glibc 2.28 or later: since 2018)": (
        [*(f"manylinux_2_{n}_x86_64" for n in range(28, 16, -1)), "manylinux2014_x86_64"],
        dict(os_name="posix", sys_platform="linux", platform_system="Linux", platform_machine="x86_64"),
    ),
    "Windows, 64 bit": (
        ["win_amd64"],
        dict(os_name="nt", sys_platform="win32", platform_system="Windows", platform_machine="AMD64"),
    ),
    "macOS 12 or later on Apple silicon": (
        ["macosx_12_0_arm64"],
        dict(os_name="posix", sys_platform="darwin", platform_system="Darwin", platform_machine="arm64"),
    ),
}
# pip download finds wheels of another platform, but asks its own Python which packages are needed there: answer for it.
PIP_FOR = """
import json, runpy, sys
from pip._vendor.packaging import markers
target, usual = json.loads(sys.argv.pop(1)), markers.default_environment
markers.default_environment = lambda: usual() | target
runpy.run_module("pip", run_name="__main__")
"""


def main(arguments):
    """Make the handout, or with --class the folder of a class."""
    if arguments[:1] == ["--class"]:
        folder = make_class(ROOT / "out/class", (arguments[1:] or ["{}.{}".format(*sys.version_info)])[0])
    else:
        folder = make_handout(ROOT / "out/handout")
    print(f"{folder.relative_to(ROOT)}, {megabytes(folder.rglob('*'))} MB: begin with START.html")
    return program.DONE


def make_handout(folder, wheel=None, notebooks=None):
    """Make `folder` with notebooks without solutions, pictures, sheets, stlib's wheel and START.html."""
    with disk.whole_folder(folder) as part:
        fill_handout(part, wheel, notebooks)
    return folder


def fill_handout(folder, wheel=None, notebooks=None):
    """Fill an empty folder with the handout, from these notebooks, else from the course's."""
    import nbformat  # here, as all that takes time: Ctrl-C is no traceback
    from sheets import make_sheets

    (folder / "notebooks").mkdir()
    for path in sorted((notebooks or ROOT / "notebooks").glob("*.ipynb")):
        notebook = without_solutions(nbformat.read(path, as_version=4))
        nbformat.write(notebook, folder / "notebooks" / path.name)
    copy_course(folder / "notebooks", folder)
    shutil.copy(wheel or build_wheel(folder / "build"), folder)
    shutil.rmtree(folder / "build", ignore_errors=True)
    make_sheets(folder)
    write_start_page(folder, f"-m pip install {next(folder.glob('*.whl')).name}", translate(NETWORK, "sheets"))


def copy_course(notebooks, folder):
    """Copy what these notebooks need and link to into a folder: pictures, cards, license."""
    import nbformat

    own = {path.name for path in (ROOT / "images/own").iterdir()} - {"README.md"}  # the maker's, not the class's
    shutil.copytree(ROOT / "images", folder / "images", ignore=lambda at, names: own if Path(at).name == "own" else ())
    for path in sorted(notebooks.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        for link in re.findall(r"\]\(\.\./([^)\s#]+)", text):  # what a lesson links to comes along
            copy(link, folder)
            if link.endswith(".md"):  # with its pictures and the cards beside it
                for name in re.findall(r"\]\(([^)\s#:/]+)\)", (ROOT / link).read_text(encoding="utf-8")):
                    copy(Path(link).parent / name, folder)
    copy("LICENSE", folder)


def without_solutions(notebook):
    """Drop the cells tagged `solution` and all outputs; change nothing else."""
    notebook.cells = [cell for cell in notebook.cells if "solution" not in cell.metadata.get("tags", [])]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def copy(name, folder):
    """Copy a file of the course to the same place in the folder."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / name, folder / name)


def build_wheel(folder):
    """Build stlib's wheel into the folder, from a copy of its files; return its path."""
    source = folder / "source"
    shutil.copytree(ROOT / "stlib", source / "stlib", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        copy(name, source)
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source])
    return next(folder.glob("*.whl"))


def make_class(folder, version, wheel=None):
    """Make `folder` with the handout and with wheels/, which installs it on every platform without a network."""
    with disk.whole_folder(folder) as part:
        fill_class(part, version, wheel)
    return folder


def fill_class(folder, version, wheel=None):
    """Fill an empty folder with the handout of a class."""
    fill_handout(folder, wheel)
    (folder / "wheels").mkdir()
    rows = []
    for platform, (tags, markers) in PLATFORMS.items():
        print(f"Downloading for Python {version} on {platform} ...", flush=True)
        with tempfile.TemporaryDirectory() as temporary:
            download(next(folder.glob("*.whl")), Path(temporary), version, tags, markers)
            wheels = list(Path(temporary).iterdir())
            tensorflow = [wheel for wheel in wheels if re.match(r"tensorflow(_cpu)?-", wheel.name)]
            row = f"{platform}: {megabytes(wheels)} MB, of which TensorFlow {megabytes(tensorflow)} MB"
            rows.append(translate(row, "sheets"))
            for wheel in wheels:
                shutil.copy(wheel, folder / "wheels")  # one folder: pip takes what fits, most files fit everywhere
    notes = translate(OFFLINE, "sheets").format(
        version=version, total=megabytes((folder / "wheels").iterdir()), rows="</li>\n<li>".join(rows)
    )
    write_start_page(folder, INSTALL, notes, version, version)


def download(requirement, folder, version, tags, markers):
    """Download a package and all it needs on a platform, as wheels."""
    numbers = [*version.split("."), "0"][:3]  # .0: what runs on the first 3.12 runs on every one
    markers = {**markers, "python_version": ".".join(numbers[:2]), "python_full_version": ".".join(numbers)}
    command = [sys.executable, "-c", PIP_FOR, json.dumps(markers), "download", "--quiet", "--only-binary=:all:"]
    command += ["--implementation", "cp", "--python-version", version, *(f"--platform={tag}" for tag in tags)]
    run([*command, "--dest", folder, requirement])


def megabytes(paths):
    return round(sum(path.stat().st_size for path in paths if path.is_file()) / 1e6)


def run(command):
    """Run a command in silence; if it fails, say what it said."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)


INSTALL = "-m pip install --no-index --find-links wheels stlib"
NETWORK = """The second line downloads about 440 MB (on Linux; most of it is TensorFlow). After it no network is
needed. If you have another of these versions, put its number in place of 3.12."""
OFFLINE = """This needs no network: the folder <code>wheels</code> ({total} MB) holds all packages for Python
{version} on</p>
<ul>
<li>{rows}</li>
</ul>
<p>You need not copy it: if it lies on a share or a stick, give its path in place of <code>wheels</code>."""


def write_start_page(folder, install, notes, python="3.12", pythons="3.10-3.13"):
    """Write START.html; titles and minutes come from the notebooks themselves."""
    import nbformat

    rows, paths = [], sorted((folder / "notebooks").glob("*.ipynb"))
    for path in paths:
        title, english = (nbformat.read(each, as_version=4).cells for each in (path, ROOT / "notebooks" / path.name))
        head = "\n".join(cell.source for cell in english[:2])
        minutes, exercises = re.search(r"about (\d+) minutes(?:, exercises (\d+) more)?", head, re.I).groups()
        title = title[0].source.splitlines()[0].lstrip("# ")
        columns = path.name, escape(title), minutes + f" + {exercises}" * bool(exercises)
        rows.append("<tr>" + "".join(f"<td>{column}</td>" for column in columns) + "</tr>")
    sheets = sorted(path.name for path in folder.glob("*.pdf"))
    blanks = dict(install=install, notes=notes, python=python, pythons=pythons, first=paths[0].name)
    blanks["table"] = "\n".join(rows)
    blanks["sheets"] = "\n".join(f'<li><a href="{name}">{name.replace("_", " ")}</a></li>' for name in sheets)
    page = Path(__file__).with_name("handout_start.html").read_text(encoding="utf-8")
    page = TEXT.sub(lambda match: translate(match[0], "sheets"), page)
    page = Template(page.replace('lang="en"', 'lang="zh-CN"') if is_chinese() else page).substitute(blanks)
    (folder / "START.html").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(program.run(main, name="make_handout"))
