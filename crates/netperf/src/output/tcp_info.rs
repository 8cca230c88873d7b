//! The dump of TCP_INFO that the environment variable DUMP_TCP_INFO asks for.

use podperf_sys::tcp_info::RawTcpInfo;

/// The dump: words in pairs of key and value. One key is misspelt, as readers expect it.
#[must_use]
pub fn tcp_info(dump: &RawTcpInfo) -> String {
    format!(
        "tcpi_rto {} tcpi_ato {} tcpi_pmtu {} tcpi_rcv_ssthresh {}\n\
         tcpi_rtt {} tcpi_rttvar {} tcpi_snd_ssthresh {} tpci_snd_cwnd {}\n\
         tcpi_reordering {} tcpi_total_retrans {}\n",
        dump.rto,
        dump.ato,
        dump.pmtu,
        dump.rcv_ssthresh,
        dump.rtt,
        dump.rttvar,
        dump.snd_ssthresh,
        dump.snd_cwnd,
        dump.reordering,
        dump.total_retrans,
    )
}
