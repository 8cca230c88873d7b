//! What a server answers: that it is ready for an omni test, and what came of it on its side.

use super::{WireMessage, kind};
use crate::figures::{CpuPercent, EndCounters};

/// OMNI_RESPONSE.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OmniResponse {
    /// 0, or the server's errno.
    pub errno: i32,
    /// SO_RCVBUF in force, in bytes.
    pub receive_buffer: Option<u32>,
    /// Bytes of each receive.
    pub receive_size: Option<u32>,
    /// SO_SNDBUF in force, in bytes.
    pub send_buffer: Option<u32>,
    /// Bytes of each send; what was asked, where the server does not send.
    pub send_size: Option<u32>,
    /// Width of the receive ring.
    pub receive_width: u32,
    /// Width of the send ring.
    pub send_width: u32,
    /// [`super::ask::NO_DELAY`] in force, [`super::ask::MEASURE_CPU`] agreed.
    pub flags: u32,
    /// 100 where CPU is measured.
    pub cpu_rate: f32,
    /// Where data goes.
    pub data_port: u16,
    /// SO_PRIORITY in force.
    pub priority: Option<u32>,
    /// IP_TOS in force.
    pub tos: Option<u32>,
}

impl OmniResponse {
    /// For the wire.
    #[must_use]
    pub fn write(&self) -> WireMessage {
        let mut message = WireMessage::of(kind::OMNI_RESPONSE);
        self.put_fields(&mut message);
        message
    }

    /// From the wire.
    #[must_use]
    pub fn read(message: &WireMessage) -> Self {
        Self::default().with_fields(message)
    }
}

fields!(OmniResponse {
    errno: 4,
    receive_buffer: 8,
    receive_size: 12,
    receive_width: 16,
    send_buffer: 20,
    send_size: 24,
    send_width: 28,
    flags: 32,
    cpu_rate: 36,
    data_port: 52,
    priority: 72,
    tos: 76,
});

/// The results of an omni test.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OmniResults {
    /// 0, or the server's errno.
    pub errno: i32,
    /// What the record has a place for: no losses and, as netserver never fills it, no failed
    /// sends.
    pub counters: EndCounters,
    /// SO_RCVBUF at the end, in bytes.
    pub receive_buffer: Option<u32>,
    /// SO_SNDBUF at the end, in bytes.
    pub send_buffer: Option<u32>,
    /// Length of the data phase on the server's clock.
    pub elapsed_seconds: f32,
    /// CPU of the whole machine. Where it was not asked for, leftovers may be read.
    pub cpu: Option<CpuPercent>,
    /// TCP_INFO total_retrans; absent: no TCP.
    pub retransmits: Option<u32>,
    /// In use.
    pub congestion_control: String,
}

/// How CPU is measured by one who reads /proc/stat.
pub(super) const PROC_STAT: u32 = 8;
/// CPUs that a machine may say it has: eight times what Linux can be built for.
const MAX_CPUS: u32 = 65_536;

/// A count in a word of the record; of one that does not fit, the largest that does.
pub(super) fn word(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl OmniResults {
    /// For the wire.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the record has singles")]
    pub fn write(&self) -> WireMessage {
        let EndCounters {
            bytes_sent,
            bytes_received,
            send_calls,
            receive_calls,
            transactions,
            failed_sends: _,
            lost_transactions: _,
        } = self.counters;
        let mut message = WireMessage::answer(kind::OMNI_RESULTS, self.errno);
        message.put(8, bytes_received);
        message.put(16, word(receive_calls));
        message.put(20, self.receive_buffer);
        message.put(24, bytes_sent);
        message.put(32, word(send_calls));
        message.put(36, self.send_buffer);
        message.put(44, word(transactions));
        message.put(48, self.elapsed_seconds);
        message.put(88, self.cpu.and_then(|cpu| cpu.peak).map(|(number, _)| number));
        if let Some(cpu) = self.cpu {
            let percents = [
                cpu.util_percent,
                cpu.user_percent,
                cpu.system_percent,
                cpu.iowait_percent,
                cpu.irq_percent,
                cpu.softirq_percent,
            ];
            message.put(52, percents.map(|percent| percent as f32));
            message.put(80, [PROC_STAT, cpu.cpus]);
            message.put(92, cpu.peak.map_or(0.0, |(_, percent)| percent as f32));
        }
        message.put(112, self.retransmits);
        message.put_text(276, 16, &self.congestion_control);
        message
    }

    /// From the wire. What cannot be is left out.
    #[must_use]
    pub fn read(message: &WireMessage) -> Self {
        let elapsed_seconds: f32 = message.get(48);
        let told = elapsed_seconds.is_finite() && elapsed_seconds >= 0.0;
        Self {
            errno: message.errno(),
            counters: EndCounters {
                bytes_received: message.get(8),
                receive_calls: message.get::<u32>(16).into(),
                bytes_sent: message.get(24),
                send_calls: message.get::<u32>(32).into(),
                transactions: message.get::<u32>(44).into(),
                // Not told.
                failed_sends: 0,
                lost_transactions: 0,
            },
            receive_buffer: message.get(20),
            send_buffer: message.get(36),
            elapsed_seconds: if told { elapsed_seconds } else { 0.0 },
            cpu: cpu(message),
            retransmits: message.get(112),
            congestion_control: message.name(276, 16),
        }
    }
}

/// What netserver tells of its CPU; nothing where it does not read /proc/stat, or tells nonsense.
/// More than all of it is all of it.
fn cpu(message: &WireMessage) -> Option<CpuPercent> {
    let share = |percent: f32| {
        let told = percent.is_finite() && percent >= 0.0;
        told.then(|| f64::from(percent.min(100.0)))
    };
    let [method, cpus] = message.get(80);
    if method != PROC_STAT || cpus > MAX_CPUS {
        return None;
    }
    let peak: Option<u32> = message.get(88);
    let [util, user, system, iowait, irq, softirq] = message.get::<[f32; 6]>(52).map(share);
    Some(CpuPercent {
        cpus,
        util_percent: util?,
        user_percent: user?,
        system_percent: system?,
        iowait_percent: iowait?,
        irq_percent: irq?,
        softirq_percent: softirq?,
        peak: peak.and_then(|cpu| Some((cpu, share(message.get(92))?))),
    })
}
