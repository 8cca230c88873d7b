//! `podperf schema`: the JSON Schema of the result document, as it is published in docs/.
//!
//! Leaves: the file, byte for byte. The engine has no generator of schemas; a test holds the file
//! to the types.

use std::io;

use flate2::read::DeflateDecoder;

use super::output::print;
use podperf_model::error::Result;

/// The published file, as build.rs deflated it.
const DEFLATED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/schema.deflate"));

/// Prints the schema.
///
/// # Errors
/// When standard output cannot be written to.
pub(super) fn run() -> Result<u8> {
    print(|to| io::copy(&mut DeflateDecoder::new(DEFLATED), to).map(drop))
}
