//! Shards with something wrong: errors that name file, row, field, value and what was wanted; and gaps in the data,
//! which are counted.

use crate::shard::{SCHEMA_1M, SCHEMA_4_8M};
use crate::support::options;
use crate::wildchat::{DAY_US, conversation, import, import_rows, write_shard};
use gorgo_import::{Event, ImportOptions};
use serde_json::{Value, json};

/// The import fails with a message that has all of these.
fn refused(schema: &str, groups: &[Vec<Value>], parts: &[&str]) {
    let error = import_rows(schema, groups, &options()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("train-00000-of-00014.parquet"), "no file in: {error}");
    for part in parts {
        assert!(error.contains(part), "no `{part}` in: {error}");
    }
}

fn good() -> Value {
    conversation(900, &["a", "b", "c", "d"], &[1, 2])
}

/// A good row changed.
fn changed(change: impl Fn(&mut Value)) -> Value {
    let mut row = good();
    change(&mut row);
    row
}

#[test]
fn columns_must_be_there_and_of_their_types() {
    let cases: [(&str, &str, &[&str]); 9] = [
        (
            "optional binary conversation_hash (STRING);\n",
            "",
            &["column `conversation_hash`", "none such among model,", "WildChat-1M"],
        ),
        (
            "        optional binary role (STRING);\n",
            "",
            &["column `conversation.role`", "none such", "WildChat"],
        ),
        (
            "        optional binary content (STRING);\n",
            "        optional int64 content;\n",
            &["column `conversation.list.element.content`", "got INT64", "wanted text"],
        ),
        (
            "  optional int64 timestamp (TIMESTAMP(MICROS,true));\n",
            "  optional binary timestamp (STRING);\n",
            &["column `timestamp`", "got BYTE_ARRAY", "wanted times"],
        ),
        (
            "  optional int64 timestamp (TIMESTAMP(MICROS,true));\n",
            "  optional int64 timestamp;\n",
            &["column `timestamp`", "got INT64", "TIMESTAMP in ms"],
        ),
        (
            "        optional int64 turn_identifier;\n",
            "        optional int32 turn_identifier;\n",
            &["turn_identifier`", "got INT32", "wanted whole numbers"],
        ),
        (
            "        optional int64 turn_identifier;\n",
            "        optional int64 turn_identifier (TIMESTAMP(MILLIS,true));\n",
            &["turn_identifier`", "Timestamp", "wanted whole numbers"],
        ),
        (
            "  optional binary country (STRING);\n  optional binary hashed_ip",
            "  optional boolean country;\n  optional binary hashed_ip",
            &["column `country`", "got BOOLEAN", "wanted text"],
        ),
        (
            "  optional binary state (STRING);\n  optional binary country (STRING);\n",
            "  optional group state (LIST) { repeated group list { optional binary element (STRING); } }\n",
            &[],
        ),
    ];
    for (from, to, parts) in cases {
        let schema = SCHEMA_1M.replacen(from, to, if from.starts_with("   ") { 1 } else { 9 });
        assert_ne!(schema, SCHEMA_1M, "{from}");
        if parts.is_empty() {
            // A list of that name is another column: the place is then unknown, which is no fault.
            assert!(
                import_rows(&schema, &[vec![changed(|r| r["state"] = Value::Null)]], &options())
                    .is_ok()
            );
        } else {
            refused(&schema, &[], parts);
        }
    }
}

#[test]
fn times_count_in_the_unit_of_their_column() {
    for (unit, times) in [("MILLIS", 1), ("MICROS", 1_000), ("NANOS", 1_000_000)] {
        let schema = SCHEMA_1M.replace("MICROS", unit);
        let day = DAY_US / 1_000 * times;
        let row = changed(|row| {
            row["timestamp"] = json!(day);
            row["conversation"][1]["timestamp"] = json!(day);
            row["conversation"][3]["timestamp"] = json!(day + 2_500 * times);
        });
        let (_, requests) = import_rows(&schema, &[vec![row]], &options()).unwrap();
        assert_eq!(requests[1].at.as_ms(), 2_500.0, "{unit}");
    }
}

#[test]
fn levels_of_a_list_may_have_other_names() {
    let schema = SCHEMA_1M.replace("repeated group list", "repeated group bag");
    let schema = schema.replace("optional group element", "required group array_element");
    assert_eq!(import_rows(&schema, &[vec![good()]], &options()).unwrap().1.len(), 2);
}

#[test]
fn values_that_cannot_be_are_refused_with_their_place() {
    let second = |row: Value| [vec![good(), conversation(1, &["x", "y"], &[1])], vec![good(), row]];
    let message = |index: usize, name: &'static str, value: Value| {
        let value = &value;
        changed(move |row| row["conversation"][index][name] = value.clone())
    };
    let place = "row 3 (row group 1)";
    refused(
        SCHEMA_1M,
        &second(message(2, "role", json!("tool"))),
        &[place, "field `conversation[2].role`", "got `tool`", "wanted `user`"],
    );
    refused(
        SCHEMA_1M,
        &second(message(2, "role", Value::Null)),
        &[place, "`conversation[2].role`", "got null"],
    );
    refused(
        SCHEMA_1M,
        &second(message(1, "timestamp", json!(-5))),
        &[place, "`conversation[1].timestamp`", "got -5", "from 1970"],
    );
    refused(
        SCHEMA_1M,
        &second(changed(|row| row["timestamp"] = json!(i64::MAX))),
        &[place, "`timestamp`", "got 9223372036854775807"],
    );
    refused(
        SCHEMA_4_8M,
        &second(message(3, "content", json!([72, 105, 0xff, 0x28]))),
        &[place, "`conversation[3].content`", "got the bytes [ff, 28] at byte 2", "UTF-8"],
    );
    refused(
        SCHEMA_1M,
        &second(changed(|row| row["hashed_ip"] = json!([0xc3]))),
        &[place, "field `hashed_ip`", "[c3]"],
    );
}

