//! Readers: what is read is what was written, however it is packed; feedback of turns; published figures.

use crate::common::{Folder, drain, read, shared_data};
use gorgo_types::{Nanos, Origin, Request, RequestId, Tokens};
use gorgo_workload::{
    ArrivalsCsv, ArrivalsOptions, AssumedService, ChatGenerator, ChatSpec, Completed, Due,
    OriginShare, Recorded, Source, TraceInfo, TraceOptions, TraceSource, TraceWriter, TurnTiming,
    WorkloadError,
};

const TRACE: &str = r#"{"gorgo_trace":1,"block_size":16}
{"timestamp":1000,"input_length":20,"output_length":3,"hash_ids":[1,2],"session_id":"a","country":"Japan"}
{ "timestamp" : 1000.5 , "hash_ids" : [ 1 , 3 ] , "output_length" : 13, "input_length" : 32, "output_hash_ids":[1,3,9], "max_tokens":99, "user_id":7, "session_id":null }
{"timestamp":1500.25,"input_length":33,"output_length":1,"hash_ids":[1,3,9],"session_id":"a","turn":4,"lat":-33.9,"lon":151.2,"prompt":"h\u00e9 \"x\"","messages":[{"role":"user"}],"slo_class":"gold"}
{"timestamp":1500.25,"input_length":1,"output_length":1,"hash_ids":[18446744073709551615],"session_id":12,"country":"Japan"}
"#;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

#[test]
fn every_field_is_read() {
    let folder = Folder::new();
    let path = folder.file("t.jsonl", TRACE.as_bytes());
    let mut source = TraceSource::open(&path, TraceOptions::default()).expect("opens");
    let requests = drain(&mut source).expect("reads");
    let times: Vec<u64> = requests.iter().map(|(at, _)| at.0).collect();
    assert_eq!(times, [0, 500_000, 500_250_000, 500_250_000]);
    let [a, b, c, d] = requests.iter().map(|(_, r)| r).collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!((a.has_session, a.id.turn, c.id), (true, 0, RequestId { turn: 4, ..a.id }));
    assert_eq!((b.has_session, b.id), (false, RequestId { session: 1 << 63 | 1, turn: 0 }));
    assert_eq!(d.id, RequestId { session: 12, turn: 0 });
    assert_eq!((b.user, b.max_tokens, b.output_tokens), (Some(7), Tokens(99), Tokens(13)));
    assert_eq!(a.max_tokens, Tokens(3));
    assert_eq!(a.prompt.common_blocks(&b.prompt), 1);
    let sequence = b.sequence.as_ref().expect("b has output ids");
    assert_eq!((sequence.tokens(), sequence.common_blocks(&b.prompt)), (Tokens(45), 2));
    assert_eq!(c.prompt.common_blocks(&b.prompt), 2);
    assert_eq!((a.origin, b.origin.0, d.origin), (d.origin, 0, a.origin));
    let japan = Origin { country: Some("Japan".into()), ..Origin::default() };
    assert_eq!(source.origins()[a.origin.index()], japan);
    let position = source.origins()[c.origin.index()].position.expect("c has a position");
    assert_eq!((position.lat, position.lon), (-33.9, 151.2));
    let warnings = source.warnings().join("\n");
    for part in [
        "no max_tokens in 3 of 4 requests: output_length taken",
        "no output_hash_ids in 3 of 4",
        "slo_class in 1 of 4",
    ] {
        assert!(warnings.contains(part), "{warnings}\nwithout {part}");
    }
}

