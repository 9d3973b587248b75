//! Shards of both releases, as they should be.

use crate::places::NODES;
use crate::shard::{SCHEMA_1M, SCHEMA_4_8M, Shard};
use crate::support::{Read, options, read};
use gorgo_import::{
    Event, ImportError, ImportOptions, Imported, Progress, Regions, import_wildchat,
};
use gorgo_types::Nanos;
use gorgo_workload::AssumedService;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// 2023-04-09T00:00:00Z in microseconds.
pub const DAY_US: i64 = 1_680_998_400_000_000;
const SECOND_US: i64 = 1_000_000;

pub fn write_shard(path: &Path, schema: &str, groups: &[Vec<Value>]) {
    let mut shard = Shard::create(path, schema);
    for rows in groups {
        shard.group(rows);
    }
    shard.finish();
}

/// A conversation of texts, user first, whose answers end at these seconds of the day; its messages are numbered from
/// `number`.
pub fn conversation(number: i64, texts: &[&str], ends_s: &[i64]) -> Value {
    let messages: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let identifier = number + index as i64;
            if index % 2 == 0 {
                json!({
                    "role": "user", "content": text, "turn_identifier": identifier,
                    "country": "United States", "state": "Texas", "hashed_ip": "ab12",
                    "header": {"accept-language": "en", "user-agent": "test"},
                    "language": "English", "redacted": false, "toxic": false,
                })
            } else {
                let ended = ends_s.get(index / 2).map(|s| DAY_US + s * SECOND_US);
                json!({
                    "role": "assistant", "content": text, "turn_identifier": identifier,
                    "timestamp": ended, "language": "English", "redacted": false, "toxic": false,
                })
            }
        })
        .collect();
    json!({
        "conversation_hash": format!("hash-{number}"), "model": "gpt-4",
        "timestamp": ends_s.last().map(|s| DAY_US + s * SECOND_US),
        "conversation": messages, "turn": texts.len() / 2, "language": "English",
        "openai_moderation": [{"categories": {"harassment": false}, "flagged": false}],
        "toxic": false, "redacted": false, "country": "Canada", "state": "Ontario",
        "hashed_ip": "cd34",
    })
}

/// Imports shards; gives what was met and the trace's requests.
pub fn import(
    shards: &[PathBuf],
    options: &ImportOptions,
) -> Result<(Imported, Vec<Read>), ImportError> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("trace.jsonl");
    let imported = import_wildchat(shards, &out, options, &mut |_| {})?;
    let requests = read(&out);
    assert_eq!(imported.requests, requests.len() as u64);
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "nothing but the trace is left");
    Ok((imported, requests))
}

/// Imports rows of one release.
pub fn import_rows(
    schema: &str,
    groups: &[Vec<Value>],
    options: &ImportOptions,
) -> Result<(Imported, Vec<Read>), ImportError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train-00000-of-00014.parquet");
    write_shard(&path, schema, groups);
    import(&[path], options)
}

#[test]
fn turns_become_requests_in_the_order_of_their_times() {
    let long = "Tell me about the sea. ".repeat(10);
    let groups = [
        vec![
            conversation(100, &[&long, "It is wet.", "And the sky?", "Blue, mostly."], &[50, 90]),
            conversation(200, &["hi", "Hello! How can I help you?"], &[70]),
        ],
        vec![conversation(300, &["Чему равно 2+2?", "Четыре"], &[10])],
    ];
    for schema in [SCHEMA_1M, SCHEMA_4_8M] {
        let (imported, requests) = import_rows(schema, &groups, &options()).unwrap();
        assert_eq!(imported.notes(), Vec::<String>::new());
        assert_eq!((imported.conversations, imported.requests), (3, 4));
        let text: usize = ["It is wet.", "And the sky?", "Blue, mostly.", "hi"]
            .iter()
            .chain(&["Hello! How can I help you?", "Чему равно 2+2?", "Четыре", long.as_str()])
            .map(|text| text.len())
            .sum();
        assert_eq!(imported.text_bytes, text as u64);
        let seconds: Vec<f64> = requests.iter().map(|read| read.at.as_s()).collect();
        assert_eq!(seconds, [0.0, 40.0, 60.0, 80.0]);
        let lengths: Vec<(u64, u64)> = requests
            .iter()
            .map(|read| (read.request.prompt.tokens().0, read.request.output_tokens.0))
            .collect();
        // Four characters are a token: 15 are 4, 230 are 58 and 10 more 3, 12 are 3.
        assert_eq!(lengths, [(4, 2), (58, 3), (1, 7), (58 + 3 + 3, 4)]);
        let (first, third) = (&requests[1].request, &requests[3].request);
        assert_eq!((first.id.session, first.id.turn), (third.id.session, 0));
        assert_eq!(third.id.turn, 1);
        // The second turn's prompt has the first one's prompt and answer, whose blocks the trace gives.
        let answered = first.sequence.as_ref().expect("the answer's blocks");
        assert_eq!(answered.tokens().0, 61);
        assert_eq!(third.prompt.common_blocks(answered), 3, "61 tokens are 3 whole blocks");
        // Who and where is the turn's, not the conversation's.
        assert!(requests.iter().all(|read| read.origin == "Texas, United States"));
        assert!(first.user.is_some() && first.user == requests[0].request.user);
    }
}

