//! Who does something on a world that nobody serves, and how names and paths are shown.

use clap::Args;
use std::path::Path;
use terrane_protocol::limits::NAME_BYTES_MAX;
use terrane_world::step::ActorId;

/// Who does it.
#[derive(Args)]
pub struct Who {
    /// Who does it, for the journal: a number; otherwise somebody of their own for each name, and 1 without one
    #[arg(long, value_name = "N")]
    actor: Option<u64>,
    /// What they are called, for `terrane undo --by`
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub name: Option<String>,
}

impl Who {
    pub fn actor(&self) -> ActorId {
        let named = || self.name.as_deref().map_or(ActorId(1), ActorId::named);
        self.actor.map_or_else(named, ActorId)
    }
}

/// A name that clients could have too.
fn name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.contains(char::is_control) || text.len() > NAME_BYTES_MAX {
        return Err(format!(
            "a name has 1 to {NAME_BYTES_MAX} bytes, none of them a control character, and is not blank"
        ));
    }
    Ok(text.to_owned())
}

/// A name for a terminal: clients may call themselves whatever they like, escape sequences included.
pub fn shown(name: &str) -> String {
    name.chars().fold(String::new(), |mut shown, char| {
        if char.is_control() {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
        shown
    })
}

/// A path for a command line that somebody may paste.
pub fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_are_shown_as_text_and_nothing_else() {
        assert_eq!(shown("Zoë"), "Zoë");
        assert_eq!(shown("\u{1b}[31mEve\n"), r"\u{1b}[31mEve\n");
        assert_eq!(quoted(Path::new("/srv/worlds/home-1")), "/srv/worlds/home-1");
        assert_eq!(quoted(Path::new("a b/it's")), r"'a b/it'\''s'");
    }

    #[test]
    fn whoever_has_a_name_is_somebody_of_their_own() {
        let who = |actor, name: Option<&str>| Who { actor, name: name.map(str::to_owned) }.actor();
        assert_eq!((who(None, None), who(Some(7), Some("Ann"))), (ActorId(1), ActorId(7)));
        assert!(who(None, Some("Ann")) == who(None, Some("Ann")) && who(None, Some("Ann")) != who(None, Some("Bob")));
        assert!(name("Ann").is_ok() && ["", " ", "a\nb", &"ä".repeat(33)].iter().all(|text| name(text).is_err()));
    }
}