#[test]
fn a_zone_makes_an_origin_of_its_own_and_is_written_again() {
    let folder = Folder::new();
    let head = "{\"gorgo_trace\":1,\"block_size\":16}\n";
    let line = |more: &str| {
        format!(
            "{{\"timestamp\":0,\"input_length\":1,\"output_length\":1,\"hash_ids\":[1]{more}}}\n"
        )
    };
    let text = [
        line(",\"country\":\"France\""),
        line(",\"country\":\"France\",\"residency\":\"eu\""),
        line(",\"residency\":\"eu\""),
        line(",\"country\":\"France\",\"residency\":\"eu\""),
        line(",\"residency\":null"),
    ];
    let path = folder.file("t.jsonl", format!("{head}{}", text.concat()).as_bytes());
    let mut source = TraceSource::open(&path, TraceOptions::default()).expect("opens");
    let requests = drain(&mut source).expect("reads");
    let origins: Vec<u32> = requests.iter().map(|(_, request)| request.origin.0).collect();
    assert_eq!(origins, [1, 2, 3, 2, 0]);
    let zones: Vec<_> = source.origins().iter().map(|o| o.residency.as_deref()).collect();
    assert_eq!(zones, [None, None, Some("eu"), Some("eu")]);
    let mut writer = TraceWriter::new(Vec::new(), 16, None).expect("memory");
    for (at, request) in &requests {
        writer.write(*at, request, &source.origins()[request.origin.index()]).expect("memory");
    }
    let again = String::from_utf8(writer.finish().expect("memory")).expect("text");
    assert_eq!(again.matches("\"residency\":\"eu\"").count(), 3, "{again}");
    for bad in [",\"residency\":\"\"", ",\"residency\":\" \"", ",\"residency\":{}"] {
        let path = folder.file("bad.jsonl", format!("{head}{}", line(bad)).as_bytes());
        let mut source = TraceSource::open(&path, TraceOptions::default()).expect("opens");
        let error = drain(&mut source).expect_err(bad).to_string();
        assert!(error.contains(":2: field `residency`"), "{error}");
    }
}

#[test]
fn packing_line_ends_and_marks_change_nothing() {
    let folder = Folder::new();
    let options = TraceOptions::default();
    let plain = read(&folder.file("plain", TRACE.as_bytes()), options).expect("plain");
    assert_eq!(plain.len(), 4);
    let (head, tail) = TRACE.as_bytes().split_at(TRACE.len() / 2);
    // A skippable zstd frame of 3 bytes stands between the two frames.
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let packed: [(&str, Vec<u8>); 6] = [
        ("named.gz-but-plain.gz", TRACE.as_bytes().to_vec()),
        ("members", [gzip(head), gzip(tail)].concat()),
        ("frames", [zstd(head), skippable, zstd(tail)].concat()),
        ("crlf", TRACE.replace('\n', "\r\n").into_bytes()),
        ("mark", [b"\xef\xbb\xbf", TRACE.as_bytes()].concat()),
        ("blank lines at the end", format!("{TRACE}\n \r\n\n").into_bytes()),
    ];
    for (name, bytes) in packed {
        assert_eq!(read(&folder.file(name, &bytes), options).expect(name), plain, "{name}");
    }
}

#[test]
fn windows_limits_and_speed_change_times_but_no_identity() {
    let folder = Folder::new();
    let path = folder.file("t", TRACE.as_bytes());
    let base = TraceOptions::default();
    let all = read(&path, base).expect("all");
    let fast = read(&path, TraceOptions { speedup: 2.0, ..base }).expect("fast");
    assert_eq!(fast[3].0, Nanos(250_125_000));
    let window = TraceOptions { window_from_s: Some(1.0005), window_to_s: Some(1.6), ..base };
    let part = read(&path, window).expect("window");
    assert_eq!(part.iter().map(|(at, _)| at.0).collect::<Vec<_>>(), [0, 499_750_000, 499_750_000]);
    let identities = |items: &[(Nanos, Request)]| items.iter().map(|r| r.1.id).collect::<Vec<_>>();
    assert_eq!(identities(&part), identities(&all[1..]));
    let limited = read(&path, TraceOptions { limit: Some(2), ..base }).expect("limit");
    assert_eq!(limited, all[..2]);
}

#[test]
fn a_file_without_header_is_mooncake_and_says_so() {
    let folder = Folder::new();
    let text = r#"{"timestamp":0,"input_length":600,"output_length":3,"hash_ids":[0,1],"extra":{"a":[1]},"type":"x"}
{"timestamp":0,"input_length":600,"output_length":3,"hash_ids":[0,2],"extra":null}
"#;
    let path = folder.file("m", text.as_bytes());
    let mut source = TraceSource::open(&path, TraceOptions::default()).expect("opens");
    let requests = drain(&mut source).expect("reads");
    assert_eq!((requests.len(), source.block_tokens()), (2, 512));
    assert_eq!(requests[1].1.id, RequestId { session: 1, turn: 0 });
    let warnings = source.warnings();
    let count = |part: &str| warnings.iter().filter(|w| w.contains(part)).count();
    assert_eq!((count("512-token blocks"), count("`extra`"), count("`type`")), (1, 1, 1));
}

