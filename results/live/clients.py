#!/usr/bin/env python3
"""Three load clients on one server: does `gorgo live` measure what AIPerf and GuideLLM measure?

clients.py GORGO [--aiperf BIN] [--guidellm BIN] [--tokenizer FOLDER] [--rounds N] [--requests N] [--out FILE]

GORGO is a binary built with `--features live`. The same Mooncake-form trace goes through each client in turn, N rounds, so that
other work on the machine hits all alike; the server is one emulated replica whose times do not depend on the text, since each
client writes its own. Clients that are not given are left out. FOLDER holds a tokenizer that the other clients need to
write text of a length; how long it really is does not matter here. Prints a table of P50 and P99, and writes it as JSON."""
import argparse, json, os, random, shutil, subprocess, sys, tempfile, time, urllib.request
from pathlib import Path

RATE = 6.0  # requests a second
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
count = 1
[workload.trace]
path = "trace.jsonl"
[load.recorded]
[router]
policies = ["round-robin"]
"""


def trace(path, requests):
    """Exponential gaps, prompts of 1 to 4 blocks of 512 tokens of which the first is shared, answers of 20 to 60 tokens."""
    draw, at_ms, lines = random.Random(7), 0.0, []
    for number in range(requests):
        blocks = draw.randint(1, 4)
        ids = [draw.randint(0, 5)] + [1000 + 10 * number + block for block in range(blocks - 1)]
        lines.append({"timestamp": round(at_ms), "input_length": 512 * blocks, "output_length": draw.randint(20, 60), "hash_ids": ids})
        at_ms += draw.expovariate(RATE) * 1e3
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


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
    return {
        "completed": summary["requests"]["completed"],
        # Other clients start their clock when they send.
        "ttft_ms": [summary["ttft_from_send_ms"][p] for p in ("p50", "p99")],
        "e2e_ms": [summary["e2e_ms"][p] for p in ("p50", "p99")],
        "output_tokens": None,
        "send_lag_ms_p99": summary["live"]["send_lag_ms"]["p99"],
    }


def aiperf(binary, folder, url, tokenizer):
    home = folder / "hf"
    snapshot = home / "hub" / "models--local--tiny" / "snapshots" / "0"
    if not snapshot.exists():
        snapshot.parent.mkdir(parents=True)
        shutil.copytree(tokenizer, snapshot)
        refs = snapshot.parent.parent / "refs"
        refs.mkdir()
        (refs / "main").write_text("0")
    out = folder / "aiperf"
    shutil.rmtree(out, ignore_errors=True)
    run([binary, "profile", "-m", "emulated", "--url", url, "--endpoint-type", "completions", "--streaming", "--tokenizer", "local/tiny",
         "--input-file", folder / "trace.jsonl", "--custom-dataset-type", "mooncake_trace", "--fixed-schedule",
         "--extra-inputs", "ignore_eos:true", "--use-server-token-count", "--ui", "none", "--output-artifact-dir", out, "--random-seed", "1"],
        env={**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"})
    found = json.loads(next(out.rglob("profile_export_aiperf.json")).read_text())
    return {
        "completed": int(found["request_count"]["avg"]),
        "ttft_ms": [found["time_to_first_token"][p] for p in ("p50", "p99")],
        "e2e_ms": [found["request_latency"][p] for p in ("p50", "p99")],
    }


def guidellm(binary, folder, url, tokenizer):
    out = folder / "guidellm.json"
    data = json.dumps({"kind": "mooncake", "source": {"kind": "json_file", "path": str(folder / "trace.jsonl")}})
    run([binary, "run", "--backend", f"kind=openai_http,target={url},model=emulated", "--profile", "kind=replay,time_scale=0.001,schedule_turn=timestamp",
         "--data", data, "--tokenizer", f"kind=hf_auto,model={tokenizer}", "--output", f"kind=json,path={out}", "--disable-console-interactive"],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"})
    found = json.loads(out.read_text())["benchmarks"][0]["metrics"]
    ttft, latency = found["time_to_first_token_ms"]["successful"], found["request_latency"]["successful"]
    return {
        "completed": ttft["count"],
        "ttft_ms": [ttft["percentiles"][p] for p in ("p50", "p99")],
        "e2e_ms": [1e3 * latency["percentiles"][p] for p in ("p50", "p99")],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gorgo", type=Path)
    parser.add_argument("--aiperf", type=Path)
    parser.add_argument("--guidellm", type=Path)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=240)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    gorgo = given.gorgo.resolve()
    clients = {"gorgo live": lambda folder, url: ours(gorgo, folder, url)}
    for name, call in (("aiperf", aiperf), ("guidellm", guidellm)):
        binary = getattr(given, name)
        if binary:
            if not given.tokenizer:
                sys.exit(f"--{name} needs --tokenizer FOLDER")
            clients[name] = lambda folder, url, call=call, binary=binary.absolute(): call(binary, folder, url, given.tokenizer.resolve())
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        trace(folder / "trace.jsonl", given.requests)
        (folder / "clients.toml").write_text(SCENARIO)
        server = subprocess.Popen([gorgo, "emulate", folder / "clients.toml", "--links", "none", "--print-inventory"], stdout=subprocess.PIPE, text=True)
        try:
            url = json.loads(server.stdout.readline())["replicas"][0]["url"]
            rounds = {name: [] for name in clients}
            for _ in range(given.rounds):
                for name, call in clients.items():
                    rounds[name].append(call(folder, url))
                    time.sleep(2)
        finally:
            server.terminate()
            server.wait(timeout=30)
    report = {"requests": given.requests, "rounds": rounds}
    if given.out:
        given.out.write_text(json.dumps(report, indent=1) + "\n")
    middle = lambda values: sorted(values)[len(values) // 2]
    print(f"{'client':12} {'completed':>9} {'TTFT P50':>9} {'P99':>9} {'E2E P50':>9} {'P99':>9}   ms, the median of {given.rounds} rounds; against gorgo live, %")
    base = None
    for name, results in rounds.items():
        numbers = [middle([r[of][at] for r in results]) for of in ("ttft_ms", "e2e_ms") for at in (0, 1)]
        base = base or numbers
        off = "" if numbers is base else "   " + " ".join(f"{100 * (n / b - 1):+6.1f}" for n, b in zip(numbers, base))
        print(f"{name:12} {min(r['completed'] for r in results):9} " + " ".join(f"{n:9.1f}" for n in numbers) + off)


if __name__ == "__main__":
    main()
