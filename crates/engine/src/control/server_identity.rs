//! What a server is to those who have proved nothing yet, and to those who are welcome.

use std::cell::RefCell;
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;

use jiff::Timestamp;

use crate::control::message::ServerView;
use crate::net::{SessionId, WrongProofs};
use crate::policy::{Admission, Requirement, TimedToken, Token};
use crate::transport::syn::syn_timestamp;
use podperf_model::error::{Kind, Result};

/// What a server is to those who have proved nothing yet.
pub struct ServerIdentity<'a> {
    /// The shared secret; absent: anybody is welcome.
    pub token: Option<&'a Token>,
    /// Of its machine, which a client may know.
    pub boot_id: Option<String>,
    /// Random name of this server.
    instance: String,
    /// What it does beside the features of this version.
    pub feature: Option<&'static str>,
    /// Who says what a client needs, instead of the token; absent: there is no policy.
    pub admission: Option<&'a Admission>,
    /// From whom the token was guessed.
    pub(super) wrong_proofs: RefCell<WrongProofs>,
}

impl<'a> ServerIdentity<'a> {
    /// A server with this token, on the machine of this boot id.
    #[must_use]
    pub fn new(token: Option<&'a Token>, boot_id: Option<String>) -> Self {
        // Without random numbers it has no name, and is taken for no other.
        let instance = SessionId::random().map(SessionId::to_hex).unwrap_or_default();
        let wrong_proofs = RefCell::default();
        Self { token, boot_id, instance, feature: None, admission: None, wrong_proofs }
    }

    /// What a welcome client is told of its connection.
    pub(super) fn view(&self, stream: &TcpStream) -> Option<ServerView> {
        let (own, client) = (stream.local_addr().ok()?, stream.peer_addr().ok()?);
        let instance = self.instance.clone();
        Some(ServerView { instance, own, client, syn_timestamp: syn_timestamp(stream) })
    }

    /// What a client at `ip` needs that says whether it has a token.
    ///
    /// # Errors
    /// When nobody from there is let in.
    pub(super) fn requirement(&self, ip: IpAddr, has_token: bool) -> Result<Option<Requirement>> {
        match self.admission {
            None => Ok(self.token.map(|_| Requirement::Token)),
            Some(admission) => admission
                .requirement(ip, has_token)
                .map(Some)
                .map_err(|refusal| refusal.into_error(Kind::Unmeasured, "let in")),
        }
    }

    /// Finds the token that a client at `ip` has proved, and the rule that it belongs to; absent:
    /// it has proved none.
    ///
    /// # Errors
    /// When it has proved one that does not hold now.
    pub(super) fn proved(
        &self,
        ip: IpAddr,
        knows: impl Fn(&Token) -> bool,
    ) -> Result<Option<(Option<Arc<str>>, TimedToken)>> {
        match self.admission {
            None => {
                let known = self.token.filter(|token| knows(token));
                Ok(known.map(|token| (None, TimedToken::always(token.clone()))))
            }
            Some(admission) => {
                let proved = admission.prove(ip, knows, Timestamp::now());
                let proved = proved
                    .map_err(|refusal| refusal.into_error(Kind::Unmeasured, "authenticate with"))?;
                Ok(proved.map(|(rule, token)| (Some(rule), token)))
            }
        }
    }
}