fn done(source: &mut TraceSource, item: &(Nanos, Request), at_ms: u64) {
    let at = Nanos::from_millis(at_ms);
    source.finished(Completed { id: item.1.id, at, ok: true });
}

/// Session s has turns at 0, 100 and 150 ms; a lone request comes at 120 ms.
fn feedback(folder: &Folder, service: AssumedService) -> TraceSource {
    let line = |ms: u32, more: &str| {
        format!(
            "{{\"timestamp\":{ms},\"input_length\":1,\"output_length\":10,\"hash_ids\":[1]{more}}}\n"
        )
    };
    let session = ",\"session_id\":\"s\"";
    let text = [
        "{\"gorgo_trace\":1,\"block_size\":16}\n".to_owned(),
        line(0, session),
        line(100, session),
        line(120, ""),
        line(150, session),
    ];
    let path = folder.file("f", text.concat().as_bytes());
    let options = TraceOptions {
        turns: TurnTiming::AfterPrevious,
        assumed_service: service,
        ..TraceOptions::default()
    };
    TraceSource::open(&path, options).expect("opens")
}

#[test]
fn a_turn_waits_for_the_one_before_and_for_the_recorded_gap() {
    let folder = Folder::new();
    let mut source = feedback(&folder, AssumedService::default());
    assert!(source.needs_completions());
    let first = source.take().expect("first");
    // The second turn is held back, the lone request is not.
    assert_eq!(source.next_due().expect("peek"), Due::At(Nanos::from_millis(120)));
    let lone = source.take().expect("lone");
    assert!(!lone.1.has_session);
    assert_eq!(source.next_due().expect("peek"), Due::Waiting);
    assert!(matches!(source.take(), Err(WorkloadError::NothingDue)));
    done(&mut source, &lone, 125);
    assert_eq!(source.next_due().expect("peek"), Due::Waiting);
    done(&mut source, &first, 130);
    let second = source.take().expect("second");
    assert_eq!(second.0, Nanos::from_millis(130 + 100));
    done(&mut source, &second, 300);
    done(&mut source, &second, 900);
    assert_eq!(source.take().expect("third").0, Nanos::from_millis(300 + 50));
    assert_eq!(source.next_due().expect("peek"), Due::End);
}

#[test]
fn assumed_service_shortens_the_gap_but_never_brings_a_turn_forward() {
    let folder = Folder::new();
    let mut source = feedback(&folder, AssumedService { base_ms: 20.0, per_token_ms: 3.0 });
    let first = source.take().expect("first");
    done(&mut source, &first, 10);
    // 10 ms + (100 - 50) ms is before the recorded 100 ms.
    let second = source.take().expect("second");
    assert_eq!(second.0, Nanos::from_millis(100));
    done(&mut source, &second, 160);
    assert_eq!(source.take().expect("lone").0, Nanos::from_millis(120));
    // 160 ms + max(0, 50 - 50) ms.
    assert_eq!(source.take().expect("third").0, Nanos::from_millis(160));
}

