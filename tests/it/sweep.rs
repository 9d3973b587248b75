//! `gorgo sweep` as people use it: killed at random moments, split, on more threads, and the files are the same.

use crate::support::{files, gorgo, gorgo_ok};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// How often the sweep is killed.
const KILLS: u32 = 50;

/// Writes a sweep of so many cells beside a folder for its results.
fn write_sweep(folder: &Path, seeds: u32, requests: u32) -> String {
    let text = format!(
        "name = \"small\"\npolicies = [\"gorgo\", \"least-load\"]\nseeds = {{ count = {seeds} }}\n\
         set = [\"workload.wildchat.requests={requests}\", \"measure.warm_up=0s\", \"measure.stop=20s\"]\n\
         [[over]]\npath = \"router.policies.gorgo.w_queue\"\nchoices = [0.1, 0.3, 0.5]\n\
         [[over]]\npath = \"router.policies.gorgo.w_rtt\"\nchoices = [1.0, 10.0]\n"
    );
    let file = folder.join("small.toml");
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn start(sweep: &str, out: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_gorgo"))
        .args(["sweep", "run", sweep, "--out", out, "--resume", "--quiet"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs")
}

/// When each complete run was written: its summary's time.
fn complete(out: &str) -> BTreeMap<PathBuf, SystemTime> {
    let Ok(runs) = std::fs::read_dir(Path::new(out).join("runs")) else { return BTreeMap::new() };
    runs.map(|run| run.expect("an entry").path())
        .filter(|run| !run.to_string_lossy().ends_with(".part"))
        .map(|run| {
            let summary = run.join("summary.json").metadata().expect("a run is whole");
            (run, summary.modified().expect("files have times"))
        })
        .collect()
}

/// Waits so long, or until the program has ended; whether it has.
fn ends_within(child: &mut Child, time: Duration) -> bool {
    let started = Instant::now();
    while started.elapsed() < time {
        if child.try_wait().expect("a child").is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    child.try_wait().expect("a child").is_some()
}

/// Waits until there are more complete runs than before, or the program has ended.
fn has_new_run(child: &mut Child, out: &str, before: usize) {
    while complete(out).len() <= before && !ends_within(child, Duration::from_millis(1)) {}
}

#[test]
fn a_sweep_killed_fifty_times_loses_nothing_and_runs_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (whole, killed) = (path("whole"), path("killed"));
    let sweep = write_sweep(folder.path(), 20, 150);
    let begun = Instant::now();
    let table = gorgo_ok(&["sweep", "run", &sweep, "--out", &whole, "--quiet"]);
    let all = begun.elapsed();
    let runs = complete(&whole).len();
    let begun = Instant::now();
    gorgo_ok(&["sweep", "run", &sweep, "--dry-run", "--quiet"]);
    let start_up = begun.elapsed();
    // Draws of a fixed multiplicative generator: which moments they hit differs from machine to machine.
    let mut draw = 0x9e37_79b9_u64;
    let mut unit = || {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from((draw >> 40) as u32) / f64::from(1 << 24)
    };
    // From before the folder is there to a few runs later, so that fifty kills do not see the end of it.
    let work = all.saturating_sub(start_up);
    let mut span = start_up + work * 2 / KILLS;
    let mut seen: BTreeMap<PathBuf, SystemTime> = BTreeMap::new();
    let (mut kills, mut gained, mut ended) = (0, 0, 0);
    while kills < KILLS {
        let mut child = start(&sweep, &killed);
        // Every second kill comes soon after a run that is new, the others at any moment: while it starts, or, once all
        // runs are there, while it writes tables and pages.
        let wait = if kills % 2 == 0 && seen.len() < runs {
            has_new_run(&mut child, &killed, seen.len());
            Duration::from_millis(20).mul_f64(unit())
        } else {
            span.mul_f64(unit())
        };
        if ends_within(&mut child, wait) {
            let output = child.wait_with_output().expect("a child");
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "after {kills} kills: {error}");
            ended += 1;
            assert!(ended < 500, "it ends before it can be killed");
            // The machine was busier when the time was taken.
            span = span.mul_f64(0.8);
            continue;
        }
        child.kill().expect("it was at work");
        child.wait().expect("a child");
        kills += 1;
        let now = complete(&killed);
        for (run, time) in &seen {
            assert_eq!(now.get(run), Some(time), "{} was lost or run again", run.display());
        }
        gained += usize::from(now.len() > seen.len());
        seen = now;
    }
    let resumed = ["sweep", "run", &sweep, "--out", &killed, "--resume", "--quiet"];
    assert_eq!(gorgo_ok(&resumed), table);
    let now = complete(&killed);
    assert!(seen.iter().all(|(run, time)| now.get(run) == Some(time)), "what was complete stays");
    println!(
        "{kills} kills within {:.0} ms each, {gained} of them after new runs; {} of {} runs were there before the last",
        span.as_secs_f64() * 1e3,
        seen.len(),
        now.len()
    );
    assert!(gained > 0, "no kill came after a run was written");
    assert!(files(Path::new(&killed)) == files(Path::new(&whole)), "the same bytes");
}

#[test]
fn threads_and_shards_change_no_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let sweep = write_sweep(folder.path(), 2, 80);
    let run = |threads: &str| {
        let out = path(threads);
        let words = ["sweep", "run", &sweep, "--out", &out, "--threads", threads, "--records"];
        (gorgo_ok(&[&words[..], &["--quiet"]].concat()), files(Path::new(&out)))
    };
    let one = run("1");
    assert!(one.1.iter().any(|(name, _)| name.ends_with("requests.csv")));
    assert!(run("2") == one && run("4") == one);
    let shards = ["1/3", "2/3", "3/3"].map(|share| (share, path(&share.replace('/', "-"))));
    for (share, out) in &shards {
        let words =
            ["sweep", "run", &sweep, "--out", out, "--shard", share, "--records", "--quiet"];
        assert_eq!(gorgo_ok(&words), "");
    }
    let all = path("all");
    // In another order than they were made.
    let words = ["sweep", "merge", &sweep, &shards[2].1, &shards[0].1, &shards[1].1];
    let merged = gorgo_ok(&[&words[..], &["--out", &all, "--quiet"]].concat());
    assert!((merged, files(Path::new(&all))) == one);
    let mixed = ["sweep", "run", &sweep, "--out", &all, "--resume", "--quiet"];
    let refused = gorgo(&mixed);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{error}");
    assert!(error.contains("--records"), "{error}");
}

#[test]
fn a_dry_run_prints_every_cell_and_measures_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (sweep, out) = (write_sweep(folder.path(), 2, 80), path("out"));
    let dry = |more: &[&str]| {
        let output = gorgo(&[&["sweep", "run", &sweep, "--out", &out, "--dry-run"], more].concat());
        assert!(output.status.success());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    let (cells, told) = dry(&[]);
    // Six settings, two policies, two seeds; least-load knows none of the axes.
    assert_eq!(cells.lines().count(), 24);
    assert!(told.contains("24 cells, 14 runs, 14 of them in this share"), "{told}");
    assert!(told.contains("14 are to be made; ") && told.contains("all will take about"), "{told}");
    assert!(!Path::new(&out).exists(), "a dry run leaves nothing");
    assert!(dry(&["--shard", "1/3"]).1.contains("5 are to be made"));
    gorgo_ok(&["sweep", "run", &sweep, "--out", &out, "--shard", "1/2", "--quiet"]);
    assert!(dry(&["--resume"]).1.contains("7 are to be made"));
    gorgo_ok(&["sweep", "run", &sweep, "--out", &out, "--resume", "--quiet"]);
    assert!(dry(&["--resume"]).1.contains("none is to be made"));
}

/// Elements that HTML closes by themselves.
const VOID: [&str; 3] = ["meta", "wbr", "br"];

/// Every tag of a page closes what was opened last, but in script and style, which are skipped; gives the values of
/// `href` and `src`.
fn links_of_strict_html(html: &str) -> Vec<String> {
    let mut open: Vec<&str> = Vec::new();
    let mut links = Vec::new();
    let mut rest = html.strip_prefix("<!DOCTYPE html>").expect("it says what it is");
    while let Some((text, after)) = rest.split_once('<') {
        assert!(!text.contains('>'), "a bare > in {text:?}");
        let (tag, after) = after.split_once('>').expect("a tag ends");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed before {:?}", &after[..after.len().min(60)]);
            continue;
        }
        let name = tag.split([' ', '/']).next().expect("a name");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "{tag:?}");
        assert_eq!(tag.matches('"').count() % 2, 0, "quotes of {tag:?}");
        for attribute in ["href=\"", "src=\"", "xlink:href=\""] {
            let found = tag.split_once(attribute).and_then(|(_, value)| value.split_once('"'));
            links.extend(found.map(|(value, _)| value.to_owned()));
        }
        if VOID.contains(&name) || tag.ends_with('/') {
            continue;
        }
        if name == "script" || name == "style" {
            rest = after.split_once(&format!("</{name}>")).expect("it ends").1;
            continue;
        }
        open.push(name);
    }
    assert!(open.is_empty(), "left open: {open:?}");
    links
}

