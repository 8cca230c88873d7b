//! Every seed of every fuzz target as a plain test, with any compiler and without a fuzzer: what
//! was found once stays mended.

#[expect(unreachable_pub, reason = "a library to the programs of fuzz_targets")]
mod checks;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use checks::{TARGETS, memory, named};

#[global_allocator]
static ALLOCATOR: memory::Allocator = memory::ALLOCATOR;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(name)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Tries a target's seeds, and nothing at all. One target at a time, so that the memory is its own.
fn try_seeds(target: &str) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let target = named(target);
    let folder = folder("seeds").join(target.name);
    memory::check(&ALLOCATOR, target, &[]);
    for name in names(&folder) {
        // The test's output names the one that breaks.
        println!("{}/{name}", target.name);
        memory::check(&ALLOCATOR, target, &fs::read(folder.join(name)).unwrap());
    }
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                try_seeds(stringify!($name));
            }
        )*

        #[test]
        fn every_target_has_a_test_seeds_and_a_program() {
            let all = TARGETS.map(|target| target.name).to_vec();
            assert_eq!(all, [$(stringify!($name)),*], "tests");
            assert_eq!(names(&folder("seeds")), all, "folders of seeds");
            let programs = names(&folder("fuzz_targets"));
            let programs: Vec<&str> =
                programs.iter().map(|name| name.trim_end_matches(".rs")).collect();
            assert_eq!(programs, all, "programs");
            let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
            let named = manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_"));
            assert_eq!(named.count(), all.len(), "programs in Cargo.toml");
        }
    };
}

targets!(
    command_line,
    framing,
    handshake,
    histogram,
    histogram_log,
    merge,
    messages,
    netperf_options,
    netperf_output,
    netperf_records,
    netperf_session,
    plan,
    policy,
    preamble,
    reports,
    run_log,
    schedule,
    sink,
    units,
);