#[test]
fn a_conversation_tells_who_and_where_if_its_turns_do_not() {
    let mut row = conversation(1, &["a", "b"], &[5]);
    let question = row["conversation"][0].as_object_mut().unwrap();
    for name in ["country", "state", "hashed_ip"] {
        question.insert(name.to_owned(), Value::Null);
    }
    let (_, requests) = import_rows(SCHEMA_1M, &[vec![row]], &options()).unwrap();
    assert_eq!(requests[0].origin, "Ontario, Canada");
    assert_eq!(requests[0].request.user, Some(xxhash_rust::xxh3::xxh3_64(b"cd34")));
}

#[test]
fn the_same_text_is_the_same_blocks_across_shards_and_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let system = "You are a pirate. Answer every question as a pirate would, at length. ".repeat(4);
    let shards: Vec<PathBuf> = (0..2).map(|i| folder.path().join(format!("{i}.parquet"))).collect();
    for (index, shard) in (0..).zip(&shards) {
        let question = format!("{system} Question {index}");
        let row = conversation(1000 * index, &[&question, "Arr"], &[index]);
        write_shard(shard, SCHEMA_1M, &[vec![row]]);
    }
    let (_, requests) = import(&shards, &options()).unwrap();
    let [first, second] = requests.as_slice() else { panic!("two requests") };
    assert_ne!(first.request.id.session, second.request.id.session);
    let shared = first.request.prompt.common_blocks(&second.request.prompt);
    assert_eq!(shared, system.len() / 64, "four characters a token, 16 tokens a block");
}

#[test]
fn small_memory_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<Value> = (0..300)
        .map(|i| conversation(i * 10, &["some words to ask", "some to answer"], &[i * 7919 % 500]))
        .collect();
    let shard = folder.path().join("shard.parquet");
    let groups: Vec<Vec<Value>> = rows.chunks(97).map(<[Value]>::to_vec).collect();
    write_shard(&shard, SCHEMA_1M, &groups);
    let trace = |memory_bytes| {
        let out = folder.path().join(format!("{memory_bytes}.jsonl.zst"));
        let options = ImportOptions { memory_bytes, ..options() };
        import_wildchat(std::slice::from_ref(&shard), &out, &options, &mut |_| {}).unwrap();
        std::fs::read(out).unwrap()
    };
    assert!(trace(0) == trace(2_000), "sorting in files gives other bytes");
}