/// A browser that runs without a screen; says so and gives `None` where there is none.
fn browser() -> Option<&'static str> {
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let answers = |name: &&str| {
        let mut asked = Command::new(name);
        asked.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        asked.status().is_ok_and(|status| status.success())
    };
    let found = names.into_iter().find(answers);
    if found.is_none() {
        println!("SKIPPED: no browser is here ({}), the page was not opened", names.join(", "));
    }
    found
}

/// The document after its scripts ran, as the browser has it.
fn opened(browser: &str, page: &Path, profile: &Path) -> String {
    let child = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("file://{}", page.display()))
        .stderr(Stdio::null())
        .output();
    let output = child.expect("the browser runs");
    assert!(output.status.success(), "{:?}", output.status.code());
    String::from_utf8(output.stdout).expect("a document is UTF-8")
}

#[test]
fn the_report_is_one_page_that_loads_nothing_and_sorts_by_click() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let sweep = write_sweep(folder.path(), 3, 80);
    let text = std::fs::read_to_string(&sweep).unwrap();
    let hostile =
        "description = '''</p><script>document.title = \"taken\"</script> & \"quotes\"'''\n";
    std::fs::write(&sweep, format!("{hostile}{text}").replace("\"small\"", "\"<i>small\""))
        .unwrap();
    let out = path("out");
    gorgo_ok(&["sweep", "run", &sweep, "--out", &out, "--records", "--quiet"]);
    let page = Path::new(&out).join("report.html");
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("&lt;/p&gt;&lt;script&gt;document.title"), "texts are escaped");
    for address in ["http:", "https:", "url(", "@import", "//www"] {
        assert!(!html.contains(address), "the page names {address}");
    }
    let links = links_of_strict_html(&html);
    for link in &links {
        assert!(!link.starts_with('/') && !link.contains(':'), "{link}");
        assert!(Path::new(&out).join(link).is_file(), "{link} is there");
    }
    for picture in ["surface", "effects", "parallel", "front", "ttft_bands"] {
        let file = format!("plots/{picture}.svg");
        assert!(links.contains(&file), "{file}");
    }
    // Seven rows of three seeds; 36 cells with four files each; five pictures.
    assert_eq!(links.len(), 7 * 3 + 36 * 4 + 5);
    assert!(
        html.contains("<td>best</td>") && html.contains("gorgo sweep run small.toml --records")
    );

    let Some(browser) = browser() else { return };
    let click = "<script>document.querySelector('table.sortable th button').click();\
                 document.querySelector('table.sortable th button').click();</script></body>";
    let clicked = folder.path().join("clicked.html");
    std::fs::write(&clicked, html.replace("</body>", click)).unwrap();
    let document = opened(browser, &clicked, &folder.path().join("profile"));
    let ranks = |document: &str| -> Vec<u32> {
        let body = document.split("<tbody>").nth(1).expect("a table");
        let body = body.split("</tbody>").next().expect("it ends");
        let rows = body.split("<tr>").skip(1);
        rows.map(|row| row.split('>').nth(1).unwrap().split('<').next().unwrap())
            .map(|rank| rank.parse().expect("a rank"))
            .collect()
    };
    assert_eq!(ranks(&html), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(ranks(&document), [7, 6, 5, 4, 3, 2, 1], "a second click turns the order");
    assert!(document.contains("aria-sort=\"descending\""));
    assert!(document.contains("<title>&lt;i&gt;small</title>"), "nothing of a text runs");
}
