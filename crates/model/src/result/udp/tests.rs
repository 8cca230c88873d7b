//! Loss, schedules and warnings of datagrams, out of counts that are known.

use super::*;
use crate::plan::Workload;
use crate::result::merge::{Input, merge};
use crate::result::run::Run;
use crate::result::testing::udp_input;

fn run(change: impl FnOnce(&mut Input)) -> Run {
    let mut input = udp_input();
    change(&mut input);
    merge(input)
}

#[test]
fn loss_is_what_the_senders_stamped_less_what_came_of_it() {
    let run = run(|_| {});
    let all = run.udp.as_ref().unwrap().datagrams.unwrap();
    assert_eq!((all.sent, all.received, all.lost), (4_000, 3_960, 40));
    assert_eq!(all.loss_share, Some(0.01));
    assert_eq!((all.reordered, all.duplicates, all.reorder_distance_max), (6, 2, 2));
    // The mean of 4 and 8 µs; ten drops a flow, over the wrap.
    assert_eq!((all.jitter_us, all.socket_drops), (Some(6.0), Some(20)));
    let second = run.streams[1].datagrams.unwrap();
    assert_eq!((second.lost, second.loss_share), (40, Some(0.02)));
    assert_eq!(run.intervals[0].datagrams_lost, Some(20));
    assert_eq!(run.intervals[0].jitter_us, Some(3.0));
    let calls = run.udp.as_ref().unwrap().calls.client.clone().unwrap();
    assert_eq!((calls.gso_used, calls.mean_datagrams_per_send), (Some(true), Some(4.0)));
    assert_eq!((calls.gro_asked, calls.gro_used), (None, None));
    let schedule = run.schedule.as_ref().unwrap();
    assert_eq!((schedule.due, schedule.datagrams_per_send), (1_000, Some(4)));
    assert_eq!(schedule.lateness.as_ref().unwrap().mean, Some(2_000.0));
    assert_eq!(schedule.inter_send.as_ref().unwrap().mean, Some(1e6));
}

#[test]
fn schedules_of_both_ends_are_merged() {
    let run = run(|input| {
        let own = input.client.as_ref().unwrap().report.clone().unwrap();
        let other = input.server.as_mut().unwrap().report.as_mut().unwrap();
        (other.schedule, other.pacing) = (own.schedule, own.pacing);
    });
    let schedule = run.schedule.unwrap();
    assert_eq!((schedule.due, schedule.max_lateness_ns), (2_000, 90_000));
    assert_eq!(schedule.lateness.unwrap().count, 2_000);
}

#[test]
fn an_end_that_did_not_report_leaves_the_loss_unknown() {
    let run = run(|input| input.server.as_mut().unwrap().report = None);
    assert_eq!(run.udp.unwrap().datagrams, None);
    assert_eq!(run.intervals[0].datagrams_lost, Some(20));
}

#[test]
fn each_flaw_of_datagrams_has_its_warning() {
    type Change = fn(&mut Input);
    let own = |input: &mut Input, change: fn(&mut Datagrams)| {
        for flow in &mut input.server.as_mut().unwrap().report.as_mut().unwrap().flows {
            change(&mut flow.datagrams.as_mut().unwrap().window);
        }
    };
    let codes = |change: &dyn Fn(&mut Input)| -> Vec<String> {
        let mut input = udp_input();
        for reading in &mut input.server.as_mut().unwrap().readings {
            for flow in &mut reading.flows {
                flow.datagrams.as_mut().unwrap().socket_drops = Some(7);
            }
        }
        own(&mut input, |window| {
            *window = Datagrams { received: 2_000, ..Datagrams::default() };
        });
        change(&mut input);
        merge(input).warnings.into_iter().map(|warning| warning.code).collect()
    };
    assert!(codes(&|_| {}).is_empty(), "a clean run");
    assert_eq!(codes(&|input| own(input, |window| window.received = 1_990)), ["datagrams_lost"]);
    assert_eq!(codes(&|input| own(input, |window| window.reordered = 5)), ["datagrams_reordered"]);
    let changes: [(&str, Change); 3] = [
        ("receive_buffer_full", |input| {
            let last = input.server.as_mut().unwrap().readings.last_mut().unwrap();
            last.flows[0].datagrams.as_mut().unwrap().socket_drops = Some(9);
        }),
        ("fragmented", |input| {
            if let Workload::Udp(udp) = &mut input.plan.workload {
                udp.fragment = true;
            }
            for end_result in [&mut input.client, &mut input.server] {
                for socket in &mut end_result.as_mut().unwrap().facts.sockets {
                    socket.path_mtu_bytes = Some(1_027);
                }
            }
        }),
        ("unfinished_sends", |input| {
            let report = input.client.as_mut().unwrap().report.as_mut().unwrap();
            report.schedule.as_mut().unwrap().unfinished = 5;
        }),
    ];
    for (code, change) in changes {
        assert_eq!(codes(&change), [code]);
    }
}
