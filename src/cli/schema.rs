//! `podperf schema`: the JSON Schema of the result document.

use crate::cli::output::print;
use podperf_model::error::Result;
use podperf_model::result::schema::json_schema;

/// Prints the schema; returns the exit status.
pub(super) fn run() -> Result<u8> {
    print(|to| {
        serde_json::to_writer_pretty(&mut *to, &json_schema())?;
        writeln!(to)
    })
}
