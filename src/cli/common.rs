//! Options that several subcommands share, and what they become.
//!
//! Enters: options as typed. Leaves: the parts of a plan, and a target.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::host::HostArg;
use crate::cli::output::OutputArgs;
use crate::cli::sinks::SinkArgs;
use crate::cli::system::System;
use crate::cli::values::choice;
use crate::cli::{Measurement, values};
use podperf_engine::control::client::Target;
use podperf_model::AddressFamily;
use podperf_model::error::{Error, Result};
use podperf_model::plan::limits::Limits;
use podperf_model::plan::{
    CheckedPlan, Direction, EndPlan, PacingMode, Pin, Plan, SocketPlan, StopCondition, Wait,
    Workload,
};
use podperf_model::units::{Bytes, parse_count, parse_duration};

/// Port of control and data unless another is named.
pub(super) const PORT: u16 = 5210;

/// Everything a measurement needs beside its workload.
#[derive(Debug, Args)]
pub(super) struct MeasureArgs {
    #[command(flatten)]
    pub(super) peer: PeerArgs,
    #[command(flatten)]
    pub(super) window: WindowArgs,
    #[command(flatten)]
    pub(super) socket: SocketArgs,
    #[command(flatten)]
    pub(super) placement: PlacementArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) sinks: SinkArgs,
}

/// The server, and how long to wait for it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct PeerArgs {
    /// Server: name, IPv4 or IPv6 address, or host:port. Default: a server in this process, over
    /// loopback
    #[arg(value_name = "HOST", help_heading = None)]
    host: Option<HostArg>,
    #[command(flatten)]
    reach: ReachArgs,
    /// Wait for so long until a server takes connections, before anything else. Default: fail at
    /// once
    #[arg(long, value_name = "TIME", requires = "host", value_parser = parse_duration)]
    wait_for_server: Option<Duration>,
    /// Silence after which the server counts as lost, and the client at the server, which may
    /// grant less (podperf serve --peer-timeout)
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    peer_timeout: Duration,
    /// End the run when nothing at all has moved for this time, or for twice the time between two
    /// payloads at the rate asked for
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    stall_timeout: Duration,
    /// End the whole command after this time, with what there is. Default: none
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    deadline: Option<Duration>,
}

/// How to reach a server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct ReachArgs {
    /// TCP port of control and data. Default: 5210
    #[arg(short, long, value_name = "PORT", value_parser = values::port)]
    port: Option<u16>,
    /// Use IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// Use IPv6 only
    #[arg(short = '6', long)]
    ipv6: bool,
    /// Address of this end, for control and data
    #[arg(long, value_name = "ADDRESS", value_parser = values::address)]
    bind: Option<IpAddr>,
    /// File with the secret shared with the server. Default: the environment variable
    /// PODPERF_TOKEN, if set
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Time for each step until everything is ready to start
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    connect_timeout: Duration,
}

/// When to count.
#[derive(Debug, Args)]
#[command(next_help_heading = "Window")]
pub(super) struct WindowArgs {
    /// Length of the measured window, in seconds unless said (500ms, 2m, 1h)
    #[arg(short, long, value_name = "TIME", default_value = "10", value_parser = parse_duration)]
    pub(super) time: Duration,
    /// Warm-up before the window, not counted
    #[arg(short = 'O', long, value_name = "TIME", default_value = "1",
          value_parser = parse_duration)]
    pub(super) omit: Duration,
    /// End at the first error of a system call, also where datagrams or connections would go on;
    /// the exit status is 4 then
    #[arg(long)]
    pub(super) strict: bool,
    /// Time between two intermediate readings; 0: none
    #[arg(short, long, value_name = "TIME", default_value = "1", value_parser = parse_duration)]
    pub(super) interval: Duration,
}