#[test]
fn what_is_written_is_read_back_with_the_same_matches() {
    let origins = vec![
        OriginShare {
            share: 2.0,
            country: Some("Côte \"d'Ivoire\"".into()),
            ..OriginShare::default()
        },
        OriginShare { share: 1.0, lat: Some(-0.25), lon: Some(1e-7), ..OriginShare::default() },
    ];
    let spec = ChatSpec {
        requests: Some(300),
        turn_timing: TurnTiming::Recorded,
        users: 20,
        origins,
        ..ChatSpec::default()
    };
    let mut chat = ChatGenerator::new(spec, 3).expect("valid");
    let recorded = Recorded::read(&mut chat).expect("open loop");
    let mut writer = TraceWriter::new(Vec::new(), chat.block_tokens(), None).expect("memory");
    for (at, request) in recorded.requests() {
        writer.write(*at, request, &recorded.origins()[request.origin.index()]).expect("memory");
    }
    let folder = Folder::new();
    let path = folder.file("w.zst", &zstd(&writer.finish().expect("memory")));
    let mut source = TraceSource::open(&path, TraceOptions::default()).expect("opens");
    let back = drain(&mut source).expect("reads");
    assert_eq!(back.len(), 300);
    for ((at, a), (at_back, b)) in recorded.requests().iter().zip(&back) {
        assert_eq!(at, at_back);
        assert_eq!((a.id, a.user, a.has_session), (b.id, b.user, b.has_session));
        assert_eq!((a.output_tokens, a.max_tokens), (b.output_tokens, b.max_tokens));
        assert_eq!(a.prompt.tokens(), b.prompt.tokens());
        assert_eq!(recorded.origins()[a.origin.index()], source.origins()[b.origin.index()]);
    }
    for (i, (_, a)) in recorded.requests().iter().enumerate() {
        for (j, (_, other)) in recorded.requests().iter().enumerate().take(i) {
            let there = a.prompt.common_blocks(&other.prompt);
            assert_eq!(back[i].1.prompt.common_blocks(&back[j].1.prompt), there);
            let (x, y) = (other.sequence.as_ref(), back[j].1.sequence.as_ref());
            let (x, y) = x.zip(y).expect("chats know their outputs");
            assert_eq!(back[i].1.prompt.common_blocks(y), a.prompt.common_blocks(x));
        }
    }
}

#[test]
fn arrivals_have_no_prefix_in_common() {
    let folder = Folder::new();
    let text = "request_id,arrival_ms,input_tokens,output_tokens\r\na,3.5,40,2\r\n b , 3.5 ,40,1\r\nc,10,1,1";
    for (name, bytes) in [("a.csv", text.as_bytes().to_vec()), ("b.csv", gzip(text.as_bytes()))] {
        let path = folder.file(name, &bytes);
        let mut source = ArrivalsCsv::open(&path, ArrivalsOptions::default()).expect("opens");
        let requests = drain(&mut source).expect("reads");
        let times: Vec<u64> = requests.iter().map(|(at, _)| at.0).collect();
        assert_eq!(times, [0, 0, 6_500_000]);
        assert_eq!(requests[0].1.prompt.blocks(), 3);
        assert_eq!(requests[0].1.prompt.common_blocks(&requests[1].1.prompt), 0);
        assert_eq!(requests[2].1.id, RequestId { session: 2, turn: 0 });
        assert!(source.warnings()[0].contains("no cache reuse is modelled"));
    }
}

/// Every figure of a row of the published table. The file's percentiles interpolate between ranks, those of the
/// statistics are ranks themselves: so the former are made anew from the requests read, and the latter may differ from
/// them by one rank.
fn compare_with_published(row: &csv::StringRecord, info: &TraceInfo, lengths: [&[f64]; 2]) {
    let figure = |column: usize| row[column].parse::<f64>().expect("a figure");
    // Half a unit of the last decimal that the table gives.
    let same = |name: &str, got: f64, column: usize| {
        let decimals = row[column].split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let room = 0.5001 * 10_f64.powi(-i32::try_from(decimals).unwrap());
        let want = figure(column);
        assert!((got - want).abs() <= room, "{}: {name} {got}, published {want}", &row[0]);
    };
    assert_eq!(info.requests as f64, figure(1));
    same("span_s", info.span_s, 2);
    same("rate", (info.requests as f64) / info.span_s, 3);
    same("gap mean", info.interarrival_mean_s.expect("gaps"), 4);
    // The table's deviation is the population's.
    let gaps = (info.requests - 1) as f64;
    let cv = info.interarrival_cv.expect("a CV") * ((gaps - 1.0) / gaps).sqrt();
    same("CV", cv, 5);
    same("Fano 10 s", info.fano_10s.expect("windows"), 6);
    same("Fano 60 s", info.fano_60s.expect("windows"), 7);
    same("peak / mean", info.peak_to_mean_60s, 8);
    for ((stats, lengths), first) in
        [&info.input_tokens, &info.output_tokens].into_iter().zip(lengths).zip([9, 16])
    {
        same("mean", stats.mean, first);
        let percentiles =
            [(10, stats.p10), (50, stats.p50), (90, stats.p90), (95, stats.p95), (99, stats.p99)];
        for (i, (percent, by_rank)) in percentiles.into_iter().enumerate() {
            let place = f64::from(percent) / 100.0 * (lengths.len() - 1) as f64;
            let (below, above) = (lengths[place.floor() as usize], lengths[place.ceil() as usize]);
            let between = below + (above - below) * place.fract();
            same(&format!("P{percent}"), between, first + 1 + i);
            let near = lengths[(place.floor() as usize).saturating_sub(1)]..=above;
            assert!(near.contains(&(by_rank as f64)), "{}: P{percent} {by_rank}", &row[0]);
        }
        assert_eq!(stats.max as f64, figure(first + 6));
    }
    if row[23].is_empty() {
        assert_eq!(info.prefix_token_hit_rate_infinite, 0.0, "nothing is known of prefixes");
        return;
    }
    assert_eq!(f64::from(info.block_tokens), figure(23));
    assert_eq!(info.blocks as f64, figure(24));
    assert_eq!(info.distinct_blocks as f64, figure(25));
    same("hits, blocks", info.prefix_block_hit_rate_infinite, 26);
    same("hits, tokens", info.prefix_token_hit_rate_infinite, 27);
}