#[test]
fn times_are_kept_and_what_is_assumed_is_counted() {
    let texts = ["a", "b", "c", "d"];
    let times = |rows: Vec<Value>, schema, options: &ImportOptions| {
        let (imported, requests) = import_rows(schema, &[rows], options).unwrap();
        (imported, requests.iter().map(|read| read.at.as_s()).collect::<Vec<_>>())
    };
    // Only the conversation has a time: its last turn's.
    let mut row = conversation(1, &texts, &[]);
    row["timestamp"] = json!(DAY_US + 1_000 * SECOND_US);
    let (imported, at) = times(vec![row.clone()], SCHEMA_1M, &options());
    assert_eq!((imported.count(Event::TimeAssumed), at), (1, vec![0.0, 60.0]));
    let gap = ImportOptions { turn_gap: Nanos::from_secs(7), ..options() };
    assert_eq!(times(vec![row], SCHEMA_1M, &gap).1, [0.0, 7.0]);
    // A second turn recorded before the first.
    let (imported, at) = times(vec![conversation(1, &texts, &[20, 10])], SCHEMA_1M, &options());
    assert_eq!((imported.count(Event::TimeBack), at), (1, vec![0.0, 0.0]));
    // 4.8M has the second in which an answer began.
    let mut row = conversation(1, &texts, &[20, 90]);
    row["conversation"][3]["created"] = json!(DAY_US / SECOND_US + 75);
    assert_eq!(times(vec![row.clone()], SCHEMA_4_8M, &options()).1, [0.0, 55.0]);
    row["conversation"][3]["created"] = json!(0);
    let (imported, at) = times(vec![row], SCHEMA_4_8M, &options());
    assert_eq!((imported.count(Event::CreatedElsewhere), at), (1, vec![0.0, 70.0]));
    // An assumed speed of answers: 4 tokens at 2 s each before the end; not before the end of the turn before.
    let service = AssumedService { base_ms: 0.0, per_token_ms: 2_000.0 };
    let slow = ImportOptions { service, ..options() };
    let answers = ["a", "sixteen letters.", "c", "sixteen letters."];
    let (imported, at) = times(vec![conversation(1, &answers, &[20, 25])], SCHEMA_1M, &slow);
    assert_eq!((imported.count(Event::MovedBehind), at), (1, vec![0.0, 8.0]));
}

#[test]
fn regions_are_the_nearest_ones() {
    let regions = Some(Regions::parse(NODES).unwrap());
    let place = |country: &str, state: Value| {
        let mut row = conversation(i64::from(country.len() as u8), &["a", "b"], &[1]);
        row["conversation"][0]["country"] = json!(country);
        row["conversation"][0]["state"] = state;
        row
    };
    let rows = vec![
        place("France", Value::Null),
        place("Thailand", Value::Null),
        place("Nowhere", Value::Null),
        // The state is looked up first: the American one, whatever the country.
        place("Old Georgia", json!("Georgia")),
    ];
    let options = ImportOptions { regions, ..options() };
    let (imported, requests) = import_rows(SCHEMA_1M, &[rows], &options).unwrap();
    let mut origins: Vec<&str> = requests.iter().map(|read| read.origin.as_str()).collect();
    origins.sort_unstable();
    assert_eq!(
        origins,
        [
            "germany, France",
            "israel, Thailand",
            "us-west, Georgia, Old Georgia",
            "us-west, Nowhere"
        ]
    );
    assert_eq!(imported.count(Event::PlaceUnknown), 1);
}

#[test]
fn template_tokens_are_counted_before_each_message() {
    let row = || vec![conversation(1, &["abcd", "efgh", "ijkl", "mnop"], &[1, 2])];
    let options = ImportOptions { template_tokens: 5, ..options() };
    let (_, requests) = import_rows(SCHEMA_1M, &[row()], &options).unwrap();
    let lengths: Vec<u64> = requests.iter().map(|r| r.request.prompt.tokens().0).collect();
    assert_eq!(lengths, [1 + 5 + 5, 3 + 4 * 5]);
    let too_many = ImportOptions { template_tokens: 1_001, ..crate::support::options() };
    let error = import_rows(SCHEMA_1M, &[row()], &too_many).unwrap_err().to_string();
    assert!(error.contains("--template-tokens") && error.contains("1001"), "{error}");
}

#[test]
fn limits_and_progress_count_conversations() {
    let rows: Vec<Value> = (0..200).map(|i| conversation(i * 10, &["a", "b"], &[i])).collect();
    let folder = tempfile::tempdir().unwrap();
    let shard = folder.path().join("shard.parquet");
    write_shard(&shard, SCHEMA_1M, &[rows]);
    let options = ImportOptions { limit: Some(70), ..options() };
    let mut told = Vec::new();
    let out = folder.path().join("trace.jsonl.gz");
    let imported = import_wildchat(&[shard], &out, &options, &mut |at| told.push(at)).unwrap();
    assert_eq!((imported.conversations, imported.requests), (70, 70));
    let first = Progress::Reading { done: 64, of: Some(70), text_bytes: 128 };
    assert_eq!(told.first(), Some(&first));
}
