//! What podperf itself can do on this machine, measured with podperf's own parts.
//!
//! Enters: a time budget. Leaves: a [`Calibration`], and files of it ([`store`]). The steps and the
//! calls are timed one by one ([`steps`], [`calls`]); ceilings and floors are runs of the real
//! client, server and engine in this process ([`runs`]). What is refused, falls back to something
//! else, or finds no time left is named in the record. No peer is involved; nothing here judges.

pub mod calls;
pub mod runs;
pub mod steps;
pub mod store;

use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use podperf_model::plan::Choice as _;

use crate::metrics::host::host_facts;
use crate::metrics::roots::Roots;
use crate::metrics::topology::Topology;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::plan::{ReceiveMethod, SendMethod};
use podperf_model::result::calibration::{Calibration, LeftOut, Machine, SCHEMA};

/// Bytes of one message: what `podperf stream` sends by default.
pub const MESSAGE_BYTES: u64 = 128 << 10;
/// Chosen for every socket, so that the ceiling is the generator's and not a pacing congestion
/// control's. Always there (net/ipv4/tcp_cong.c), and it does not pace.
pub const CONGESTION_CONTROL: &str = "reno";
/// Moved for the cost of one call: some two thousand messages.
const CALL_BYTES: u64 = 256 << 20;
/// Turns of all runs that there may be.
const TURN_COUNTS: [u32; 3] = [1, 2, 3];

/// Measures all of it within about `budget`, and reports each part as it begins. A message on
/// `stop` ends it.
///
/// # Errors
/// When it was stopped, or when not one ceiling could be measured.
pub fn calibrate(
    budget: Duration,
    report_part: &mut dyn FnMut(&str),
    stop: &Receiver<Kind>,
) -> Result<Calibration> {
    let began = Instant::now();
    let roots = Roots::default();
    let host = host_facts(&roots, None, None);
    let mut record = Calibration {
        schema: SCHEMA.to_owned(),
        taken_at: jiff::Timestamp::now().to_string(),
        seconds: 0.0,
        machine: Machine::of(&host),
        message_bytes: MESSAGE_BYTES,
        congestion_control: CONGESTION_CONTROL.to_owned(),
        steps: Vec::new(),
        sends: Vec::new(),
        receives: Vec::new(),
        streams: Vec::new(),
        rr: Vec::new(),
        left_out: Vec::new(),
    };
    report_part("steps");
    record.steps = steps::all(&roots);
    calls(&mut record, report_part, stop)?;
    let cpus = Topology::read(&roots).order(None);
    turns(&mut record, &runs::plans(&cpus), began + budget, report_part, stop)?;
    record.seconds = began.elapsed().as_secs_f64();
    if record.streams.is_empty() {
        let reasons: Vec<_> =
            record.left_out.iter().map(|part| format!("{}: {}", part.what, part.reason)).collect();
        return Err(Error::new(Kind::Unmeasured, "calibrate", reasons.join("; ")));
    }
    Ok(record)
}

/// Makes every run, in as many turns as there is time for, and keeps the best of each: whatever
/// else runs on the machine can only make it slower.
fn turns(
    record: &mut Calibration,
    plans: &[runs::Planned],
    deadline: Instant,
    report_part: &mut dyn FnMut(&str),
    stop: &Receiver<Kind>,
) -> Result<()> {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).max(1);
    let left = || deadline.saturating_duration_since(Instant::now());
    let fit = left().as_secs_f64() / (runs::USUAL_RUN * count(plans.len())).as_secs_f64();
    let turns = TURN_COUNTS.into_iter().rev().find(|turns| f64::from(*turns) <= fit).unwrap_or(1);
    let mut best: Vec<Option<runs::Figure>> = vec![None; plans.len()];
    let mut refused = vec![false; plans.len()];
    for turn in 0..turns {
        for (number, planned) in plans.iter().enumerate() {
            if refused[number] {
                continue;
            }
            report_part(&planned.name);
            let rest = count(plans.len()) * (turns - turn) - count(number + 1) + 1;
            // With too little time for all, the first are measured and the last are left out; one
            // is measured in any case.
            let none_yet = best.iter().all(Option::is_none);
            let least = if none_yet { runs::MIN_RUN } else { Duration::ZERO };
            let slice = (left() / rest).max(runs::MIN_RUN).min(left()).max(least);
            match runs::measure(planned, slice, stop) {
                Ok(figure) => best[number] = Some(figure.better(best[number].take())),
                Err(error) if ends_calibration(&error) => return Err(error),
                Err(error) if best[number].is_none() => {
                    refused[number] = true;
                    leave_out(record, &planned.name, &error);
                }
                // A turn that failed leaves the figure of the one before.
                Err(_) => {}
            }
        }
    }
    for figure in best.into_iter().flatten() {
        match figure {
            runs::Figure::Stream(row) => record.streams.push(row),
            runs::Figure::Rr(row) => record.rr.push(row),
        }
    }
    Ok(())
}

/// What one send and one receive cost, by method; the other end of each uses the plain one.
fn calls(
    record: &mut Calibration,
    report_part: &mut dyn FnMut(&str),
    stop: &Receiver<Kind>,
) -> Result<()> {
    for method in SendMethod::concrete() {
        check_stopped(stop)?;
        let name = format!("send {}", method.name());
        report_part(&name);
        match calls::transfer(method, ReceiveMethod::Read, CALL_BYTES) {
            Ok(moved) => record.sends.push(moved.send.of_call(method)),
            Err(error) => leave_out(record, &name, &error),
        }
    }
    for &method in ReceiveMethod::ALL {
        check_stopped(stop)?;
        let name = format!("receive {}", method.name());
        report_part(&name);
        match calls::transfer(SendMethod::Write, method, CALL_BYTES) {
            Ok(moved) => record.receives.push(moved.receive.of_call(method)),
            Err(error) => leave_out(record, &name, &error),
        }
    }
    Ok(())
}

fn leave_out(record: &mut Calibration, what: &str, error: &Error) {
    record.left_out.push(LeftOut { what: what.to_owned(), reason: error.to_string() });
}

/// The failure is the end of the whole calibration.
const fn ends_calibration(error: &Error) -> bool {
    matches!(error.kind, Kind::Interrupted | Kind::Terminated | Kind::Deadline)
}

fn check_stopped(stop: &Receiver<Kind>) -> Result<()> {
    stop.try_recv().map_or(Ok(()), |kind| Err(Error::new(kind, "calibrate", "ended by a signal")))
}
