//! Exact tokens with a `tokenizer.json`: a tiny one that the test writes, of words and their pieces.

use crate::support::{options, read};
use gorgo_import::{GorgoPair, ImportOptions, Tokens, import_gorgo};
use serde_json::json;
use std::path::Path;

/// Words split at white space; a training length of 4 and padding, as some published files have them.
fn write_tokenizer(path: &Path) {
    let tokenizer = json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
        "padding": {
            "strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
            "pad_type_id": 0, "pad_token": "[UNK]",
        },
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": null,
        "decoder": null,
        "model": {
            "type": "WordLevel",
            "vocab": {"[UNK]": 0, "the": 1, "sea": 2, "is": 3, "deep": 4},
            "unk_token": "[UNK]",
        },
    });
    std::fs::write(path, tokenizer.to_string()).unwrap();
}

#[test]
fn tokens_are_the_tokenizers_and_the_trace_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    write_tokenizer(&file("tokenizer.json"));
    let options =
        ImportOptions { tokens: Tokens::from_file(&file("tokenizer.json")).unwrap(), ..options() };
    let pair = GorgoPair { prompts: file("p.jsonl"), locations: file("l.json") };
    let talk = json!([
        {"role": "user", "content": "the sea is deep"},
        {"role": "assistant", "content": "is the sea deep"},
        {"role": "user", "content": "the the the the the the the the the sea"},
    ]);
    let prompts = [json!({"prompt": "the sea is deep"}), json!({"prompt": talk.to_string()})];
    let text: String = prompts.iter().map(|prompt| prompt.to_string() + "\n").collect();
    std::fs::write(&pair.prompts, text).unwrap();
    std::fs::write(&pair.locations, "{}").unwrap();
    import_gorgo(&pair, &file("t.jsonl"), &options, &mut |_| {}).unwrap();
    let first = std::fs::read_to_string(file("t.jsonl")).unwrap();
    let first = first.lines().next().unwrap();
    assert!(first.contains(r#""tokens":"tokenizer.json (xxh3 "#), "{first}");
    let requests = read(&file("t.jsonl"));
    let lengths: Vec<u64> = requests.iter().map(|r| r.request.prompt.tokens().0).collect();
    assert_eq!(lengths, [4, 18], "no padding, nothing cut");
    // The blocks are those that a proxy makes of the same token ids.
    let ids: Vec<u32> = [1, 2, 3, 4, 3, 1, 2, 4].into_iter().chain([1; 9]).chain([2]).collect();
    let proxy = gorgo_types::BlockChain::from_tokens(&ids, 16).unwrap();
    let again = gorgo_types::BlockChain::from_raw_ids(
        proxy.ids().iter().map(|id| id.0),
        proxy.tokens(),
        16,
    );
    assert_eq!(Ok(&requests[1].request.prompt), again.as_ref());
}

#[test]
fn what_is_no_tokenizer_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    for text in ["", "{}", "[1]", "{\"version\":\"1.0\",\"model\":{\"type\":\"Oracle\"}}"] {
        std::fs::write(&path, text).unwrap();
        let error = Tokens::from_file(&path).err().expect("an error").to_string();
        assert!(error.contains("tokenizer.json: cannot be read as"), "{error}");
    }
    let missing = Tokens::from_file(&folder.path().join("none.json")).err().expect("an error");
    assert!(missing.to_string().contains("none.json: cannot be read"), "{missing}");
}
