"""Runs a sweep on a Ray cluster: one share a task, joined at the end into the files of one run.

    pip install ray
    python notebooks/ray_sweep.py scenarios/sweeps/weights.toml --out results/local/weights --shares 16

Every machine needs the same gorgo, and sees the working folder, the sweep file and what it names under the same paths
(a shared file system). A task that is lost with its machine is started again by Ray and goes on where it was. What it
does not do: copy files between machines, or balance: a share is a fixed part of the cells, so make a few times more
shares than there are workers.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys


def share_command(gorgo, sweep, folder, share, shares, threads, records):
    """The command of one share, from 1."""
    command = [gorgo, "sweep", "run", str(sweep), "--out", str(folder / f"share-{share}")]
    command += ["--shard", f"{share}/{shares}", "--threads", str(threads), "--resume", "--quiet"]
    return command + (["--records"] if records else [])


def merge_command(gorgo, sweep, folder, shares, out):
    """The command that joins all shares."""
    folders = [str(folder / f"share-{share}") for share in range(1, shares + 1)]
    return [gorgo, "sweep", "merge", str(sweep), *folders, "--out", str(out)]


def run(command, where):
    """Runs a command; its own words are the error's."""
    done = subprocess.run(command, cwd=where, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"got {text}, wanted 1 or more")
    return number


def arguments(words):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sweep", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="where all runs come together")
    parser.add_argument("--shares", type=positive, default=16)
    parser.add_argument("--threads", type=positive, default=1, help="threads, and CPUs, of a share")
    parser.add_argument("--records", action="store_true", help="keep every run's requests.csv")
    parser.add_argument("--gorgo", default=shutil.which("gorgo") or "target/release/gorgo")
    parser.add_argument("--address", help="the cluster; left out: this machine alone")
    parser.add_argument("--workers", type=positive, help="workers, where it is this machine alone")
    given = parser.parse_args(words)
    if not given.sweep.is_file():
        parser.error(f"{given.sweep}: no such file")
    if shutil.which(given.gorgo) is None:
        parser.error(f"{given.gorgo}: no such program; wanted --gorgo PATH")
    return given


def main(words):
    given = arguments(words)
    import ray

    if given.address:
        ray.init(address=given.address)
    else:
        ray.init(num_cpus=given.workers, include_dashboard=False)
    where = os.getcwd()
    folder = given.out.with_name(given.out.name + ".shares")
    remote = ray.remote(num_cpus=given.threads, max_retries=5)(run)
    waiting = {}
    for share in range(1, given.shares + 1):
        command = share_command(
            given.gorgo, given.sweep, folder, share, given.shares, given.threads, given.records
        )
        waiting[remote.remote(command, where)] = share
    while waiting:
        (first,), _ = ray.wait(list(waiting), num_returns=1)
        ray.get(first)
        del waiting[first]
        print(f"{given.shares - len(waiting)} of {given.shares} shares", file=sys.stderr)
    ray.shutdown()
    print(run(merge_command(given.gorgo, given.sweep, folder, given.shares, given.out), where), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
