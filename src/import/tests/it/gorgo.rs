//! The pair of files of GORGO's authors. The keys were computed with the formula of their preprocessing in Python.

use crate::places::NODES;
use crate::support::{Read, options, read};
use gorgo_import::{
    Event, GorgoPair, ImportError, ImportOptions, Imported, Regions, Tokens, import_gorgo,
};
use serde_json::{Value, json};

const FRANCE: &str = "What is the capital of France?";

fn import(
    prompts: &str,
    locations: &str,
    options: &ImportOptions,
) -> Result<(Imported, Vec<Read>), ImportError> {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let pair = GorgoPair { prompts: file("prompts.jsonl"), locations: file("places.json") };
    std::fs::write(&pair.prompts, prompts).unwrap();
    std::fs::write(&pair.locations, locations).unwrap();
    let out = file("trace.jsonl");
    let imported = import_gorgo(&pair, &out, options, &mut |_| {})?;
    let requests = read(&out);
    Ok((imported, requests))
}

fn lines(prompts: &[Value]) -> String {
    prompts.iter().map(|prompt| prompt.to_string() + "\n").collect()
}

fn places() -> Value {
    json!({
        "03a36b7d83855bc2": {"lat": 46.2276, "lon": 2.2137, "country": "France", "state": null},
        "073a116d6d09d0de": {"lat": 36.7783, "lon": -119.4179, "country": "United States", "state": "California"},
        "ac4df9d193b2168c": {"lat": 0.0, "lon": 0.0, "country": "Atlantis", "state": ""},
    })
}

#[test]
fn prompts_come_from_the_places_of_their_hashes() {
    let talk = json!([
        {"role": "user", "content": FRANCE},
        {"role": "assistant", "content": "Paris."},
        {"role": "user", "content": "And of Spain?"},
    ]);
    let prompts = lines(&[
        json!({"prompt": FRANCE, "hash": "03a36b7d83855bc2"}),
        json!({"prompt": "é".repeat(150), "output_tokens_count": 40}),
        json!({"prompt": talk.to_string(), "hash": null}),
        json!({"prompt": "No entry", "hash": "0123"}),
        json!({"prompt": "No entry", "hash": "03a36b7d83855bc2"}),
    ]);
    let options = ImportOptions { regions: Some(Regions::parse(NODES).unwrap()), ..options() };
    let (imported, requests) = import(&prompts, &places().to_string(), &options).unwrap();
    let origins: Vec<&str> = requests.iter().map(|read| read.origin.as_str()).collect();
    assert_eq!(
        origins,
        [
            "germany, 46.2276, 2.2137, France",
            "us-west, 36.7783, -119.4179, California, United States",
            "israel, 0, 0, Atlantis",
            "us-west, 39.8283, -98.5795",
            "germany, 46.2276, 2.2137, France",
        ]
    );
    let lengths: Vec<(u64, u64)> = requests
        .iter()
        .map(|read| (read.request.prompt.tokens().0, read.request.output_tokens.0))
        .collect();
    assert_eq!(lengths, [(8, 128), (38, 40), (8 + 2 + 4, 128), (2, 128), (2, 128)]);
    assert!(requests.iter().all(|read| read.at.0 == 0 && !read.request.has_session));
    assert_eq!(imported.count(Event::HashMissing), 1);
    assert_eq!(imported.count(Event::HashDiffers), 2);
    assert_eq!(imported.count(Event::LengthAssumed), 4);
}

#[test]
fn prompts_have_the_blocks_that_the_reader_of_prompts_gives_them() {
    let texts = ["short", &"日本語 and Latin. ".repeat(30), &"x".repeat(128), &"y".repeat(129)];
    let prompts = lines(&texts.map(|text| json!({"prompt": text})));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prompts.jsonl");
    std::fs::write(&file, &prompts).unwrap();
    let direct = read(&file);
    let (_, imported) = import(&prompts, "{}", &options()).unwrap();
    assert_eq!(direct.len(), imported.len());
    for (direct, imported) in direct.iter().zip(&imported) {
        // Ids are chained once more when a trace is read, so they match where the reader's do, and lengths are alike.
        assert_eq!(direct.request.prompt.tokens(), imported.request.prompt.tokens());
        let again = gorgo_types::BlockChain::from_raw_ids(
            direct.request.prompt.ids().iter().map(|id| id.0),
            direct.request.prompt.tokens(),
            16,
        );
        assert_eq!(again.as_ref(), Ok(&imported.request.prompt));
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let good = lines(&[json!({"prompt": FRANCE})]);
    let places = places().to_string();
    for (prompts, locations, parts) in [
        ("{\"prompt\":1}\n", "{}", ["prompts.jsonl:1: field `prompt`", "got 1", "wanted a text"]),
        ("{\"text\":\"a\"}\n", "{}", ["prompts.jsonl:1", "got nothing", "prompt"]),
        ("{\"prompt\":\"a\"}\n[]\n", "{}", ["prompts.jsonl:2", "column", "JSON object"]),
        ("{\"prompt\":\"a\",\"hash\":3}\n", "{}", ["field `hash`", "got 3", "a string"]),
        (
            "{\"prompt\":\"a\",\"output_tokens\":-1}\n",
            "{}",
            ["`output_tokens`", "got -1", "from 1"],
        ),
        (
            "{\"prompt\":\"[{\\\"role\\\":\\\"robot\\\",\\\"content\\\":\\\"a\\\"}]\"}\n",
            "{}",
            ["field `prompt`", "a message of `robot`", "wanted messages of"],
        ),
        (
            "{\"prompt\":\"[{\\\"role\\\":\\\"assistant\\\",\\\"content\\\":\\\"a\\\"}]\"}\n",
            "{}",
            ["field `prompt`", "a last message that is not the user's", "`user`"],
        ),
        ("\n{\"prompt\":\"a\"}\n", "{}", ["prompts.jsonl:1", "blank line", "wanted"]),
        (&good, "[", ["places.json", "line 1, column", "hash to {lat, lon"]),
        (&good, "{\"k\":{\"lat\":1}}", ["places.json", "missing field `lon`", "wanted"]),
        (&good, "{\"k\":{\"lat\":91,\"lon\":0}}", ["`k`, field `lat`", "got 91", "-90 to 90"]),
        (&good, "{\"k\":{\"lat\":1,\"lon\":-181}}", ["field `lon`", "got -181", "180"]),
        ("{\"prompt\":\"\"}\n", &places, ["no request", "prompts.jsonl", "prompt is empty"]),
        ("", &places, ["no request", "prompts.jsonl", "nothing in it"]),
    ] {
        let error = import(prompts, locations, &options()).map(|_| ()).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "no `{part}` in: {error}");
        }
    }
}

#[test]
fn the_trace_says_how_tokens_were_counted() {
    assert_eq!(Tokens::default().name(), "4-characters");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let pair = GorgoPair { prompts: file("p.jsonl"), locations: file("l.json") };
    std::fs::write(&pair.prompts, lines(&[json!({"prompt": FRANCE})])).unwrap();
    std::fs::write(&pair.locations, "{}").unwrap();
    import_gorgo(&pair, &file("t.jsonl"), &options(), &mut |_| {}).unwrap();
    let text = std::fs::read_to_string(file("t.jsonl")).unwrap();
    let first = text.lines().next().unwrap();
    assert_eq!(first, r#"{"gorgo_trace":1,"block_size":16,"tokens":"4-characters"}"#);
}
