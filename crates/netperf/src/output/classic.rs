//! The fixed tables of the tests that are older than selectors, one layout a kind of test.
//!
//! Trailing blanks are part of a row: some readers look for one behind the last number.

use super::units;
use super::view::{TestEnd, View, real, whole};
use crate::options::{Options, Unit};
use crate::test_kind::{NetperfTest, Protocol, TestDirection};

/// A kind of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TableKind {
    /// Bytes one way.
    Stream,
    /// Datagrams one way: a row for each end.
    Datagrams,
    /// Transactions: a second row for the far end's buffers.
    Transactions,
}

impl TableKind {
    pub(super) const fn of(options: &Options) -> Self {
        match (options.shape.direction, options.shape.protocol) {
            (TestDirection::Send, Protocol::Udp) => Self::Datagrams,
            (TestDirection::Send | TestDirection::Receive, _) => Self::Stream,
            _ => Self::Transactions,
        }
    }
}

/// Table or single number, by verbosity, with what stands above it.
pub(super) fn table(view: &View<'_>) -> String {
    let mut text = warning(view);
    let layout = TableKind::of(view.options);
    match view.options.verbosity {
        0 => text.push_str(&number(view)),
        1 | 2 => {
            if view.options.header {
                text.push_str(&header(view, layout));
            }
            text.push_str(&match layout {
                TableKind::Stream => stream(view),
                TableKind::Datagrams => datagrams(view),
                TableKind::Transactions => transactions(view),
            });
        }
        // Above two, netperf leaves the table out.
        _ => {}
    }
    text
}

const fn with_cpu(options: &Options) -> bool {
    options.cpu.local || options.cpu.remote
}

/// `-B`, where it is shown.
fn brand<'a>(view: &View<'a>) -> &'a str {
    let brand = view.options.brand.as_deref().filter(|_| !view.options.header);
    brand.unwrap_or_default()
}

/// Said where iterations ended before their figures were as close as wanted.
fn warning(view: &View<'_>) -> String {
    let Some(found) = view.figures.confidence.filter(|found| !found.reached) else {
        return String::new();
    };
    format!(
        "!!! WARNING\n\
         !!! Desired confidence was not achieved within the specified iterations.\n\
         !!! This implies that there was variability in the test environment that\n\
         !!! must be investigated before going further.\n\
         !!! Confidence intervals: Throughput      : {:.3}%\n\
         !!!                       Local CPU util  : {:.3}%\n\
         !!!                       Remote CPU util : {:.3}%\n\n",
        units::tame(found.throughput_percent),
        units::tame(found.local_cpu_percent),
        units::tame(found.remote_cpu_percent),
    )
}

/// `-v 0`: the result, or what it costs where CPU is measured.
fn number(view: &View<'_>) -> String {
    let layout = TableKind::of(view.options);
    // Tests that connect anew, and datagrams, show neither brand nor all of the rest.
    let unframed = layout == TableKind::Datagrams || !view.direction().lasts();
    if !with_cpu(view.options) {
        let rate = match layout {
            TableKind::Datagrams => view.send_rate(TestEnd::Local),
            _ => view.throughput(),
        };
        return if unframed {
            format!("{rate:>7.2}\n")
        } else {
            format!("{rate:>7.2} {}\n", brand(view))
        };
    }
    let side = if view.options.cpu.local { TestEnd::Local } else { TestEnd::Remote };
    let demand = real(view.demand_us(side));
    let method = view.method(side);
    match layout {
        TableKind::Datagrams => format!("{demand:>6.2} {method}\n"),
        _ if unframed => format!("{demand:>6.3}\n"),
        _ => format!("{demand:>6.3} {method} {}\n", brand(view)),
    }
}

fn header(view: &View<'_>, layout: TableKind) -> String {
    let cpu = with_cpu(view.options);
    match layout {
        TableKind::Stream if cpu => stream_cpu_header(view),
        TableKind::Stream => format!(
            "Recv   Send    Send                          \n\
             Socket Socket  Message  Elapsed              \n\
             Size   Size    Size     Time     Throughput  \n\
             bytes  bytes   bytes    secs.    {}/sec  \n\n",
            units::word(view.unit())
        ),
        TableKind::Datagrams => datagrams_header(view, cpu),
        TableKind::Transactions if cpu => transactions_cpu_header(view),
        TableKind::Transactions => transactions_header(view.unit()),
    }
}

fn stream_cpu_header(view: &View<'_>) -> String {
    let (near, far) = match view.direction() {
        TestDirection::Receive => ("Recv", "Send"),
        _ => ("Send", "Recv"),
    };
    format!(
        "Recv   Send    Send                          Utilization       Service Demand\n\
         Socket Socket  Message  Elapsed              {near}     {far}     {near}    {far}\n\
         Size   Size    Size     Time     Throughput  local    remote   local   remote\n\
         bytes  bytes   bytes    secs.    {:<8}/s  % {}      % {}      us/KB   us/KB\n\n",
        units::word(view.unit()),
        view.method(TestEnd::Local),
        view.method(TestEnd::Remote),
    )
}

fn datagrams_header(view: &View<'_>, cpu: bool) -> String {
    let unit = units::word(view.unit());
    if !cpu {
        return format!(
            "Socket  Message  Elapsed      Messages                \n\
             Size    Size     Time         Okay Errors   Throughput\n\
             bytes   bytes    secs            #      #   {unit}/sec\n\n"
        );
    }
    format!(
        "Socket  Message  Elapsed      Messages                   CPU      Service\n\
         Size    Size     Time         Okay Errors   Throughput   Util     Demand\n\
         bytes   bytes    secs            #      #   {unit}/sec % {}{}     us/KB\n\n",
        view.method(TestEnd::Local),
        view.method(TestEnd::Remote),
    )
}

