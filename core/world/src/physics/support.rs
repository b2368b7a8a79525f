//! Support: how much of what anchored blocks give arrives at each solid voxel. What gets none falls.

use crate::block::{BlockRule, Registry};
use crate::relax::{ABOVE, BELOW, Class, FACES, NONE, Operator, RulesError, Table};

/// What an anchored voxel has, and the top of all support.
pub const ANCHORED: u32 = 255;

/// The classes of a world's blocks for support: from below without loss, from a side less `side_loss`, from above less
/// `hang_loss`, never more than the voxel's own `strength`; loose blocks take it from below alone.
pub fn table(registry: &Registry) -> Result<Table, RulesError> {
    Table::new(registry, Operator::MaxMinus, ANCHORED, class)
}

fn class(rule: &BlockRule) -> Class {
    if !rule.solid {
        return Class::CLOSED;
    }
    if rule.anchored {
        return Class { source: 0, ..Class::CLOSED };
    }
    let floor = ANCHORED - u32::from(rule.strength);
    if rule.loose {
        return Class { source: NONE, floor, exits: 1 << BELOW, losses: [0; 26] };
    }
    let mut losses = [0; 26];
    losses[..6].fill(u16::from(rule.side_loss));
    losses[BELOW] = 0;
    losses[ABOVE] = u16::from(rule.hang_loss);
    Class { source: NONE, floor, exits: FACES, losses }
}
