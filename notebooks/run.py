"""Runs the notebooks without Jupyter: every code cell in order, in one namespace a notebook.

    python notebooks/run.py [--figures DIR] [NOTEBOOK ...]

A notebook passes if no cell fails, it draws at least one figure, and it is kept without outputs. The figures are
written to DIR as PNG. The cells are plain Python: a line of `%` or `!`, which only Jupyter knows, is refused.
"""

import argparse
import json
import os
import sys
import time
import traceback
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


class Refused(Exception):
    """Why a notebook is not even begun."""


def code_cells(path):
    """(number, source) of the code cells, from 1 over all cells."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = notebook["cells"]
        if notebook["nbformat"] != 4 or not isinstance(cells, list):
            raise ValueError("wanted nbformat 4 and a list of cells")
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"{path.name}: not a notebook of format 4: {error!r}") from error
    found = []
    for number, cell in enumerate(cells, 1):
        if cell.get("cell_type") != "code":
            continue
        source = "".join(cell["source"])
        if cell.get("outputs") or cell.get("execution_count") is not None:
            raise Refused(f"{path.name}, cell {number}: kept with outputs; clear them before committing")
        if any(line.lstrip().startswith(("%", "!")) for line in source.splitlines()):
            raise Refused(f"{path.name}, cell {number}: a line of Jupyter's own; wanted plain Python")
        found.append((number, source))
    if not found:
        raise Refused(f"{path.name}: no code")
    return found


def run(path, figures):
    """Runs one notebook; gives how many figures it drew."""
    import matplotlib.pyplot as plt

    plt.close("all")
    # All are kept until they are counted.
    plt.rcParams["figure.max_open_warning"] = 0
    namespace = {"__name__": "__main__"}
    for number, source in code_cells(path):
        exec(compile(source, f"{path.name}, cell {number}", "exec"), namespace)
    drawn = plt.get_fignums()
    for number in drawn:
        figure = plt.figure(number)
        # Drawing is where wrong labels and empty axes fail.
        figure.canvas.draw()
        if figures:
            figure.savefig(figures / f"{path.stem}_{number}.png", dpi=110)
    if not drawn:
        raise Refused(f"{path.name}: drew nothing")
    return len(drawn)


def main(given=None):
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("notebooks", nargs="*", type=Path)
    arguments.add_argument("--figures", type=Path, metavar="DIR")
    arguments = arguments.parse_args(given)
    os.environ["MPLBACKEND"] = "Agg"
    sys.path.insert(0, str(FOLDER))
    if arguments.figures:
        arguments.figures.mkdir(parents=True, exist_ok=True)
    failed = 0
    notebooks = arguments.notebooks or sorted(FOLDER.glob("*.ipynb"))
    for path in notebooks:
        start = time.monotonic()
        try:
            count = run(path, arguments.figures)
        except Refused as refusal:
            failed += 1
            print(f"FAILED: {refusal}")
        # A cell that would end the program ends its notebook.
        except (Exception, SystemExit):
            failed += 1
            print(f"FAILED: {path.name}\n{traceback.format_exc()}")
        else:
            print(f"ok: {path.name}, {count} figures, {time.monotonic() - start:.1f} s")
    if not notebooks:
        print(f"FAILED: no notebooks in {FOLDER}")
    return 1 if failed or not notebooks else 0


if __name__ == "__main__":
    sys.exit(main())