/// What is asked of every data socket.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sockets")]
pub(super) struct SocketArgs {
    /// TCP congestion control. Default: the system's
    #[arg(short = 'C', long, value_name = "NAME")]
    congestion: Option<String>,
    /// Send and receive buffer of each socket, in place of the kernel's autotuning. Default:
    /// autotuning
    #[arg(short, long, value_name = "SIZE")]
    window: Option<Bytes>,
    /// TCP maximum segment size in bytes, 88 to 32767. Default: the path's
    #[arg(short = 'M', long, value_name = "BYTES", value_parser = parse_count::<u32>)]
    mss: Option<u32>,
    /// Differentiated services code point: 0 to 63, cs0 to cs7, af11 to af43, ef. Default: 0
    #[arg(short = 'S', long, value_name = "DSCP", value_parser = values::dscp)]
    dscp: Option<u8>,
    /// Use Multipath TCP, to a server that takes it (podperf serve --mptcp); the result says where
    /// it fell back to TCP
    #[arg(long)]
    mptcp: bool,
    /// Acknowledge at once (TCP_QUICKACK), as long as the kernel keeps to it
    #[arg(long)]
    quick_ack: bool,
}

/// Threads and CPUs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Workers")]
pub(super) struct PlacementArgs {
    /// CPUs for the client's workers: auto, none, or a list such as 0,2,4-7
    #[arg(long, value_name = "CPUS", default_value = "auto", value_parser = values::pin)]
    pin: Pin,
    /// CPUs for the server's workers, likewise
    #[arg(long, value_name = "CPUS", default_value = "auto", value_parser = values::pin)]
    server_pin: Pin,
    /// Worker threads of the client. Default: one a connection while they are few, else one a CPU
    #[arg(long, value_name = "N", value_parser = parse_count::<u32>)]
    workers: Option<u32>,
    /// Worker threads of the server, likewise
    #[arg(long, value_name = "N", value_parser = parse_count::<u32>)]
    server_workers: Option<u32>,
}

/// How workers wait for requests and responses.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Workers")]
pub(super) struct WaitArgs {
    /// Way in which the client waits for responses: block (asleep), spin (awake, a CPU a worker),
    /// or busy-poll=US (asleep, but each receive call first polls the device for so many
    /// microseconds)
    #[arg(long, value_name = "HOW", default_value = "block", value_parser = values::wait)]
    wait: Wait,
    /// Way in which the server waits for requests, likewise
    #[arg(long, value_name = "HOW", default_value = "block", value_parser = values::wait)]
    server_wait: Wait,
}

/// How sends that have a rate meet their times.
#[derive(Debug, Default, Args)]
pub(super) struct PacingArgs {
    /// Way in which sends at a rate meet their times, on both ends: precise, sleep or burst.
    /// Default: sleep where that is late by little, else precise; the result says which
    #[arg(long, value_name = "HOW", value_parser = choice::<PacingMode>())]
    pacing: Option<PacingMode>,
}

/// What goes each way, of everything that sends requests and waits for responses. Under which
/// heading the help shows it, and what it needs beside it, is for the subcommand to say.
#[derive(Debug, Args)]
#[group(id = "exchange")]
pub(super) struct ExchangeArgs {
    /// Size of a request
    #[arg(long, value_name = "SIZE", default_value = "1")]
    pub(super) request: Bytes,
    /// Size of a response
    #[arg(long, value_name = "SIZE", default_value = "1")]
    pub(super) response: Bytes,
}

/// The direction that was asked for, seen from the client.
pub(super) const fn direction(reverse: bool, bidir: bool) -> Direction {
    match (reverse, bidir) {
        (true, _) => Direction::Down,
        (_, true) => Direction::Both,
        _ => Direction::Up,
    }
}

/// What a subcommand adds to the shared options.
#[derive(Debug)]
pub(super) struct WorkloadChoice {
    pub(super) workload: Workload,
    pub(super) flows: u32,
    /// Count that ends the run; absent: it ends by time.
    pub(super) count: Option<StopCondition>,
    /// Socket options that only some workloads ask for.
    pub(super) socket: SocketPlan,
    /// Way in which workers wait.
    pub(super) wait: WaitArgs,
    /// Way in which sends at a rate meet their times.
    pub(super) pacing: PacingArgs,
}

