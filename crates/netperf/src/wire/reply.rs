//! What a server answers: that it is ready for an omni test, and what came of it on its side.

use super::{WireMessage, kind};

/// OMNI_RESPONSE.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OmniResponse {
    /// 0, or the server's errno.
    pub errno: i32,
    /// SO_RCVBUF in force, in bytes.
    pub receive_buffer: i32,
    /// Bytes of each receive.
    pub receive_size: i32,
    /// SO_SNDBUF in force, in bytes.
    pub send_buffer: i32,
    /// Bytes of each send; what was asked, where the server does not send.
    pub send_size: i32,
    /// Width of the receive ring.
    pub receive_width: i32,
    /// Width of the send ring.
    pub send_width: i32,
    /// [`super::ask::NO_DELAY`] in force, [`super::ask::MEASURE_CPU`] agreed.
    pub flags: u32,
    /// 100 where CPU is measured.
    pub cpu_rate: f32,
    /// Where data goes.
    pub data_port: u16,
    /// SO_PRIORITY in force.
    pub priority: i32,
    /// IP_TOS in force.
    pub tos: i32,
}

impl OmniResponse {
    /// For the wire.
    #[must_use]
    pub fn write(&self) -> WireMessage {
        let mut message = WireMessage::of(kind::OMNI_RESPONSE);
        put_response(self, &mut message);
        message
    }

    /// From the wire.
    #[must_use]
    pub fn read(message: &WireMessage) -> Self {
        get_response(message, Self::default())
    }
}

fields!(
    put_response,
    get_response,
    OmniResponse {
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
    }
);

/// The results of an omni test.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OmniResults {
    /// 0, or the server's errno.
    pub errno: i32,
    /// Bytes received.
    pub bytes_received: u64,
    /// Receive calls.
    pub receive_calls: u32,
    /// SO_RCVBUF at the end, in bytes.
    pub receive_buffer: i32,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Send calls.
    pub send_calls: u32,
    /// SO_SNDBUF at the end, in bytes.
    pub send_buffer: i32,
    /// Transactions.
    pub transactions: u32,
    /// Length of the data phase on the server's clock.
    pub elapsed_seconds: f32,
    /// CPU of the whole machine, where it was asked for: busy, user, system, iowait, irq, softirq,
    /// in percent.
    pub cpu_percent: [f32; 6],
    /// 8: /proc/stat.
    pub cpu_method: u32,
    /// CPUs of the machine.
    pub cpus: u32,
    /// The busiest CPU; -1: unknown.
    pub peak_cpu: i32,
    /// How busy it was, in percent.
    pub peak_percent: f32,
    /// TCP_INFO total_retrans; -1: no TCP.
    pub retransmits: i32,
    /// In use.
    pub congestion_control: String,
}

/// `cpu_method` of one who reads /proc/stat.
pub const PROC_STAT: u32 = 8;

impl OmniResults {
    /// For the wire.
    #[must_use]
    pub fn write(&self) -> WireMessage {
        let mut message = WireMessage::of(kind::OMNI_RESULTS);
        put_results(self, &mut message);
        message.put_text(276, 16, &self.congestion_control);
        message
    }

    /// From the wire. Where CPU was not asked for, the CPU fields hold leftovers.
    #[must_use]
    pub fn read(message: &WireMessage) -> Self {
        let congestion_control = message.text(276, 16);
        get_results(message, Self { congestion_control, ..Self::default() })
    }
}

fields!(
    put_results,
    get_results,
    OmniResults {
        errno: 4,
        bytes_received: 8,
        receive_calls: 16,
        receive_buffer: 20,
        bytes_sent: 24,
        send_calls: 32,
        send_buffer: 36,
        transactions: 44,
        elapsed_seconds: 48,
        cpu_percent: 52,
        cpu_method: 80,
        cpus: 84,
        peak_cpu: 88,
        peak_percent: 92,
        retransmits: 112,
    }
);
