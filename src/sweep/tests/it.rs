//! Sweeps as a caller runs them: what is in them, how they are cut, stopped, resumed and joined, and what is refused.

use gorgo_sweep::{
    CellNumbers, Finished, Histograms, Plan, Pool, RunId, Search, Shard, Store, SweepFile,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const SMALL: &str = r#"
name = "small"
set = ["workload.wildchat.requests=60", "measure.warm_up=0s", "measure.stop=20s"]
policies = ["gorgo", "least-load"]
seeds = { first = 5, count = 2 }

[[over]]
path = "router.policies.gorgo.w_queue"
choices = [0.1, 0.5]

[[over]]
path = "router.policies.gorgo.w_rtt"
log_range = { from = 0.1, to = 10.0, points = 3 }
"#;

fn file(text: &str) -> SweepFile {
    SweepFile::parse("sweep.toml", text, Path::new("")).unwrap_or_else(|error| panic!("{error}"))
}

fn plan(text: &str) -> Plan {
    Plan::new(file(text)).unwrap_or_else(|error| panic!("{error}"))
}

fn ids(plan: &Plan) -> Vec<RunId> {
    (0..plan.cells()).map(|cell| plan.run_id(cell).expect("valid")).collect()
}

/// Runs what is missing of a shard, at most so many.
fn work(plan: &Plan, store: &Store, shard: Shard, most: usize) {
    let runs = Plan::runs(&ids(plan));
    let done = store.done().expect("readable");
    let mine = runs.iter().enumerate().filter(|(place, _)| shard.has(*place));
    let missing = mine.filter(|(_, (id, _))| !done.contains(&id.to_string()));
    let pool = Pool::new(1);
    for (_, &(id, cell)) in missing.take(most) {
        let scenario = plan.resolve(cell).expect("valid");
        let outcome = plan.run(cell, &scenario, &pool).expect("runs");
        store.keep(id, &scenario, &outcome).expect("written");
    }
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below it").to_owned();
                found.insert(name, std::fs::read(&path).expect("readable"));
            }
        }
    }
    found
}

#[test]
fn a_grid_is_every_combination_under_every_policy_and_seed() {
    let plan = plan(SMALL);
    assert_eq!(plan.settings.len(), 6);
    assert_eq!(plan.cells(), 6 * 2 * 2);
    assert_eq!(plan.settings[0], ["0.1", "0.1"]);
    assert_eq!(plan.settings[5], ["0.5", "10.0"], "the last axis varies fastest");
    let cells: BTreeSet<_> = (0..plan.cells())
        .map(|index| plan.cell(index))
        .map(|cell| (cell.setting, cell.policy, cell.seed))
        .collect();
    assert_eq!(cells.len(), plan.cells());
    assert!(cells.contains(&(5, 1, 6)));
}

#[test]
fn cells_that_are_the_same_run_are_run_once() {
    let plan = plan(SMALL);
    let ids = ids(&plan);
    // Six settings of gorgo, and least-load, which has none of these weights, once: under two seeds each.
    let runs = Plan::runs(&ids);
    assert_eq!(runs.len(), (6 + 1) * 2);
    let scenario = plan.resolve(0).expect("valid");
    assert_eq!(scenario.router.policies.len(), 1);
    let again = gorgo_scenario::Parsed::new("again", &scenario.to_toml(), &[] as &[&str]);
    let again = again.expect("valid").resolve(Path::new("")).expect("valid");
    assert_eq!(again.to_toml(), scenario.to_toml(), "a cell is a scenario that runs");
}

#[test]
fn zipped_axes_go_together() {
    let text =
        SMALL.replace("[[over]]", "[[over]]\nzip = \"both\"").replace("points = 3", "points = 2");
    assert_eq!(plan(&text).settings, [["0.1", "0.1"], ["0.5", "10.0"]]);
    let uneven = SMALL.replace("[[over]]", "[[over]]\nzip = \"both\"");
    let error = SweepFile::parse("sweep.toml", &uneven, Path::new("")).expect_err("2 and 3");
    assert!(error.to_string().contains("got 3 values, wanted 2"), "{error}");
}

