//! Runs in bad weather: what the network does is told as it is.

mod between;
mod load_balancer;
mod offloads;
mod order;
mod path_mtu;
mod saturation;
mod slow_link;
mod standstill;
mod transient;
mod verdict;
