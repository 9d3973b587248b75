//! Files of every kind, known by what stands in them and not by their names; and what each kind refuses.

use crate::common::{Folder, drain};
use gorgo_workload::{TraceOptions, TurnTiming};
use std::path::Path;

const AZURE: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n\
    2023-11-16 18:17:03.9799600,4808,10\r\n2023-11-16 18:17:04.0319600,3180,8\r\n";
const AZURE_2024: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\n\
    2024-05-10 00:00:00.009930+00:00,2162,5\n2024-05-10 00:00:00.017335+00:00,2399,6\n";
const BURST_GPT: &str = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
    5,ChatGPT,472,18,490,Conversation log\n45,ChatGPT,1087,230,1317,Conversation log\n\
    50,GPT-4,417,0,417,API log\n118,GPT-4,417,276,693,API log\n";
const PROMPTS: &str = "{\"prompt\":\"Zero one two three four five six seven eight nine ten eleven \
    twelve thirteen fourteen\",\"hash\":\"ab\"}\n\
    {\"prompt\":\"Zero one two three four five six seven eight nine ten eleven \
    twelve, and no more\",\"output_tokens_count\":7}\n{\"prompt\":\"\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\"}\n";

fn art_chat() -> String {
    // 300 tokens are two blocks of 256 and one of 512; 100 tokens are one of either.
    "{\"timestamp\":1000,\"input_length\":100,\"output_length\":3,\"hash_ids\":[9]}\n\
     {\"timestamp\":2000,\"input_length\":300,\"output_length\":3,\"hash_ids\":[1,2],\"user\":4}\n\
     {\"timestamp\":3500,\"input_length\":700,\"output_length\":3,\"hash_ids\":[1,3,4]}\n"
        .to_owned()
}

fn warnings(path: &Path) -> String {
    let mut source = gorgo_workload::open(path, TraceOptions::default()).expect("opens");
    drain(&mut *source).expect("reads");
    source.warnings().join("\n")
}

#[test]
fn each_kind_is_known_by_what_stands_in_it() {
    let folder = Folder::new();
    let gorgo = "{\"gorgo_trace\":1,\"block_size\":4}\n\
        {\"timestamp\":0,\"input_length\":5,\"output_length\":1,\"hash_ids\":[1,2],\"prompt\":\"x\"}\n";
    let mooncake = art_chat().replace("[1,2]", "[1]").replace("[1,3,4]", "[1,3]");
    let arrivals = "request_id,arrival_ms,input_tokens,output_tokens\na,3,40,2\n";
    // Text, requests, tokens per block, milliseconds of the last request, a piece of the warnings.
    let cases = [
        (gorgo, 1, 4, 0.0, "max_tokens"),
        (&mooncake, 3, 512, 2_500.0, "read as a Mooncake trace, 512-token"),
        (&art_chat(), 3, 256, 2_500.0, "read as an ART-Chat trace, 256-token"),
        (arrivals, 1, 16, 0.0, "no cache reuse"),
        (AZURE, 2, 16, 52.0, "GeneratedTokens taken"),
        (AZURE_2024, 2, 16, 7.405, "GeneratedTokens taken"),
        (BURST_GPT, 3, 16, 113_000.0, "1 of 4 rows passed over"),
        (PROMPTS, 3, 16, 0.0, "no output_tokens_count in 2 of 3 prompts: 128 taken"),
    ];
    for (i, (text, requests, block_tokens, last_ms, warning)) in cases.into_iter().enumerate() {
        let path = folder.file(&format!("{i}"), text.as_bytes());
        let mut source = gorgo_workload::open(&path, TraceOptions::default()).expect(text);
        let read = drain(&mut *source).expect(text);
        assert_eq!((read.len(), source.block_tokens()), (requests, block_tokens), "{text}");
        assert_eq!(read[requests - 1].0.as_ms(), last_ms, "{text}");
        let warnings = source.warnings().join("\n");
        assert!(warnings.contains(warning), "{text}\nwarns {warnings}");
    }
}

#[test]
fn the_same_text_gives_the_same_blocks() {
    let folder = Folder::new();
    let path = folder.file("prompts", PROMPTS.as_bytes());
    let mut source = gorgo_workload::open(&path, TraceOptions::default()).expect("opens");
    let read = drain(&mut *source).expect("reads");
    let prompts: Vec<_> = read.iter().map(|(_, request)| &request.prompt).collect();
    // 64 characters are a block; both texts are alike for 67.
    assert_eq!(prompts[0].common_blocks(prompts[1]), 1);
    assert_eq!(prompts[0].common_blocks(prompts[2]), 0);
    // Five characters of two bytes each are two tokens.
    assert_eq!(prompts[2].tokens().0, 2);
    assert_eq!(read[1].1.output_tokens.0, 7);
    // Block ids meet across files and versions: they are written down here.
    assert_eq!(prompts[2].ids()[0].0, 14_250_810_580_839_581_197);
}

