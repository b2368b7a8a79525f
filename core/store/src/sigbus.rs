//! What happens when a mapped file is cut short while it is read: the page that is gone is replaced by zeros, the
//! map is marked as failed, and the reader finds the mark after copying.
#![allow(unsafe_code)]

use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Maps that can be watched at a time: more than regions are ever open (see `region::OPEN_MAX`).
const WATCHES: usize = 1 << 14;

/// One watched range of addresses; a start of 0 means "free".
struct Range {
    start: AtomicUsize,
    end: AtomicUsize,
    failed: AtomicBool,
}

// Plain statics, because a signal handler may neither lock nor allocate.
static RANGES: [Range; WATCHES] =
    [const { Range { start: AtomicUsize::new(0), end: AtomicUsize::new(0), failed: AtomicBool::new(false) } }; WATCHES];
static HIGHEST: AtomicUsize = AtomicUsize::new(0);
static INSTALL: Once = Once::new();
static mut PREVIOUS: libc::sigaction =
    // SAFETY: an all-zero sigaction is a valid value (SIG_DFL, no flags).
    unsafe { std::mem::zeroed() };

/// Watches one map until it is dropped.
pub struct Watch(&'static Range);

impl Watch {
    pub fn new(start: usize, length: usize) -> io::Result<Self> {
        INSTALL.call_once(install);
        for (index, range) in RANGES.iter().enumerate() {
            // `end` is written between claiming (start = 1) and publishing the start.
            if range.start.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                range.failed.store(false, Ordering::Relaxed);
                range.end.store(start + length, Ordering::Relaxed);
                range.start.store(start, Ordering::Release);
                HIGHEST.fetch_max(index + 1, Ordering::AcqRel);
                return Ok(Self(range));
            }
        }
        Err(io::Error::other("too many files are mapped at a time"))
    }

    #[inline]
    pub fn failed(&self) -> bool {
        self.0.failed.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.start.store(0, Ordering::Release);
    }
}

fn install() {
    // SAFETY: sigaction with a handler of the SA_SIGINFO form; PREVIOUS is written here once, before any map exists
    // whose fault could read it.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &raw const action, &raw mut PREVIOUS);
    }
}

/// Runs inside the signal: only atomics and mmap(2), which is async-signal-safe on Linux.
extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo for SIGBUS.
    let address = unsafe { (*info).si_addr() } as usize;
    for range in &RANGES[..HIGHEST.load(Ordering::Acquire)] {
        let start = range.start.load(Ordering::Acquire);
        if start > 1 && (start..range.end.load(Ordering::Relaxed)).contains(&address) {
            range.failed.store(true, Ordering::Relaxed);
            // SAFETY: the page lies inside a mapping of ours (just looked up), which only the map's owner unmaps, and
            // the faulting thread holds that owner alive.
            let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
            let at = address & !(page - 1);
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
            // SAFETY: as above.
            let mapped = unsafe { libc::mmap(at as *mut libc::c_void, page, libc::PROT_READ, flags, -1, 0) };
            if mapped != libc::MAP_FAILED {
                return;
            }
        }
    }
    // Not ours: what would have happened without us happens.
    // SAFETY: PREVIOUS was written before this handler was installed.
    unsafe {
        let previous = &raw const PREVIOUS;
        if (*previous).sa_flags & libc::SA_SIGINFO != 0 && (*previous).sa_sigaction > 1 {
            let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                std::mem::transmute((*previous).sa_sigaction);
            handler(signal, info, context);
        } else {
            libc::signal(libc::SIGBUS, libc::SIG_DFL);
        }
    }
}
