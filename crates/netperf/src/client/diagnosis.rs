//! Why a test came to nothing, or its last part did, in words that name the cause.
//!
//! Enters: the options, what this end counted and what netserver told. Leaves: an error, or nothing
//! where something arrived to the end. Pure.

use std::net::SocketAddr;
use std::time::Duration;

use crate::data::Totals;
use crate::figures::EndCounters;
use crate::options::Options;
use crate::test_kind::{Protocol, TestDirection};
use crate::wire::reply::OmniResults;
use podperf_model::error::{Code, Error, Kind};

/// A test whose last part brought nothing is not whole: so much of it at the least, and a tenth.
const MIN_IDLE: Duration = Duration::from_secs(1);
/// A test that a signal ended before had no time to move anything.
const MIN_TIME: Duration = Duration::from_secs(1);
/// What passes on every path: smaller data is not lost because of its size.
const SMALL_BYTES: u32 = 500;
/// What netserver's own port is open for, and its data port is not.
pub(super) const DATA_PORT: &str = "the control port answers, so let the data port through too, \
     which `-- -P ,PORT` names; and where several netservers share one address, as behind a \
     Service, give it session affinity (sessionAffinity: ClientIP) or name one of them with -H";
const AFFINITY: &str = "several netservers share one address, and its connections are spread over \
     them: give it session affinity (of a Service, sessionAffinity: ClientIP), or name one of them \
     with -H";
/// The MTU of the path is smaller than the ends believe, and nobody tells them.
fn path_mtu(what: &str) -> String {
    format!(
        "small packets pass and {what} do not: lower the MTU of the interface or the route to what \
         the path carries"
    )
}

/// One test, to be explained.
#[derive(Debug, Clone, Copy)]
pub(super) struct Diagnosis<'a> {
    pub(super) options: &'a Options,
    /// Where its data went.
    pub(super) data_peer: SocketAddr,
    /// That is netserver's control port.
    pub(super) shares_port: bool,
}

