//! Connection ids: a slot and the generation of its tenant.

use mio::Token;

/// Names one connection for ever: when it is gone, its id means nothing, also after the slot has a new tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    slot: u32,
    generation: u32,
}

impl ConnectionId {
    /// The same id as one number, for logs and maps.
    pub const fn number(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }

    pub(crate) const fn token(self) -> Token {
        const { assert!(usize::BITS == 64, "a token holds a slot and a generation") };
        Token(self.number() as usize)
    }

    pub(crate) const fn from_token(token: Token) -> Self {
        Self { slot: token.0 as u32, generation: (token.0 as u64 >> 32) as u32 }
    }
}

struct Slot<T> {
    generation: u32,
    tenant: Option<T>,
}

/// Tenants by id; a freed slot is used again under a new generation.
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    count: usize,
}

impl<T> Slots<T> {
    pub const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), count: 0 }
    }

    pub const fn len(&self) -> usize {
        self.count
    }

    /// Makes a tenant that may know its id.
    pub fn insert_with<E>(&mut self, make: impl FnOnce(ConnectionId) -> Result<T, E>) -> Result<ConnectionId, E> {
        let slot = self.free.last().copied().unwrap_or(self.slots.len() as u32);
        let generation = self.slots.get(slot as usize).map_or(1, |slot| slot.generation);
        let id = ConnectionId { slot, generation };
        let tenant = make(id)?;
        match self.slots.get_mut(slot as usize) {
            Some(slot) => {
                self.free.pop();
                slot.tenant = Some(tenant);
            }
            None => self.slots.push(Slot { generation, tenant: Some(tenant) }),
        }
        self.count += 1;
        Ok(id)
    }

    pub fn get(&self, id: ConnectionId) -> Option<&T> {
        self.slots.get(id.slot as usize).filter(|slot| slot.generation == id.generation)?.tenant.as_ref()
    }

    pub fn get_mut(&mut self, id: ConnectionId) -> Option<&mut T> {
        self.slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation)?.tenant.as_mut()
    }

    pub fn remove(&mut self, id: ConnectionId) -> Option<T> {
        let slot = self.slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation)?;
        let tenant = slot.tenant.take()?;
        // The last generations are those of the listener's and the waker's tokens.
        slot.generation = if slot.generation >= u32::MAX - 1 { 1 } else { slot.generation + 1 };
        self.free.push(id.slot);
        self.count -= 1;
        Some(tenant)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (ConnectionId, &mut T)> {
        self.slots.iter_mut().enumerate().filter_map(|(index, slot)| {
            let id = ConnectionId { slot: index as u32, generation: slot.generation };
            slot.tenant.as_mut().map(|tenant| (id, tenant))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_finds_nothing() {
        let mut slots = Slots::new();
        let first = slots.insert_with(|_| Ok::<_, ()>("first")).unwrap();
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert_with(|_| Ok::<_, ()>("second")).unwrap();
        assert_eq!(first.slot, second.slot);
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&"second"));
        assert_eq!(ConnectionId::from_token(second.token()), second);
        assert!(slots.insert_with(|_| Err(())).is_err());
        assert_eq!(slots.len(), 1);
    }
}
