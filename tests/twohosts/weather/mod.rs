//! Runs in bad weather: what the network does is told as it is.

mod order;
mod slow_link;
mod standstill;
mod transient;
