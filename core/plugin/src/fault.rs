//! What a plug-in did wrong, in plain words.

use crate::limits;
use wasmtime::Trap;

/// Something that a plug-in asked of the server and that it can't have.
#[derive(Debug)]
pub struct Fault(pub String);

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// Bytes that do not lie in the plug-in's memory.
    pub fn bytes(function: &str, pointer: i32, count: usize, memory: usize) -> Self {
        let pointer = pointer as u32;
        Self(format!(
            "{function} was given the address {pointer}, from which {count} bytes do not lie in the plug-in's memory of \
             {memory} bytes"
        ))
    }

    /// A voxel or a cell that the plug-in may not touch.
    pub fn outside(function: &str, at: &[i32], low: i32, high: i32) -> Self {
        Self(format!("{function} was given {at:?}, and takes {low} to {high} along each axis"))
    }

    /// A number that is not in the plug-in's list.
    pub fn block(function: &str, block: i32, count: u8) -> Self {
        let most = i32::from(count) - 1;
        Self(format!(
            "{function} was given block {block}; the plug-in's list has the numbers 0 to {most}, and 255 keeps"
        ))
    }

    /// More memory than there is for a plug-in.
    pub fn memory(bytes: usize) -> Self {
        let most = limits::MEMORY_BYTES_MAX;
        Self(format!("it asks for {bytes} bytes of memory, and may have {most}; keep less, or let it go earlier"))
    }

    /// A larger table than there is for a plug-in.
    pub fn table(elements: usize) -> Self {
        let most = limits::TABLE_ELEMENTS_MAX;
        Self(format!(
            "it asks for a table of {elements} elements, and may have {most}; call fewer functions indirectly"
        ))
    }
}

/// What stopped a plug-in, and what to do about it.
pub fn explain(error: &wasmtime::Error, fuel: u64) -> String {
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return fault.0.clone();
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => {
            format!("it used up its {fuel} units of fuel: look for a loop without an end, or do less for each chunk")
        }
        Some(Trap::StackOverflow) => format!(
            "it recursed too deep for its {} bytes of stack: look for a recursion without an end, or use a loop",
            limits::STACK_BYTES
        ),
        Some(Trap::MemoryOutOfBounds) => {
            "it read or wrote outside its own memory: look for an index out of bounds".to_owned()
        }
        Some(Trap::UnreachableCodeReached) => {
            "it gave up (`unreachable`): look for an assertion or an abort in its source".to_owned()
        }
        Some(trap) => format!("it was stopped ({trap}): look for that in its source"),
        None => format!("it could not run: {error:#}"),
    }
}
