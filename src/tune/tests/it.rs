//! Searches on functions whose answers are known: optima, races, bounds, fronts and capacities.

use gorgo_random::{Key, Purpose};
use gorgo_tune::{
    Bound, CapacityRange, Cma, Field, Goal, Method, Objective, Plan, Search, Trial, TuneError,
    Verdict, World, capacity, race, search,
};

/// Functions of a point as a world; a setting is the point's coordinates.
struct Functions<F> {
    metrics: F,
    /// How much every metric is scattered by the seed and the setting.
    noise: f64,
    runs: u64,
    /// Trials are computed in reverse order, as other threads might.
    backwards: bool,
}

impl<F: Fn(&[f64]) -> Vec<f64>> Functions<F> {
    fn new(metrics: F) -> Self {
        Self { metrics, noise: 0.0, runs: 0, backwards: false }
    }

    fn row(&self, trial: &Trial<'_>) -> Vec<Option<f64>> {
        let point: Vec<f64> = match trial.setting {
            [] => vec![0.0, 0.0],
            setting => setting.iter().map(|x| x.parse().expect("a number")).collect(),
        };
        let key = Key::new(trial.seed).with(Purpose::Bootstrap);
        let key = point.iter().fold(key, |key, x| key.word(x.to_bits()));
        // Half of the noise is the seed's, which all settings share.
        let own = key.draw().unit() - 0.5;
        let shared = 10.0 * (Key::new(trial.seed).draw().unit() - 0.5);
        let metrics = (self.metrics)(&point).into_iter();
        metrics.map(|value| Some(value + self.noise * (own + shared))).collect()
    }
}

impl<F: Fn(&[f64]) -> Vec<f64>> World for Functions<F> {
    type Error = TuneError;

    fn setting(&self, point: &[f64]) -> Vec<String> {
        point.iter().map(|x| format!("{x:.4}")).collect()
    }

