//! A run as text: JSON, deflated (RFC 1951), in base64.

use std::io::{self, Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::MAX_RESULT_BYTES;
use crate::result::run::{Run, Status};

/// An encoded run, and the checksum that tells whether it came through whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodedRun {
    /// SHA-256 of the JSON document, in hexadecimal.
    pub sha256: String,
    /// The deflated document.
    pub base64: String,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RunSummary {
    /// Whether all of it was done.
    pub status: Status,
    /// Something, where anything was measured.
    pub throughput: Option<IgnoredAny>,
}

impl EncodedRun {
    /// Packs `run`.
    ///
    /// # Errors
    /// When it is larger than any reader takes.
    pub fn of(run: &Run) -> io::Result<Self> {
        let json = serde_json::to_vec(run)?;
        if json.len() > MAX_RESULT_BYTES {
            let text =
                format!("a result of {} bytes; at most {MAX_RESULT_BYTES} are taken", json.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
        deflate.write_all(&json)?;
        Ok(Self { sha256: sum(&json), base64: STANDARD.encode(deflate.finish()?) })
    }

    /// Unpacks and checks it; allocates no more than the largest result needs, whatever it holds.
    ///
    /// # Errors
    /// Why it is no whole run, in words.
    pub fn open(&self) -> Result<Run, String> {
        self.read()
    }

    /// The same for the few facts that a coordinator wants: to know all of a run would add a tenth
    /// to the engine's size.
    ///
    /// # Errors
    /// Likewise.
    pub fn summary(&self) -> Result<RunSummary, String> {
        self.read()
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        let deflated = STANDARD.decode(&self.base64).map_err(|error| format!("base64: {error}"))?;
        let mut json = Vec::new();
        DeflateDecoder::new(&deflated[..])
            .take(MAX_RESULT_BYTES as u64 + 1)
            .read_to_end(&mut json)
            .map_err(|error| format!("deflated data: {error}"))?;
        if json.len() > MAX_RESULT_BYTES {
            return Err(format!("it unpacks to more than {MAX_RESULT_BYTES} bytes"));
        }
        let found = sum(&json);
        if found != self.sha256 {
            return Err(format!("its SHA-256 is {found}, not {} as announced", self.sha256));
        }
        serde_json::from_slice(&json).map_err(|error| format!("JSON: {error}"))
    }
}

fn sum(json: &[u8]) -> String {
    Sha256::digest(json).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::testing;

    #[test]
    fn a_run_comes_out_as_it_went_in_and_a_changed_one_does_not() {
        let run = testing::stream_run();
        let encoded = EncodedRun::of(&run).unwrap();
        assert_eq!(encoded.open().unwrap(), run);
        let other = EncodedRun { sha256: "0".repeat(64), ..encoded.clone() };
        assert!(other.open().unwrap_err().contains("as announced"));
        let half = EncodedRun { base64: encoded.base64[..400].into(), ..encoded.clone() };
        assert!(half.open().is_err());
        let none = EncodedRun { base64: "=".into(), ..encoded };
        assert!(none.open().unwrap_err().starts_with("base64: "));
    }

    #[test]
    fn what_unpacks_to_more_than_the_largest_result_is_refused() {
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::fast());
        for _ in 0..=(MAX_RESULT_BYTES >> 20) {
            deflate.write_all(&[b' '; 1 << 20]).unwrap();
        }
        let base64 = STANDARD.encode(deflate.finish().unwrap());
        let bomb = EncodedRun { sha256: String::new(), base64 };
        assert!(bomb.open().unwrap_err().contains("more than"));
    }
}
