//! Bodies as they are durable: what falls, and what clients have to be told of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use terrane_protocol::limits::BODY_MOVES_EVERY_TICKS;
use terrane_protocol::{BodyFrames, BodyMove};
use terrane_world::physics::Columns;
use terrane_world::physics::bodies;
use terrane_world::physics::state::{Body, BodyId, Phase};
use terrane_world::space::ColumnPos;
use terrane_world::step::Deltas;

struct Tracked {
    frames: Arc<BodyFrames>,
    now: BodyMove,
    /// The tick in which clients were last told where it is.
    told: u64,
}

/// Every body that falls, by the column that it belongs to.
#[derive(Default)]
pub struct Bodies {
    columns: BTreeMap<ColumnPos, BTreeMap<BodyId, Tracked>>,
    tick: u64,
    handles: u32,
}

/// What a tick means to clients.
#[derive(Default)]
pub struct News {
    /// Bodies that were not there before, at rest.
    pub fresh: Vec<Arc<BodyFrames>>,
    /// Where bodies are that did not do what was to be expected, or have not been told of for long.
    pub moves: Vec<BodyMove>,
    /// Bodies that have landed.
    pub ends: Vec<u32>,
}

impl Bodies {
    /// What falls where a world stands.
    pub fn new(columns: &Columns, tick: u64) -> Self {
        let mut this = Self { tick, ..Self::default() };
        for (column, state) in columns {
            this.replace(*column, &state.bodies, &mut News::default());
        }
        this
    }

    /// Takes a durable tick in.
    pub fn update(&mut self, deltas: &Deltas) -> News {
        self.tick = deltas.tick;
        let mut news = News::default();
        for update in &deltas.columns {
            self.replace(update.column, &update.state.bodies, &mut news);
        }
        news
    }

    /// Every body, with where it is after [`Bodies::tick`].
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<BodyFrames>, BodyMove)> {
        self.columns.values().flat_map(BTreeMap::values).map(|tracked| (&tracked.frames, tracked.now))
    }

    /// The last durable tick in which something fell.
    pub const fn tick(&self) -> u64 {
        self.tick
    }

    fn replace(&mut self, column: ColumnPos, bodies: &bodies::Bodies, news: &mut News) {
        let mut before = self.columns.remove(&column).unwrap_or_default();
        let mut after = BTreeMap::new();
        for (id, body) in bodies.iter() {
            let tracked = match before.remove(id) {
                Some(tracked) => self.moved(tracked, body, news),
                None => self.begun(*id, body, news),
            };
            after.insert(*id, tracked);
        }
        news.ends.extend(before.values().map(|tracked| tracked.frames.handle));
        if !after.is_empty() {
            self.columns.insert(column, after);
        }
    }

    fn begun(&mut self, id: BodyId, body: &Body, news: &mut News) -> Tracked {
        self.handles = self.handles.wrapping_add(1);
        let frames = Arc::new(BodyFrames::new(self.handles, id, &body.shape));
        let now = BodyMove::new(self.handles, body);
        news.fresh.push(Arc::clone(&frames));
        if (now.fallen, now.velocity, now.phase) != (0, 0, Phase::Falling) {
            news.moves.push(now);
        }
        Tracked { frames, now, told: self.tick }
    }

    fn moved(&self, tracked: Tracked, body: &Body, news: &mut News) -> Tracked {
        let now = BodyMove::new(tracked.frames.handle, body);
        let is_news = now != tracked.now.fallen_on() || self.tick - tracked.told >= BODY_MOVES_EVERY_TICKS;
        if is_news {
            news.moves.push(now);
        }
        Tracked { now, told: if is_news { self.tick } else { tracked.told }, ..tracked }
    }
}