#[test]
fn gaps_in_the_data_are_counted_and_a_strict_import_ends_there() {
    let null_text = changed(|row| row["conversation"][2]["content"] = Value::Null);
    let no_time = changed(|row| {
        row["timestamp"] = Value::Null;
        row["conversation"][1]["timestamp"] = Value::Null;
        row["conversation"][3]["timestamp"] = Value::Null;
    });
    let unanswered = conversation(900, &["a", "b", "c"], &[1]);
    let cases = [
        (changed(|row| row["conversation"] = Value::Null), Event::NoMessages, 0),
        (changed(|row| row["conversation"] = json!([])), Event::NoMessages, 0),
        (null_text, Event::NoText, 1),
        (no_time, Event::NoTime, 0),
        (unanswered, Event::NoAnswer, 1),
        (changed(|row| row["conversation"][1]["content"] = json!("")), Event::NoAnswer, 1),
        (changed(|row| row["conversation"][1]["role"] = json!("user")), Event::NoAnswer, 1),
        (changed(|row| row["conversation"][0]["role"] = json!("assistant")), Event::NoQuestion, 1),
        (changed(|row| row["conversation"][0]["content"] = json!("")), Event::EmptyPrompt, 1),
        // A null struct in the list has no role.
    ];
    for (row, event, left) in cases {
        let other = conversation(1, &["x", "y"], &[1]);
        let groups = [vec![other], vec![row.clone()]];
        let (imported, requests) = import_rows(SCHEMA_1M, &groups, &options()).unwrap();
        assert!(imported.count(event) >= 1, "{event:?}: {:?}", imported.notes());
        assert_eq!(requests.len(), left + 1, "{event:?}: {row}");
        let notes = imported.notes().join("\n");
        assert!(notes.contains("row 1 (row group 1)"), "{event:?}: {notes}");
        let strict = ImportOptions { strict: true, ..options() };
        let error = import_rows(SCHEMA_1M, &groups, &strict).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("row 1 (row group 1)") && error.contains("wanted"), "{error}");
    }
}

#[test]
fn a_conversation_that_comes_twice_counts_once_and_its_double_by_content_counts() {
    let same_content = changed(|row| row["conversation"][0]["turn_identifier"] = json!(7));
    let groups = [vec![good(), good()], vec![same_content]];
    let (imported, requests) = import_rows(SCHEMA_1M, &groups, &options()).unwrap();
    assert_eq!((imported.count(Event::Duplicate), requests.len()), (1, 4));
}

#[test]
fn nothing_left_is_an_error_that_says_why() {
    let groups = [vec![changed(|row| row["conversation"] = json!([]))]];
    refused(SCHEMA_1M, &groups, &["no request", "1 conversations without messages"]);
    refused(SCHEMA_1M, &[], &["no request", "nothing in it"]);
}

#[test]
fn files_that_are_no_shards_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shard.parquet");
    let error = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let error =
            import(std::slice::from_ref(&path), &options()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("shard.parquet"), "{error}");
        error
    };
    assert!(error(b"").contains("wanted `PAR1`"));
    assert!(error(b"{\"timestamp\":0}\n").contains("begins with `{"));
    assert!(error(b"version https://git-lfs.github.com/spec/v1\n").contains("git-lfs"));
    assert!(error(b"PAR1").contains("cut off"));
    assert!(error(b"PAR1 and then nothing PAR1").contains("cut off or damaged"));
    std::fs::remove_file(&path).unwrap();
    let missing = import(&[path], &options()).map(|_| ()).unwrap_err().to_string();
    assert!(missing.contains("shard.parquet: cannot be read"), "{missing}");
}

#[test]
fn a_damaged_shard_is_an_error_or_a_trace_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shard.parquet");
    let rows: Vec<Value> =
        (0..40).map(|i| conversation(i * 10, &["some words", "others"], &[i])).collect();
    write_shard(&path, SCHEMA_1M, &[rows[..20].to_vec(), rows[20..].to_vec()]);
    let whole = std::fs::read(&path).unwrap();
    let (mut refused, mut passed) = (0, 0);
    let mut attempt = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        match import(std::slice::from_ref(&path), &options()) {
            Ok(_) => passed += 1,
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("shard.parquet"), "{error}");
            }
        }
    };
    for end in (0..whole.len()).step_by(97) {
        attempt(&whole[..end]);
    }
    // One bit after the other, all over the file.
    for at in (4..whole.len()).step_by(13) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        attempt(&bytes);
    }
    assert!(refused > 50 && passed > 50, "{refused} refused, {passed} passed");
}

#[test]
fn a_trace_that_is_there_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let (shard, out) = (folder.path().join("s.parquet"), folder.path().join("t.jsonl"));
    write_shard(&shard, SCHEMA_1M, &[vec![good()]]);
    std::fs::write(&out, "mine").unwrap();
    let error = gorgo_import::import_wildchat(&[shard], &out, &options(), &mut |_| {}).unwrap_err();
    assert!(!error.is_input() && error.to_string().contains("t.jsonl"), "{error}");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "mine");
}
