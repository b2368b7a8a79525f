//! From blocks to classes.

use super::{Class, Classes, Operator, Rules, RulesError};
use crate::block::{AIR, BlockId, BlockRule, Registry};
use crate::chunk::Chunk;
use std::collections::HashMap;
use std::sync::Arc;

/// The classes of a registry's blocks for one kind of relaxation.
#[derive(Debug, Clone)]
pub struct Table {
    rules: Arc<Rules>,
    class_of: Vec<u8>,
    unreadable: u8,
}

impl Table {
    /// Asks `class` for the class of each block's rule; blocks that agree share a number. Class 0 is air's. `unreadable` is
    /// that of voxels nobody can read, with a number of its own.
    pub fn new(
        registry: &Registry,
        operator: Operator,
        limit: u32,
        class: impl Fn(&BlockRule) -> Class,
        unreadable: Class,
    ) -> Result<Self, RulesError> {
        let mut classes: Vec<Class> = Vec::new();
        let mut numbers: HashMap<Class, usize> = HashMap::new();
        let mut class_of = Vec::with_capacity(registry.len());
        for (_, _, rule) in registry.iter() {
            let class = class(rule);
            let number = *numbers.entry(class).or_insert_with(|| {
                classes.push(class);
                classes.len() - 1
            });
            class_of.push(u8::try_from(number).map_err(|_| RulesError::TooMany(number + 1))?);
        }
        classes.push(unreadable);
        let number = (classes.len() - 1) as u8;
        Ok(Self { rules: Arc::new(Rules::new(operator, limit, classes)?), class_of, unreadable: number })
    }

    /// The same table with each class once more as `variant` makes it, for blocks in some special place. Gives the number
    /// of the variant of each class: its own where the two are the same.
    pub fn with_variants(self, variant: impl Fn(&Rules, &Class) -> Class) -> Result<(Self, Vec<u8>), RulesError> {
        let rules = &self.rules;
        let mut classes = rules.classes().to_vec();
        let mut variants = Vec::with_capacity(classes.len());
        for (number, class) in rules.classes().iter().enumerate() {
            let variant = variant(rules, class);
            let number = if variant == *class { number } else { classes.len() };
            if number == classes.len() {
                classes.push(variant);
            }
            variants.push(u8::try_from(number).map_err(|_| RulesError::TooMany(number + 1))?);
        }
        let rules = Arc::new(Rules::new(rules.operator(), rules.limit(), classes)?);
        Ok((Self { rules, ..self }, variants))
    }

    /// The class of voxels that can't be read.
    pub const fn unreadable(&self) -> u8 {
        self.unreadable
    }

    /// The rules of the classes.
    pub const fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// The class of a block; an id that is not registered counts as air.
    pub fn class(&self, block: BlockId) -> u8 {
        self.class_of.get(usize::from(block.0)).copied().unwrap_or(self.class_of[usize::from(AIR.0)])
    }

    /// The classes of a chunk's voxels.
    pub fn classes(&self, chunk: &Chunk) -> Classes {
        Classes::of(chunk, |block| self.class(block))
    }
}
