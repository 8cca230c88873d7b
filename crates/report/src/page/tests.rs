//! Scales and their numbers, and that no figure of a document draws what is no number.

use super::over_time::thinned;
use super::svg::{Scale, plain};
use crate::analysis::summarise;
use crate::analysis::testing::{plan, samples};
use crate::overview::{Overview, Subject};
use podperf_model::result::cluster::Sample;

fn texts(scale: &Scale) -> Vec<String> {
    scale.ticks.iter().map(|tick| plain(*tick)).collect()
}

#[test]
fn scales_have_round_ticks_that_cover_what_is_shown() {
    for (high, expected) in [
        (9.4, &["0", "2", "4", "6", "8", "10"][..]),
        (1.0, &["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (12_000.0, &["0", "2500", "5000", "7500", "10000", "12500"]),
        (0.0, &["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (f64::NAN, &["0", "0.2", "0.4", "0.6", "0.8", "1"]),
    ] {
        assert_eq!(texts(&Scale::from_zero(high)), expected, "{high}");
    }
    let scale = Scale::logarithmic(13.0, 7_800.0);
    assert_eq!(texts(&scale), ["10", "100", "1000", "10000"]);
    assert_eq!((scale.share(10.0), scale.share(10_000.0)), (0.0, 1.0));
    assert!((scale.share(316.227_766) - 0.5).abs() < 1e-6);
    assert_eq!(texts(&Scale::logarithmic(20.0, 80.0)), ["10", "20", "50", "100"]);
    assert_eq!(Scale::logarithmic(0.0, f64::INFINITY).share(f64::NAN), 0.0);
}

#[test]
fn neighbouring_moments_become_one_by_their_length() {
    let moments = [(0.0, 1.0, Some(2.0)), (1.0, 3.0, Some(6.0)), (4.0, 1.0, None)];
    assert_eq!(thinned(&moments, 2), [(0.0, 4.0, Some(5.0)), (4.0, 1.0, None)]);
    assert_eq!(thinned(&moments, 3), moments);
    assert_eq!(thinned(&[], 3), []);
}

fn overview(samples: Vec<Sample>) -> Overview {
    let plan = plan(3);
    let rows = summarise(&plan, &samples).rows;
    let subject = Subject {
        name: "r.json".into(),
        title: "t".into(),
        about: Vec::new(),
        doubts: Vec::new(),
        verdict: vec!["v".into()],
        rows,
        samples,
        commands: vec![vec!["podperf".into(), "it's".into(), String::new()]],
        between_hosts: false,
    };
    Overview { subjects: vec![subject], left_out: Vec::new() }
}

#[test]
fn nothing_is_drawn_that_is_no_number() {
    let plan = plan(3);
    let whole = samples(&plan);
    let page = super::render(&overview(whole.clone()));
    assert!(page.contains("<figure") && page.contains(r"podperf 'it'\''s' ''"), "{page}");
    for extreme in [0.0, -1.0, 1e308, f64::NAN] {
        let mut samples = whole.clone();
        for run in samples.iter_mut().flat_map(|sample| &mut sample.runs) {
            if let Some(throughput) = &mut run.throughput {
                throughput.bits_per_second = extreme;
            }
            if let Some(window) = &mut run.window {
                window.seconds = extreme;
            }
            for own in &mut run.intervals {
                (own.end_seconds, own.bits_per_second) = (extreme, Some(extreme));
            }
            for stream in &mut run.streams {
                stream.bits_per_second = Some(extreme);
            }
            if let Some(latency) = &mut run.latency {
                (latency.mean, latency.stddev) = (Some(extreme), Some(extreme));
            }
        }
        let page = super::render(&overview(samples));
        for drawn in page.split("<svg ").skip(1) {
            let drawn = &drawn[..drawn.find("</svg>").unwrap()];
            let numbers = drawn.split(['"', ',', ' ', 'M', 'H', 'V', 'v', 'h', 'z']);
            let wrong = numbers.into_iter().find(|own| ["NaN", "inf", "-inf"].contains(own));
            assert_eq!(wrong, None, "{extreme}: {drawn}");
        }
    }
    assert!(!super::render(&overview(Vec::new())).contains("<figure"));
}
