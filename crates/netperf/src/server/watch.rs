//! The control connection while a test runs: a client that goes takes its test with it at once.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::control::{ControlChannel, WaitOutcome};
use crate::wire::native::ClientMessage;
use podperf_engine::net::Progress;
use podperf_model::error::{During as _, Kind, Result};

/// Room for all that may be told of one test.
const MAX_PENDING_STOPS: usize = 8;

/// Does `work` with a thread beside it that listens to the client. The channel tells
/// [`Kind::Incomplete`] when the client is gone and another kind when the test is to come to its
/// end: because the client says so or, where `ends_on_any_message`, says anything. True: the client
/// is still there.
///
/// # Errors
/// When the connection breaks, or the thread cannot be started; the work is done all the same.
pub(super) fn beside<T>(
    control: &mut ControlChannel,
    closing: BorrowedFd<'_>,
    ends_on_any_message: bool,
    work: impl FnOnce(&Sender<Kind>, &Receiver<Kind>) -> T,
) -> (T, Result<bool>) {
    let (stop_sender, stop_receiver) = bounded(MAX_PENDING_STOPS);
    let (over, done) = match UnixStream::pair().during("watch a client") {
        Ok(pair) => pair,
        Err(error) => return (work(&stop_sender, &stop_receiver), Err(error)),
    };
    std::thread::scope(|scope| {
        let sender = stop_sender.clone();
        let watch = move || listen(control, done.as_fd(), closing, ends_on_any_message, &sender);
        let name = "netserver-watch".to_owned();
        let watcher = std::thread::Builder::new()
            .name(name)
            .spawn_scoped(scope, watch)
            .during("watch a client");
        let worked = work(&stop_sender, &stop_receiver);
        drop(over);
        let there = match watcher {
            Ok(watcher) => watcher.join().unwrap_or(Ok(false)),
            Err(error) => Err(error),
        };
        (worked, there)
    })
}

fn listen(
    control: &mut ControlChannel,
    done: BorrowedFd<'_>,
    closing: BorrowedFd<'_>,
    ends_on_any_message: bool,
    stop_sender: &Sender<Kind>,
) -> Result<bool> {
    loop {
        let outcome = match control.wait(Some(done), closing, control.due()) {
            WaitOutcome::Other => return Ok(true),
            WaitOutcome::Closing => Ok(Progress::Closed),
            WaitOutcome::Control | WaitOutcome::Late => control.read(),
        };
        let message = match outcome {
            Ok(Progress::Incomplete) => continue,
            Ok(Progress::Complete(message)) => message,
            gone => {
                let _ = stop_sender.try_send(Kind::Incomplete);
                return gone.map(|_| false);
            }
        };
        let ends = ClientMessage::read(&message) == Some(ClientMessage::End);
        if ends || ends_on_any_message {
            // Who is told twice ends once.
            let _ = stop_sender.try_send(Kind::Interrupted);
        }
        if !ends && let Err(error) = control.keep(message) {
            let _ = stop_sender.try_send(Kind::Incomplete);
            return Err(error);
        }
    }
}
