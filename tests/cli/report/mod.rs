//! `podperf report` and `podperf merge` from outside: documents that were written before, changed
//! as each test needs.

mod results;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use assert_cmd::assert::OutputAssertExt as _;
use predicates::prelude::*;
use predicates::str::contains;

use results::{Noise, Results, cluster, fixture, run, streams};

/// What a page of a run by the launcher's defaults may have.
const MAX_PAGE_BYTES: usize = 500 << 10;

/// Reads the page as HTML: what is open at its end, doubled ids, elements and attributes that would
/// fetch or run something, and the text of every heading and caption.
fn looked_at(page: &Path) -> BTreeMap<String, Vec<String>> {
    let program = r#"
import html.parser, json, sys
VOID = {"meta", "br", "link", "img", "input", "hr"}
class Reader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.ids, self.told = [], set(), {"wrong": [], "titles": [], "policy": []}
    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "href", "style", "srcset", "action") or name.startswith("on"):
                self.told["wrong"].append(f"{tag} {name}={value}")
            if name == "id" and value in self.ids:
                self.told["wrong"].append(f"id {value} twice")
            if name == "id":
                self.ids.add(value)
            if name == "content" and "default-src" in value:
                self.told["policy"].append(value)
        if tag in ("script", "link", "img", "iframe", "object", "base", "form", "b"):
            self.told["wrong"].append(tag)
        if tag not in VOID:
            self.open.append(tag)
            if tag in ("h1", "h2", "h3", "figcaption"):
                self.told["titles"].append("")
    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.told["wrong"].append(f"/{tag}")
    def handle_data(self, data):
        if any(tag in ("h1", "h2", "h3", "figcaption") for tag in self.open):
            self.told["titles"][-1] += data
reader = Reader()
reader.feed(open(sys.argv[1], encoding="utf-8").read())
reader.told["wrong"] += reader.open
print(json.dumps(reader.told))
"#;
    let output = Command::new("python3").arg("-c").arg(program).arg(page).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_run_reads_as_it_did_when_it_was_measured() {
    let results = Results::new();
    results.write("stream.json", fixture("stream.json"));
    let text = results.stdout("report stream.json");
    assert!(text.starts_with("podperf  TCP, 2 streams up"), "{text}");
    assert!(text.contains("5.435 Gbit/s received") && text.contains("bound by"), "{text}");
}

#[test]
fn the_verdict_stands_first_in_every_form() {
    let results = Results::new();
    results.document("run/result.json", &cluster("pod", 7));
    let tally = "Of 8 rows held against host, 8 are slower (8 by more than 5.0 %)";
    let text = results.stdout("report run");
    assert!(text.starts_with(&format!("verdict  {tally}")), "{text}");
    let markdown = results.stdout("report --markdown run/result.json");
    let head = format!("## podperf on Kubernetes: abc123\n\n- **verdict**: {tally}");
    assert!(markdown.starts_with(&head), "{markdown}");
    assert!(markdown.contains("### tcp_stream: goodput\n"));
    let sentence = |test: &str, word: &str| {
        let opening = format!("- **verdict**: {test} over pod, ");
        markdown.lines().any(|line| line.starts_with(&opening) && line.ends_with(word))
    };
    assert!(sentence("tcp_stream", " % less.") && sentence("tcp_rr", " % longer."), "{markdown}");
    let page = results.page("run");
    let verdict = page.find(tally).unwrap();
    assert!(verdict < page.find("<figure").unwrap() && verdict < page.find("<table").unwrap());
}

