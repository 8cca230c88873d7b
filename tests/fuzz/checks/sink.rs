//! The address of a sink as somebody typed it, and what answers there.

use podperf_sink::testing::failure;
use podperf_sink::{HttpSink, SinkUrl, masked_url};

use super::text::assert_one_line;

/// Checks the first line as an address, and the rest as an answer.
pub fn check(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (line, answer) = data.split_at(end);
    let typed = String::from_utf8_lossy(line);
    let masked = masked_url(&typed);
    assert_eq!(masked_url(&masked), masked, "what is masked has nothing left to mask");
    if let Some(rest) = typed.strip_prefix("http://").filter(|rest| rest.contains('@')) {
        assert!(
            masked.starts_with("http://***"),
            "{masked} shows what stands before '@' in {rest}"
        );
    }
    let url = match SinkUrl::read("--sink", &typed) {
        Ok(url) => url,
        Err(error) => {
            assert_one_line(&error.to_string(), "a refusal");
            SinkUrl::read("--sink", "http://user:secret@h/write?db=d").expect("an address")
        }
    };
    assert_one_line(&url.to_string(), "an address");
    let answer = answer.get(1..).unwrap_or_default();
    for is_all in [false, true] {
        if let Some(error) = failure(&url, answer, is_all) {
            assert_one_line(&error.to_string(), "an error");
        }
    }
    HttpSink::new(url, None).expect("an address that was read is one to send to");
}
