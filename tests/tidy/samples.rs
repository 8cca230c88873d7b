//! Each rule on a small sample that breaks it, and on one that does not.

use super::source::Source;
use super::vocabulary::IGNORED;
use super::{circles, complaints_about, layers, types, vocabulary};

fn complaints(path: &str, text: &str) -> Vec<String> {
    complaints_about(&Source::new(path, text))
}

fn sources<'a>(files: &[(&'a str, &'a str)]) -> Vec<Source<'a>> {
    files.iter().map(|(path, text)| Source::new(path, text)).collect()
}

#[test]
fn each_rule_sees_what_breaks_it() {
    let long_function = format!("//! A.\nfn long() {{\n{}}}\n", "    let _ = 0;\n".repeat(69));
    let ignored = format!("//! A.\n{IGNORED} = \"slow\"]");
    for (path, text, complaint) in [
        ("src/a.rs", "fn a() {}\n", "src/a.rs:1: opens without `//!`"),
        ("src/a.rs", &"//! A.\n".repeat(401), "src/a.rs: 401 lines without tests, at most 400"),
        ("src/a.rs", &format!("//! {}", "ä".repeat(97)), "src/a.rs:1: 101 columns, at most 100"),
        ("src/a.rs", &long_function, "src/a.rs:2: long has 71 lines, at most 70"),
        ("src/a.rs", "//! A.\nunsafe fn a() {}", "src/a.rs:2: `unsafe` stands outside crates/sys"),
        ("tests/a.rs", &ignored, &format!("tests/a.rs:2: `{IGNORED}` hides a test")),
        ("src/a.rs", "//! A.\nfn a() { todo!() }", "src/a.rs:2: `todo!` is unfinished work"),
        (
            "src/a.rs",
            "//! A.\n#[allow(dead_code)]",
            "src/a.rs:2: `allow(` stands where `expect(` belongs",
        ),
        (
            "src/cli/a.rs",
            "//! A.\nuse kube::Api;",
            "src/cli/a.rs:2: `kube` stands outside crates/kubectl-podperf",
        ),
        (
            "src/cli/a.rs",
            "//! A.\n\nfn a() { std::process::exit(1) }",
            "src/cli/a.rs:3: `process::exit` takes the exit from main",
        ),
        (
            "src/engine/a.rs",
            "//! A.\nfn a() { print!(\"a\") }",
            "src/engine/a.rs:2: `print!` prints outside report and cli",
        ),
        (
            "crates/engine/src/engine/a.rs",
            "//! A.\nuse crate::control::client;",
            "crates/engine/src/engine/a.rs:2: `crate::control` is a higher part",
        ),
    ] {
        assert_eq!(complaints(path, text), [complaint]);
    }
}

#[test]
fn nothing_is_seen_where_nothing_is_wrong() {
    let sample = r####"//! A module about unsafe things.
/* dbg! */
const A: &str = "todo!() \" unsafe"; // println!
const B: &str = r#"tokio " kube"#;
const C: (char, char, &[u8]) = ('"', '\'', b"\\");
fn unsafely<'a>(kubelet: &'a str) -> [u8; 2] { writeln!(kubelet); disallow(kubelet) }
#[cfg(test)]
mod tests {
    fn a() { println!("a"); std::process::exit(0) }
}
"####;
    assert_eq!(complaints("src/engine/a.rs", sample), [""; 0]);
    assert_eq!(complaints("crates/sys/src/a.rs", "//! A.\nunsafe fn a();"), [""; 0]);
    let tests = format!("//! A.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(500));
    assert_eq!(complaints("src/a.rs", &tests), [""; 0]);
    let tests = format!("//! A.\n{}", "\n".repeat(500));
    assert_eq!(complaints("src/a/tests.rs", &tests), [""; 0]);
    assert_eq!(complaints("src/a/tests/b.rs", &tests), [""; 0]);
    let declared = "//! A.\n#[cfg(test)]\nmod tests;\nfn a() { println!() }\n";
    assert_eq!(complaints("src/a.rs", declared).len(), 1);
}

#[test]
fn constants_have_units_and_names_that_say_what_they_are() {
    let unit = "has no unit in its name";
    for (declared, fault) in [
        ("pub(super) const LOOK: Duration = SECOND;", "is vague"),
        ("const MOST_ROWS: usize = 8;", "is to be called MAX_ or MIN_"),
        ("const ROWS_MOST: usize = 8;", "is to be called MAX_ or MIN_"),
        ("const ROWS_MAX: usize = 8;", "is to begin with MAX_ or MIN_"),
        ("const TIMEOUT: u64 = 8;", unit),
        ("const MESSAGE_LENGTH: usize = 8;", unit),
        ("const CHUNK: usize = 256 << 10;", unit),
        ("/// What is read at once, in\n/// bytes. More.\nconst CHUNK: usize = 8;", unit),
    ] {
        let text = format!("//! A.\n{declared}");
        let name = declared.split("const ").nth(1).and_then(|rest| rest.split(':').next()).unwrap();
        let line = text.lines().count();
        let complaint = format!("constant `{name}` {fault} (src/a.rs:{line})");
        assert_eq!(complaints("src/a.rs", &text), [complaint]);
    }
    for declared in [
        "const MAX_ROWS: usize = 8;",
        "const TIMEOUT: Duration = SECOND;",
        "const MAX_MESSAGE_BYTES: u32 = 64 << 20;",
        "const INTERVAL_MS: u16 = 100;",
        "/// Rows at once. Each has some bytes.\nconst ROWS: usize = 8;",
        "const fn timeout(rate: u64) -> u64 { rate }",
    ] {
        assert_eq!(complaints("src/a.rs", &format!("//! A.\n{declared}")), [""; 0]);
    }
}

