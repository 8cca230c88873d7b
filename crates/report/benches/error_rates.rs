//! How often `compare` calls a difference where there is none, and where there is one, by
//! simulation: the rates that docs/COMPARING.md states.
//!
//! ```sh
//! cargo bench -p podperf-report --bench error_rates            the rates, in some minutes
//! cargo bench -p podperf-report --bench error_rates -- 500     of 500 pairs rather than 10,000
//! ```
//!
//! It ends with 1 where a rate is not as promised.

#[path = "../src/analysis/simulation.rs"]
mod simulation;

use std::process::ExitCode;

use podperf_report::analysis::{differs, rank_test, ratio};
use simulation::{Shape, Simulation, TimeOrder};

const PAIRS: u32 = 10_000;
const SEEDS: [u64; 3] = [1, 2, 3];
/// False alarms that are promised at most.
const MAX_FALSE_ALARM_SHARE: f64 = 0.055;
/// Losses of 5 % under 2 % of noise that are found at least, with seven samples.
const MIN_FOUND_SHARE: f64 = 0.90;

/// As `compare` calls it for one row.
fn called(one: &[f64], other: &[f64]) -> bool {
    let p = rank_test(other, one);
    // The interval is the dearer witness: it is asked second.
    p.is_some_and(|p| p < podperf_report::analysis::SIGNIFICANCE)
        && ratio(other, one).is_some_and(|ratio| differs(&ratio, p))
}

fn rates(simulation: Simulation, pairs: u32) -> [f64; 3] {
    SEEDS.map(|seed| Simulation { seed, ..simulation }.rate(pairs, called))
}

fn main() -> ExitCode {
    let pairs = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(PAIRS);
    let mut kept = true;
    println!("{pairs} pairs under each of three seeds; calls in % of the pairs");
    println!("samples  noise %  shape   order        true ratio  seed 1  seed 2  seed 3");
    let mut line = |simulation: Simulation, fits: &dyn Fn(f64) -> bool| {
        let found = rates(simulation, pairs);
        let Simulation { samples, noise_share, shape, order, true_ratio, .. } = simulation;
        let (noise, order) = (100.0 * noise_share, format!("{order:?}").to_lowercase());
        let shape = format!("{shape:?}").to_lowercase();
        print!("{samples:7}  {noise:7.0}  {shape:6}  {order:11}  {true_ratio:10.2}");
        found.iter().for_each(|rate| print!("  {:6.2}", 100.0 * rate));
        let fits = found.iter().all(|rate| fits(*rate));
        println!("{}", if fits { "" } else { "  NOT AS PROMISED" });
        kept &= fits;
    };
    for samples in [7, 12] {
        for noise_share in [0.02, 0.05, 0.10] {
            for shape in [Shape::Normal, Shape::Skewed] {
                for order in [TimeOrder::Independent, TimeOrder::Interleaved, TimeOrder::Blocks] {
                    let simulation =
                        Simulation { samples, noise_share, shape, order, true_ratio: 1.0, seed: 0 };
                    // Blocks confuse the groups with time: their rate is stated, not promised.
                    let fits = |rate| order == TimeOrder::Blocks || rate <= MAX_FALSE_ALARM_SHARE;
                    line(simulation, &fits);
                }
            }
        }
    }
    for shape in [Shape::Normal, Shape::Skewed] {
        let order = TimeOrder::Independent;
        let simulation =
            Simulation { samples: 7, noise_share: 0.02, shape, order, true_ratio: 0.95, seed: 0 };
        line(simulation, &|rate| rate >= MIN_FOUND_SHARE);
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
