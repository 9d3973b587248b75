"""Reads the committed results for the notebooks, and says so where one is not there.

Nothing is computed here. `gorgo reproduce PAPER --out results/papers/PAPER` writes rows.csv (the paper's figures beside
ours) and studies.csv (ours alone, one thing varied); what their columns mean is in src/papers/page.rs.
"""

import json
from pathlib import Path

import pandas as pd
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"
PAPERS = ("v1", "v2", "summary")

# Okabe and Ito's palette without its yellow, as in the plots of gorgo.
INKS = ["#0072b2", "#d55e00", "#009e73", "#e69f00", "#000000", "#56b4e9", "#cc79a7", "#999999"]
# Where inks come round again, another mark.
MARKS = [mark for mark in "os^v" for _ in INKS]

ROWS = ["window", "policy", "metric", "unit", "relation", "paper", "ours", "ours_p10", "ours_p90", "error_pct"]
RUNS = ["panel", "point", "policy", "seed", "ttft_p50_ms", "ttft_p95_ms"]
STUDIES = ["study", "varied", "arm", "policy", "metric", "unit", "ours", "ours_p10", "ours_p90"]


def table(path, columns):
    """A CSV with these columns at least; an error names the file and what is wrong."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: not there; results/README.md says which command writes it")
    found = pd.read_csv(path)
    missing = [name for name in columns if name not in found.columns]
    if missing or found.empty:
        raise ValueError(f"{path}: wanted rows with the columns {columns}, got {len(found)} rows without {missing}")
    return found


def of_papers(name, columns):
    """The table `name` of every paper that has one, as {paper: table}. The papers that have none are printed."""
    found = {}
    for paper in PAPERS:
        path = RESULTS / "papers" / paper / name
        if path.exists():
            found[paper] = table(path, columns)
        else:
            print(f"no {path.relative_to(ROOT)}: `gorgo reproduce {paper} --out results/papers/{paper}` writes it")
    if not found:
        raise FileNotFoundError(f"no paper has {name} below {RESULTS / 'papers'}")
    return found


def of_questions():
    """Every run behind the answers to the reviewers' questions, as {question: table}; none is printed, not an error."""
    folder = RESULTS / "papers" / "reviewers"
    found = {path.stem: table(path, RUNS) for path in sorted(folder.glob("*.csv"))}
    if not found:
        print(f"no {folder.relative_to(ROOT)}/*.csv: `gorgo reproduce reviewers --out results/papers/reviewers` writes them")
    return found


def document(*parts):
    """A JSON file below results/."""
    path = RESULTS.joinpath(*parts)
    if not path.exists():
        raise FileNotFoundError(f"{path}: not there; results/README.md says which command writes it")
    return json.loads(path.read_text())


def lines(*parts):
    """A file of one JSON value a line below results/: its head, and the rest as a table."""
    path = RESULTS.joinpath(*parts)
    if not path.exists():
        raise FileNotFoundError(f"{path}: not there; results/README.md says which command writes it")
    head, *rest = [json.loads(line) for line in path.read_text().splitlines()]
    if not rest:
        raise ValueError(f"{path}: wanted lines after the first, got none")
    return head, pd.DataFrame(rest)


def log_axis(axis, ticks=None):
    """Makes an axis logarithmic, with plain numbers at 1, 2 and 5 times the powers of ten, or at `ticks`."""
    which = "xscale" if axis.axis_name == "x" else "yscale"
    axis.axes.set(**{which: "log"})
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    if ticks is None:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    else:
        axis.set_ticks(ticks)
    axis.set_major_formatter(plain)
    axis.set_minor_formatter(NullFormatter())
