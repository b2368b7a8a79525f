//! What an undo would do or has done, for people and as JSON.

use super::{Done, Names};
use crate::naming::shown;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use terrane_world::step::ActorId;
use terrane_world::undo::plan::Summary;
use terrane_world::undo::{Request, Rule};

/// Names that are told at most.
const NAMES_TOLD: usize = 20;

/// Somebody by their names, or by number.
fn called(names: &Names, actor: ActorId) -> String {
    let known = names.get(&actor).map(|names| names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(" or "));
    known.unwrap_or_else(|| format!("actor:{}", actor.0))
}

/// The names that are known, where nobody has the one that was asked for.
pub fn known(names: &Names) -> String {
    let known: BTreeSet<&String> = names.values().flatten().filter(|name| !name.trim().is_empty()).collect();
    if known.is_empty() {
        return "nobody has a name there".to_owned();
    }
    format!("there are {}", known.into_iter().take(NAMES_TOLD).map(|name| shown(name)).collect::<Vec<_>>().join(", "))
}

/// In sentences, a line each.
pub fn sentences(summary: &Summary, request: &Request, names: &Names) -> String {
    let mut text = format!("{} voxels in {} chunks go back", summary.voxels, summary.chunks);
    let kinds: Vec<String> = summary.kinds.iter().map(|(kind, count)| format!("{} {count}", kind.name())).collect();
    if !kinds.is_empty() {
        let _ = write!(text, ", by what changed them last: {}", kinds.join(", "));
    }
    if summary.unchanged > 0 {
        let _ = write!(text, "\n{} voxels are as they were already", summary.unchanged);
    }
    for ((actor, kind), count) in &summary.conflicts {
        let fate = match request.rule {
            Rule::Keep => "that stays (--conflict overwrite puts them back all the same)",
            Rule::Overwrite => "they go back all the same",
        };
        let _ = write!(
            text,
            "\nconflict: {count} voxels were changed since by {} ({}): {fate}",
            called(names, *actor),
            kind.name()
        );
    }
    if summary.bodies_in_part > 0 {
        let _ =
            write!(text, "\n{} bodies left and landed only in part within what was asked for", summary.bodies_in_part);
    }
    if !summary.replaced.is_empty() {
        let voxels: u64 = summary.replaced.values().sum();
        let _ = write!(
            text,
            "\n{} chunks were loaded whole since: what was before that is not known of them, in {voxels} voxels",
            summary.replaced.len()
        );
    }
    if summary.lost_frames > 0 {
        let _ = write!(
            text,
            "\nhistory has {} gaps: what is told here may be less than what happened",
            summary.lost_frames
        );
    }
    text
}

/// What is told of an undo.
pub struct Told<'a> {
    pub summary: &'a Summary,
    pub request: &'a Request,
    /// The tick that history goes back to, if that is not far enough.
    pub known_from: Option<u64>,
}

/// The same as JSON, with what was done, if anything was.
pub fn facts(plan: &Told<'_>, names: &Names, done: Option<&Done>) -> Value {
    let Told { summary, request, known_from } = plan;
    let conflict = |((actor, kind), count): (&(ActorId, terrane_world::step::CauseKind), &u64)| {
        // Numbers of actors do not fit what JSON readers make of numbers.
        json!({ "actor": actor.0.to_string(), "names": names.get(actor), "cause": kind.name(), "voxels": count })
    };
    let conflicts: Vec<Value> = summary.conflicts.iter().map(conflict).collect();
    let kinds: serde_json::Map<String, Value> =
        summary.kinds.iter().map(|(kind, count)| (kind.name().to_owned(), json!(count))).collect();
    json!({
        "undo": request.id, "history_from": known_from, "preview": done.is_none(), "voxels": summary.voxels, "chunks": summary.chunks, "causes": kinds,
        "unchanged": summary.unchanged, "conflicts": conflicts, "overwrite": request.rule == Rule::Overwrite,
        "bodies_in_part": summary.bodies_in_part, "chunks_loaded_since": summary.replaced.len(), "voxels_loaded_since": summary.replaced.values().sum::<u64>(),
        "gaps": summary.lost_frames,
        "put_back": done.map(|done| done.put_back), "stayed": done.map(|done| done.stayed),
        "finished": done.map(|done| !done.is_interrupted),
    })
}
