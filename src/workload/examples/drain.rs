//! Reads a trace, or generates requests, as fast as it can, and prints how many there were: for timing with
//! `time` or `perf stat`. Usage: `drain TRACE | drain prefix-groups N | drain chat N`.

use gorgo_workload::{
    ChatGenerator, ChatSpec, Due, PrefixGroups, PrefixGroupsSpec, Source, TraceOptions,
    TraceSource, TurnTiming,
};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut source: Box<dyn Source> = match arguments.as_slice() {
        [kind, n] if kind == "prefix-groups" => {
            let spec = PrefixGroupsSpec { requests: n.parse()?, ..PrefixGroupsSpec::default() };
            Box::new(PrefixGroups::new(spec, 7)?)
        }
        [kind, n] if kind == "chat" => {
            let spec = ChatSpec {
                requests: Some(n.parse()?),
                turn_timing: TurnTiming::Recorded,
                ..ChatSpec::default()
            };
            Box::new(ChatGenerator::new(spec, 7)?)
        }
        [file] => Box::new(TraceSource::open(Path::new(file), TraceOptions::default())?),
        _ => return Err("usage: drain TRACE | drain prefix-groups N | drain chat N".into()),
    };
    let (mut requests, mut blocks, mut tokens) = (0u64, 0u64, 0u64);
    while let Due::At(_) = source.next_due()? {
        let (_, request) = source.take()?;
        requests += 1;
        blocks += request.prompt.blocks() as u64;
        tokens += request.prompt.tokens().0;
    }
    println!("{requests} requests, {blocks} blocks, {tokens} prompt tokens");
    Ok(())
}