#[test]
fn runs_between_hosts_are_samples_of_rows() {
    let results = Results::new();
    let mut noise = Noise(3);
    for number in 0..5 {
        let rate = 4e9 * noise.about_one(0.01);
        results.document(&format!("many/{number}.json"), &streams(2, rate, &mut noise));
    }
    results.write("many/rr.json", fixture("rr.json"));
    results.write("many/broken.json", fixture("stream-incomplete.json"));
    results.write("many/cut.json", "{\"schema\": \"podperf.run/v1\"");
    let text = results.stdout("report many");
    assert!(text.contains("verdict  Not whole, and in no figure: 1 sample."), "{text}");
    assert!(text.contains("many/broken.json: "), "{text}");
    assert!(text.contains("left out  many/cut.json: no whole JSON document"), "{text}");
    let csv = results.stdout("report --csv many");
    let rows: Vec<Vec<&str>> =
        csv.split("\r\n").filter(|line| !line.is_empty()).map(|line| cells(line)).collect();
    let column = |name: &str| rows[0].iter().position(|own| *own == name).unwrap();
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{csv}");
    let five = rows.iter().find(|row| row[column("samples")] == "5").unwrap();
    assert_eq!((five[column("path")], five[column("flows")]), ("127.0.0.1", "2"));
    let of = |name: &str| five[column(name)].parse::<f64>().unwrap();
    let mean = of("goodput_bits_per_second");
    assert!(of("goodput_low_bits_per_second") < mean && mean < of("goodput_high_bits_per_second"));
    // One by one they are samples of one subject too.
    let text = results.stdout("report many/0.json many/1.json");
    assert!(text.contains("2 runs in 2 files, complete: 2"), "{text}");
}

/// The cells of a line of CSV; a quoted one is one.
fn cells(line: &str) -> Vec<&str> {
    let (mut cells, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, char) in line.char_indices() {
        match char {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                cells.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    cells.push(&line[start..]);
    cells
}

#[test]
fn a_page_needs_nothing_and_has_every_figure() {
    let results = Results::new();
    results.document("run/result.json", &cluster("pod", 12));
    let page = results.page("run");
    // For the test that opens it in a browser, and for whoever wants to look at it.
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("page.html"), &page).unwrap();
    assert!(page.len() < MAX_PAGE_BYTES, "{} bytes", page.len());
    assert_eq!(page, results.page("run"), "the same bytes for the same input");
    let told = looked_at(&results.path("page.html"));
    assert_eq!(told["wrong"], Vec::<String>::new());
    assert!(told["policy"][0].starts_with("default-src 'none'; style-src 'sha256-"), "{told:?}");
    assert!(!page.contains("url(") && !page.contains("@import"));
    for title in [
        "tcp_stream: goodput, Gbit/s",
        "tcp_rr: mean latency, µs",
        "tcp_stream: CPU, busy cores",
        "tcp_rr: latency by percentile",
        "tcp_stream: goodput over time, Gbit/s",
        "tcp_stream: retransmits over time, segments per second",
        "tcp_stream, pod, 32 flows: kernel time of the client's CPUs",
        "tcp_stream, pod, 32 flows: kernel time of the server's CPUs",
        "Fairness by stream",
        "Verdict",
        "What to know about it",
        "Where and how",
        "Measure it again",
    ] {
        assert!(told["titles"].iter().any(|own| own.starts_with(title)), "{title}: {told:?}");
    }
    let count = |part: &str| page.matches(part).count();
    assert_eq!(count("<figure"), count("<summary>As a table"), "every figure has its table");
    assert_eq!(count("<figure"), count("<svg "));
    assert!(page.contains("prefers-color-scheme:dark") && page.contains("@media print"));
}

#[test]
fn names_from_elsewhere_make_no_markup_in_a_page() {
    let results = Results::new();
    let hostile = "p\"><script>alert(1)</script><b onload='x'>&\u{1b}[31m";
    let mut document = cluster(hostile, 2);
    document.run_id = hostile.to_owned();
    document.command = vec!["kubectl".to_owned(), hostile.to_owned()];
    document.cluster.cni = Some(hostile.to_owned());
    document.warnings[0].text = hostile.to_owned();
    results.document("r/result.json", &document);
    let page = results.page("r");
    let told = looked_at(&results.path("page.html"));
    assert_eq!(told["wrong"], Vec::<String>::new());
    assert!(!page.contains("<script") && !page.contains('\u{1b}'));
    assert!(page.contains("&lt;script&gt;alert(1)"));
    for form in ["", "--markdown", "--csv", "--hgrm"] {
        let text = results.stdout(&format!("report {form} r"));
        assert!(!text.contains('\u{1b}'), "{form}: {text}");
    }
}

#[test]
fn percentiles_are_as_other_tools_read_them() {
    let results = Results::new();
    results.write("rr.json", fixture("rr.json"));
    results.write("stream.json", fixture("stream.json"));
    let hgrm = results.stdout("report --hgrm rr.json");
    let lines: Vec<&str> = hgrm.lines().collect();
    let header: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!(header, ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]);
    let points: Vec<Vec<f64>> = lines[3..]
        .iter()
        .take_while(|line| !line.starts_with('#'))
        .map(|line| line.split_whitespace().map(|cell| cell.parse().unwrap()).collect())
        .collect();
    assert!(points.windows(2).all(|pair| pair[0][0] <= pair[1][0] && pair[0][1] <= pair[1][1]));
    let count = run("rr.json").latency.unwrap().count;
    let last = points.last().unwrap();
    assert_eq!((last.len(), last[1], last[2]), (3, 1.0, f64::from(u32::try_from(count).unwrap())));
    assert!(hgrm.contains(&format!("Total count    = {count:>12}]")), "{hgrm}");
    results.podperf("report --hgrm stream.json").assert().code(3).stderr(contains("no row has"));
}

