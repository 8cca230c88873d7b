//! The control connection while a test runs: a client that goes takes its test with it at once.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::control::{Control, Heard, Woken, wait};
use crate::wire::native::Said;
use podperf_model::error::{Error, Kind, Result};

/// Room for all that may be told of one test.
const ROOM: usize = 8;

/// Does `work` with a thread beside it that listens to the client. The channel tells
/// [`Kind::Incomplete`] when the client is gone and another kind when the test is to come to its
/// end: because the client says so or, where `any_word`, says anything. True: the client is still
/// there.
///
/// # Errors
/// When the connection breaks, or the thread cannot be started; the work is done all the same.
pub(super) fn beside<T>(
    control: &mut Control,
    closing: BorrowedFd<'_>,
    any_word: bool,
    work: impl FnOnce(&Sender<Kind>, &Receiver<Kind>) -> T,
) -> (T, Result<bool>) {
    let (tell, told) = bounded(ROOM);
    let failed = |error: std::io::Error| Error::new(Kind::Unmeasured, "watch a client", error);
    let (over, done) = match UnixStream::pair() {
        Ok(pair) => pair,
        Err(error) => return (work(&tell, &told), Err(failed(error))),
    };
    std::thread::scope(|scope| {
        let telling = tell.clone();
        let watch = move || listen(control, done.as_fd(), closing, any_word, &telling);
        let name = "netserver-watch".to_owned();
        let watcher = std::thread::Builder::new().name(name).spawn_scoped(scope, watch);
        let worked = work(&tell, &told);
        drop(over);
        let there = match watcher {
            Ok(watcher) => watcher.join().unwrap_or(Ok(false)),
            Err(error) => Err(failed(error)),
        };
        (worked, there)
    })
}

fn listen(
    control: &mut Control,
    done: BorrowedFd<'_>,
    closing: BorrowedFd<'_>,
    any_word: bool,
    tell: &Sender<Kind>,
) -> Result<bool> {
    loop {
        let heard = match wait(Some(control.fd()), Some(done), closing, control.due()) {
            Woken::Other => return Ok(true),
            Woken::Closing => Ok(Heard::End),
            Woken::Control | Woken::Late => control.hear(),
        };
        let message = match heard {
            Ok(Heard::NotYet) => continue,
            Ok(Heard::Message(message)) => message,
            gone => {
                let _ = tell.try_send(Kind::Incomplete);
                return gone.map(|_| false);
            }
        };
        let ends = Said::read(&message) == Some(Said::End);
        if ends || any_word {
            // Who is told twice ends once.
            let _ = tell.try_send(Kind::Interrupted);
        }
        if !ends && let Err(error) = control.keep(message) {
            let _ = tell.try_send(Kind::Incomplete);
            return Err(error);
        }
    }
}
