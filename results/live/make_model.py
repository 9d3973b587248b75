#!/usr/bin/env python3
"""make_model.py OUT [--hidden 256 --layers 4 --intermediate 768 --heads 4 --kv-heads 2]

A Llama-shaped model without weights, for engines that take random ones (vLLM: --load-format dummy), and a tokenizer whose every
token is four ASCII characters: each output token then shows as text at once (of byte pairs a random model makes broken UTF-8,
which engines hold back, sometimes until the end), and whoever counts four characters a token counts what it counts. It reads any
character as one of nine letters, so that it knows every word of four; what is left over at the end of a text is a token too, which
is written as four characters. So the text of any n tokens is n tokens again, wherever they were cut out of other texts, as AIPerf
does it. Needs nothing beyond Python's own library."""
import argparse, itertools, json
from pathlib import Path

VOCABULARY = 8192
# Four characters too.
SPECIAL = ["<bs>", "</s>"]
# What is read of the one to three characters at the end of a text.
UNKNOWN = "<uk>"
# What a character is read as; all others are a space.
LETTERS = {"a": "abc", "e": "def", "i": "ghi", "n": "jklmn", "o": "op", "r": "qr", "s": "s", "t": "tuvwxyz"}
TEMPLATE = "{% for m in messages %}{{ m['content'] }}{% endfor %}"


def words():
    """All of four letters; the rest of the vocabulary is never read, but an engine may write it."""
    known = ["".join(word) for word in itertools.product([*LETTERS, " "], repeat=4)]
    return known + [f"{number:04}" for number in range(VOCABULARY - len(SPECIAL) - 1 - len(known))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for name, value in (("hidden", 256), ("layers", 4), ("intermediate", 768), ("heads", 4), ("kv-heads", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, UNKNOWN, *words()])}
    assert len(vocabulary) == VOCABULARY and all(len(word) == 4 for word in vocabulary)
    special = [{"id": number, "content": word, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
               for number, word in enumerate(SPECIAL)]
    replace = lambda pattern, content: {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}
    normalizers = [{"type": "Lowercase"}, replace("[^a-z]", " "), *(replace(f"[{others}]", letter) for letter, others in LETTERS.items())]
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[\\s\\S]{1,4}"}, "behavior": "Isolated", "invert": False},
        "post_processor": None, "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": UNKNOWN},
    }
    # Not named here: what is called special is left out of text.
    names = {"bos_token": "<bs>", "eos_token": "</s>"}
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": given.hidden, "intermediate_size": given.intermediate,
        "num_hidden_layers": given.layers, "num_attention_heads": given.heads, "num_key_value_heads": given.kv_heads,
        "head_dim": given.hidden // given.heads, "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0, "vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 1, "tie_word_embeddings": True,
        "torch_dtype": "bfloat16", "attention_bias": False, "mlp_bias": False, "initializer_range": 0.02,
    }
    given.out.mkdir(parents=True, exist_ok=True)
    files = {
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", **names, "model_max_length": 32768,
                                  "clean_up_tokenization_spaces": False, "chat_template": TEMPLATE},
        "special_tokens_map.json": names, "config.json": config, "generation_config.json": {"bos_token_id": 0, "eos_token_id": 1},
    }
    for name, content in files.items():
        (given.out / name).write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
