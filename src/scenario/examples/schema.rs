//! Prints the JSON schema of scenario files.
//!
//! ```text
//! cargo run -p gorgo-scenario --example schema > scenarios/scenario.schema.json
//! ```

fn main() {
    print!("{}", gorgo_scenario::schema());
}
