#!/usr/bin/env python3
"""Simulated against emulated: the demo's scenario in virtual time, and over real HTTP through proxy, links and emulated replicas.

emulated.py GORGO --out FOLDER [--seconds N] [--rounds N]

GORGO is a release binary built with `--features live`. All policies take turns, N rounds; the caches are emptied in between, so each
round is the same N seconds again. When a scrape of metrics falls between two requests is chance over HTTP, and moves what policies
choose that look at scraped load: so the simulation is run under nine intervals around the scenario's, and the medians of its numbers
count. Writes emulated.csv and table.md to FOLDER. Needs nothing beyond Python's own library."""
import argparse, json, os, shutil, statistics
from pathlib import Path

import stack

INTERVALS_MS = range(980, 1021, 5)
SCENARIO = Path(__file__).resolve().parent.parent.parent / "scenarios" / "06_demo.toml"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gorgo", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    given.gorgo, given.out = given.gorgo.resolve(), given.out.resolve()
    given.out.mkdir(parents=True, exist_ok=True)
    sets = ["--set", f"measure.stop={given.seconds}s", "--set", f"workload.wildchat.requests={60 * given.seconds}"]
    # Both commands that send must see the same scenario.
    path = given.out / "scenario.toml"
    path.write_text(stack.gorgo(given.gorgo, "run", SCENARIO, "--dry-run", "--quiet", *sets))
    shutil.rmtree(given.out / "simulated", ignore_errors=True)
    for ms in INTERVALS_MS:
        stack.gorgo(given.gorgo, "run", path, "--quiet", "--set", f"router.scrape_interval={ms}ms", "--out", given.out / "simulated" / str(ms))
    before = os.getloadavg()[0]
    stack.send(given.gorgo, path, given.out, given.out / "live", live=["--emulated", "--rounds", given.rounds])
    load = [round(value, 1) for value in (before, os.getloadavg()[0])]
    table = stack.Table(["policy"], "policy,number,simulated,least_phase,most_phase,over_http,least_round,most_round,rounds,"
                        "simulated_requests,http_requests,not_completed")
    for folder in sorted(p.parent for p in (given.out / "simulated" / "1000").glob("*/summary.json")):
        policy = folder.name
        read = lambda folder: json.loads((folder / "summary.json").read_text())
        simulated = [read(given.out / "simulated" / str(ms) / policy) for ms in INTERVALS_MS]
        pooled = read(given.out / "live" / policy)
        rounds = [read(p) for p in sorted((given.out / "live").glob(f"round-*/{policy}"))] or [pooled]
        failed = sum(r["requests"]["injected"] - r["requests"]["completed"] for r in rounds)
        cells = {"simulated": [], "its phases": [], "over HTTP": [], "apart": [], "rounds": []}
        completed = [run["requests"]["completed"] for run in (simulated[0], pooled)]
        for _, number in stack.NUMBERS:
            phases, each = ([stack.number(one, number) for one in runs] for runs in (simulated, rounds))
            s, m = statistics.median(phases), stack.number(pooled, number)
            cells["simulated"].append(table.show(number, s))
            cells["its phases"].append(table.span(number, phases))
            cells["over HTTP"].append(table.show(number, m))
            cells["apart"].append(table.apart(number, m, s))
            cells["rounds"].append(table.span(number, each))
            table.rows.append([policy, number, s, min(phases), max(phases), m, min(each), max(each), len(rounds), *completed, failed])
        table.add([policy], cells)
    table.write(given.out / "emulated.csv", f"Load average before and after: {load}; requests: {completed[0]} simulated, {completed[1]} over HTTP for each policy")


if __name__ == "__main__":
    main()
