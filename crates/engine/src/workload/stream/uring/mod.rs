//! Streams by io_uring: one driver for sending and one for receiving, each for one or many flows of
//! a worker.
//!
//! A call is a completion here. The phase is read before each operation, the tally moves with
//! each completion.

mod receive;
mod send;

pub(super) use receive::receive;
pub(super) use send::send;
