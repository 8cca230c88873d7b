//! The fuzz targets as programs of libFuzzer; what they check stands in `checks`.

pub mod checks;

pub use libfuzzer_sys;

/// Makes a program of a target.
#[macro_export]
macro_rules! fuzz {
    ($name:literal) => {
        use podperf_fuzz::checks::memory::{ALLOCATOR, Allocator, check};
        use podperf_fuzz::checks::{Target, named};

        #[global_allocator]
        static COUNTED: Allocator = ALLOCATOR;
        static TARGET: std::sync::LazyLock<Target> = std::sync::LazyLock::new(|| named($name));

        podperf_fuzz::libfuzzer_sys::fuzz_target!(|data: &[u8]| check(&COUNTED, *TARGET, data));
    };
}