#[test]
fn statistics_are_the_published_ones() {
    let Some(table) = shared_data("traces/trace_stats.csv") else { return };
    let mut compared = 0;
    for row in csv::Reader::from_path(table).expect("opens").records() {
        let row = row.expect("a row");
        let file = match &row[0] {
            name if name.starts_with("mooncake") => format!("traces/{name}_trace.jsonl.gz"),
            name => format!("traces/{name}.csv.gz"),
        };
        let Some(path) = shared_data(&file) else { continue };
        let open = || gorgo_workload::open(&path, TraceOptions::default()).expect("opens");
        let info = TraceInfo::of(&mut *open()).expect("reads");
        let requests = drain(&mut *open()).expect("reads");
        let sorted = |length: fn(&Request) -> Tokens| {
            let mut all: Vec<f64> = requests.iter().map(|(_, r)| length(r).0 as f64).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let lengths = [sorted(|r| r.prompt.tokens()), sorted(|r| r.output_tokens)];
        compare_with_published(&row, &info, [&lengths[0], &lengths[1]]);
        compared += 1;
    }
    println!("compared {compared} traces");
}

#[test]
fn the_april_arrivals_are_read() {
    let Some(path) = shared_data("gorgo/apr5_1615_arrivals.csv.gz") else { return };
    let mut source = ArrivalsCsv::open(&path, ArrivalsOptions::default()).expect("opens");
    let info = TraceInfo::of(&mut source).expect("reads");
    println!("{info:?}");
    assert_eq!(info.requests, 7_195);
    assert!((info.span_s - 1_800.0).abs() < 10.0, "{} s", info.span_s);
    assert_eq!(info.prefix_token_hit_rate_infinite, 0.0);
    assert_eq!(info.input_tokens.max, 23_857);
}

#[test]
fn hidden_reuse_is_bounded_by_outputs_that_prompts_continue() {
    let folder = Folder::new();
    // The second prompt is the first, 16 tokens of its output and 16 more; the third shares nothing.
    let text = "{\"gorgo_trace\":1,\"block_size\":16}\n\
        {\"timestamp\":0,\"input_length\":32,\"output_length\":16,\"hash_ids\":[1,2]}\n\
        {\"timestamp\":1,\"input_length\":64,\"output_length\":1,\"hash_ids\":[1,2,3,4]}\n\
        {\"timestamp\":2,\"input_length\":32,\"output_length\":1,\"hash_ids\":[8,9]}\n";
    let path = folder.file("t", text.as_bytes());
    let mut source = TraceSource::open(&path, TraceOptions::default()).expect("opens");
    let info = TraceInfo::of(&mut source).expect("reads");
    assert_eq!(info.prefix_token_hit_rate_infinite, 32.0 / 128.0);
    assert_eq!(info.hidden_output_reuse_rate_max, 16.0 / 128.0);
    let options = TraceOptions { turns: TurnTiming::AfterPrevious, ..TraceOptions::default() };
    let mut waiting = TraceSource::open(&path, options).expect("opens");
    let refused = TraceInfo::of(&mut waiting);
    assert!(matches!(refused, Err(WorkloadError::NeedsCompletions { .. })));
}
