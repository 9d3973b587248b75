//! tmp
use gorgo_oracle::{
    cases::{Size, case},
    coverage::Coverage,
    engine::run_slow,
};
#[test]
fn slow() {
    let n: u64 = std::env::var("N").map_or(300, |n| n.parse().unwrap());
    let mut all = Coverage::default();
    let mut bad = vec![];
    let mut refused = 0;
    for i in 0..n {
        let script = case(i, Size::Small);
        match std::panic::catch_unwind(|| run_slow(&script)) {
            Ok((o, c)) => {
                all.add(&c);
                refused += o.refused.len();
            }
            Err(e) => bad.push((
                i,
                e.downcast_ref::<String>()
                    .cloned()
                    .or(e.downcast_ref::<&str>().map(|s| s.to_string())),
            )),
        }
    }
    println!("{:#?} refused {refused}", all.named());
    println!("{} bad {:?}", bad.len(), &bad[..bad.len().min(30)]);
}
