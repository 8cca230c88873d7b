//! Deflates the published schema of the result document for `podperf schema`: a tenth of its length.
//!
//! Enters: docs/podperf.run.v1.schema.json. Leaves: a file in `OUT_DIR`, which the engine includes.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::DeflateEncoder;

const PUBLISHED: &str = "docs/podperf.run.v1.schema.json";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={PUBLISHED}");
    let folder = std::env::var_os("OUT_DIR").expect("Cargo names the folder");
    let to = File::create(PathBuf::from(folder).join("schema.deflate"))?;
    let mut deflated = DeflateEncoder::new(to, Compression::best());
    deflated.write_all(&fs::read(PUBLISHED)?)?;
    deflated.finish()?;
    Ok(())
}
