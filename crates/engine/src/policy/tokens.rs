//! The tokens of a rule: several may hold at a time, each from one time to another, so that a new
//! one is given out before the old one ends.

use std::sync::Arc;

use jiff::Timestamp;

use super::token::Token;

/// A token and when it holds.
#[derive(Debug, Clone)]
pub struct TimedToken {
    /// What the log calls it; absent: nothing.
    pub name: Option<Arc<str>>,
    /// The secret.
    pub token: Token,
    /// From when it holds; absent: since ever.
    pub not_before: Option<Timestamp>,
    /// Until when; absent: for ever.
    pub not_after: Option<Timestamp>,
}

impl TimedToken {
    /// One without a name, which holds for ever.
    #[must_use]
    pub const fn always(token: Token) -> Self {
        Self { name: None, token, not_before: None, not_after: None }
    }

    /// Checks whether it holds at `now`.
    ///
    /// # Errors
    /// In words, when it does not.
    pub fn check(&self, now: Timestamp) -> Result<(), String> {
        if let Some(from) = self.not_before.filter(|from| now < *from) {
            return Err(format!("this token holds from {from} on"));
        }
        match self.not_after.filter(|until| now >= *until) {
            Some(until) => Err(format!("this token ended at {until}")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_holds_from_its_beginning_to_its_end() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let token = TimedToken {
            name: None,
            token: Token::from_text("correct horse").unwrap(),
            not_before: Some(at("2026-01-01T00:00:00Z")),
            not_after: Some(at("2026-02-01T00:00:00Z")),
        };
        let early = token.check(at("2025-12-31T23:59:59Z")).unwrap_err();
        assert_eq!(early, "this token holds from 2026-01-01T00:00:00Z on");
        assert_eq!(token.check(at("2026-01-01T00:00:00Z")), Ok(()));
        assert_eq!(token.check(at("2026-01-31T23:59:59.9Z")), Ok(()));
        let late = token.check(at("2026-02-01T00:00:00Z")).unwrap_err();
        assert_eq!(late, "this token ended at 2026-02-01T00:00:00Z");
        let always = TimedToken { not_before: None, not_after: None, ..token };
        assert_eq!(always.check(at("1970-01-01T00:00:00Z")), Ok(()));
    }
}
