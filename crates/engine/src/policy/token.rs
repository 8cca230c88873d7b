//! The shared secret: proved by both sides over each other's nonces, never sent.
//!
//! The proof of a side is HMAC-SHA256 (RFC 2104) keyed with the token over that side's role and
//! both nonces, so that a proof can be neither replayed nor sent back to its maker.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use podperf_model::error::{Error, Kind, Result};
use podperf_model::plan::Role;

/// Of a secret.
const MIN_TOKEN_BYTES: usize = 8;

/// A secret known to both ends.
#[derive(Clone)]
pub struct Token(Vec<u8>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// Takes it from a file's or a variable's text; white space around it does not count.
    ///
    /// # Errors
    /// When it is shorter than eight bytes, which is no secret.
    pub fn from_text(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.len() < MIN_TOKEN_BYTES {
            return Err(Error::new(
                Kind::Usage,
                "invalid token",
                format!("it has {} bytes, at least {MIN_TOKEN_BYTES} are needed", text.len()),
            ));
        }
        Ok(Self(text.as_bytes().to_vec()))
    }

    /// Computes what `role` sends to prove that it knows the token, in hexadecimal.
    #[must_use]
    pub fn prove(&self, role: Role, client_nonce: &str, server_nonce: &str) -> String {
        let bytes = self.mac(role, client_nonce, server_nonce).finalize().into_bytes();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether `proof` is `role`'s; takes the same time wherever it differs.
    #[must_use]
    pub fn verify(&self, role: Role, client_nonce: &str, server_nonce: &str, proof: &str) -> bool {
        let pairs = proof.as_bytes().chunks(2);
        let byte = |pair: &[u8]| {
            std::str::from_utf8(pair).ok().and_then(|text| u8::from_str_radix(text, 16).ok())
        };
        let bytes: Option<Vec<u8>> = pairs.map(byte).collect();
        bytes.is_some_and(|bytes| {
            self.mac(role, client_nonce, server_nonce).verify_slice(&bytes).is_ok()
        })
    }

    /// Whether `text` is the token; takes the same time wherever it differs.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        let other = Self(text.trim().as_bytes().to_vec());
        self.verify(Role::Client, "", "", &other.prove(Role::Client, "", ""))
    }

    fn mac(&self, role: Role, client_nonce: &str, server_nonce: &str) -> Hmac<Sha256> {
        // HMAC takes keys of any length; the library's error is for fixed-length schemes.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes any key length");
        let role = match role {
            Role::Client => "client",
            Role::Server => "server",
        };
        for part in ["podperf/1", role, client_nonce, server_nonce] {
            // Each part with its length, so that no two sequences of parts read the same.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_role_nonces_and_token_only() {
        let token = Token::from_text(" correct horse \n").unwrap();
        let proof = token.prove(Role::Client, "n1", "n2");
        assert!(token.verify(Role::Client, "n1", "n2", &proof));
        assert!(!token.verify(Role::Server, "n1", "n2", &proof));
        assert!(!token.verify(Role::Client, "n1n", "2", &proof));
        assert!(!token.verify(Role::Client, "n1", "n2", "zz"));
        assert!(!token.verify(Role::Client, "n1", "n2", ""));
        let other = Token::from_text("battery staple").unwrap();
        assert!(!other.verify(Role::Client, "n1", "n2", &proof));
        assert!(token.is("correct horse") && !token.is("correct hors") && !other.is(""));
    }

    #[test]
    fn a_token_does_not_show_in_debug_output_and_has_a_least_length() {
        let token = Token::from_text("correct horse").unwrap();
        assert!(!format!("{token:?}").contains("correct"));
        assert!(Token::from_text("short  ").is_err());
    }
}