#[test]
fn draws_are_keyed_and_a_latin_hypercube_has_one_in_each_stratum() {
    let drawn = |search: &str| {
        let text = format!("{SMALL}\n[search]\n{search}\n")
            .replace("choices = [0.1, 0.5]", "range = { from = 0.0, to = 1.0, points = 2 }");
        plan(&text)
    };
    let random = drawn("random = { settings = 50, seed = 3 }");
    assert_eq!(random.file.search, Search::Random { settings: 50, seed: 3 });
    assert_eq!(random.settings, drawn("random = { settings = 50, seed = 3 }").settings);
    assert_ne!(random.settings, drawn("random = { settings = 50, seed = 4 }").settings);
    assert_eq!(random.settings[..20], drawn("random = { settings = 20, seed = 3 }").settings[..]);
    let cube = drawn("latin_hypercube = { settings = 40 }");
    let number = |text: &String| text.parse::<f64>().expect("a number");
    let strata: BTreeSet<u64> =
        cube.settings.iter().map(|setting| (number(&setting[0]) * 40.0) as u64).collect();
    assert_eq!(strata.len(), 40);
    let logs: BTreeSet<u64> = (cube.settings.iter())
        .map(|setting| ((number(&setting[1]).log10() + 1.0) / 2.0 * 40.0) as u64)
        .collect();
    assert_eq!(logs.len(), 40);
}

#[test]
fn shards_and_what_was_stopped_give_the_same_files_as_one_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = plan(SMALL);
    let at = |name: &str| folder.path().join(name);
    let whole = Store::open(&at("whole"), &plan, false).expect("new");
    work(&plan, &whole, Shard::ALL, usize::MAX);

    // Two at a time, with a run that was cut off in between.
    for round in 0.. {
        let store = Store::open(&at("steps"), &plan, round > 0).expect("resumed");
        if store.done().expect("readable").len() == 14 {
            break;
        }
        work(&plan, &store, Shard::ALL, 2);
        let part = at("steps").join("runs").join(format!("{:032x}.part", round));
        std::fs::create_dir_all(&part).expect("made");
        std::fs::write(part.join("summary.json"), "{").expect("written");
    }
    assert_eq!(files(&at("steps")), files(&at("whole")));

    let shards: Vec<PathBuf> = (1..=3).map(|shard| at(&format!("shard{shard}"))).collect();
    for (index, shard) in shards.iter().enumerate() {
        let store = Store::open(shard, &plan, false).expect("new");
        let share = Shard::parse(&format!("{}/3", index + 1)).expect("a share");
        work(&plan, &store, share, usize::MAX);
        assert!(store.done().expect("readable").len() < 14);
    }
    let joined = Store::open(&at("joined"), &plan, true).expect("new");
    let taken: u64 = shards.iter().map(|shard| joined.take_over(shard).expect("joined")).sum();
    assert_eq!(taken, 14);
    assert_eq!(files(&at("joined")), files(&at("whole")));
    assert_eq!(joined.take_over(&shards[0]).expect("again"), 0);
}

#[test]
fn a_folder_is_one_sweeps_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = plan(SMALL);
    let at = folder.path().join("sweep");
    drop(Store::open(&at, &plan, false).expect("new"));
    let refused = |plan: &Plan, resume: bool| {
        Store::open(&at, plan, resume).expect_err("refused").to_string()
    };
    assert!(refused(&plan, false).contains("--resume"));
    let other = self::plan(&SMALL.replace("count = 2", "count = 3"));
    assert!(refused(&other, true).contains("another sweep"));
    std::fs::write(folder.path().join("letter.txt"), "dear").expect("written");
    let error = Store::open(folder.path(), &plan, false).expect_err("foreign").to_string();
    assert!(error.contains("other files"), "{error}");
}

