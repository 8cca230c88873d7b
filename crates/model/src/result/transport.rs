//! How each end moved its bytes: what its workers reported, in the words of the result.

use crate::plan::{Plan, StreamPlan};
use crate::result::end_result::{EndReport, FlowReport, ReceiveUse, SendUse};
use crate::result::run::{ReceiveFacts, SendFacts, TransportFacts, ZerocopyFacts};
use crate::result::span::{bytes_per_call, float, receives, sends};

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
        mean_bytes_per_call: bytes_per_call(flows, sends),
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
        mean_bytes_per_call: bytes_per_call(flows, receives),
    })
}
