"""The commands that ray_sweep.py gives out, and what it refuses. Ray itself is not needed."""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest

import ray_sweep


class Commands(unittest.TestCase):
    def test_every_share_has_its_own_folder_and_the_merge_has_them_all(self):
        folder = pathlib.Path("all.shares")
        shares = [
            ray_sweep.share_command("gorgo", "s.toml", folder, share, 3, 2, share == 2)
            for share in (1, 2, 3)
        ]
        for share, command in enumerate(shares, 1):
            self.assertEqual(command[command.index("--shard") + 1], f"{share}/3")
            self.assertEqual(command[command.index("--out") + 1], str(folder / f"share-{share}"))
            self.assertIn("--resume", command)
            self.assertEqual("--records" in command, share == 2)
        merge = ray_sweep.merge_command("gorgo", "s.toml", folder, 3, "all")
        self.assertEqual(merge[:4], ["gorgo", "sweep", "merge", "s.toml"])
        self.assertEqual(merge[4:7], [command[command.index("--out") + 1] for command in shares])
        self.assertEqual(merge[7:], ["--out", "all"])

    def test_a_command_that_fails_tells_why(self):
        program = "import sys; print('seven', file=sys.stderr); sys.exit(7)"
        with self.assertRaisesRegex(RuntimeError, "exit 7: seven"):
            ray_sweep.run([sys.executable, "-c", program], ".")

    def test_what_makes_no_sense_is_refused(self):
        with tempfile.NamedTemporaryFile(suffix=".toml") as sweep:
            good = [sweep.name, "--out", "x", "--gorgo", sys.executable]
            self.assertEqual(ray_sweep.arguments(good).shares, 16)
            wrong = [
                ["missing.toml", *good[1:]],
                [*good, "--shares", "0"],
                [*good[:3], "--gorgo", "no-such-program"],
            ]
            for words in wrong:
                with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()):
                    ray_sweep.arguments(words)


if __name__ == "__main__":
    unittest.main()
