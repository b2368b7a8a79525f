//! `terrane serve`.

use crate::failure::Failure;
use crate::serving::{self, Plan};
use crate::worlds::{self, DEFAULT_GENERATOR};
use clap::Args;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use terrane_protocol::Rate;
use terrane_protocol::limits::{SERVER_BYTES_PER_SECOND, SESSION_BYTES_PER_SECOND};
use terrane_world::physics::RuleSet;

/// Serve a world to browsers and clients; makes the world if there is none
///
/// The page is at http://ADDR:PORT/, facts about the running server at /status, clients connect over TCP or over
/// WebSocket at /ws, all on one port. SIGTERM and Ctrl-C save and stop; after a crash the next start goes on with
/// everything that was acknowledged.
#[derive(Args)]
pub struct Serve {
    /// The world's folder
    #[arg(long)]
    world: PathBuf,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:7777", value_name = "ADDR:PORT")]
    listen: String,
    /// Let other machines connect: there are no accounts yet, so everybody who can connect can build
    #[arg(long)]
    open: bool,
    /// The seed of a new world (default 0); an existing world keeps its own
    #[arg(long)]
    seed: Option<u64>,
    /// Ticks a second
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    ticks: u32,
    /// MiB of memory for chunks
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=1_048_576))]
    memory: u32,
    /// KiB a second that one client is sent at most; 0 for as many as it takes
    #[arg(long, default_value_t = (SESSION_BYTES_PER_SECOND >> 10) as u32)]
    client_rate: u32,
    /// KiB a second that all clients together are sent at most; 0 for as many as they take
    #[arg(long, default_value_t = (SERVER_BYTES_PER_SECOND >> 10) as u32)]
    server_rate: u32,
    /// Seconds between checkpoints
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    checkpoint: u32,
}

impl Serve {
    pub fn run(self, json: bool) -> Result<ExitCode, Failure> {
        let listen = resolve(&self.listen)?;
        if !worlds::exists(&self.world) {
            worlds::create(&self.world, self.seed.unwrap_or(0), DEFAULT_GENERATOR, RuleSet::default())?;
        } else if let Some(seed) = self.seed {
            worlds::check_seed(&self.world, seed)?;
        }
        let plan = Plan {
            world: self.world,
            listen,
            open: self.open,
            tick_length: Duration::from_secs(1) / self.ticks,
            resident_bytes: (self.memory as usize) << 20,
            checkpoint_every: Duration::from_secs(u64::from(self.checkpoint)),
            session_rate: rate(self.client_rate),
            server_rate: rate(self.server_rate),
            json,
        };
        serving::serve(&plan)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// KiB a second as a rate; 0 is none.
fn rate(kib: u32) -> Option<Rate> {
    (kib > 0).then(|| Rate::new(u64::from(kib) << 10))
}

fn resolve(listen: &str) -> Result<SocketAddr, Failure> {
    let found = listen.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| {
        Failure::new(format!("--listen {listen:?} is not an address and a port, for example 127.0.0.1:7777"))
    })
}
