//! A peer in a Python of its own: it is told what to do, a line at a time, and says how long that took.

use crate::files;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running Python.
pub struct Python {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    version: String,
}

/// The Python with the peers: `TERRANE_PYTHON`, or the one that `scripts/setup.sh bench` makes.
fn interpreter() -> PathBuf {
    let own = || files::workspace().join("target/python/bin/python");
    std::env::var_os("TERRANE_PYTHON").map_or_else(own, PathBuf::from)
}

impl Python {
    /// Starts a script of `benches/peers`, which says its peer's version first; fails if there is no such Python.
    pub fn start(script: &str, arguments: &[&str]) -> Self {
        let python = interpreter();
        let script = files::workspace().join("benches/peers").join(script);
        let mut command = Command::new(&python);
        command.arg(script).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("{}: {error}; scripts/setup.sh bench makes it, or TERRANE_PYTHON names another", python.display())
        });
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut peer = Self { child, orders, answers, version: String::new() };
        peer.version = peer.answer();
        peer
    }

    /// The peer's version.
    pub fn version(&self) -> String {
        self.version.clone()
    }

    /// Gives an order and waits for the answer, as numbers.
    pub fn order(&mut self, order: &str) -> Vec<u64> {
        let orders = self.orders.as_mut().expect("it takes orders until it is dropped");
        writeln!(orders, "{order}").expect("it listens");
        let answer = self.answer();
        let numbers = answer.split(' ').map(|number| number.parse()).collect::<Result<_, _>>();
        numbers.unwrap_or_else(|_| panic!("{answer:?} is not numbers"))
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line).expect("it writes text");
        assert!(read > 0, "{} has ended: it must have the packages of setup.sh bench", interpreter().display());
        line.trim_end().to_owned()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // Without more orders it ends.
        self.orders = None;
        let _ = self.child.wait();
    }
}
