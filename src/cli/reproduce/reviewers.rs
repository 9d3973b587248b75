//! `gorgo reproduce reviewers`: the reviewers' questions, which have no published figures to be held against.

use super::{Format, ReproduceArgs, command, failure};
use crate::exit::{Exit, Failure};
use crate::simulate::print;
use gorgo_papers::experiments::reviewers::{self, Job, Question, Row, Table};
use gorgo_papers::{About, PapersError};
use rayon::prelude::*;
use std::time::Instant;

/// Runs the questions and reports.
pub(super) fn reproduce(args: &ReproduceArgs) -> Result<Exit, Failure> {
    let seeds = args.seeds.unwrap_or(reviewers::SEEDS);
    if seeds == 0 {
        return Err(Failure::input("--seeds: got 0, wanted at least 1"));
    }
    let questions = chosen(&args.only)?;
    let pool = crate::threads::threads(args.threads)?;
    let clock = Instant::now();
    let jobs: Vec<(usize, Job)> = (questions.iter().enumerate())
        .flat_map(|(number, question)| {
            reviewers::jobs(question, seeds).into_iter().map(move |job| (number, job))
        })
        .collect();
    if !args.quiet {
        eprintln!("{} questions, {} jobs", questions.len(), jobs.len());
    }
    let run = |&(number, job): &(usize, Job)| {
        reviewers::run(&questions[number], job).map(|rows| (number, rows))
    };
    let found: Result<Vec<(usize, Vec<Row>)>, PapersError> =
        pool.install(|| jobs.par_iter().with_max_len(1).map(run).collect());
    let mut rows: Vec<Vec<Row>> = questions.iter().map(|_| Vec::new()).collect();
    for (number, found) in found.map_err(failure)? {
        rows[number].extend(found);
    }
    let tables: Vec<Table<'_>> =
        questions.iter().zip(rows).map(|(question, rows)| Table::new(question, rows)).collect();
    let seconds = clock.elapsed().as_secs_f64();
    let (command, threads) = (command(args), pool.current_num_threads());
    let about = About { command, seconds, cpu_seconds: super::cpu_seconds(), threads };
    match args.format {
        Format::Json => print(&reviewers::to_json(&tables))?,
        Format::Table => print(&reviewers::page(&tables, seeds, &about).map_err(failure)?)?,
    }
    if let Some(folder) = &args.out {
        reviewers::write_page(folder, &tables, seeds, &about).map_err(failure)?;
    }
    if !args.quiet {
        eprintln!("{} jobs in {seconds:.1} s", jobs.len());
        if let Some(folder) = &args.out {
            eprintln!("wrote {}", folder.join("README.md").display());
        }
    }
    Ok(Exit::Ok)
}

/// The questions that were asked for, in the page's order; all where none was.
fn chosen(only: &[String]) -> Result<Vec<Question>, Failure> {
    let all = reviewers::all();
    if let Some(unknown) = only.iter().find(|id| all.iter().all(|question| question.id != **id)) {
        let ids: Vec<&str> = all.iter().map(|question| question.id).collect();
        return Err(Failure::input(format!(
            "--only: got `{unknown}`, wanted one of {}",
            ids.join(", ")
        )));
    }
    let is_wanted =
        |question: &Question| only.is_empty() || only.iter().any(|id| *id == question.id);
    Ok(all.into_iter().filter(is_wanted).collect())
}
