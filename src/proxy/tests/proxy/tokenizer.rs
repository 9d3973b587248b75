//! With a model's own tokenizer prompts are counted and cut into its tokens, not into four characters each.

use crate::support::*;
use serde_json::{Value, json};

/// A tokenizer of whole words, most of them longer than four characters.
const WORDS: [&str; 8] =
    ["constitution", "of", "extraordinary", "elephants", "a", "remembers", "everything", "twice"];

fn tokenizer() -> String {
    let mut vocabulary = serde_json::Map::from_iter([("[UNK]".to_owned(), Value::from(0))]);
    vocabulary.extend((1..).zip(WORDS).map(|(id, word)| (word.to_owned(), Value::from(id))));
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": { "type": "WhitespaceSplit" },
        "post_processor": null,
        "decoder": null,
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]" },
    })
    .to_string()
}

fn text(words: impl IntoIterator<Item = usize>) -> String {
    words.into_iter().map(|at| WORDS[at % WORDS.len()]).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn prompts_are_counted_in_the_models_own_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokenizer.json");
    std::fs::write(&file, tokenizer()).unwrap();
    let mock = Mock::fixed(whole("200 OK", "application/json", "{}")).await;
    let more = format!(
        "policy = \"cache-aware\"\n[text]\ntokenizer = \"{}\"\nblock_tokens = 4\ntemplate_tokens = 3\n[log]\ndecision_headers = true\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"0123456789abcdef\"",
        file.display()
    );
    let proxy = proxy(&more, &[&mock]).await;
    let mut client = Client::to(&proxy).await;
    let mut cached = async |path: &str, body: Value| -> u64 {
        client.send(&post(path, "", &body.to_string())).await;
        let (head, _) = client.answer().await;
        header(&head, "x-gorgo-predicted-cached-tokens").unwrap().parse().unwrap()
    };
    let prompt = |words: Vec<usize>| json!({ "prompt": text(words), "max_tokens": 4 });
    assert_eq!(cached("/v1/completions", prompt((0..20).collect())).await, 0);
    // Ten words in common: two whole blocks of four.
    let other = (0..10).chain([3, 3, 3, 3, 3]).collect();
    assert_eq!(cached("/v1/completions", prompt(other)).await, 8);
    // The same as token ids: a word's number is its id.
    let ids: Vec<usize> = (0..20).map(|at| at % WORDS.len() + 1).collect();
    let as_ids = json!({ "prompt": ids, "max_tokens": 4 });
    assert_eq!(cached("/v1/completions", as_ids).await, 20);
    // Two messages of five and two words, with three tokens of the template before each, and before the answer.
    let messages = json!([
        { "role": "system", "content": text(0..5) },
        { "role": "user", "content": [{ "type": "text", "text": text(5..7) }] },
    ]);
    let chat = json!({ "messages": messages, "max_tokens": 4 });
    assert_eq!(cached("/v1/chat/completions", chat.clone()).await, 0);
    assert_eq!(cached("/v1/chat/completions", chat).await, 16);
    let mut admin = Client::at(proxy.admin_address().unwrap()).await;
    admin
        .send(
            "GET /decisions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer 0123456789abcdef\r\n\r\n",
        )
        .await;
    let rows: Value = serde_json::from_str(&admin.answer().await.1).unwrap();
    let tokens: Vec<u64> =
        rows.as_array().unwrap().iter().map(|row| row["prompt_tokens"].as_u64().unwrap()).collect();
    assert_eq!(tokens, [16, 16, 20, 15, 20], "the newest first");
    proxy.shutdown().await;
}

#[test]
fn a_file_that_is_no_tokenizer_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (name, text) in
        [("missing.json", None), ("broken.json", Some("{")), ("other.json", Some("{}"))]
    {
        let file = folder.path().join(name);
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let text =
            format!("listen = \"127.0.0.1:0\"\n[text]\ntokenizer = \"{}\"\n", file.display());
        let config = gorgo_proxy::Config::parse("proxy.toml", &text).unwrap();
        let error = runtime.block_on(gorgo_proxy::start(config)).err().expect("it is refused");
        assert!(error.to_string().contains(name), "{error}");
    }
}
