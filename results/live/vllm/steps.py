#!/usr/bin/env python3
"""How long do the steps of a running vLLM take that hold prefills and decodes together?

steps.py --url http://127.0.0.1:8101 --model tiny --log FILE --out steps.csv [--repeats 5] [--seed 1]
steps.py --read steps.csv

FILE is where the server's output goes; it must run with --enable-logging-iteration-details, VLLM_SERVER_DEV_MODE=1 and
nothing else to do. So many sequences of so much context are made to decode; then prompts of one output token each are sent, one
after the other. Each is computed in one step, together with the decodes, and the log says how long that step took.

A row: the decoding sequences and their context in all; new and cached tokens of the prompt; the step's milliseconds; the
median of the ten decode steps around it (empty where nothing decoded). Needs nothing beyond Python's own library."""
import argparse, csv, http.client, json, random, re, socket, statistics, sys, time, urllib.parse

LINE = re.compile(r"Iteration\((\d+)\): (\d+) context requests, (\d+) context tokens, (\d+) generation requests, (\d+) generation tokens, iteration elapsed time: ([\d.]+) ms")
BACKGROUNDS = [(0, 0), (1, 200), (4, 200), (8, 200), (16, 200), (1, 1500), (4, 1500), (8, 1500), (16, 1500)]
PROMPTS = [(32, 0), (64, 0), (128, 0), (256, 0), (512, 0), (1024, 0), (2000, 0), (64, 1920), (256, 1024), (512, 1536), (1024, 1024)]


class Server:
    def __init__(self, url, model):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port, self.model = parts.hostname, parts.port, model

    def post(self, path, body=None, connection=None):
        connection = connection or http.client.HTTPConnection(self.host, self.port, timeout=120)
        connection.request("POST", path, json.dumps(body) if body is not None else "", {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, (path, answer.status, text[:300])
        return json.loads(text) if text[:1] == b"{" else None

    def ask(self, prompt, tokens):
        body = {"model": self.model, "prompt": prompt, "max_tokens": tokens, "ignore_eos": True, "temperature": 0}
        usage = self.post("/v1/completions", body)["usage"]
        return (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0

    def decode(self, prompt, tokens):
        """Sequences that decode until the connection is shut."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=600)
        body = {"model": self.model, "prompt": prompt, "max_tokens": tokens, "ignore_eos": True, "temperature": 0}
        connection.request("POST", "/v1/completions", json.dumps(body), {"content-type": "application/json"})
        return connection


def read(path):
    """Three rules for a step with prefills and decodes, each against what was measured. Of equal rows the lower quartile counts:
    other work on the machine only ever adds time."""
    rows = [{k: float(v) if v else None for k, v in row.items()} for row in csv.DictReader(open(path))]
    cells = {}
    for row in rows:
        if row["sequences"]:
            long = row["context_tokens"] / row["sequences"] > 1000
            cells.setdefault((row["sequences"], long), {}).setdefault((row["new_tokens"], row["cached_tokens"]), []).append(row)
    quartile = lambda values: sorted(values)[(len(values) - 1) // 4]
    middle = lambda rows, of: quartile([row[of] for row in rows])
    decode = {at: quartile([row["decode_step_ms"] for rows in cell.values() for row in rows]) for at, cell in cells.items()}
    # A step of a lone prompt finds the processor's caches cold; one sequence of little context adds next to nothing to it.
    alone_at = (1.0, False)
    alone, lone = {of: middle(rows, "step_ms") for of, rows in cells[alone_at].items()}, decode[alone_at]
    rules = {"prefill + decode - lone decode": lambda p, d: p + d - lone, "prefill + decode": lambda p, d: p + d, "the longer one": max}
    print(f"{'decodes':>8} {'context':>8} {'decode step, ms':>16}   mean error, %: " + ", ".join(rules))
    for at, cell in sorted(cells.items()):
        if at == alone_at:
            continue
        errors = {name: [rule(alone[of], decode[at]) / middle(rows, "step_ms") - 1 for of, rows in cell.items()] for name, rule in rules.items()}
        context = statistics.median(row["context_tokens"] for rows in cell.values() for row in rows)
        print(f"{at[0]:8.0f} {context:8.0f} {decode[at]:16.2f}   " + "  ".join(f"{100 * statistics.mean(e):+6.1f} (|.| {100 * statistics.mean(map(abs, e)):5.1f})" for e in errors.values()))


def main():
    if sys.argv[1:2] == ["--read"]:
        return read(sys.argv[2])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("url", "model", "log", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    server, draw = Server(given.url, given.model), random.Random(given.seed)
    ids = lambda count: [draw.randrange(10, 8000) for _ in range(count)]
    log = open(given.log, errors="replace")
    log.seek(0, 2)

    def lines():
        """The steps that the log has gained: context tokens, decoding sequences, milliseconds."""
        found = [LINE.search(line) for line in log.readlines()]
        return [(int(m[3]), int(m[4]), float(m[6])) for m in found if m]

    def until(holds, what):
        steps, end = [], time.monotonic() + 60
        while time.monotonic() < end:
            steps += lines()
            if holds(steps):
                return steps
            time.sleep(0.02)
        raise SystemExit(f"not seen within 60 s: {what}; the last steps: {steps[-5:]}")

    rows = []
    for sequences, context in BACKGROUNDS:
        server.post("/reset_prefix_cache")
        background = [server.decode(ids(context), 12000) for _ in range(sequences)]
        if sequences:
            until(lambda steps: sum(s[:2] == (0, sequences) for s in steps) >= 20, f"{sequences} decodes")
        emitted = 20
        order = PROMPTS * given.repeats
        draw.shuffle(order)
        for new, cached in order:
            prefix = ids(cached)
            if cached:
                server.ask(prefix + ids(1), 1)
            time.sleep(0.05)
            emitted += sum(1 for _ in lines())
            got = server.ask(prefix + ids(new), 1)
            assert got == cached, (new, cached, got)
            wanted = 6 if sequences else 1
            steps = until(lambda steps: any(s[0] for s in steps) and len(steps) >= wanted, "the prompt's step")
            emitted += len(steps)
            at = next(i for i, s in enumerate(steps) if s[0])
            tokens, decoding, ms = steps[at]
            if (tokens, decoding) != (new, sequences):
                continue  # computed in two steps, or a decode ended: not what is asked
            around = [s[2] for s in steps[max(0, at - 5):at + 6] if s[0] == 0 and s[1] == sequences]
            decode = f"{statistics.median(around):.2f}" if around else ""
            rows.append([sequences, sequences * (context + emitted), new, cached, f"{ms:.2f}", decode])
        for connection in background:
            connection.sock.shutdown(socket.SHUT_RDWR)
            connection.close()
        time.sleep(1)
        lines()
        print(sequences, context, len(rows), flush=True)
    with open(given.out, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["sequences", "context_tokens", "new_tokens", "cached_tokens", "step_ms", "decode_step_ms"])
        writer.writerows(rows)


if __name__ == "__main__":
    main()