impl Diagnosis<'_> {
    /// Its data may have gone to another netserver than the one that was asked: a connection to the
    /// same port ended before anything came of it.
    pub(super) fn may_be_elsewhere(&self, totals: &Totals) -> bool {
        let receives = self.options.shape.direction == TestDirection::Receive;
        let lost = totals.errors.iter().any(|error| error.code == Code::ConnectionLost);
        self.shares_port && totals.counters.bytes_received == 0 && (lost || receives)
    }

    /// It did not come to its end, so that netserver may have nothing to tell.
    pub(super) fn is_broken(&self, totals: &Totals) -> bool {
        let receives = self.options.shape.direction == TestDirection::Receive;
        !totals.errors.is_empty()
            || totals.stopped == Some(Kind::Incomplete)
            || (totals.stopped.is_some() && receives)
            || !self.moved(totals, None)
            || self.idle(totals).is_some()
    }

    /// Why it came to nothing; absent: it did not, or that is known.
    pub(super) fn cause(&self, totals: &Totals, results: Option<&OmniResults>) -> Option<Error> {
        let known = |error: &Error| matches!(error.code, Code::Refused | Code::Signal);
        let gone = totals.stopped == Some(Kind::Incomplete);
        let early = totals.stopped.is_some() && totals.elapsed < MIN_TIME;
        if gone || early || totals.errors.first().is_some_and(known) {
            return None;
        }
        if self.may_be_elsewhere(totals) && results.is_some_and(never_began) {
            let cause = "the data went to another netserver than the one that was asked for the \
                         test";
            return Some(self.error("send to", cause, AFFINITY.to_owned()));
        }
        if !self.moved(totals, results) {
            return Some(self.nothing(totals, results));
        }
        self.idle(totals)
    }

    /// Something arrived, or a transaction came to its end.
    fn moved(&self, totals: &Totals, results: Option<&OmniResults>) -> bool {
        let shape = self.options.shape;
        match shape.direction {
            // Its kernel tells of a stream; of datagrams nothing is known without netserver.
            TestDirection::Send => {
                let told = results.map(|results| results.counters.bytes_received > 0);
                let unknown = shape.protocol == Protocol::Udp;
                totals.delivered > 0 || told.unwrap_or(unknown)
            }
            TestDirection::Receive => totals.counters.bytes_received > 0,
            _ => totals.counters.transactions > 0,
        }
    }

    fn nothing(&self, totals: &Totals, results: Option<&OmniResults>) -> Error {
        let shape = self.options.shape;
        let seconds = totals.elapsed.as_secs_f64();
        let data = &self.options.data;
        let exchanged = data.request_bytes.max(data.response_bytes);
        let lost = totals.errors.first();
        let because = |what: String| lost.map_or(what, |error| error.cause.clone());
        match (shape.direction, shape.protocol) {
            (TestDirection::Send, Protocol::Udp) => {
                let EndCounters { send_calls, failed_sends, .. } = totals.counters;
                let cause = format!(
                    "not one datagram arrived: {send_calls} were sent, {failed_sends} sends failed"
                );
                self.error("send to", cause, DATA_PORT.to_owned())
            }
            (TestDirection::RequestResponse, Protocol::Udp) => {
                let lost = totals.counters.lost_transactions;
                let cause =
                    format!("not one response came in {seconds:.1} s, {lost} requests are lost");
                self.error("receive from", cause, DATA_PORT.to_owned())
            }
            (TestDirection::Receive, Protocol::Udp) => {
                let cause = format!("not one datagram came in {seconds:.1} s");
                self.error("receive from", cause, DATA_PORT.to_owned())
            }
            (TestDirection::Send, Protocol::Tcp) => {
                let cause = because(format!("not a byte arrived in {seconds:.1} s"));
                self.error("send to", cause, self.smaller_mtu(totals, results, u32::MAX))
            }
            (TestDirection::Receive, Protocol::Tcp) => {
                let cause = because(format!("not a byte came in {seconds:.1} s"));
                self.error("receive from", cause, self.smaller_mtu(totals, results, u32::MAX))
            }
            (TestDirection::RequestResponse, Protocol::Tcp) => {
                let cause = because(format!("not one response came in {seconds:.1} s"));
                self.error("receive from", cause, self.smaller_mtu(totals, results, exchanged))
            }
            _ if totals.connected => {
                let cause = because(format!(
                    "connections stand, and no transaction came to its end in {seconds:.1} s"
                ));
                let remedy = (exchanged > SMALL_BYTES).then(|| path_mtu("large ones"));
                self.error("receive from", cause, remedy)
            }
            _ => {
                let cause = because(format!("no connection stood within {seconds:.1} s"));
                self.error("connect_data_socket", cause, DATA_PORT.to_owned())
            }
        }
    }

    /// What helps where the path drops what is large: an end has sent again and again, and the
    /// connection stands.
    fn smaller_mtu(
        &self,
        totals: &Totals,
        results: Option<&OmniResults>,
        bytes: u32,
    ) -> Option<String> {
        let own = totals.end.retransmits.is_some_and(|count| count > 0);
        let remote = results.and_then(|results| results.retransmits).is_some_and(|count| count > 0);
        let broken = totals.errors.iter().any(|error| error.errno.is_some());
        (bytes > SMALL_BYTES && (own || remote) && !broken).then(|| {
            let mss = totals.tcp_info.map(|info| info.snd_mss).or(totals.end.mss).unwrap_or(0);
            path_mtu(&format!("segments of up to {mss} bytes"))
        })
    }

    /// Nothing came in its last part. Of a stream that is sent, what arrives after the time counts.
    fn idle(&self, totals: &Totals) -> Option<Error> {
        let shape = self.options.shape;
        if !totals.errors.is_empty()
            || (shape.direction, shape.protocol) == (TestDirection::Send, Protocol::Tcp)
        {
            return None;
        }
        let pace = &self.options.pace;
        let bursts = [pace.local, pace.remote].map(|pace| pace.map(|pace| pace.every));
        let answer = self.options.data.receive_timeout;
        let gap = bursts.into_iter().chain([answer]).flatten().max().unwrap_or_default() * 2;
        let most = MIN_IDLE.max(totals.elapsed / 10).max(gap);
        (totals.idle >= most).then(|| {
            let cause = format!("nothing came any more for {:.1} s", totals.idle.as_secs_f64());
            self.error("receive from", cause, None)
        })
    }

    fn error(
        &self,
        operation: &str,
        cause: impl std::fmt::Display,
        remedy: impl Into<Option<String>>,
    ) -> Error {
        let error = Error::new(Kind::Incomplete, operation, cause).with_peer(self.data_peer);
        match remedy.into() {
            Some(remedy) => error.with_remedy(remedy),
            None => error,
        }
    }
}

/// netserver was told of the test's end before its data came.
fn never_began(results: &OmniResults) -> bool {
    results.elapsed_seconds == 0.0 && results.counters == EndCounters::default()
}

#[cfg(test)]
mod tests;