#[test]
fn a_table_names_the_best_first_and_what_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = plan(SMALL);
    let store = Store::open(&folder.path().join("sweep"), &plan, false).expect("new");
    work(&plan, &store, Shard::ALL, usize::MAX);
    let summary = |id: &RunId| store.summary(*id).expect("readable").expect("there");
    let cells: Vec<_> = ids(&plan).iter().map(|id| CellNumbers::new(*id, &summary(id))).collect();
    let rows = gorgo_sweep::settings(&plan, &cells);
    assert_eq!(rows.len(), 7);
    let least_load = rows.iter().find(|row| row.policy == 1).expect("a row");
    assert_eq!(least_load.settings.len(), 6);
    assert_eq!((least_load.value(&plan, 0), least_load.value(&plan, 1)), (None, None));
    let p99 = |row: &gorgo_sweep::SettingRow| row.median[5].expect("a number");
    assert!(rows.windows(2).all(|pair| p99(&pair[0]) <= p99(&pair[1])));
    let csv = gorgo_sweep::cells_csv(&plan, &cells).expect("memory");
    assert_eq!(csv.lines().count(), 25);
    assert!(csv.starts_with("cell,setting,router.policies.gorgo.w_queue,"), "{csv}");
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    let over = |line: &str| format!("name = \"x\"\n[[over]]\npath = \"seed.x\"\n{line}\n");
    let range = |ends: &str| over(&format!("range = {{ {ends} }}"));
    let cases: [(String, &str); 17] = [
        ("seeds = { count = 1 }".into(), "missing key `name`"),
        ("name = \" \"".into(), "got an empty name"),
        ("name = \"x\"\nspeed = 1".into(), "unknown key `speed`"),
        (
            "name = \"x\"\nseeds = { count = 0 }".into(),
            "sweep.toml:2:19: seeds.count: got 0, wanted 1 to 1000000",
        ),
        ("name = \"x\"\nminimize = \"ttft_ms.p98\"".into(), "got \"ttft_ms.p98\", wanted a metric"),
        (
            "name = \"x\"\nminimize = \"ttft_ms.p99\"\nmaximize = \"goodput_rps\"".into(),
            "got maximize beside minimize",
        ),
        (
            "name = \"x\"\nsearch = { grid = {}, random = { settings = 3 } }".into(),
            "wanted one of grid, random",
        ),
        (
            "name = \"x\"\nsearch = { random = { settings = 0 } }".into(),
            "got 0, wanted 1 to 1000000",
        ),
        ("name = \"x\"\n[[over]]\npath = \"seed\"\nchoices = [1]".into(), "got the seed"),
        ("name = \"x\"\n[[over]]\npath = \"a b\"\nchoices = [1]".into(), "wanted a dotted path"),
        (over(""), "wanted one of choices, range and log_range"),
        (over("choices = []"), "got no value"),
        (over("choices = [1, 2, 1]"), "got 1 twice"),
        (over("choices = [nan]"), "wanted a finite number"),
        (range("from = 2, to = 1, points = 2"), "got 1, wanted more than 2"),
        (range("from = \"1ms\", to = \"2s\", points = 2"), "got the unit \"s\" beside \"ms\""),
        (range("from = 1, to = 2, points = 1"), "got 1, wanted 2 to"),
    ];
    for (text, wanted) in cases {
        let error =
            SweepFile::parse("sweep.toml", &text, Path::new("")).expect_err(wanted).to_string();
        assert!(error.contains(wanted), "{text}: wanted {wanted}, got {error}");
    }
    let refused = |from: &str, to: &str| {
        let text = SMALL.replace(from, to);
        assert_ne!(text, SMALL);
        Plan::new(file(&text)).expect_err("refused").to_string()
    };
    let wrong = refused("gorgo.w_queue", "gorgo.w_quue");
    assert!(
        wrong.contains("cell 0 (router.policies.gorgo.w_quue=0.1") && wrong.contains("w_queue"),
        "{wrong}"
    );
    let policy = refused("\"least-load\"", "\"most-load\"");
    assert!(policy.contains("got \"most-load\", wanted one of the scenario's"), "{policy}");
    for shard in ["0/2", "3/2", "1", "a/b", "1/0"] {
        assert!(Shard::parse(shard).is_err(), "{shard}");
    }
}

