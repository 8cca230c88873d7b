//! How each end moved its bytes: what its workers reported, in the words of the result.

use crate::plan::{Plan, StreamPlan};
use crate::result::end_result::{EndReport, FlowReport, ReceiveUse, SendUse};
use crate::result::run::{ReceiveFacts, SendFacts, TransportFacts, ZerocopyFacts};
use crate::result::span::float;

/// One end's transports; nothing where no streams were moved.
pub(super) fn transport(plan: &Plan, report: &EndReport) -> Option<TransportFacts> {
    let stream = plan.streams()?;
    let facts = TransportFacts {
        send: report.send.as_ref().and_then(|send| send_facts(stream, send, &report.flows)),
        receive: report
            .receive
            .as_ref()
            .and_then(|receive| receive_facts(stream, receive, &report.flows)),
    };
    (facts != TransportFacts::default()).then_some(facts)
}

fn send_facts(plan: &StreamPlan, own: &SendUse, flows: &[FlowReport]) -> Option<SendFacts> {
    let zerocopy = ZerocopyFacts {
        sends: own.zerocopy_sends,
        copied: own.zerocopy_copied,
        copied_share: (own.zerocopy_sends > 0)
            .then(|| float(own.zerocopy_copied) / float(own.zerocopy_sends)),
        enobufs: own.enobufs,
    };
    Some(SendFacts {
        asked: plan.send,
        used: own.used?,
        reason: own.reason.clone(),
        bytes_by_method: own.bytes.clone(),
        mean_bytes_per_call: mean(flows, |flow| (flow.bytes_sent, flow.send_calls)),
        zerocopy: (zerocopy != ZerocopyFacts::default()).then_some(zerocopy),
    })
}

fn receive_facts(
    plan: &StreamPlan,
    own: &ReceiveUse,
    flows: &[FlowReport],
) -> Option<ReceiveFacts> {
    Some(ReceiveFacts {
        asked: plan.receive,
        used: own.bytes.iter().max_by_key(|part| part.bytes)?.method,
        stack_only: plan.receive.stack_only(),
        reason: own.reason.clone(),
        bytes_by_method: own.bytes.clone(),
        mean_bytes_per_call: mean(flows, |flow| (flow.bytes_received, flow.receive_calls)),
    })
}

/// Bytes per call, over all flows.
fn mean(flows: &[FlowReport], of: impl Fn(&FlowReport) -> (u64, u64)) -> Option<f64> {
    let (bytes, calls) = flows.iter().map(of).fold((0_u64, 0_u64), |sum, flow| {
        (sum.0.saturating_add(flow.0), sum.1.saturating_add(flow.1))
    });
    (calls > 0).then(|| float(bytes) / float(calls))
}