impl MeasureArgs {
    /// Makes options and workload a measurement that every rule accepts.
    pub(super) fn resolve(self, work: WorkloadChoice, system: &System) -> Result<Measurement> {
        let Self { peer, window, socket, placement, output, sinks } = self;
        let plan = Plan {
            workload: work.workload,
            stop_condition: work.count.unwrap_or(StopCondition::Time { window: window.time }),
            pacing: work.pacing.pacing,
            strict: window.strict,
            warm_up: window.omit,
            interval: window.interval,
            stall_timeout: peer.stall_timeout,
            flows: work.flows,
            client: EndPlan {
                workers: placement.workers,
                pin: placement.pin,
                wait: work.wait.wait,
            },
            server: EndPlan {
                workers: placement.server_workers,
                pin: placement.server_pin,
                wait: work.wait.server_wait,
            },
            socket: SocketPlan {
                congestion_control: socket.congestion,
                buffer_bytes: socket.window,
                mss_bytes: socket.mss,
                dscp: socket.dscp,
                mptcp: socket.mptcp,
                quick_ack: socket.quick_ack,
                ..work.socket
            },
        };
        let plan = CheckedPlan::new(plan, &Limits::default())?;
        system.check(&plan, peer.host.is_none())?;
        let wait_for_server = peer.wait_for_server;
        Ok(Measurement { plan, target: peer.target(system)?, wait_for_server, output, sinks })
    }
}

impl PeerArgs {
    fn target(self, system: &System) -> Result<Target> {
        for (option, time) in [
            ("--wait-for-server", self.wait_for_server),
            ("--peer-timeout", Some(self.peer_timeout)),
            ("--deadline", self.deadline),
        ] {
            time.map_or(Ok(()), |time| positive(option, time))?;
        }
        let target = self.reach.target(self.host.as_ref(), system)?;
        Ok(Target { peer_timeout: self.peer_timeout, deadline: self.deadline, ..target })
    }
}

impl ReachArgs {
    /// The server `host`, with the default timeouts of a run.
    pub(super) fn target(self, host: Option<&HostArg>, system: &System) -> Result<Target> {
        let port = host.and_then(|host| host.port);
        if let (Some(asked), Some(port)) = (self.port, port)
            && asked != port
        {
            let allowed = format!("allowed: one port, but HOST names {port}");
            return Err(Error::usage("--port", asked, allowed));
        }
        positive("--connect-timeout", self.connect_timeout)?;
        Ok(Target {
            host: host.map(|host| host.name.clone()),
            port: self.port.or(port).unwrap_or(PORT),
            family: self.family(host)?,
            bind: self.bind,
            token: system.token(self.token_file.as_deref())?,
            connect_timeout: self.connect_timeout,
            ..Target::this_process()
        })
    }

    /// Returns the family asked for; neither HOST nor the own address may be of the other one.
    fn family(&self, host: Option<&HostArg>) -> Result<Option<AddressFamily>> {
        let asked = match (self.ipv4, self.ipv6) {
            (true, _) => Some(AddressFamily::V4),
            (_, true) => Some(AddressFamily::V6),
            _ => None,
        };
        let bind = self.bind.map(AddressFamily::of);
        let named = host.and_then(|host| host.family);
        let differ = |a: Option<AddressFamily>, b: Option<AddressFamily>| {
            a.is_some() && b.is_some() && a != b
        };
        if differ(asked, named) {
            let name = host.map_or("", |host| &host.name);
            return Err(Error::usage("HOST", name, "allowed: an address of the family asked for"));
        }
        if let Some(address) = self.bind
            && (differ(asked, bind) || differ(named, bind))
        {
            let allowed = "allowed: an address of the same family as HOST, -4 or -6";
            return Err(Error::usage("--bind", address, allowed));
        }
        Ok(asked)
    }
}

/// Refuses a wait of no time.
pub(super) fn positive(option: &str, time: Duration) -> Result<()> {
    if time.is_zero() {
        return Err(Error::usage(option, "0", "allowed: more than 0 seconds"));
    }
    Ok(())
}
