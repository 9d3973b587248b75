"""What run.py and reading.py refuse. `.ci/notebooks` runs this before the notebooks."""

import contextlib
import io
import json
import os
import tempfile
import unittest
from pathlib import Path

os.environ["MPLBACKEND"] = "Agg"

import reading
import run

DRAW = "import matplotlib.pyplot as plt\nplt.plot([1, 2])"


def cell(source, **more):
    return {"cell_type": "code", "source": source, "outputs": [], "execution_count": None} | more


class Running(unittest.TestCase):
    def outcome(self, content):
        """What run.py says of a notebook with these cells, or of a file with this text."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "some.ipynb")
            text = content if isinstance(content, str) else json.dumps({"nbformat": 4, "cells": content})
            path.write_text(text)
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                code = run.main([str(path)])
        return code, said.getvalue()

    def test_good_ones_pass_and_share_a_namespace(self):
        code, said = self.outcome([cell("x = 1"), {"cell_type": "markdown", "source": "%"}, cell(DRAW + "\nassert x == 1")])
        self.assertEqual((code, said.split(",")[0]), (0, "ok: some.ipynb"))

    def test_bad_ones_fail_and_are_named(self):
        for content, wanted in [
            ("{", "not a notebook"),
            ("[]", "not a notebook"),
            (json.dumps({"nbformat": 3, "cells": []}), "not a notebook"),
            ([], "no code"),
            ([cell("x = 1")], "drew nothing"),
            ([cell(DRAW), cell("1 / 0")], "ZeroDivisionError"),
            ([cell(DRAW), cell("x = (")], "SyntaxError"),
            ([cell("%matplotlib inline\n" + DRAW)], "Jupyter's own"),
            ([cell(DRAW, outputs=[{}])], "kept with outputs"),
            ([cell(DRAW, execution_count=3)], "kept with outputs"),
            ([cell("import sys\nsys.exit(0)")], "SystemExit"),
        ]:
            with self.subTest(wanted=wanted, content=content):
                code, said = self.outcome(content)
                self.assertEqual(code, 1, said)
                self.assertIn(wanted, said)
                self.assertIn("some.ipynb", said)


class Reading(unittest.TestCase):
    def test_what_is_not_there_or_not_as_it_should_be_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "rows.csv")
            with self.assertRaisesRegex(FileNotFoundError, "rows.csv: not there"):
                reading.table(path, ["a"])
            for text in ("b\n1\n", "a\n"):
                path.write_text(text)
                with self.assertRaisesRegex(ValueError, "rows.csv: wanted rows"):
                    reading.table(path, ["a"])
        with self.assertRaises(FileNotFoundError):
            reading.document("no such", "file.json")


if __name__ == "__main__":
    unittest.main()
