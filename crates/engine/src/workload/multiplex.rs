//! Readiness of many flows in one worker: epoll, level-triggered, and for schedules a timer beside
//! it.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use socket2::Socket;

use podperf_model::error::{Error, Kind};
use podperf_model::plan::Wait;
use podperf_sys as sys;

/// How long a wait lasts at the most, so that a stop is seen even where no socket wakes.
const MAX_WAIT_MS: u16 = 100;
/// Flows looked at after one wait.
const MAX_EVENTS: usize = 256;
/// The timer's place among the flows.
const TIMER_TOKEN: u64 = u64::MAX;

/// A set of flows, by their number within the worker.
#[derive(Debug)]
pub struct Multiplex {
    epoll: Epoll,
    timer: Option<TimerFd>,
    events: Vec<EpollEvent>,
}

/// What a flow is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Something to receive.
    Receive,
    /// Room to send.
    Send,
    /// Either.
    Both,
    /// Something to receive, reported once each time more comes.
    Arrivals,
    /// Either, reported once each time it changes.
    Changes,
    /// A connection to accept, where several workers share a listener: one of them is woken.
    Accept,
}

impl Interest {
    const fn flags(self) -> EpollFlags {
        match self {
            Self::Receive => EpollFlags::EPOLLIN,
            Self::Send => EpollFlags::EPOLLOUT,
            Self::Both => EpollFlags::EPOLLIN.union(EpollFlags::EPOLLOUT),
            Self::Arrivals => Self::Receive.flags().union(EpollFlags::EPOLLET),
            Self::Changes => Self::Both.flags().union(EpollFlags::EPOLLET),
            Self::Accept => EpollFlags::EPOLLIN.union(EpollFlags::EPOLLEXCLUSIVE),
        }
    }
}

/// A flow that can go on.
#[derive(Debug, Clone, Copy)]
pub struct FlowReadiness {
    /// Its number within the worker.
    pub flow: usize,
    /// It can receive (or has an error to report).
    pub receive: bool,
    /// It can send (or has an error to report).
    pub send: bool,
}

/// For `map_err`: the kernel refuses what [`Multiplex`] needs.
#[must_use]
pub fn refused(error: io::Error) -> Error {
    Error::system(Kind::Unmeasured, "watch a worker's sockets by epoll", &error)
        .with_remedy("permit epoll and timerfd, or use a worker a flow (--workers)")
}

impl Multiplex {
    /// Watches `sockets`, which become non-blocking.
    ///
    /// # Errors
    /// What epoll_create1(2), epoll_ctl(2) or fcntl(2) return.
    pub fn open(sockets: &[&Socket], interest: Interest) -> io::Result<Self> {
        let multiplex = Self::empty(sockets.len())?;
        for (number, socket) in sockets.iter().enumerate() {
            socket.set_nonblocking(true)?;
            multiplex.add(socket, number, interest)?;
        }
        Ok(multiplex)
    }

    /// Watches nothing yet; there will be about `flows`.
    ///
    /// # Errors
    /// What epoll_create1(2) returns.
    pub fn empty(flows: usize) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let events = vec![EpollEvent::empty(); MAX_EVENTS.min(flows + 1)];
        Ok(Self { epoll, timer: None, events })
    }

    /// Watches one more socket, which must not block.
    ///
    /// # Errors
    /// What epoll_ctl(2) returns.
    pub fn add(&self, socket: &Socket, flow: usize, interest: Interest) -> io::Result<()> {
        self.epoll.add(socket, EpollEvent::new(interest.flags(), flow as u64))?;
        Ok(())
    }

    /// Lets waits poll the devices first, where `wait` says so; the reason if the kernel does not.
    #[must_use]
    pub fn busy_poll(&self, wait: Wait) -> Option<String> {
        let us = wait.busy_poll_us()?;
        let error = sys::epoll::set_busy_poll_us(&self.epoll.0, us).err()?;
        Some(format!("epoll does not poll devices (EPIOCSPARAMS: {error}); waits block"))
    }

    /// Adds a timer that ends waits early; see [`Self::wake_in`].
    ///
    /// # Errors
    /// What timerfd_create(2) or epoll_ctl(2) say.
    pub fn with_timer(mut self) -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        self.epoll.add(timer.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, TIMER_TOKEN))?;
        self.timer = Some(timer);
        Ok(self)
    }

    /// Ends the next wait after `delay` (at least 1 ns).
    ///
    /// # Errors
    /// What timerfd_settime(2) returns.
    pub fn wake_in(&self, delay: Duration) -> io::Result<()> {
        if let Some(timer) = &self.timer {
            let delay = delay.max(Duration::from_nanos(1));
            timer.set(Expiration::OneShot(delay.into()), TimerSetTimeFlags::empty())?;
        }
        Ok(())
    }

    /// Changes what `flow` is waited for.
    ///
    /// # Errors
    /// What epoll_ctl(2) returns.
    pub fn watch(&self, socket: &Socket, flow: usize, interest: Interest) -> io::Result<()> {
        self.epoll.modify(socket, &mut EpollEvent::new(interest.flags(), flow as u64))?;
        Ok(())
    }

    /// Forgets a flow that has ended.
    pub fn forget(&self, socket: &Socket) {
        // It is ended either way; a socket that is gone is out of the set already.
        let _ = self.epoll.delete(socket);
    }

    /// Waits until a flow can go on, a timer runs out, or 100 ms pass; with `poll`, not at all.
    ///
    /// # Errors
    /// What epoll_wait(2) returns; an interruption is an empty answer.
    pub fn wait(&mut self, poll: bool) -> io::Result<impl Iterator<Item = FlowReadiness> + '_> {
        let timeout = if poll { 0 } else { MAX_WAIT_MS };
        let count = match self.epoll.wait(&mut self.events, EpollTimeout::from(timeout)) {
            Ok(count) => count,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        let failed = EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP;
        let timer = &self.timer;
        Ok(self.events[..count].iter().filter_map(move |event| {
            if event.data() == TIMER_TOKEN {
                // One-shot: reading it only clears the readiness.
                let _ = timer.as_ref().map(TimerFd::wait);
                return None;
            }
            let flags = event.events();
            Some(FlowReadiness {
                flow: usize::try_from(event.data()).ok()?,
                receive: flags.intersects(EpollFlags::EPOLLIN | failed),
                send: flags.intersects(EpollFlags::EPOLLOUT | failed),
            })
        }))
    }
}
