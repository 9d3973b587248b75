#!/usr/bin/env python3
"""Three load clients through one proxy: does `gorgo live` measure what AIPerf and GuideLLM measure?

clients.py GORGO [--aiperf BIN] [--guidellm BIN] [--rounds N] [--requests N] [--out FILE]

GORGO is a binary built with `--features live`. The same Mooncake-form trace goes through each client in turn, N rounds, so that
other work on the machine hits all alike, to `gorgo proxy` and two emulated replicas behind it, whose times do not depend on the
text, since each client writes its own. AIPerf and GuideLLM get make_model.py's tokenizer, whose tokens are four characters, as
those of the replicas are: so all must send and get the trace's numbers of tokens, request by request. Percentiles are taken here,
of each client's own list of requests, for they do not mean the same by P99 of few (nearest rank, or a point between two). Clients
that are not given are left out. Prints a table of P50 and P99 of all rounds together, and writes it, and those of each round, as
JSON. Exits with 1 where a request failed or is missing or has other counts than the trace, or where another client's TTFT is
further from gorgo live's than LIMITS."""
import argparse, csv, json, math, os, random, shutil, socket, subprocess, sys, tempfile, time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
RATE = 6.0  # requests a second
LIMITS = {"ttft_ms_p50": 0.03, "ttft_ms_p99": 0.05}
SCENARIO = """name = "clients"
seed = 1
[[profiles]]
name = "still"
prefill_base_ms = 40.0
prefill_ms_per_token = 1e-6
decode_base_ms = 8.0
decode_ms_per_sequence = 0.05
overhead_ms = 5.0
kv_pool_tokens = 4000000
[[fleet.replicas]]
name = "r"
region = "azure:eastus"
profile = "still"
count = 2
[workload.trace]
path = "trace.jsonl"
[load.recorded]
[router]
policies = ["round-robin"]
"""


def trace(path, requests):
    """Exponential gaps, prompts of 1 to 4 blocks of 512 tokens of which the first is shared, answers of 20 to 60 tokens. Gives the
    tokens of each prompt and its answer."""
    draw, at_ms, lines = random.Random(7), 0.0, []
    for number in range(requests):
        blocks = draw.randint(1, 4)
        ids = [draw.randint(0, 5)] + [1000 + 10 * number + block for block in range(blocks - 1)]
        lines.append({"timestamp": round(at_ms), "input_length": 512 * blocks, "output_length": draw.randint(20, 60), "hash_ids": ids})
        at_ms += draw.expovariate(RATE) * 1e3
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return [(line["input_length"], line["output_length"]) for line in lines]


def run(command, **more):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, **more)
    if done.returncode not in (0, 3):
        sys.exit(f"{' '.join(map(str, command))}\nexit {done.returncode}\n{done.stdout[-3000:]}")
    return done


