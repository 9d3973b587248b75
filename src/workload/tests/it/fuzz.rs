//! Whatever the bytes, the readers give requests or an error, never a panic; and what they accept as JSON is JSON.

use crate::common::{Folder, drain, read};
use gorgo_workload::{ArrivalsCsv, ArrivalsOptions, TraceOptions, TurnTiming};
use proptest::prelude::*;
use std::io::Write;

const LINES: [&str; 4] = [
    r#"{"gorgo_trace":1,"block_size":16}"#,
    r#"{"timestamp":5.25,"input_length":20,"output_length":3,"hash_ids":[1,2],"session_id":"a"}"#,
    r#"{"timestamp":6e1,"input_length":32,"output_length":3,"hash_ids":[1,9],"output_hash_ids":[1,9,4],"turn":3,"session_id":4,"user_id":null}"#,
    r#"{"timestamp":60,"input_length":1,"output_length":1,"hash_ids":[7],"lat":-1.5,"lon":2E1,"prompt":"\u00e9\"","messages":[{}]}"#,
];

const ROWS: &str = "request_id,arrival_ms,input_tokens,output_tokens\na,0,5,6\nb,1.5,70,1\n";

const AZURE: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.97,48,10\n";
const BURST_GPT: &str = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
    5,ChatGPT,472,18,490,Conversation log\n45,ChatGPT,0,0,0,API log\n";
const HEADLESS: &str = "{\"timestamp\":0,\"input_length\":300,\"output_length\":3,\"hash_ids\":[1,2]}\n\
    {\"timestamp\":9,\"input_length\":9,\"output_length\":3,\"hash_ids\":[1]}\n";
const PROMPTS: &str = "{\"prompt\":\"a \u{e9} b\",\"output_tokens\":3}\n{\"prompt\":\"c\"}\n";

fn never_panics(bytes: &[u8]) {
    let folder = Folder::new();
    let path = folder.file("x", bytes);
    for turns in [TurnTiming::Recorded, TurnTiming::AfterPrevious] {
        let options = TraceOptions { turns, limit: Some(50), ..TraceOptions::default() };
        let _ = read(&path, options);
    }
    let _ = gorgo_workload::open(&path, TraceOptions::default()).and_then(|mut s| drain(&mut *s));
    let _ = ArrivalsCsv::open(&path, ArrivalsOptions::default()).and_then(|mut s| drain(&mut s));
}

/// Replaces, inserts, removes or doubles bytes of a text.
fn mutate(text: &str, edits: &[(usize, u8, u8)]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for &(at, kind, byte) in edits {
        let at = at % bytes.len().max(1);
        match kind % 4 {
            0 if at < bytes.len() => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            _ => bytes.truncate(bytes.len().max(20) - usize::from(byte) % 20),
        }
    }
    bytes
}

fn edits() -> impl Strategy<Value = Vec<(usize, u8, u8)>> {
    let any_byte = prop_oneof![
        any::<u8>(),
        prop::sample::select(b"{}[]\",:0123456789.-+eE\\ntrufals\n".to_vec())
    ];
    prop::collection::vec((0..2_000usize, any::<u8>(), any_byte), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        never_panics(&bytes);
        for magic in [&b"\x1f\x8b\x08"[..], b"\x28\xb5\x2f\xfd", b"{\"gorgo_trace\":1,"] {
            never_panics(&[magic, &bytes].concat());
        }
    }

    #[test]
    fn mutated_traces_never_panic_and_accepted_lines_are_json(edits in edits(), which in 1..4usize) {
        let line = mutate(LINES[which], &edits);
        never_panics(&[LINES[0].as_bytes(), b"\n", &line, b"\n"].concat());
        never_panics(&mutate(&LINES.join("\n"), &edits));
        let folder = Folder::new();
        let one = folder.file("one", &[LINES[0].as_bytes(), b"\n", &line].concat());
        if !line.contains(&b'\n') && read(&one, TraceOptions::default()).is_ok() {
            let text = String::from_utf8_lossy(&line);
            let value: serde_json::Value = serde_json::from_slice(&line)
                .map_err(|error| TestCaseError::fail(format!("accepted {text}: {error}")))?;
            prop_assert!(value.is_object());
        }
    }

    #[test]
    fn mutated_arrivals_never_panic(edits in edits()) {
        for rows in [ROWS, AZURE, BURST_GPT, PROMPTS, HEADLESS] {
            never_panics(&mutate(rows, &edits));
        }
    }

    #[test]
    fn mutated_compressed_traces_never_panic(edits in edits()) {
        use ruzstd::encoding::{CompressionLevel, compress_to_vec};
        let text = LINES.join("\n");
        let mut zstd = compress_to_vec(text.as_bytes(), CompressionLevel::Fastest);
        for &(at, _, byte) in &edits {
            let at = 4 + at % (zstd.len() - 4);
            zstd[at] = byte;
        }
        never_panics(&zstd);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).expect("memory");
        let mut gzip = encoder.finish().expect("memory");
        for &(at, _, byte) in &edits {
            let at = 3 + at % (gzip.len() - 3);
            gzip[at] = byte;
        }
        never_panics(&gzip);
    }
}