    fn run(&mut self, trials: &[Trial<'_>]) -> Result<Vec<Vec<Option<f64>>>, TuneError> {
        self.runs += trials.len() as u64;
        let row = |trial| self.row(trial);
        if self.backwards {
            let mut rows: Vec<_> = trials.iter().rev().map(row).collect();
            rows.reverse();
            return Ok(rows);
        }
        Ok(trials.iter().map(row).collect())
    }
}

fn goal(metrics: &[&str], bounds: &[&str]) -> Goal {
    let objective = |metric: &&str| Objective { metric: (*metric).to_owned(), less: true };
    let bound = |text: &&str| Bound::parse(text).unwrap_or_else(|error| panic!("{error}"));
    Goal {
        objectives: metrics.iter().map(objective).collect(),
        bounds: bounds.iter().map(bound).collect(),
    }
}

fn seeds(count: u64) -> Vec<u64> {
    (1..=count).collect()
}

fn run<F: Fn(&[f64]) -> Vec<f64>>(
    world: &mut Functions<F>,
    goal: &Goal,
    seeds: &[u64],
    method: Method,
    candidates: u64,
) -> Search {
    let spans = [4.6, 4.6];
    let plan = Plan { goal, seeds, spans: &spans, method, candidates, seed: 1 };
    search(&plan, world).unwrap_or_else(|error| panic!("{error}"))
}

fn point(search: &Search, place: usize) -> Vec<f64> {
    search.candidates[place].setting.iter().map(|x| x.parse().expect("a number")).collect()
}

/// CMA-ES alone, without a lattice; gives how many evaluations it took to come below `target`.
fn evaluations(n: usize, seed: u64, target: f64, most: usize, f: impl Fn(&[f64]) -> f64) -> usize {
    let mut cma = Cma::new(n, seed, 0.0);
    let mut count = 0;
    while count < most {
        let points = cma.ask();
        count += points.len();
        let values: Vec<f64> = points.iter().map(|x| f(x)).collect();
        if values.iter().any(|value| *value < target) {
            return count;
        }
        let mut order: Vec<usize> = (0..points.len()).collect();
        order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
        cma.tell(&order);
    }
    panic!("seed {seed}: nothing below {target} in {most} evaluations");
}

fn sphere(x: &[f64]) -> f64 {
    x.iter().map(|x| (x - 0.3) * (x - 0.3)).sum()
}

/// Rosenbrock's valley over -2 to 2, its optimum at 1 in every coordinate.
fn rosenbrock(x: &[f64]) -> f64 {
    let x: Vec<f64> = x.iter().map(|x| 4.0 * x - 2.0).collect();
    x.windows(2).map(|p| 100.0 * (p[1] - p[0] * p[0]).powi(2) + (1.0 - p[0]).powi(2)).sum()
}

#[test]
fn cma_es_finds_the_optimum_of_sphere_and_valley_within_known_budgets() {
    for seed in 1..=10 {
        // Hansen's own implementation takes about 500 and 1,800 evaluations for these.
        let sphere = evaluations(4, seed, 1e-10, 1_200, sphere);
        let valley = evaluations(3, seed, 1e-8, 4_000, rosenbrock);
        assert!(sphere > 50 && valley > 100, "too good to be true: {sphere} {valley}");
    }
}

#[test]
fn cma_es_learns_a_slant_that_axes_do_not_show() {
    // 1,000 times narrower across a diagonal than along it.
    let slant = |x: &[f64]| {
        let (along, across) = (x[0] + x[1] - 1.2, x[0] - x[1] - 0.1);
        along * along + 1e6 * across * across
    };
    for seed in 1..=10 {
        evaluations(2, seed, 1e-9, 1_500, slant);
    }
}

#[test]
fn an_optimum_in_a_corner_is_found_through_the_mirrors() {
    for seed in 1..=10 {
        evaluations(3, seed, 1e-8, 1_500, |x| x[0] * x[0] + x[1] * x[1] + (1.0 - x[2]).powi(2));
    }
}

#[test]
fn a_noisy_sphere_is_found_as_near_as_the_noise_allows() {
    for backwards in [false, true] {
        let mut world = Functions { noise: 0.02, backwards, ..Functions::new(|x| vec![sphere(x)]) };
        let goal = goal(&["f"], &[]);
        let search = run(&mut world, &goal, &seeds(8), Method::CmaEs, 200);
        let found = sphere(&point(&search, search.best));
        // The seeds' share of the noise is common to all; the own share has a standard deviation of 0.006 / sqrt 8.
        assert!(found < 0.004, "{found}: {:?}", search.candidates[search.best]);
        assert_eq!(search.counts.run, world.runs);
    }
}

#[test]
fn the_order_in_which_trials_are_run_changes_nothing() {
    let goal = goal(&["f"], &[]);
    for method in [Method::CmaEs, Method::OnePlusOne] {
        let made = |backwards| {
            let mut world =
                Functions { noise: 0.1, backwards, ..Functions::new(|x| vec![sphere(x)]) };
            run(&mut world, &goal, &seeds(5), method, 60)
        };
        assert_eq!(made(false), made(true));
    }
}

#[test]
fn the_published_strategy_finds_the_sphere_too_and_ends_by_itself() {
    let mut world = Functions::new(|x| vec![1.0 + sphere(x)]);
    let search = run(&mut world, &goal(&["f"], &[]), &seeds(2), Method::OnePlusOne, 500);
    let found = sphere(&point(&search, search.best));
    assert!(found < 0.02, "{found}");
    assert!(search.ended && search.steps < 500, "{}", search.steps);
}

#[test]
fn a_race_without_noise_never_drops_the_winner_and_saves_runs() {
    let goal = goal(&["f"], &[]);
    let seeds = seeds(8);
    for first in 0..50_u64 {
        let mut world = Functions::new(|x| vec![sphere(x)]);
        let mut field = Field::new(&goal, &seeds);
        let draw = |i: u64| Key::new(first).word(i).draw().unit();
        let points: Vec<Vec<f64>> = (0..9).map(|i| vec![draw(2 * i), draw(2 * i + 1)]).collect();
        let entered: Vec<usize> = points.iter().map(|x| field.enter(world.setting(x))).collect();
        let order = race(&mut field, &mut world, &entered, &|score| score.costs[0]).expect("runs");
        let value = |index: usize| field.score(entered[index], 8).costs[0];
        assert!((0..9).all(|index| value(order[0]) <= value(index)));
        let mut all = order.clone();
        all.sort_unstable();
        assert_eq!(all, (0..9).collect::<Vec<_>>(), "each is there once");
        // 9 meet 2 seeds, 5 of them 2 more, 3 of those all 8.
        let counts = field.counts();
        assert_eq!((counts.run, counts.saved_by_racing), (9 * 2 + 5 * 2 + 3 * 4, 72 - 40));
        assert_eq!(world.runs, 40);
    }
}

#[test]
fn equal_settings_are_run_once() {
    let goal = goal(&["f"], &[]);
    let seeds = seeds(4);
    let mut world = Functions::new(|x| vec![sphere(x)]);
    let mut field = Field::new(&goal, &seeds);
    let setting = world.setting(&[0.5, 0.5]);
    let entered = [field.enter(setting.clone()), field.enter(setting)];
    assert_eq!(entered, [0, 0]);
    race(&mut field, &mut world, &entered, &|score| score.costs[0]).expect("runs");
    assert_eq!((world.runs, field.counts().saved_as_equal), (4, 4));
}

#[test]
fn a_bound_moves_the_optimum_to_its_edge() {
    // The least x + y with x * y at least 0.16: at x = y = 0.4.
    let mut world = Functions::new(|x: &[f64]| vec![x[0] + x[1], x[0] * x[1]]);
    for method in [Method::CmaEs, Method::OnePlusOne] {
        let goal = goal(&["sum"], &["product >= 0.16"]);
        let search = run(&mut world, &goal, &seeds(1), method, 300);
        let best = &search.candidates[search.best];
        assert!(best.score.is_feasible());
        let most = if method == Method::CmaEs { 0.803 } else { 0.86 };
        assert!((0.8..most).contains(&best.score.costs[0]), "{method:?} {best:?}");
        assert!(!search.candidates[0].score.is_feasible(), "as it stands it is not");
    }
}

#[test]
fn the_front_of_two_spheres_is_the_line_between_them() {
    let far = |x: &[f64], a: f64, b: f64| (x[0] - a).powi(2) + (x[1] - b).powi(2);
    let mut world = Functions::new(|x: &[f64]| vec![far(x, 0.2, 0.5), far(x, 0.8, 0.5)]);
    let goal = goal(&["left", "right"], &[]);
    let search = run(&mut world, &goal, &seeds(2), Method::CmaEs, 400);
    assert!(search.front.len() >= 8, "{:?}", search.front);
    let mut widest: f64 = 0.0;
    for &place in &search.front {
        let [left, right] = search.candidates[place].score.costs[..] else { panic!("two") };
        // On the line the two distances add up to 0.6.
        let sum = left.sqrt() + right.sqrt();
        assert!((0.599..0.65).contains(&sum), "{sum} {:?}", search.candidates[place]);
        widest = widest.max((left - right).abs());
    }
    assert!(widest > 0.3, "both ends are there: {widest}");
}

#[test]
fn capacity_is_the_last_value_that_meets_and_doubt_is_said() {
    let goal = goal(&[], &["ttft_ms.p99 <= 50"]);
    let settings: Vec<Vec<String>> =
        (0..=100).map(|x| vec![f64::from(x).to_string(), "0".to_owned()]).collect();
    let mut world = Functions::new(|x: &[f64]| vec![x[0]]);
    let seeds = seeds(24);
    let mut range = CapacityRange { goal: &goal, seeds: &seeds, settings };
    let found = capacity(&range, &mut world).expect("runs");
    assert_eq!((found.met, found.not_met), (Some(50), Some(51)));
    assert!(found.tested.len() <= 9, "{}", found.tested.len());
    assert!(found.tested.iter().all(|test| test.seeds == 8), "without noise one look is enough");
    // Noise of some units: what is met is less, and surely met.
    let mut noisy = Functions { noise: 2.0, ..Functions::new(|x: &[f64]| vec![x[0]]) };
    let found = capacity(&range, &mut noisy).expect("runs");
    let met = found.met.expect("some");
    assert!((20..50).contains(&met), "{met}");
    assert!(found.tested.iter().any(|test| test.verdict == Verdict::Doubtful), "{found:?}");
    range.settings.truncate(30);
    assert_eq!(capacity(&range, &mut world).expect("runs").met, Some(29), "all of the range");
    range.settings.drain(..30);
    let error = capacity(&range, &mut world).expect_err("no value");
    assert!(error.to_string().contains("no value"), "{error}");
    range.settings = vec![vec!["60".to_owned(), "0".to_owned()]];
    assert_eq!(capacity(&range, &mut world).expect("runs").met, None, "nothing meets it");
    range.seeds = &seeds[..5];
    let error = capacity(&range, &mut world).expect_err("too few").to_string();
    assert!(error.contains("got 5 seeds, wanted 6 or more"), "{error}");
}

#[test]
fn plans_that_make_no_sense_are_refused() {
    let mut world = Functions::new(|x| vec![sphere(x)]);
    let one = goal(&["f"], &[]);
    let none = goal(&[], &[]);
    let three = goal(&["f", "g", "h"], &[]);
    let seeds = seeds(2);
    let base = Plan {
        goal: &one,
        seeds: &seeds,
        spans: &[1.0],
        method: Method::OnePlusOne,
        candidates: 10,
        seed: 1,
    };
    let many = vec![1.0; 17];
    for plan in [
        Plan { goal: &none, ..base.clone() },
        Plan { goal: &three, ..base.clone() },
        Plan { seeds: &[], ..base.clone() },
        Plan { spans: &[], ..base.clone() },
        Plan { spans: &[0.0], ..base.clone() },
        Plan { spans: &[f64::NAN], ..base.clone() },
        Plan { spans: &many, ..base },
    ] {
        let error = search(&plan, &mut world).expect_err("refused").to_string();
        assert!(error.contains("got") && error.contains("wanted"), "{error}");
    }
}
