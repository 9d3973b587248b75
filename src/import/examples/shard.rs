//! Writes a synthetic shard in the schema of WildChat-1M or WildChat-4.8M, for measurements:
//! `cargo run --release -p gorgo-import --features parquet --example shard -- OUT.parquet MEGABYTES [4.8M]`.
//!
//! The text is made of random words that repeat: most in Latin letters, a share in Cyrillic and Chinese, so that
//! characters of one, two and three bytes come as they do in the data set. The size is that of the file, compressed by
//! snappy; rows are in no order of time. Nothing in it is of WildChat.

use serde_json::{Value, json};
use std::path::Path;

#[path = "../tests/it/shard.rs"]
mod shard;

/// Rows in a row group: as the data set's writer has it by default.
const GROUP_ROWS: usize = 1_000;

/// Random numbers without a library: splitmix64.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Words of each script.
const WORDS: u64 = 1_000;

/// A text of at least so many characters.
fn text(draws: &mut Draws, chars: u64) -> String {
    let (first, letters) = match draws.below(10) {
        0 => ('а', 32),
        1 => ('一', 2_000),
        _ => ('a', 26),
    };
    let (mut text, mut written) = (String::new(), 0);
    while written < chars {
        // The product of two even draws: some words are frequent, as they are in languages.
        let word = draws.below(WORDS) * draws.below(WORDS) / WORDS;
        let mut spelling = Draws(word);
        let length = 2 + spelling.below(8);
        for _ in 0..length {
            let letter = u32::from(first) + spelling.below(letters) as u32;
            text.push(char::from_u32(letter).unwrap_or('x'));
        }
        text.push(' ');
        written += length + 1;
    }
    text
}

fn conversation(draws: &mut Draws, number: u64) -> Value {
    let places = [("United States", "California"), ("Russia", "Moscow"), ("China", "Beijing")];
    let (country, state) = places[draws.below(3) as usize];
    let user = format!("{:064x}", draws.below(50_000));
    let mut at_us = 1_680_000_000_000_000 + draws.below(200 * 86_400) as i64 * 1_000_000;
    let turns = [1, 1, 1, 2, 2, 3, 4, 8][draws.below(8) as usize];
    let mut messages = Vec::new();
    for turn in 0..turns {
        let (asked, answered) = (20 + draws.below(1_200), 100 + draws.below(2_500));
        let identifier = (number * 100 + turn * 2) as i64;
        messages.push(json!({
            "role": "user", "content": text(draws, asked), "country": country, "state": state,
            "hashed_ip": user, "language": "English", "toxic": false, "redacted": false,
            "turn_identifier": identifier,
        }));
        at_us += 20_000_000 + draws.below(120_000_000) as i64;
        messages.push(json!({
            "role": "assistant", "content": text(draws, answered), "timestamp": at_us,
            "created": at_us / 1_000_000 - 15, "language": "English", "toxic": false,
            "redacted": false, "turn_identifier": identifier + 1,
        }));
    }
    json!({
        "conversation_hash": format!("{:032x}", draws.next()), "model": "gpt-3.5-turbo",
        "timestamp": at_us, "conversation": messages, "turn": turns, "language": "English",
        "toxic": false, "redacted": false, "country": country, "state": state, "hashed_ip": user,
    })
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (path, megabytes, schema) = match arguments.as_slice() {
        [_, path, megabytes] => (path, megabytes, shard::SCHEMA_1M),
        [_, path, megabytes, release] if release == "4.8M" => (path, megabytes, shard::SCHEMA_4_8M),
        _ => {
            eprintln!("usage: shard OUT.parquet MEGABYTES [4.8M]");
            std::process::exit(2);
        }
    };
    let megabytes: u64 = megabytes.parse().expect("a number of megabytes");
    let path = Path::new(path);
    let mut shard = shard::Shard::create(path, schema);
    let (mut draws, mut number) = (Draws(1), 0);
    while std::fs::metadata(path).expect("the file").len() < megabytes * 1_000_000 {
        let rows: Vec<Value> = (0..GROUP_ROWS)
            .map(|_| {
                number += 1;
                conversation(&mut draws, number)
            })
            .collect();
        shard.group(&rows);
    }
    shard.finish();
    println!("{number} conversations");
}
