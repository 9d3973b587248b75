#!/usr/bin/env python3
"""Asks a running vLLM one request after the other and writes what its prefix cache had of each.

    python3 data/engines/record_vllm.py --url http://127.0.0.1:8101 --model tiny --seed 1 --out data/engines/vllm_cache_seed_1.csv

The server needs --enable-prompt-tokens-details, and an empty cache: start it anew for each seed. The mix is 24 prefix groups
of unlike popularity, conversations that go on, and 8 output tokens each; it holds several times what the cache does.
Blocks are numbered in the order in which they first appear, each with everything before it; `a-b` is a run of numbers.
Needs nothing beyond Python's own library.
"""

import argparse
import csv
import json
import random
import urllib.request

VOCABULARY = range(10, 8000)
GROUPS = 24
OUTPUT_TOKENS = 8
LONGEST_PROMPT = 6000


def ask(url: str, model: str, prompt: list[int]) -> tuple[list[int], int]:
    """The output's token ids, and how many prompt tokens the cache had."""
    body = {
        "model": model,
        "prompt": prompt,
        "max_tokens": OUTPUT_TOKENS,
        "ignore_eos": True,
        "temperature": 0,
        "return_token_ids": True,
    }
    request = urllib.request.Request(
        url + "/v1/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        answer = json.load(answer)
    usage = answer["usage"]
    assert usage["prompt_tokens"] == len(prompt) and usage["completion_tokens"] == OUTPUT_TOKENS, usage
    details = usage.get("prompt_tokens_details")
    assert details is not None, "the server does not tell cached tokens"
    output = answer["choices"][0]["token_ids"]
    assert len(output) == OUTPUT_TOKENS, output
    return output, details["cached_tokens"] or 0


class Blocks:
    """Numbers of blocks, each standing for itself and everything before it."""

    def __init__(self, size: int):
        self.size = size
        self.numbers: dict[tuple, int] = {}

    def of(self, tokens: list[int]) -> str:
        before, numbers = -1, []
        for start in range(0, len(tokens), self.size):
            content = (before, *tokens[start : start + self.size])
            before = self.numbers.setdefault(content, len(self.numbers))
            numbers.append(before)
        runs: list[list[int]] = []
        for number in numbers:
            if runs and runs[-1][1] + 1 == number:
                runs[-1][1] = number
            else:
                runs.append([number, number])
        return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def prompts(draw: random.Random):
    """Prompts; told each one's output, because conversations go on."""
    groups = [draw.choices(VOCABULARY, k=draw.randint(200, 1800)) for _ in range(GROUPS)]
    weights = [1 / (rank + 1) for rank in range(GROUPS)]
    talks: list[list[int]] = []
    while True:
        if talks and draw.random() < 0.5:
            prompt = talks.pop(draw.randrange(len(talks))) + draw.choices(VOCABULARY, k=draw.randint(20, 200))
        else:
            prompt = draw.choices(groups, weights)[0] + draw.choices(VOCABULARY, k=draw.randint(50, 400))
        output = yield prompt
        if len(prompt) < LONGEST_PROMPT:
            talks = [*talks[-19:], prompt + output]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--block-tokens", type=int, default=32)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    blocks = Blocks(args.block_tokens)
    source = prompts(random.Random(args.seed))
    prompt = next(source)
    all_tokens = all_cached = 0
    with open(args.out, "w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["prompt_tokens", "output_tokens", "prompt_blocks", "sequence_blocks", "cached_tokens"])
        for _ in range(args.requests):
            output, cached = ask(args.url, args.model, prompt)
            row = [len(prompt), len(output), blocks.of(prompt), blocks.of(prompt + output), cached]
            rows.writerow(row)
            all_tokens += len(prompt)
            all_cached += cached
            prompt = source.send(output)
    print(f"{args.requests} requests, {all_tokens} prompt tokens, {all_cached / all_tokens:.4f} of them cached")


if __name__ == "__main__":
    main()
