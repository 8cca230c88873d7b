//! Documents of runs on the stages of `scripts/verdicts`: each has the verdict of its stage,
//! whatever else the machine did meanwhile.

use crate::result::run::{Bound, Run};
use crate::result::verdict::judge;

const RECORDED: [(Bound, &str); 8] = [
    (Bound::Pacing, include_str!("recorded/pacing.json")),
    (Bound::Link, include_str!("recorded/link.json")),
    (Bound::CpuQuota, include_str!("recorded/cpu_quota.json")),
    (Bound::Loss, include_str!("recorded/loss.json")),
    (Bound::Path, include_str!("recorded/path.json")),
    (Bound::Generator, include_str!("recorded/generator.json")),
    (Bound::ReceiveWindow, include_str!("recorded/receive_window.json")),
    (Bound::SendBuffer, include_str!("recorded/send_buffer.json")),
];

#[test]
fn recorded_runs_have_the_verdicts_of_their_stages() {
    for (bound, text) in RECORDED {
        let run: Run = serde_json::from_str(text).expect("a document of podperf.run/v1");
        let verdict = judge(&run);
        assert_eq!(verdict.bound_by, bound, "{verdict:?}");
        // As it was told then.
        assert_eq!(verdict.bound_by, run.verdict.bound_by);
    }
}