#[test]
fn windows_limits_and_speed_apply_to_tables() {
    let folder = Folder::new();
    let path = folder.file("burst", BURST_GPT.as_bytes());
    let read = |options| {
        let mut source = gorgo_workload::open(&path, options).expect("opens");
        let read = drain(&mut *source).expect("reads");
        read.iter().map(|(at, request)| (at.as_ms(), request.id.session)).collect::<Vec<_>>()
    };
    let base = TraceOptions { turns: TurnTiming::AfterPrevious, ..TraceOptions::default() };
    let window = TraceOptions { window_from_s: Some(45.0), window_to_s: Some(118.5), ..base };
    assert_eq!(read(window), [(0.0, 1), (73_000.0, 3)]);
    assert_eq!(read(TraceOptions { window_to_s: Some(118.0), ..window }), [(0.0, 1)]);
    assert_eq!(read(TraceOptions { limit: Some(1), ..base }), [(0.0, 0)]);
    assert_eq!(read(TraceOptions { speedup: 2.0, ..base })[1], (20_000.0, 1));
    let azure = folder.file("azure", AZURE.as_bytes());
    let late = TraceOptions { window_from_s: Some(0.05), ..base };
    let mut source = gorgo_workload::open(&azure, late).expect("opens");
    assert_eq!(drain(&mut *source).expect("reads").len(), 1, "dates count from the first row");
    assert!(warnings(&azure).contains("no cache reuse"));
}

#[test]
fn every_bad_file_is_refused_with_line_field_value_and_what_was_wanted() {
    let folder = Folder::new();
    let azure = |from: &str, to: &str| AZURE.replacen(from, to, 1);
    let burst = |from: &str, to: &str| BURST_GPT.replacen(from, to, 1);
    let prompts = |line: &str| format!("{PROMPTS}{line}\n");
    let date = "a UTC time such as";
    let cases: Vec<(String, u64, [&str; 3])> = vec![
        ("a,b\n1,2\n".into(), 1, ["got a,b", "ContextTokens", "Request tokens"]),
        ("hello\n".into(), 1, ["got hello", "a JSON object", "the columns of a table"]),
        ("[1,2]\n".into(), 1, ["got [1,2]", "a JSON object", "request_id"]),
        (azure("04.0319600", "61.0"), 3, ["`TIMESTAMP`", "2023-11-16 18:17:61.0", date]),
        (azure("2023-11-16 18:17:04", "1700158624"), 3, ["`TIMESTAMP`", "1700158624", date]),
        (azure("04.0319600", "02.0"), 3, ["`TIMESTAMP`", "18:17:02.0", "the row before"]),
        (azure("3180", "-1"), 3, ["`ContextTokens`", "`-1`", "from 1 to 4294967295"]),
        (azure("3180", "0"), 3, ["`ContextTokens`", "`0`", "from 1 to 4294967295"]),
        (azure(",8\r", ",8.5\r"), 3, ["`GeneratedTokens`", "`8.5`", "a whole number"]),
        (azure(",8\r", ",\r"), 3, ["`GeneratedTokens`", "nothing", "a whole number"]),
        (azure(",8\r", "\r"), 3, ["got 2 cells", "wanted 3", "as in the header"]),
        (
            azure("GeneratedTokens", "Tokens"),
            1,
            ["`Tokens`", "an unknown column", "one of TIMESTAMP"],
        ),
        (azure(",GeneratedTokens", ""), 1, ["`GeneratedTokens`", "nothing", "the columns"]),
        (burst("45,", "-45,"), 3, ["`Timestamp`", "`-45`", "seconds from the first midnight"]),
        (burst("45,", "4,"), 3, ["`Timestamp`", "`4`", "at least 5000 ms, the row before"]),
        (burst("1317", "1318"), 3, ["`Total tokens`", "`1318`", "1317, the sum"]),
        (burst("230", "x"), 3, ["`Response tokens`", "`x`", "a whole number"]),
        (burst("Log Type", "Model"), 1, ["`Model`", "the column twice", "once"]),
        (prompts("{\"prompt\":7}"), 4, ["`prompt`", "got 7", "a string that is not empty"]),
        (prompts("{\"prompt\":\"\"}"), 4, ["`prompt`", "got \"\"", "a string that is not empty"]),
        (prompts("{\"text\":\"a\"}"), 4, ["`prompt`", "got nothing", "a string"]),
        (
            prompts("{\"prompt\":\"a\",\"output_tokens\":0}"),
            4,
            ["`output_tokens`", "got 0", "from 1 to 4294967295"],
        ),
        (
            prompts("{\"prompt\":\"a\""),
            4,
            ["got `{\"prompt\":\"a\"`", "column 13", "a JSON object"],
        ),
        (art_chat().replace("[1,3,4]", "[1,3]"), 3, ["`hash_ids`", "got 2 ids", "block size 256"]),
    ];
    for (i, (text, line, parts)) in cases.iter().enumerate() {
        let path = folder.file(&format!("{i}"), text.as_bytes());
        let read = gorgo_workload::open(&path, TraceOptions::default());
        let error = read.and_then(|mut source| drain(&mut *source)).expect_err(text).to_string();
        let place = format!("{}:{line}: ", path.display());
        assert!(error.starts_with(&place), "{text}\ngave {error}\nwithout {place}");
        for part in parts.iter().chain(&["wanted "]) {
            assert!(error.contains(part), "{text}\ngave {error}\nwithout {part}");
        }
    }
    let path = folder.file("prompts", PROMPTS.as_bytes());
    let window = TraceOptions { window_from_s: Some(1.0), ..TraceOptions::default() };
    let error = gorgo_workload::open(&path, window).err().expect("no times").to_string();
    assert!(error.contains("a file of prompts has no times"), "{error}");
}