#[test]
fn a_type_name_is_defined_once() {
    let first = "pub struct Flow<'a>(u8);\npub(in crate::a) enum Row { A }\ntype Rows = Vec<Row>;";
    let second = "fn a() { 1 }\nunsafe trait Flow {}\nimpl A for B {\n    type Rows = C;\n}";
    let tests = "#[cfg(test)]\nmod tests {\n    struct Row;\n}";
    let files = [
        ("src/a.rs", first),
        ("crates/b/src/b.rs", second),
        ("src/c.rs", tests),
        ("src/c/tests.rs", first),
        ("tests/d.rs", first),
    ];
    let complaint = "type `Flow` is defined 2 times: src/a.rs, crates/b/src/b.rs";
    assert_eq!(types::check(&sources(&files)), [complaint]);
    let customary = [("src/a.rs", "struct Args;"), ("src/b.rs", "struct Args;")];
    assert_eq!(types::check(&sources(&customary)), [""; 0]);
}

#[test]
fn layers_are_complete() {
    let manifest = |name: &str, dependency: &str| {
        format!("[package]\nname = \"{name}\"\n[dependencies]\n{dependency}.workspace = true\n")
    };
    let check =
        |name, dependency| layers::check_manifest("Cargo.toml", &manifest(name, dependency));
    assert_eq!(
        check("podperf-engine", "podperf-report"),
        ["Cargo.toml: `podperf-engine` depends on `podperf-report`, a higher crate"]
    );
    assert_eq!(
        check("podperf-new", "libc"),
        ["Cargo.toml: crate `podperf-new` is in no layer of tests/tidy/layers.rs"]
    );
    assert_eq!(check("podperf-engine", "podperf-sys"), [""; 0]);
    for (path, import, complaint) in [
        ("metrics/a.rs", "crate::engine", ":2: `crate::engine` is a higher part"),
        ("control/a.rs", "crate::coordination", ":2: `crate::coordination` is a higher part"),
    ] {
        let path = format!("crates/engine/src/{path}");
        let text = format!("//! A.\nuse {import}::b;");
        assert_eq!(complaints(&path, &text), [format!("{path}{complaint}")]);
    }
    assert_eq!(
        complaints("crates/engine/src/new/a.rs", "//! A."),
        ["crates/engine/src/new: is in no layer of tests/tidy/layers.rs"]
    );
    assert_eq!(
        complaints("crates/netperf/src/a.rs", "//! A.\nuse podperf_engine::control::b;"),
        ["crates/netperf/src/a.rs:2: `podperf_engine::control` is beside netperf"]
    );
    let lower = "//! A.\nuse crate::transport::{a, b};\nuse crate::metrics::c;";
    assert_eq!(complaints("crates/engine/src/workload/a.rs", lower), [""; 0]);
}

#[test]
fn folders_and_files_side_by_side_need_each_other_in_no_circle() {
    let check = |files: &[(&str, &str)]| circles::check(&sources(files));
    let lib = ("src/lib.rs", "mod a;\nmod b;\nmod c;");
    // Folders, by the files in them; of three, by way of each other.
    let folders = [
        lib,
        ("src/a/mod.rs", "mod inner;"),
        ("src/a/inner.rs", "use crate::b::{self, deep::Deep as Other};"),
        ("src/b/mod.rs", "use super::c::C;"),
        ("src/b/deep.rs", ""),
        ("src/c.rs", "fn c() -> crate::a::A { }"),
    ];
    assert_eq!(check(&folders), ["circle in src/: a <> b <> c"]);
    // Files, one of them by what the parent passes on.
    let passed = [
        ("crates/x/src/a/mod.rs", "pub use one::One;\nstruct Own;"),
        ("crates/x/src/a/one.rs", "use super::two;"),
        ("crates/x/src/a/two.rs", "use super::{One, Own};"),
    ];
    assert_eq!(check(&passed), ["circle in crates/x/src/a: one <> two"]);
    // A child's use of its parent's types, what tests use, and other crates are no circle.
    let none = [
        lib,
        ("src/a.rs", "use crate::b::B;\nuse other::c::C;\nuse super::Root;"),
        (
            "src/b.rs",
            "#[cfg(test)]\nuse crate::a::A;\nuse self::inner::I;\n#[cfg(test)]\nmod tests {\n    \
             use crate::a::A;\n}",
        ),
        ("src/b/inner.rs", "use super::B;"),
        ("src/b/tests.rs", "use crate::a::A;"),
    ];
    assert_eq!(check(&none), [""; 0]);
}

#[test]
fn private_terms_are_seen_in_any_text() {
    let text = format!("one\nThe {}S\n", concat!("LOB", "BY"));
    let word = concat!("lob", "by");
    let complaint = format!("`{word}` in docs/a.md:2: a private term");
    assert_eq!(vocabulary::check_text("docs/a.md", &text), [complaint]);
    assert_eq!(vocabulary::check_text("docs/a.md", "a hobby\n"), [""; 0]);
}
