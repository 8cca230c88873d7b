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
    /// Ring widths: receive, send.
    pub widths: [i32; 2],
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
        let words = [
            (4, self.errno),
            (8, self.receive_buffer),
            (12, self.receive_size),
            (16, self.widths[0]),
            (20, self.send_buffer),
            (24, self.send_size),
            (28, self.widths[1]),
            (72, self.priority),
            (76, self.tos),
        ];
        words.into_iter().for_each(|(at, word)| message.put_int(at, word));
        message.put(32, self.flags);
        message.put_float(36, self.cpu_rate);
        message.put(52, self.data_port.into());
        message
    }

    /// From the wire.
    #[must_use]
    pub fn read(message: &WireMessage) -> Self {
        Self {
            errno: message.int(4),
            receive_buffer: message.int(8),
            receive_size: message.int(12),
            widths: [message.int(16), message.int(28)],
            send_buffer: message.int(20),
            send_size: message.int(24),
            flags: message.word(32),
            cpu_rate: message.float(36),
            data_port: u16::try_from(message.word(52)).unwrap_or(0),
            priority: message.int(72),
            tos: message.int(76),
        }
    }
}

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
        let words = [
            (4, self.errno),
            (20, self.receive_buffer),
            (36, self.send_buffer),
            (88, self.peak_cpu),
            (112, self.retransmits),
        ];
        words.into_iter().for_each(|(at, word)| message.put_int(at, word));
        put_long(&mut message, 8, self.bytes_received);
        put_long(&mut message, 24, self.bytes_sent);
        let words = [
            (16, self.receive_calls),
            (32, self.send_calls),
            (44, self.transactions),
            (80, self.cpu_method),
            (84, self.cpus),
        ];
        words.into_iter().for_each(|(at, word)| message.put(at, word));
        message.put_float(48, self.elapsed_seconds);
        for (at, percent) in (52..).step_by(4).zip(self.cpu_percent) {
            message.put_float(at, percent);
        }
        message.put_float(92, self.peak_percent);
        message.put_text(276, 16, &self.congestion_control);
        message
    }

    /// From the wire. Where CPU was not asked for, the CPU fields hold leftovers.
    #[must_use]
    pub fn read(message: &WireMessage) -> Self {
        Self {
            errno: message.int(4),
            bytes_received: long(message, 8),
            receive_calls: message.word(16),
            receive_buffer: message.int(20),
            bytes_sent: long(message, 24),
            send_calls: message.word(32),
            send_buffer: message.int(36),
            transactions: message.word(44),
            elapsed_seconds: message.float(48),
            cpu_percent: std::array::from_fn(|place| message.float(52 + 4 * place)),
            cpu_method: message.word(80),
            cpus: message.word(84),
            peak_cpu: message.int(88),
            peak_percent: message.float(92),
            retransmits: message.int(112),
            congestion_control: message.text(276, 16),
        }
    }
}

/// Two words, the high one first.
fn put_long(message: &mut WireMessage, at: usize, value: u64) {
    message.0[at..at + 8].copy_from_slice(&value.to_be_bytes());
}

fn long(message: &WireMessage, at: usize) -> u64 {
    u64::from(message.word(at)) << 32 | u64::from(message.word(at + 4))
}