fn transactions_header(unit: Unit) -> String {
    let (first, second, third) = match unit {
        Unit::Transactions => ("Trans.", "Rate         ", "per sec".to_owned()),
        unit => ("", "Throughput ", format!("{}/sec", units::word(unit))),
    };
    format!(
        "Local /Remote\n\
         Socket Size   Request  Resp.   Elapsed  {first}\n\
         Send   Recv   Size     Size    Time     {second}\n\
         bytes  Bytes  bytes    bytes   secs.    {third}   \n\n"
    )
}

fn transactions_cpu_header(view: &View<'_>) -> String {
    let (first, second, per) = match view.unit() {
        Unit::Transactions => ("Trans.", "Rate", "Tr"),
        unit => ("Tput", units::word(unit), "KB"),
    };
    let methods = if view.direction().lasts() {
        format!("% {}    % {}", view.method(TestEnd::Local), view.method(TestEnd::Remote))
    } else {
        "%      %  ".to_owned()
    };
    format!(
        "Local /Remote\n\
         Socket Size   Request Resp.  Elapsed {first:<8} CPU    CPU    S.dem   S.dem\n\
         Send   Recv   Size    Size   Time    {second:<8} local  remote local   remote\n\
         bytes  bytes  bytes   bytes  secs.   per sec  {methods}    us/{per}   us/{per}\n\n"
    )
}

fn stream(view: &View<'_>) -> String {
    let (receiver, sender) = match view.direction() {
        TestDirection::Receive => (&view.figures.local, &view.figures.remote),
        _ => (&view.figures.remote, &view.figures.local),
    };
    let sizes = format!(
        "{:>6} {:>6} {:>6}",
        whole(receiver.buffers.receive),
        whole(sender.buffers.send),
        whole(sender.send_bytes),
    );
    let elapsed = units::tame(view.figures.elapsed_seconds);
    let rate = view.throughput();
    let brand = brand(view);
    if !with_cpu(view.options) {
        return format!("{sizes}    {elapsed:<6.2}   {rate:>7.2}   {brand}\n");
    }
    let [near, far] = utilization(view);
    let [near_cost, far_cost] = demand(view);
    format!(
        "{sizes}    {elapsed:<6.2}     {rate:>7.2}   {near:<6.2}   {far:<6.2}   \
         {near_cost:<6.3}  {far_cost:<6.3} {brand}\n"
    )
}

fn utilization(view: &View<'_>) -> [f64; 2] {
    [TestEnd::Local, TestEnd::Remote]
        .map(|side| real(view.end(side).cpu.map(|cpu| cpu.util_percent)))
}

fn demand(view: &View<'_>) -> [f64; 2] {
    [TestEnd::Local, TestEnd::Remote].map(|side| real(view.demand_us(side)))
}

fn datagrams(view: &View<'_>) -> String {
    let (local, remote) = (&view.figures.local, &view.figures.remote);
    let elapsed = units::tame(view.figures.elapsed_seconds);
    let sent = format!(
        "{:>6}  {:>6}   {elapsed:<7.2}   {:>7} {:>6}",
        whole(local.buffers.send),
        whole(local.send_bytes),
        local.counters.send_calls,
        local.counters.failed_sends,
    );
    let received = format!(
        "{:>6}           {elapsed:<7.2}   {:>7}",
        whole(remote.buffers.receive),
        remote.counters.receive_calls,
    );
    let send_rate = view.send_rate(TestEnd::Local);
    let rate = view.throughput();
    if !with_cpu(view.options) {
        return format!("{sent}    {send_rate:>7.2}\n{received}           {rate:>7.2}\n\n");
    }
    let [near, far] = utilization(view);
    let [near_cost, far_cost] = demand(view);
    format!(
        "{sent}    {send_rate:>7.1}     {near:<6.2}   {near_cost:<6.3}\n\
         {received}           {rate:>7.1}     {far:<6.2}   {far_cost:<6.3}\n\n"
    )
}

fn transactions(view: &View<'_>) -> String {
    let [near, far] = [&view.figures.local, &view.figures.remote].map(|end| {
        let buffers = [end.buffers.send, end.buffers.receive].map(whole);
        format!("{:<6} {:<6}", buffers[0], buffers[1])
    });
    let (request, response) = (view.options.data.request_bytes, view.options.data.response_bytes);
    let elapsed = units::tame(view.figures.elapsed_seconds);
    let rate = view.throughput();
    // Tests that connect anew show no brand, and not the blank before it either.
    let lasts = view.direction().lasts();
    let brand = if lasts { brand(view) } else { "" };
    if !with_cpu(view.options) {
        return format!(
            "{near} {request:<6}   {response:<6}  {elapsed:<6.2}   {rate:>7.2}   {brand}\n{far}\n"
        );
    }
    let [near_util, far_util] = utilization(view);
    let [near_cost, far_cost] = demand(view);
    let gap = if view.options.test == NetperfTest::TcpRr { "  " } else { "   " };
    let end = if lasts { format!(" {brand}") } else { String::new() };
    format!(
        "{near} {request:<6}  {response:<6} {elapsed:<6.2}  {rate:<6.2}{gap}\
         {near_util:<6.2} {far_util:<6.2} {near_cost:<6.3}  {far_cost:<6.3}{end}\n{far}\n"
    )
}
