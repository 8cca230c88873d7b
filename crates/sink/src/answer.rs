//! What a sink's answer to a request means: delivered, to be tried again, or refused for good.
//!
//! Enters: a status and what came with it. Leaves: a [`Delivery`], whose errors say what helps.

use std::io;
use std::time::Duration;

use crate::url::{SinkUrl, masked_url};
use podperf_model::error::{Code, Error, Kind};

/// Of a sink's own words so much is told.
const MAX_EXCERPT_CHARS: usize = 200;
const OPERATION: &str = "send points to";
const ADDRESS_HELPS: &str = "check the address: InfluxDB 1 takes points at /write?db=D, InfluxDB 2 \
                             at /api/v2/write?org=O&bucket=B, and the database has to be there";

/// What came back from a sink.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Location`.
    pub location: Option<String>,
    /// `Retry-After`, where it is a number of seconds.
    pub retry_after: Option<Duration>,
    /// The beginning of the body.
    pub body: String,
}

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Delivery {
    Delivered,
    /// The same request may go well later; not before this time, if the sink says one.
    Later(Error, Option<Duration>),
    /// The same request will be refused again.
    Refused(Error),
}

impl HttpAnswer {
    fn is_html(&self) -> bool {
        let typed = self.content_type.as_deref().unwrap_or_default();
        typed.to_ascii_lowercase().contains("html") || self.body.trim_start().starts_with('<')
    }

    /// Status and the sink's own words, unless they are a page.
    fn told(&self) -> String {
        let words: String = self.body.trim().chars().take(MAX_EXCERPT_CHARS).collect();
        match (self.is_html(), words.is_empty()) {
            (true, _) => format!("it answers {} with a page (HTML)", self.status),
            (_, true) => format!("it answers {}", self.status),
            _ => format!("it answers {}: {words}", self.status),
        }
    }
}

/// Judges what came of one request.
pub(crate) fn judge(url: &SinkUrl, outcome: io::Result<HttpAnswer>) -> Delivery {
    let answer = match outcome {
        Ok(answer) => answer,
        Err(error) => {
            let error = Error::system(Kind::Incomplete, OPERATION, &error).with_peer(url);
            return Delivery::Later(error.with_remedy("check that the sink can be reached"), None);
        }
    };
    let failed = |code, remedy: &str| {
        let error = Error::new(Kind::Incomplete, OPERATION, answer.told());
        error.with_code(code).with_peer(url).with_remedy(remedy)
    };
    match answer.status {
        // InfluxDB answers 204; others say nothing more with 200 to 202.
        200..=299 if answer.body.trim().is_empty() && !answer.is_html() => Delivery::Delivered,
        401 | 403 => Delivery::Refused(failed(
            Code::Unauthorized,
            "give a token that may write there by --sink-token-file or PODPERF_SINK_TOKEN, or for \
             InfluxDB 1 user and password: http://USER:PASSWORD@…",
        )),
        408 | 429 | 500..=599 => Delivery::Later(
            failed(Code::Refused, "try again when the sink has less to do or is mended"),
            answer.retry_after,
        ),
        413 => Delivery::Refused(failed(
            Code::Refused,
            "let the sink, or the proxy before it, take requests of 512 KiB",
        )),
        300..=399 => {
            let to = answer.location.as_deref().map(masked_url).unwrap_or_default();
            let error = failed(Code::Refused, &format!("name the address it points to: {to}"));
            Delivery::Refused(error)
        }
        400 | 422 if !answer.is_html() => Delivery::Refused(failed(
            Code::Refused,
            "the sink reads these points and does not take them; the address may name a database \
             where other programs write, or one that keeps no data as old as this",
        )),
        _ => Delivery::Refused(failed(Code::Protocol, ADDRESS_HELPS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, content_type: &str, body: &str) -> Delivery {
        let url = SinkUrl::read("--sink", "http://u:secret@h/write?db=d&p=secret").unwrap();
        let answer = HttpAnswer {
            status,
            content_type: Some(content_type.to_owned()),
            location: (status == 302).then(|| "https://h/login?token=secret".to_owned()),
            retry_after: (status == 429).then_some(Duration::from_secs(7)),
            body: body.to_owned(),
        };
        judge(&url, Ok(answer))
    }

    #[test]
    fn an_answer_without_words_is_a_delivery() {
        for status in [200, 202, 204] {
            assert!(matches!(judged(status, "", ""), Delivery::Delivered), "{status}");
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_will_not_is_refused() {
        for (status, kind, body, again, words) in [
            (429, "application/json", "{\"error\":\"slow\"}", true, "429: {\"error\":\"slow\"}"),
            (500, "", "", true, "it answers 500; try again"),
            (503, "text/html", "<html>", true, "503 with a page (HTML)"),
            (401, "", "unauthorized", false, "401: unauthorized; give a token that may write"),
            (403, "text/html", "<html>", false, "403 with a page (HTML); give a token"),
            (404, "", "no db", false, "404: no db; check the address"),
            (400, "", "conflict", false, "400: conflict; the sink reads these points"),
            (200, "text/html", "<html>hello", false, "200 with a page (HTML); check the address"),
            (200, "application/json", "{}", false, "200: {}; check the address"),
            (302, "", "", false, "name the address it points to: https://h/login?token=***"),
            (413, "", "", false, "requests of 512 KiB"),
        ] {
            let (error, later) = match judged(status, kind, body) {
                Delivery::Later(error, wait) => {
                    assert_eq!(wait.is_some(), status == 429);
                    (error, true)
                }
                Delivery::Refused(error) => (error, false),
                Delivery::Delivered => panic!("{status} is no delivery"),
            };
            let text = error.to_string();
            assert_eq!(later, again, "{text}");
            assert!(text.starts_with("send points to http://***@h/write?db=d&p=***: "), "{text}");
            assert!(text.contains(words) && !text.contains("secret"), "{text}");
        }
    }
}
