//! One page on the device: its buffers, and the dispatches over its tiles.

use super::parts::{EXITS_BYTES, Part, Scene, beside};
use super::{Relaxer, STEM};
use crate::error::GpuError;
use crate::layout::{ClassRow, QueueHead, RelaxRow, RulesHead};
use crate::passes::{Upload, grid};
use crate::pool::{Pooled, Use};
use crate::prelude::{AROUND, NONE, ONE_CLASS, TILES};
use crate::readback::Readback;
use std::collections::HashMap;
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::relax::{Classes, EXITS};
use terrane_world::space::ChunkPos;

/// Rounds of the first submission; each later one has twice as many as the one before, up to the most.
const ROUNDS_FIRST: u32 = 4;
/// Most rounds of one submission: a round without tiles costs some microseconds, looking whether there are any costs more.
const ROUNDS_MOST: u32 = 64;

/// Most workgroups of a dispatch: as many as a large device runs at once.
const GROUPS: u32 = 1_024;
/// The same for a device in software, where those without a tile cost something.
const GROUPS_SOFTWARE: u32 = 4;

/// A page's buffers.
pub(crate) struct Page {
    pub(crate) part: Part,
    pub(crate) distances: Pooled,
    queue: Pooled,
    /// Rules, table of chunks, classes: bound, and not the pool's until the page is done.
    _fixed: [Pooled; 3],
    colours: u32,
    tiles: wgpu::BindGroup,
    /// Tiles settled so far.
    pub(crate) visits: u32,
}

/// Where each chunk's classes and masks of exits lie, in words.
fn rows(scene: &Scene<'_>, part: &Part) -> Vec<RelaxRow> {
    let slot_of: HashMap<ChunkPos, u32> = part.slots.iter().copied().zip(0..).collect();
    let mut next = 0;
    let mut take = |words: usize| {
        next += words as u32;
        next - words as u32
    };
    let mut row = |(pos, slot): (&ChunkPos, u32)| {
        let (_, classes, exits) = scene.chunks[pos];
        let mut around = [NONE; AROUND];
        around[AROUND / 2] = slot;
        for step @ [x, y, z] in EXITS {
            let there = beside(*pos, step).and_then(|pos| slot_of.get(&pos).copied());
            around[(x + 1 + 3 * (z + 1) + 9 * (y + 1)) as usize] = there.unwrap_or(NONE);
        }
        RelaxRow {
            around,
            classes: match classes {
                Classes::One(class) => ONE_CLASS | u32::from(*class),
                Classes::Each(_) => take(CHUNK_VOXELS / 4),
            },
            exits: if exits.is_some() { take(CHUNK_VOXELS) } else { NONE },
        }
    };
    part.slots.iter().zip(0..).map(&mut row).collect()
}

fn head(scene: &Scene<'_>, part: &Part) -> RulesHead {
    RulesHead {
        limit: scene.rules.limit(),
        wide: u32::from(scene.is_wide()),
        exits: scene.rules.exits(),
        colours: if scene.leans() { 8 } else { 2 },
        own: part.own as u32,
        slots: part.slots.len() as u32,
    }
}

/// The table of chunks, and what it points to.
fn upload_chunks(
    upload: &mut Upload<'_>,
    scene: &Scene<'_>,
    part: &Part,
    chunks: &wgpu::Buffer,
    cells: &wgpu::Buffer,
) -> Result<(), GpuError> {
    let rows = rows(scene, part);
    upload.put(chunks, 0, &rows)?;
    for (pos, row) in part.slots.iter().zip(&rows) {
        let (_, classes, exits) = scene.chunks[pos];
        if let Classes::Each(classes) = classes {
            upload.put(cells, u64::from(row.classes) * 4, &classes[..])?;
        }
        if let Some(exits) = exits {
            debug_assert_eq!(size_of_val(&**exits) as u64, EXITS_BYTES);
            upload.put(cells, u64::from(row.exits) * 4, &exits[..])?;
        }
    }
    Ok(())
}

