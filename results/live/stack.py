"""What the scripts beside it share: processes that end, and a scenario sent by `gorgo live` through `gorgo proxy` and the links
of `gorgo emulate` to replicas, emulated or real. Not to be run."""
import csv, json, os, secrets, shutil, signal, socket, subprocess, sys, time

# What both pages compare: the column, and the path in a summary.
NUMBERS = [("TTFT P50", "ttft_ms.p50"), ("P90", "ttft_ms.p90"), ("P99", "ttft_ms.p99"), ("E2E P50", "e2e_ms.p50"), ("P99", "e2e_ms.p99"),
           ("hit rate", "cache.real_token_hit_rate")]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(what, holds, seconds, process):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit(f"{what} ended with {process.returncode}")
        try:
            if holds():
                return
        except OSError:
            pass
        time.sleep(0.2)
    sys.exit(f"{what}: not ready within {seconds} s")


class Running:
    """Processes that are ended at the end, the last one first."""

    def __enter__(self):
        self.all = []
        return self

    def start(self, command, log, **more):
        with open(log, "w") as file:
            process = subprocess.Popen([str(c) for c in command], stderr=file, start_new_session=True, **{"stdout": file, **more})
        self.all.append(process)
        return process

    def __exit__(self, *_):
        for process in reversed(self.all):
            process.send_signal(signal.SIGTERM)
        for process in reversed(self.all):
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def gorgo(binary, *arguments, **more):
    """What it printed; an end with another status than 0 or 3 ends this."""
    command = [str(a) for a in (binary, *arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1200, **more)
    if done.returncode not in (0, 3):
        sys.exit(f"{' '.join(command)}\nexit {done.returncode}\n{done.stdout[-3000:]}")
    return done.stdout


def send(binary, path, folder, out, links="scenario", engines=(), proxy="", live=()):
    """A scenario's requests, through all policies and rounds. engines: replicas that are not emulated, NAME=URL; proxy: more of its
    configuration; live: more options."""
    token, (listen, admin) = secrets.token_hex(16), (free_port(), free_port())
    with Running() as running:
        emulate = [binary, "emulate", path, *(f"--engine={engine}" for engine in engines), "--links", links, "--print-inventory=json"]
        relays = running.start(emulate, folder / "links.log", stdout=subprocess.PIPE, text=True)
        fleet = json.loads(relays.stdout.readline())
        config = f'listen = "127.0.0.1:{listen}"\nregion = "{fleet["region"]}"\npolicy = "round-robin"\n{proxy}[text]\nblock_tokens = {fleet["block_tokens"]}\n'
        config += f'[log]\ndecision_headers = true\n[admin]\nlisten = "127.0.0.1:{admin}"\ntoken_env = "ADMIN_TOKEN"\n'
        for replica in fleet["replicas"]:
            config += "[[replica]]\n" + "".join(f'{key} = "{replica[key]}"\n' for key in ("name", "region", "url"))
        (folder / "proxy.toml").write_text(config)
        env = {**os.environ, "ADMIN_TOKEN": token}
        process = running.start([binary, "proxy", "--config", folder / "proxy.toml"], folder / "proxy.log", env=env)
        until("the proxy", lambda: socket.create_connection(("127.0.0.1", listen), 1).close() is None, 20, process)
        time.sleep(2)  # the first probes
        shutil.rmtree(out, ignore_errors=True)
        return gorgo(binary, "live", path, "--url", f"http://127.0.0.1:{listen}", "--admin", f"http://127.0.0.1:{admin}", "--admin-token-env", "ADMIN_TOKEN",
                     "--flush", "--client-legs", "emulated", "--quiet", "--out", out, *live, env=env)


def number(summary, path):
    for key in path.split("."):
        summary = summary[key]
    return summary


class Table:
    """Numbers of two sides as a table in Markdown, several lines a group, and as CSV, a line a number."""

    def __init__(self, groups, columns):
        """groups: heads of the columns that name a group; columns: heads of the CSV."""
        self.columns, self.rows = columns, []
        self.lines = ["| " + " | ".join([*groups, "", *(name for name, _ in NUMBERS)]) + " |", "|" + "---|" * (len(groups) + 1 + len(NUMBERS))]

    @staticmethod
    def show(path, value):
        return f"{value:.3f}" if path.startswith("cache") else f"{value:.1f}"

    @classmethod
    def span(cls, path, values):
        return f"{cls.show(path, min(values))} to {cls.show(path, max(values))}"

    @staticmethod
    def apart(path, value, of):
        return f"{value - of:+.3f}" if path.startswith("cache") else f"{100 * (value / of - 1):+.1f} %"

    def add(self, group, cells):
        """cells: for each kind of line what stands under each number."""
        for at, (kind, values) in enumerate(cells.items()):
            names = group if at == 0 else [""] * len(group)
            self.lines.append("| " + " | ".join([*names, kind, *values]) + " |")

    def write(self, csv_path, remark):
        with open(csv_path, "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(self.columns.split(","))
            writer.writerows(self.rows)
        text = "\n".join(self.lines) + f"\n\n{remark}\n"
        csv_path.with_name("table.md").write_text(text)
        print(text)
