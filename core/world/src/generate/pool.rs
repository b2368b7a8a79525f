//! Large buffers that a thread uses over and over: what is given back is kept for the next one to ask, so that making a chunk
//! asks the system for no memory.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

/// Buffers that a thread keeps of one kind; more are given back to the system.
const KEPT_MAX: usize = 64;

/// A thread's unused buffers of one kind.
pub type Shelf<T> = RefCell<Vec<Box<T>>>;

/// Something with a shelf of its own.
pub trait Shelved: Clone + 'static {
    /// The thread's shelf of this kind.
    fn shelf() -> &'static LocalKey<Shelf<Self>>;
    /// A new one, for when the shelf is empty.
    fn fresh() -> Box<Self>;
}

/// A buffer that goes back to its thread's shelf when it is dropped.
pub struct Pooled<T: Shelved>(Option<Box<T>>);

impl<T: Shelved> Pooled<T> {
    /// A buffer with anything in it.
    pub fn take() -> Self {
        let kept = T::shelf().with(|shelf| shelf.borrow_mut().pop());
        Self(Some(kept.unwrap_or_else(T::fresh)))
    }
}

impl<T: Shelved> Drop for Pooled<T> {
    fn drop(&mut self) {
        let Some(buffer) = self.0.take() else { return };
        // While a thread ends its shelf may be gone already.
        let _ = T::shelf().try_with(|shelf| {
            let mut shelf = shelf.borrow_mut();
            if shelf.len() < KEPT_MAX {
                shelf.push(buffer);
            }
        });
    }
}

impl<T: Shelved> Deref for Pooled<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0.as_deref().expect("it is there until it is dropped")
    }
}

impl<T: Shelved> DerefMut for Pooled<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_deref_mut().expect("it is there until it is dropped")
    }
}

impl<T: Shelved> Clone for Pooled<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::take();
        (*copy).clone_from(&**self);
        copy
    }
}

impl<T: Shelved + PartialEq> PartialEq for Pooled<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Shelved + Eq> Eq for Pooled<T> {}
