//! Runs in bad weather: what the network does is told as it is.

mod order;
mod transient;
