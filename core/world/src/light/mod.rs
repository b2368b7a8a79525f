//! Light: what comes down from the sky and what blocks give off, 0 to 15 each.
//!
//! Every voxel takes the best of its six neighbours less what it swallows (`light_loss`). Light of the sky enters over the
//! top of the world and loses nothing on its way down through what swallows 1. Light is worked out, never stored.

use crate::block::{BlockRule, Registry};
use crate::relax::{ABOVE, Class, FACES, NONE, Operator, RulesError, Table};

/// The most there is of either light.
pub const FULL: u32 = 15;

/// The classes of a world's blocks for light from the sky.
pub fn sky_table(registry: &Registry) -> Result<Table, RulesError> {
    Table::new(
        registry,
        Operator::MaxMinus,
        FULL,
        |rule| {
            let mut class = class(rule, NONE);
            class.losses[ABOVE] = u16::from(rule.light_loss) - 1;
            class
        },
        Class::CLOSED,
    )
}

/// The classes of a world's blocks for light that blocks give off.
pub fn block_table(registry: &Registry) -> Result<Table, RulesError> {
    Table::new(
        registry,
        Operator::MaxMinus,
        FULL,
        |rule| class(rule, if rule.light == 0 { NONE } else { FULL - u32::from(rule.light) }),
        Class::CLOSED,
    )
}

fn class(rule: &BlockRule, source: u32) -> Class {
    let mut losses = [0; 26];
    losses[..6].fill(u16::from(rule.light_loss));
    // What swallows everything takes nothing in, so that sky light can't pass it from above either.
    let exits = if u32::from(rule.light_loss) < FULL { FACES } else { 0 };
    Class { source, floor: 0, exits, losses }
}