#[test]
fn a_run_keeps_scenario_summary_and_histograms_that_add_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut plan = plan(SMALL);
    plan.records = true;
    let store = Store::open(&folder.path().join("sweep"), &plan, false).expect("new");
    work(&plan, &store, Shard::ALL, 3);
    let runs = store.done().expect("readable");
    let mut all = Histograms::default();
    let mut ttfts: Vec<u64> = Vec::new();
    for run in &runs {
        let at = folder.path().join("sweep/runs").join(run);
        let names: Vec<String> = files(&at).keys().map(|name| name.display().to_string()).collect();
        let wanted = ["histograms.json", "requests.csv", "scenario.resolved.toml", "summary.json"];
        assert_eq!(names, wanted);
        all.merge(&store.histograms(run).expect("readable"));
        let file = std::fs::File::open(at.join("requests.csv")).expect("there");
        let requests = gorgo_report::read_requests(file, "requests.csv").expect("as written");
        let done = requests.records.iter().filter(|record| record.e2e().is_some());
        ttfts.extend(done.filter_map(|record| record.completed_ttft()).map(|ttft| ttft.0));
    }
    assert_eq!(runs.len(), 3);
    // Every request is in the bucket whose top is the least that is not below it, also after runs were joined.
    ttfts.sort_unstable();
    let mut expected: Vec<(u64, u64)> = Vec::new();
    for ttft in ttfts {
        let bucket = all.ttft_ns.iter().find(|(top, _)| *top >= ttft).expect("a bucket").0;
        match expected.last_mut() {
            Some((top, count)) if *top == bucket => *count += 1,
            _ => expected.push((bucket, 1)),
        }
    }
    assert_eq!(all.ttft_ns, expected);
    assert!(all.ttft_ns.windows(2).all(|pair| pair[0].0 < pair[1].0));
}

#[test]
fn a_folder_keeps_requests_of_all_its_runs_or_of_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().join("sweep");
    let mut plan = plan(SMALL);
    drop(Store::open(&at, &plan, false).expect("new"));
    assert!(!Store::keeps_records(&at).expect("readable"));
    plan.records = true;
    let error = Store::open(&at, &plan, true).expect_err("mixed").to_string();
    assert!(error.contains("one with --records and one without"), "{error}");
    let other = folder.path().join("records");
    drop(Store::open(&other, &plan, false).expect("new"));
    assert!(Store::keeps_records(&other).expect("readable"));
}

#[test]
fn a_folder_is_opened_by_one_at_a_time_and_after_one_who_was_killed_opening_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().join("sweep");
    let plan = plan(SMALL);
    std::fs::create_dir_all(&at).expect("made");
    std::fs::write(at.join("sweep.json.part"), "{\"sch").expect("written");
    let first = Store::open(&at, &plan, true).expect("nothing is there yet");
    let error = Store::open(&at, &plan, true).expect_err("at work").to_string();
    assert!(error.contains("got a sweep at work, wanted one program at a time"), "{error}");
    drop(first);
    Store::open(&at, &plan, true).expect("free again");
}

/// Cells of a plan whose objective (and every other metric) is given by cell; those of a setting that says nothing to a
/// policy are runs of their own.
fn made_up(plan: &Plan, objective: impl Fn(usize, usize, u64) -> Option<f64>) -> Vec<CellNumbers> {
    (0..plan.cells())
        .map(|index| {
            let cell = plan.cell(index);
            let number = objective(cell.setting, cell.policy, cell.seed);
            let run = format!("{index:032x}");
            CellNumbers { run, numbers: vec![number; gorgo_sweep::METRICS.len()], measured: 10 }
        })
        .collect()
}

#[test]
fn settings_that_cannot_be_told_from_the_best_are_named() {
    let plan = plan(&SMALL.replace("count = 2", "count = 12").replace(", \"least-load\"", ""));
    // Common to all settings: what the seed does. It cancels in pairs, whatever its size.
    let noise = |setting: usize, seed: u64| ((setting as u64 * 31 + seed * 17) % 13) as f64 - 6.0;
    let seeds = |seed: u64| (seed % 5) as f64 * 1_000.0;
    let cells = made_up(&plan, |setting, _, seed| match setting {
        0 => Some(20_000.0 + seeds(seed) + noise(0, seed)),
        1 => Some(20_000.0 + seeds(seed) + noise(1, seed)),
        2 => Some(20_100.0 + seeds(seed) + noise(2, seed)),
        3 => (seed > 5).then_some(1.0),
        _ => Some(90_000.0 + seeds(seed)),
    });
    let rows = gorgo_sweep::settings(&plan, &cells);
    let standings = gorgo_sweep::standings(&plan, &cells, &rows);
    let of = |setting: usize| {
        let place = rows.iter().position(|row| row.settings == [setting]).expect("a row");
        (place, standings[place])
    };
    // Setting 3 has no number under its first seed, and the smallest under all others.
    assert_eq!(of(3).0, 0, "the median says so");
    assert!(standings.iter().all(|standing| standing.same.is_none()), "nothing to pair with");
    let without = made_up(&plan, |setting, policy, seed| match setting {
        3 => Some(95_000.0 + noise(policy, seed)),
        _ => cells[setting * 12 + (seed as usize - 5)].numbers[0],
    });
    let rows = gorgo_sweep::settings(&plan, &without);
    let standings = gorgo_sweep::standings(&plan, &without, &rows);
    let of = |setting: usize| {
        let place = rows.iter().position(|row| row.settings == [setting]).expect("a row");
        standings[place]
    };
    assert_eq!((of(0).same, of(1).same), (Some(true), Some(true)));
    for setting in 2..6 {
        assert_eq!(of(setting).same, Some(false), "setting {setting}");
    }
    let [middle, low, high] = of(2).difference.expect("twelve seeds");
    assert!((90.0..110.0).contains(&middle) && low < middle && middle < high && low > 80.0);
    assert!(standings[0].difference.is_none(), "the best differs from none");
}

