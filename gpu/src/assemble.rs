//! One shader from its parts: the prelude, what it includes from `shaders/shared/`, and its own file. The build script
//! compiles this file too.

/// What a line begins with that brings in a shared file; a comment to other WGSL programs.
const INCLUDE: &str = "//!include ";

/// A shader's whole text, with the place that each line is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembled {
    /// WGSL.
    pub text: String,
    /// Where each part begins: the first line of it here, and its file, ascending.
    parts: Vec<(usize, String)>,
}

impl Assembled {
    /// The file that a line is from, counted from 1, and its number there.
    pub fn place(&self, line: usize) -> (&str, usize) {
        let part = self.parts.iter().rfind(|(first, _)| *first <= line).or_else(|| self.parts.first());
        part.map_or(("", line), |(first, file)| (file, line + 1 - first))
    }

    fn push(&mut self, file: String, text: &str) {
        self.parts.push((self.text.lines().count() + 1, file));
        self.text.push_str(text);
        if !text.ends_with('\n') {
            self.text.push('\n');
        }
    }
}

/// Puts a shader together. `shared` are the files that can be included, by name without `.wgsl`; `file` and `source` are the
/// shader itself. A file that is included twice comes once.
pub fn assemble(prelude: &str, shared: &[(&str, &str)], file: &str, source: &str) -> Result<Assembled, String> {
    let mut whole = Assembled { text: String::new(), parts: Vec::new() };
    whole.push("prelude".to_owned(), prelude);
    let mut done = Vec::new();
    include(&mut whole, &mut done, shared, file, source)?;
    whole.push(file.to_owned(), source);
    Ok(whole)
}

fn include<'a>(
    whole: &mut Assembled,
    done: &mut Vec<&'a str>,
    shared: &[(&'a str, &'a str)],
    file: &str,
    source: &'a str,
) -> Result<(), String> {
    for (number, line) in source.lines().enumerate() {
        let Some(wanted) = line.strip_prefix(INCLUDE) else { continue };
        let Some((name, text)) = shared.iter().find(|(name, _)| *name == wanted.trim()) else {
            let known: Vec<&str> = shared.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "{file}:{}: there is no shared file {:?}; there are {}",
                number + 1,
                wanted.trim(),
                known.join(", ")
            ));
        };
        if !done.contains(name) {
            done.push(name);
            let path = format!("shaders/shared/{name}.wgsl");
            include(whole, done, shared, &path, text)?;
            whole.push(path, text);
        }
    }
    Ok(())
}
