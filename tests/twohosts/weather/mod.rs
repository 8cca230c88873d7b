//! Runs in bad weather: what the network does is told as it is.

mod offloads;
mod order;
mod slow_link;
mod standstill;
mod transient;
mod verdict;