#[test]
fn one_seed_tells_nothing_and_a_missing_number_is_worse() {
    let one = plan(&SMALL.replace("count = 2", "count = 1"));
    let cells = made_up(&one, |setting, _, _| Some(setting as f64));
    let rows = gorgo_sweep::settings(&one, &cells);
    let standings = gorgo_sweep::standings(&one, &cells, &rows);
    assert!(standings.iter().all(|standing| standing.same.is_none()));
    let many = plan(&SMALL.replace("count = 2", "count = 8"));
    let cells = made_up(&many, |setting, policy, seed| {
        (setting + policy < 6 || seed > 6).then_some(setting as f64 + 0.01 * seed as f64)
    });
    let rows = gorgo_sweep::settings(&many, &cells);
    let standings = gorgo_sweep::standings(&many, &cells, &rows);
    for (row, standing) in rows.iter().zip(&standings) {
        let missing = row.settings[0] + row.policy >= 6;
        assert!(!missing || (standing.same == Some(false) && standing.difference.is_none()));
    }
}

#[test]
fn pictures_are_drawn_of_drawn_settings_and_of_next_to_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let search = format!("{SMALL}\n[search]\nlatin_hypercube = {{ settings = 40 }}\n")
        .replace("choices = [0.1, 0.5]", "range = { from = 0.0, to = 1.0, points = 2 }");
    let bare = "name = \"bare\"\npolicies = [\"gorgo\"]\n";
    for (name, text, wanted) in [
        (
            "drawn",
            search.as_str(),
            ["surface", "effects", "parallel", "front", "ttft_bands"].as_slice(),
        ),
        ("bare", bare, ["ttft_bands"].as_slice()),
    ] {
        let plan = plan(text);
        let store = Store::open(&folder.path().join(name), &plan, false).expect("new");
        let cells = made_up(&plan, |setting, policy, seed| {
            Some((setting % 7) as f64 * 10.0 + policy as f64 + seed as f64 + 1.0)
        });
        for cell in &cells {
            let run = folder.path().join(name).join("runs").join(&cell.run);
            std::fs::create_dir_all(&run).expect("made");
            let text = r#"{"ttft_ns":[[1000000,4],[3000000,5]],"e2e_ns":[],"itl_ns":[]}"#;
            std::fs::write(run.join("histograms.json"), text).expect("written");
        }
        let rows = gorgo_sweep::settings(&plan, &cells);
        let standings = gorgo_sweep::standings(&plan, &cells, &rows);
        let finished = Finished { plan: &plan, cells: &cells, rows: &rows, standings: &standings };
        finished.write_report(&store, "gorgo sweep run x.toml").expect("written");
        let files = files(&folder.path().join(name));
        let plots: Vec<_> = files.keys().filter(|file| file.starts_with("plots")).collect();
        assert_eq!(plots.len(), wanted.len(), "{name}: {plots:?}");
        for plot in wanted {
            assert!(files.contains_key(&Path::new("plots").join(format!("{plot}.svg"))), "{plot}");
        }
        // A picture cannot hold what is no number.
        assert!(!String::from_utf8_lossy(&files[Path::new("report.html")]).contains("NaN"));
    }
}
