//! What holds for any text that podperf shows.

/// Panics where `text` holds what a terminal acts on: control characters but line ends and tabs.
pub(super) fn assert_plain(text: &str, what: &str) {
    let control = text.chars().find(|char| char.is_control() && !['\n', '\t'].contains(char));
    assert!(control.is_none(), "{what} has the control character {control:?}: {text:?}");
}

/// Panics where a line of `text` is no single line.
pub(super) fn assert_one_line(text: &str, what: &str) {
    assert_plain(text, what);
    assert!(!text.contains('\n'), "{what} has several lines: {text:?}");
}