def ours(gorgo, folder, url):
    out = folder / "gorgo"
    shutil.rmtree(out, ignore_errors=True)
    run([gorgo, "live", folder / "clients.toml", "--url", url, "--quiet", "--model", "emulated", "--out", out])
    summary = json.loads((out / "round-robin" / "summary.json").read_text())
    with open(out / "round-robin" / "requests.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["status"] == "completed"]
    return {
        "completed": summary["requests"]["completed"],
        "failed": summary["requests"]["injected"] - summary["requests"]["completed"],
        "tokens": [(int(row["input_tokens"]), int(row["output_tokens"])) for row in rows],
        # Other clients start their clock when they send.
        "ttft_ms": [float(row["ttft_from_send_ms"]) for row in rows],
        "e2e_ms": [float(row["finished_ms"]) - float(row["sent_ms"]) for row in rows],
        "send_lag_ms_p99": summary["live"]["send_lag_ms"]["p99"],
    }


def aiperf(binary, folder, url, tokenizer):
    home = folder / "hf"
    snapshot = home / "hub" / "models--local--four-characters" / "snapshots" / "0"
    if not snapshot.exists():
        snapshot.parent.mkdir(parents=True)
        shutil.copytree(tokenizer, snapshot)
        refs = snapshot.parent.parent / "refs"
        refs.mkdir()
        (refs / "main").write_text("0")
    out = folder / "aiperf"
    shutil.rmtree(out, ignore_errors=True)
    run([binary, "profile", "-m", "emulated", "--url", url, "--endpoint-type", "completions", "--streaming", "--tokenizer", "local/four-characters",
         "--input-file", folder / "trace.jsonl", "--custom-dataset-type", "mooncake_trace", "--fixed-schedule",
         "--extra-inputs", "ignore_eos:true", "--use-server-token-count", "--no-server-metrics", "--ui", "none", "--output-artifact-dir", out, "--random-seed", "1"],
        # It keeps prompts in the user's cache under the tokenizer's name: those of another tokenizer of that name would be sent.
        env={**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "AIPERF_DATASET_MMAP_CACHE_ENABLED": "false"})
    found = json.loads(next(out.rglob("profile_export_aiperf.json")).read_text())
    errors = found.get("error_request_count") or {"avg": 0}
    with open(next(out.rglob("profile_export.jsonl"))) as file:
        rows = [json.loads(line)["metrics"] for line in file]
    return {
        "completed": int(found["request_count"]["avg"]),
        "failed": int(errors["avg"]),
        "tokens": [tuple(int(row[f"usage_{what}_tokens"]["value"]) for what in ("prompt", "completion")) for row in rows],
        "ttft_ms": [row["time_to_first_token"]["value"] for row in rows],
        "e2e_ms": [row["request_latency"]["value"] for row in rows],
    }


def guidellm(binary, folder, url, tokenizer):
    out = folder / "guidellm.json"
    data = json.dumps({"kind": "mooncake", "source": {"kind": "json_file", "path": str(folder / "trace.jsonl")}})
    run([binary, "run", "--backend", f"kind=openai_http,target={url},model=emulated,request_format=/v1/completions", "--profile", "kind=replay,time_scale=0.001,schedule_turn=timestamp",
         "--data", data, "--tokenizer", f"kind=hf_auto,model={tokenizer}", "--output", f"kind=json,path={out}", "--disable-console-interactive"],
        # It announces its end before it hands on the last result, and its reader, who looks for that announcement after each of
        # these intervals without a result, leaves at it: with its own 0.1 s the last result of this trace is lost.
        env={**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "GUIDELLM__MP_POLL_INTERVAL": "2"})
    benchmark = json.loads(out.read_text())["benchmarks"][0]
    requests = benchmark["requests"]
    return {
        "completed": len(requests["successful"]),
        "failed": len(requests["errored"]) + len(requests["incomplete"]),
        "tokens": [(r["prompt_tokens"], r["output_tokens"]) for r in requests["successful"]],
        "ttft_ms": [r["time_to_first_token_ms"] for r in requests["successful"]],
        "e2e_ms": [1e3 * r["request_latency"] for r in requests["successful"]],
    }


def server(gorgo, folder, processes):
    """Two replicas and the proxy in front of them; its URL."""
    replicas = subprocess.Popen([gorgo, "emulate", folder / "clients.toml", "--links", "none", "--print-inventory=json"], stdout=subprocess.PIPE, text=True)
    processes.append(replicas)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    config = f'listen = "127.0.0.1:{port}"\npolicy = "round-robin"\n'
    for replica in json.loads(replicas.stdout.readline())["replicas"]:
        config += "[[replica]]\n" + "".join(f'{key} = "{replica[key]}"\n' for key in ("name", "region", "url"))
    (folder / "proxy.toml").write_text(config)
    processes.append(subprocess.Popen([gorgo, "proxy", "--config", folder / "proxy.toml"], stderr=subprocess.DEVNULL))
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return f"http://127.0.0.1:{port}"
        except OSError:
            time.sleep(0.1)
    sys.exit("the proxy does not answer")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gorgo", type=Path)
    parser.add_argument("--aiperf", type=Path)
    parser.add_argument("--guidellm", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=240)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    gorgo = given.gorgo.resolve()
    clients = {"gorgo live": lambda folder, url: ours(gorgo, folder, url)}
    for name, call in (("aiperf", aiperf), ("guidellm", guidellm)):
        binary = getattr(given, name)
        if binary:
            clients[name] = lambda folder, url, call=call, binary=binary.absolute(): call(binary, folder, url, folder / "tokenizer")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        traced = Counter(trace(folder / "trace.jsonl", given.requests))
        (folder / "clients.toml").write_text(SCENARIO)
        run([sys.executable, HERE / "make_model.py", folder / "tokenizer"])
        processes = []
        try:
            url = server(gorgo, folder, processes)
            rounds = {name: [] for name in clients}
            load = [round(os.getloadavg()[0], 1)]
            for _ in range(given.rounds):
                for name, call in clients.items():
                    result = call(folder, url)
                    rounds[name].append({**result, "as_traced": (traced & Counter(result["tokens"])).total()})
                    time.sleep(2)
                load.append(round(os.getloadavg()[0], 1))
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait(timeout=30)
    at = lambda values, share: sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    of = lambda results: [at([value for r in results for value in r[what]], share) for what in ("ttft_ms", "e2e_ms") for share in (0.5, 0.99)]
    counts = lambda results: {
        **{what: sum(r[what] for r in results) for what in ("completed", "failed", "as_traced")},
        **{what: sum(pair[place] for r in results for pair in r["tokens"]) for place, what in enumerate(("prompt_tokens", "output_tokens"))},
    }
    names = ("ttft_ms_p50", "ttft_ms_p99", "e2e_ms_p50", "e2e_ms_p99")
    told = lambda results: {**counts(results), **{name: round(value, 2) for name, value in zip(names, of(results))}}
    report = {
        "requests": given.requests, "load_average": load,
        "clients": {name: {"all": told(results), "rounds": [told([r]) for r in results]} for name, results in rounds.items()},
    }
    if given.out:
        given.out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"load average {load}; ms, {given.rounds} rounds together; against gorgo live, %")
    print(f"{'client':12} {'completed':>9} {'failed':>6} {'as traced':>9} {'prompt tok':>10} {'output tok':>10} {'TTFT P50':>9} {'P99':>9} {'E2E P50':>9} {'P99':>9}")
    base, wrong = of(rounds["gorgo live"]), []
    for name, results in rounds.items():
        numbers, count = of(results), counts(results)
        off = dict(zip(names, (n / b - 1 for n, b in zip(numbers, base))))
        told = "" if name == "gorgo live" else "   " + " ".join(f"{100 * share:+6.1f}" for share in off.values())
        print(f"{name:12} " + " ".join(f"{n:{width}}" for n, width in zip(count.values(), (9, 6, 9, 10, 10))) + " " + " ".join(f"{n:9.1f}" for n in numbers) + told)
        if not given.requests * given.rounds == count["completed"] == count["as_traced"] or count["failed"]:
            wrong.append(f"{name}: not every request has completed with the tokens of the trace")
        wrong += [f"{name}: {what} is {100 * off[what]:+.1f} % from that of gorgo live" for what, limit in LIMITS.items() if abs(off[what]) > limit]
    sys.exit("\n".join(wrong) or 0)


if __name__ == "__main__":
    main()