impl Page {
    /// Takes the buffers and uploads what does not change.
    pub(crate) fn new(relaxer: &Relaxer, scene: &Scene<'_>, part: Part) -> Result<Self, GpuError> {
        let (device, pool) = (&relaxer.device, &relaxer.pool);
        let take = |usage, bytes, doing| pool.take(usage, bytes, doing);
        let [distance_bytes, cell_bytes, row_bytes, queue_bytes] = scene.bytes(&part);
        let head = head(scene, &part);
        let classes: Vec<ClassRow> = scene.rules.classes().iter().map(ClassRow::from).collect();
        let rules_bytes = (size_of::<RulesHead>() + size_of_val(&*classes)) as u64;
        let rules = take(Use::Storage, rules_bytes, "the rules")?;
        let (chunks, cells) =
            (take(Use::Storage, row_bytes, "the table of chunks")?, take(Use::Storage, cell_bytes, "the classes")?);
        let mut upload = Upload::new(device);
        upload.put(&rules, 0, &[head])?;
        upload.put(&rules, size_of::<RulesHead>() as u64, &classes)?;
        upload_chunks(&mut upload, scene, &part, &chunks, &cells)?;
        let distances = take(Use::Storage, distance_bytes, "the distances")?;
        let queue = take(Use::Storage, queue_bytes, "the lists of tiles")?;
        let tiles = device.guarded("the buffers of a page", || {
            let whole = [
                (0, &*rules, rules_bytes),
                (1, &*chunks, row_bytes),
                (2, &*queue, queue_bytes),
                (3, &*cells, cell_bytes),
                (4, &*distances, distance_bytes),
            ];
            device.bind(relaxer.begin.shape, &whole)
        })?;
        Ok(Self { part, distances, queue, _fixed: [rules, chunks, cells], colours: head.colours, tiles, visits: 0 })
    }
}

impl Relaxer {
    pub(crate) fn commands(&self) -> wgpu::CommandEncoder {
        self.device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// Gives every voxel of a page what it has by itself.
    pub(crate) fn begin(&self, page: &Page) -> Result<(), GpuError> {
        self.device.guarded("the beginning of a page", || {
            let mut commands = self.commands();
            commands.clear_buffer(&page.queue, 0, None);
            let mut pass = commands.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&self.begin.pipeline);
            pass.set_bind_group(0, &page.tiles, &[]);
            let [x, y] = grid((page.part.slots.len() * TILES) as u32);
            pass.dispatch_workgroups(x, y, 1);
            self.dispatches.count(STEM);
            drop(pass);
            self.device.queue.submit([commands.finish()]);
        })
    }

    /// Copies the distances of chunks of another page to where this one holds its copies: pairs of slots, there and here.
    pub(crate) fn copy(
        &self,
        from: &Page,
        to: &Page,
        slots: &[(usize, usize)],
        chunk_bytes: u64,
    ) -> Result<(), GpuError> {
        self.device.guarded("what borders on a page", || {
            let mut commands = self.commands();
            for &(there, here) in slots {
                let [there, here] = [there, here].map(|slot| slot as u64 * chunk_bytes);
                commands.copy_buffer_to_buffer(&from.distances, there, &to.distances, here, chunk_bytes);
            }
            self.device.queue.submit([commands.finish()]);
        })
    }

    /// Lets tiles wait that gain by what was copied.
    pub(crate) fn arrive(&self, page: &Page) -> Result<(), GpuError> {
        self.device.guarded("what borders on a page", || {
            let mut commands = self.commands();
            let mut pass = commands.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&self.arrive.pipeline);
            pass.set_bind_group(0, &page.tiles, &[]);
            let [x, y] = grid(((page.part.slots.len() - page.part.own) * TILES) as u32);
            pass.dispatch_workgroups(x, y, 1);
            self.dispatches.count(STEM);
            drop(pass);
            self.device.queue.submit([commands.finish()]);
        })
    }

    /// Settles tiles until none waits. Gives how many that took, and how many rounds were run for it.
    pub(crate) fn settle(&self, page: &mut Page) -> Result<(u32, u64), GpuError> {
        let (before, mut rounds, mut all_rounds) = (page.visits, ROUNDS_FIRST, 0);
        loop {
            let head = self.rounds(page, rounds)?;
            all_rounds += u64::from(rounds);
            page.visits = head.visits;
            if head.waiting == [0; 8] {
                return Ok((head.visits.wrapping_sub(before), all_rounds));
            }
            rounds = (2 * rounds).min(ROUNDS_MOST);
        }
    }

    /// Workgroups of a dispatch over the tiles of one colour, which share them out.
    fn groups(&self, page: &Page) -> u32 {
        let most = if self.device.listed().is_software() { GROUPS_SOFTWARE } else { GROUPS };
        ((page.part.own * TILES) as u32 / page.colours).clamp(1, most)
    }

    /// So many rounds in one submission: in each, every colour has its turn.
    fn rounds(&self, page: &Page, rounds: u32) -> Result<QueueHead, GpuError> {
        let commands = self.device.guarded("rounds of relaxation", || {
            let mut commands = self.commands();
            let mut pass = commands.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&self.relax.pipeline);
            pass.set_bind_group(0, &page.tiles, &[]);
            let groups = self.groups(page);
            for _ in 0..rounds * page.colours {
                pass.dispatch_workgroups(groups, 1, 1);
                self.dispatches.count(STEM);
            }
            drop(pass);
            commands
        })?;
        let bytes = size_of::<QueueHead>() as u64;
        let read = Readback::submit(&self.device, &self.pool, commands, &page.queue, bytes)?;
        read.read(bytemuck::pod_read_unaligned)
    }
}
