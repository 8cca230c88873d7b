//! A plan that has passed every rule: the only kind that is measured.
//!
//! Enters: a plan, made from a command line or received from a peer, and the limits it is held to.
//! Leaves: the same plan, which can't be changed any more. No I/O here.

use std::ops::Deref;

use super::limits::Limits;
use super::{Plan, rules};
use crate::error::Result;

/// A plan that keeps every rule. There is no other way to make one than [`CheckedPlan::new`].
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedPlan(Plan);

impl CheckedPlan {
    /// Accepts a plan, or names the option, its value and what is allowed.
    ///
    /// # Errors
    /// A usage error on the first rule that is broken.
    pub fn new(plan: Plan, limits: &Limits) -> Result<Self> {
        rules::check(&plan, limits)?;
        Ok(Self(plan))
    }

    /// The plan itself, which may be changed and has to be checked again then.
    #[must_use]
    pub fn into_inner(self) -> Plan {
        self.0
    }
}

impl Deref for CheckedPlan {
    type Target = Plan;

    fn deref(&self) -> &Plan {
        &self.0
    }
}
