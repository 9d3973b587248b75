#!/usr/bin/env python3
"""Simulated against emulated: the demo's scenario in virtual time, and over real HTTP through proxy, links and emulated replicas.

emulated.py GORGO --out FOLDER [--seconds N] [--rounds N]

GORGO is a release binary built with `--features live`. All policies take turns, N rounds; the caches are emptied in between, so each
round is the same N seconds again. When a scrape of metrics falls between two requests is chance over HTTP, and moves what policies
choose that look at scraped load: so the simulation is run under nine intervals around the scenario's, and the medians of its numbers
count. Writes emulated.csv and table.md to FOLDER. Needs nothing beyond Python's own library."""
import argparse, csv, json, os, shutil, statistics
from pathlib import Path

import stack

INTERVALS_MS = range(980, 1021, 5)
SCENARIO = Path(__file__).resolve().parent.parent.parent / "scenarios" / "06_demo.toml"
NUMBERS = [("TTFT P50", "ttft_ms.p50"), ("P90", "ttft_ms.p90"), ("P99", "ttft_ms.p99"), ("E2E P50", "e2e_ms.p50"), ("P99", "e2e_ms.p99"),
           ("hit rate", "cache.real_token_hit_rate")]


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
    lines, rows = ["| policy | | " + " | ".join(name for name, _ in NUMBERS) + " |", "|" + "---|" * (2 + len(NUMBERS))], []
    show = lambda path, value: f"{value:.3f}" if path.startswith("cache") else f"{value:.1f}"
    for folder in sorted(p.parent for p in (given.out / "simulated" / "1000").glob("*/summary.json")):
        policy = folder.name
        read = lambda folder: json.loads((folder / "summary.json").read_text())
        simulated = [read(given.out / "simulated" / str(ms) / policy) for ms in INTERVALS_MS]
        pooled = read(given.out / "live" / policy)
        rounds = [read(p) for p in sorted((given.out / "live").glob(f"round-*/{policy}"))] or [pooled]
        failed = sum(r["requests"]["injected"] - r["requests"]["completed"] for r in rounds)
        cells = {"simulated": [], "its phases": [], "over HTTP": [], "apart": [], "rounds": []}
        for _, number in NUMBERS:
            phases = [stack.number(one, number) for one in simulated]
            s, m = statistics.median(phases), stack.number(pooled, number)
            each = [stack.number(r, number) for r in rounds]
            cells["simulated"].append(show(number, s))
            cells["its phases"].append(f"{show(number, min(phases))} to {show(number, max(phases))}")
            cells["over HTTP"].append(show(number, m))
            cells["apart"].append(f"{m - s:+.3f}" if number.startswith("cache") else f"{100 * (m / s - 1):+.1f} %")
            cells["rounds"].append(f"{show(number, min(each))} to {show(number, max(each))}")
            rows.append([policy, number, s, min(phases), max(phases), m, min(each), max(each), len(rounds), simulated[0]["requests"]["completed"], pooled["requests"]["completed"], failed])
        for at, (kind, values) in enumerate(cells.items()):
            lines.append(f"| {policy if at == 0 else ''} | {kind} | " + " | ".join(values) + " |")
    with open(given.out / "emulated.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow("policy,number,simulated,least_phase,most_phase,over_http,least_round,most_round,rounds,simulated_requests,http_requests,not_completed".split(","))
        writer.writerows(rows)
    text = "\n".join(lines) + f"\n\nLoad average before and after: {load}; requests: {rows[0][9]} simulated, {rows[0][10]} over HTTP for each policy\n"
    (given.out / "table.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