#[test]
fn files_that_are_no_results_are_refused() {
    let results = Results::new();
    results.write("newer.json", r#"{"schema": "podperf.run/v2"}"#);
    results.write("empty.json", "");
    results.write("none/readme.txt", "x");
    results.write("stream.json", fixture("stream.json"));
    for (line, words) in [
        ("report nosuch.json", "No such file"),
        ("report empty.json", "the file is empty"),
        ("report newer.json", "not shown: its schema is podperf.run/v2, and this podperf reads"),
        ("report none", "the folder has no whole document"),
        ("report stream.json --html /nonexistent/page.html", "--html"),
        ("report stream.json --csv --markdown", "cannot be used with"),
        ("report", "RESULT"),
        ("merge stream.json --log /nonexistent/x", "no whole run has what is wanted"),
        ("merge empty.json", "the file is empty"),
        ("merge nosuch.hlog", "No such file"),
    ] {
        let status = if words.starts_with("no whole run") { 3 } else { 2 };
        let output = results.podperf(line);
        output.assert().code(status).stdout("").stderr(contains(words));
    }
    results.write("lost.json", fixture("stream-incomplete.json"));
    let shown = results.podperf("report lost.json");
    shown.assert().code(3).stdout(contains("INCOMPLETE"));
}

#[test]
fn latencies_of_several_runs_are_merged_and_go_through_a_log() {
    let results = Results::new();
    let one = run("rr.json");
    let mut other = one.clone();
    other.started_at = "2026-11-30T01:00:00Z".to_owned();
    results.document("both/1.json", &one);
    results.document("both/2.json", &other);
    let count = one.latency.as_ref().unwrap().count;
    let merged = results.stdout("merge both --log all.hlog");
    assert!(merged.contains("histograms: 2") && merged.contains(&format!("{}", 2 * count)));
    let log = fs::read_to_string(results.path("all.hlog")).unwrap();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("HISTFAAA")).collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines[1].starts_with("Tag=127.0.0.1_rr__burst_1"), "{log}");
    // What was written is read again, to the histogram's digits.
    let again = results.stdout("merge all.hlog");
    let figures = |text: &str| {
        text.lines().last().unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let (was, is) = (figures(&merged), figures(&again));
    assert_eq!((&was[0], &was[4..9]), (&is[0], &is[4..9]), "{merged}{again}");
    // Of different rows there is no one distribution.
    results.write("both/crr.json", fixture("crr.json"));
    let refused = contains("2 different rows").and(contains("--test"));
    results.podperf("merge both").assert().code(2).stdout("").stderr(refused);
    let connects = results.stdout("merge both --figure connect-time --hgrm");
    assert!(connects.starts_with("#[connect time: "), "{connects}");
    results.podperf("merge both --flows 9").assert().code(3).stderr(contains("podperf report"));
}

#[test]
fn documents_of_every_kind_become_a_page() {
    let results = Results::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/documents/v1");
    let page = results.page(folder.to_str().unwrap());
    let told = looked_at(&results.path("page.html"));
    assert_eq!(told["wrong"], Vec::<String>::new());
    assert!(page.contains("calibration.json: not shown: a document of schema"), "{page}");
}
