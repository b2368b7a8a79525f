//! `terrane pack`.

use crate::bars::bar;
use crate::failure::{About, Failure};
use crate::stopping;
use crate::worlds;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use terrane_store::{Access, Packing};

/// Pack all stored regions of a world, or unpack them
///
/// A packed region is one small file; reading it is a little slower, and changing it unpacks it again. `serve` packs by
/// itself what nobody has touched for a while ([cold] in world.toml). Ctrl-C stops after the region in hand.
#[derive(Args)]
pub struct Pack {
    /// The world's folder
    #[arg(long)]
    world: PathBuf,
    /// Unpack instead
    #[arg(long)]
    unpack: bool,
}

impl Pack {
    pub fn run(self, json: bool) -> Result<ExitCode, Failure> {
        let store = worlds::open(&self.world, Access::Write)?;
        let stop = stopping::on_signals()?;
        // What the journal's tail has changed would stay unpacked.
        store.checkpoint().about(&self.world)?;
        let regions = store.stored_regions().about(&self.world)?;
        let what = if self.unpack { "unpacking" } else { "packing" };
        let progress = bar(regions.len() as u64, what, "regions");
        let (mut done, mut count, mut left) = (Packing::default(), 0, regions.len());
        for region in regions {
            if stop.load(Ordering::Acquire) {
                break;
            }
            let one = if self.unpack { store.unpack_region(region) } else { store.pack_region(region) };
            if let Some(one) = one.about(&self.world)? {
                count += 1;
                done = Packing { before: done.before + one.before, after: done.after + one.after };
            }
            left -= 1;
            progress.inc(1);
        }
        progress.finish_and_clear();
        worlds::close(store, &self.world)?;
        if json {
            let facts = json!({ "regions": count, "before": done.before, "after": done.after, "left": left });
            say!("{facts}");
        } else {
            let verb = if self.unpack { "unpacked" } else { "packed" };
            say!("{count} regions {verb}: {} bytes before, {} bytes now", done.before, done.after);
            if left > 0 {
                say!("interrupted with {left} regions left: the same command goes on from here");
            }
        }
        Ok(if left > 0 { ExitCode::from(stopping::INTERRUPTED) } else { ExitCode::SUCCESS })
    }
}
