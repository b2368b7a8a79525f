//! NBT, read in place and written.
//!
//! Our own reader instead of a deserialiser, for two reasons. A chunk is nine tenths arrays that one check of the
//! length steps over, so nothing is copied that isn't used; and the bytes may be hostile, so the walk keeps its own
//! stack (nesting is refused past [`DEPTH_MAX`], as Minecraft does) and allocates nothing that the input only claims.

/// Deepest nesting of compounds and lists, the limit of Minecraft itself.
pub const DEPTH_MAX: usize = 512;

pub(crate) const END: u8 = 0;
pub(crate) const BYTE: u8 = 1;
pub(crate) const SHORT: u8 = 2;
pub(crate) const INT: u8 = 3;
pub(crate) const LONG: u8 = 4;
pub(crate) const FLOAT: u8 = 5;
pub(crate) const DOUBLE: u8 = 6;
pub(crate) const BYTE_ARRAY: u8 = 7;
pub(crate) const STRING: u8 = 8;
pub(crate) const LIST: u8 = 9;
pub(crate) const COMPOUND: u8 = 10;
pub(crate) const INT_ARRAY: u8 = 11;
pub(crate) const LONG_ARRAY: u8 = 12;

/// Bytes that are not NBT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NbtError {
    /// The data ends in the middle of a value.
    #[error("the NBT data ends too early")]
    Short,
    /// There is no such type.
    #[error("{0} is not an NBT type")]
    Kind(u8),
    /// Nesting is too deep.
    #[error("the NBT data is nested more than {DEPTH_MAX} deep")]
    Deep,
    /// A length is negative, or a list has entries but no type.
    #[error("an NBT length is impossible: {0}")]
    Length(i64),
    /// The outermost value is no compound.
    #[error("the NBT data does not start with a compound, but with type {0}")]
    Root(u8),
    /// A field has another type than the format says.
    #[error("the field {field} is missing or has the wrong type")]
    Field {
        /// Its name.
        field: &'static str,
    },
}

/// One value: its type and exactly its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'a> {
    pub kind: u8,
    pub bytes: &'a [u8],
}

#[derive(Clone)]
struct Cursor<'a> {
    rest: &'a [u8],
}

enum Open {
    Compound,
    List { kind: u8, left: usize },
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], NbtError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(NbtError::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], NbtError> {
        self.take(N)?.try_into().map_err(|_| NbtError::Short)
    }

    fn u8(&mut self) -> Result<u8, NbtError> {
        Ok(self.array::<1>()?[0])
    }

    fn string(&mut self) -> Result<&'a [u8], NbtError> {
        let length = u16::from_be_bytes(self.array()?);
        self.take(usize::from(length))
    }

    /// The length of an array.
    fn length(&mut self) -> Result<usize, NbtError> {
        let length = i32::from_be_bytes(self.array()?);
        usize::try_from(length).map_err(|_| NbtError::Length(i64::from(length)))
    }

    /// The type and length of a list; a negative length counts as none, as Minecraft reads it.
    fn list_head(&mut self) -> Result<(u8, usize), NbtError> {
        let kind = self.u8()?;
        let length = i32::from_be_bytes(self.array()?).max(0) as usize;
        match kind {
            END if length > 0 => Err(NbtError::Length(length as i64)),
            END..=LONG_ARRAY => Ok((kind, length)),
            _ => Err(NbtError::Kind(kind)),
        }
    }

    fn skip_flat(&mut self, kind: u8) -> Result<(), NbtError> {
        let bytes = match kind {
            BYTE_ARRAY => self.length()?,
            INT_ARRAY => self.length()?.checked_mul(4).ok_or(NbtError::Short)?,
            LONG_ARRAY => self.length()?.checked_mul(8).ok_or(NbtError::Short)?,
            STRING => return self.string().map(|_| ()),
            _ => fixed_bytes(kind).ok_or(NbtError::Kind(kind))?,
        };
        self.take(bytes).map(|_| ())
    }

    /// Steps over one value without recursion and gives it as a node.
    fn value(&mut self, kind: u8) -> Result<Node<'a>, NbtError> {
        let start = self.rest;
        let mut open = Vec::new();
        self.enter(kind, &mut open)?;
        while let Some(top) = open.last_mut() {
            let next = match top {
                Open::Compound => match self.u8()? {
                    END => None,
                    kind => {
                        self.string()?;
                        Some(kind)
                    }
                },
                Open::List { left: 0, .. } => None,
                Open::List { kind, left } => {
                    *left -= 1;
                    Some(*kind)
                }
            };
            match next {
                Some(kind) => self.enter(kind, &mut open)?,
                None => drop(open.pop()),
            }
        }
        Ok(Node { kind, bytes: &start[..start.len() - self.rest.len()] })
    }

    fn enter(&mut self, kind: u8, open: &mut Vec<Open>) -> Result<(), NbtError> {
        if kind != COMPOUND && kind != LIST {
            return self.skip_flat(kind);
        }
        if open.len() == DEPTH_MAX {
            return Err(NbtError::Deep);
        }
        if kind == COMPOUND {
            open.push(Open::Compound);
            return Ok(());
        }
        let (kind, left) = self.list_head()?;
        match fixed_bytes(kind) {
            Some(bytes) => self.take(bytes.checked_mul(left).ok_or(NbtError::Short)?).map(|_| ()),
            None => {
                open.push(Open::List { kind, left });
                Ok(())
            }
        }
    }
}

fn fixed_bytes(kind: u8) -> Option<usize> {
    match kind {
        END => Some(0),
        BYTE => Some(1),
        SHORT => Some(2),
        INT | FLOAT => Some(4),
        LONG | DOUBLE => Some(8),
        _ => None,
    }
}

/// The root compound of a document, walked once from end to end. What follows it is ignored.
pub(crate) fn root(bytes: &[u8]) -> Result<Node<'_>, NbtError> {
    let mut cursor = Cursor { rest: bytes };
    let kind = cursor.u8()?;
    if kind != COMPOUND {
        return Err(NbtError::Root(kind));
    }
    cursor.string()?;
    cursor.value(kind)
}

impl<'a> Node<'a> {
    /// The fields of a compound in file order; nothing for another type.
    pub(crate) fn fields(self) -> impl Iterator<Item = (&'a [u8], Node<'a>)> {
        let mut cursor = Cursor { rest: if self.kind == COMPOUND { self.bytes } else { &[] } };
        std::iter::from_fn(move || {
            let kind = cursor.u8().ok().filter(|kind| *kind != END)?;
            Some((cursor.string().ok()?, cursor.value(kind).ok()?))
        })
    }

    /// The last field with this name.
    pub(crate) fn field(self, name: &str) -> Option<Self> {
        self.fields().filter(|(key, _)| *key == name.as_bytes()).map(|(_, node)| node).last()
    }

    /// How many entries a list has; 0 for another type.
    pub(crate) fn len(self) -> usize {
        match self.kind {
            LIST => Cursor { rest: self.bytes }.list_head().map_or(0, |(_, length)| length),
            _ => 0,
        }
    }

    /// The entries of a list; nothing for another type.
    pub(crate) fn items(self) -> impl Iterator<Item = Node<'a>> {
        let mut cursor = Cursor { rest: self.bytes };
        let (kind, mut left) = if self.kind == LIST { cursor.list_head().unwrap_or((END, 0)) } else { (END, 0) };
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            cursor.value(kind).ok()
        })
    }

    /// A whole number of any width.
    pub(crate) fn int(self) -> Option<i64> {
        match (self.kind, self.bytes) {
            (BYTE, &[b]) => Some(i64::from(b as i8)),
            (SHORT, bytes) => Some(i64::from(i16::from_be_bytes(bytes.try_into().ok()?))),
            (INT, bytes) => Some(i64::from(i32::from_be_bytes(bytes.try_into().ok()?))),
            (LONG, bytes) => Some(i64::from_be_bytes(bytes.try_into().ok()?)),
            _ => None,
        }
    }

    /// A string, if it is plain UTF-8 (Java's variant differs only for zero and beyond the basic plane).
    pub(crate) fn str(self) -> Option<&'a str> {
        if self.kind != STRING {
            return None;
        }
        std::str::from_utf8(self.bytes.get(2..)?).ok()
    }

    /// The raw big-endian bytes of an array of ints or longs.
    pub(crate) fn elements(self, kind: u8) -> Option<&'a [u8]> {
        if self.kind == kind { self.bytes.get(4..) } else { None }
    }
}

enum Tree<'a> {
    Flat(&'a [u8]),
    List(u8, Vec<Tree<'a>>),
    Compound(Vec<(&'a [u8], u8, Tree<'a>)>),
}

/// Depth is bounded: the nodes come from [`Cursor::value`], which has refused what is nested deeper.
fn tree(node: Node<'_>) -> Tree<'_> {
    let mut cursor = Cursor { rest: node.bytes };
    match node.kind {
        COMPOUND | LIST => tree_at(&mut cursor, node.kind).unwrap_or(Tree::Flat(node.bytes)),
        _ => Tree::Flat(node.bytes),
    }
}

fn tree_at<'a>(cursor: &mut Cursor<'a>, kind: u8) -> Option<Tree<'a>> {
    match kind {
        COMPOUND => {
            let mut fields = Vec::new();
            loop {
                let kind = cursor.u8().ok()?;
                if kind == END {
                    break;
                }
                let name = cursor.string().ok()?;
                fields.push((name, kind, tree_at(cursor, kind)?));
            }
            fields.reverse();
            fields.sort_by_key(|(name, ..)| *name);
            fields.dedup_by_key(|(name, ..)| *name);
            Some(Tree::Compound(fields))
        }
        LIST => {
            let start = cursor.rest;
            let (kind, length) = cursor.list_head().ok()?;
            if let Some(bytes) = fixed_bytes(kind) {
                cursor.take(bytes * length).ok()?;
                return Some(Tree::Flat(&start[..start.len() - cursor.rest.len()]));
            }
            let mut items = Vec::new();
            for _ in 0..length {
                items.push(tree_at(cursor, kind)?);
            }
            Some(Tree::List(kind, items))
        }
        _ => cursor.value(kind).ok().map(|node| Tree::Flat(node.bytes)),
    }
}

fn put_tree(out: &mut Vec<u8>, tree: &Tree<'_>) {
    match tree {
        Tree::Flat(bytes) => out.extend_from_slice(bytes),
        Tree::List(kind, items) => {
            out.push(*kind);
            out.extend_from_slice(&(items.len() as u32).to_be_bytes());
            items.iter().for_each(|item| put_tree(out, item));
        }
        Tree::Compound(fields) => {
            for (name, kind, value) in fields {
                out.push(*kind);
                put_string(out, name);
                put_tree(out, value);
            }
            out.push(END);
        }
    }
}

/// The compound as a document of its own with every compound's keys sorted (a key that is there twice counts once, the
/// last), and without the outermost fields named in `without`: one content, one spelling.
pub(crate) fn canonical(node: Node<'_>, without: &[&str]) -> Vec<u8> {
    let mut tree = tree(node);
    if let Tree::Compound(fields) = &mut tree {
        fields.retain(|(name, ..)| !without.iter().any(|w| w.as_bytes() == *name));
    }
    let mut out = vec![COMPOUND, 0, 0];
    put_tree(&mut out, &tree);
    out
}

/// The bytes inside a block entity that only carries data of another kind through a region file.
pub(crate) fn opaque(node: Node<'_>) -> Option<&[u8]> {
    if node.field("id").and_then(Node::str) != Some(super::write::OPAQUE_ID) {
        return None;
    }
    node.field("data").and_then(|data| data.elements(BYTE_ARRAY))
}

fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    debug_assert!(text.len() <= usize::from(u16::MAX), "names and ids are short");
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text);
}

/// Writes a document field by field. Names are ours, so they are ASCII and short.
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// Begins the root compound, which has no name.
    pub(crate) fn new() -> Self {
        Self { out: vec![COMPOUND, 0, 0] }
    }

    fn head(&mut self, kind: u8, name: &str) {
        self.out.push(kind);
        put_string(&mut self.out, name.as_bytes());
    }

    pub(crate) fn byte(&mut self, name: &str, value: i8) {
        self.head(BYTE, name);
        self.out.push(value as u8);
    }

    pub(crate) fn int(&mut self, name: &str, value: i32) {
        self.head(INT, name);
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn long(&mut self, name: &str, value: i64) {
        self.head(LONG, name);
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn string(&mut self, name: &str, value: &str) {
        self.head(STRING, name);
        put_string(&mut self.out, value.as_bytes());
    }

    pub(crate) fn bytes(&mut self, name: &str, value: &[u8]) {
        self.head(BYTE_ARRAY, name);
        self.out.extend_from_slice(&(value.len() as u32).to_be_bytes());
        self.out.extend_from_slice(value);
    }

    pub(crate) fn longs(&mut self, name: &str, values: &[u64]) {
        self.head(LONG_ARRAY, name);
        self.out.extend_from_slice(&(values.len() as u32).to_be_bytes());
        for value in values {
            self.out.extend_from_slice(&value.to_be_bytes());
        }
    }

    /// Begins a compound in a compound; [`Writer::end`] ends it.
    pub(crate) fn compound(&mut self, name: &str) {
        self.head(COMPOUND, name);
    }

    /// Begins a list; its entries follow without names, those of compounds each ended by [`Writer::end`].
    pub(crate) fn list(&mut self, name: &str, kind: u8, length: usize) {
        self.head(LIST, name);
        self.out.push(if length == 0 { END } else { kind });
        self.out.extend_from_slice(&(length as u32).to_be_bytes());
    }

    /// A string as a list's entry.
    pub(crate) fn item_string(&mut self, value: &str) {
        put_string(&mut self.out, value.as_bytes());
    }

    /// Bytes that are NBT already: a whole entry, or fields.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Ends a compound.
    pub(crate) fn end(&mut self) {
        self.out.push(END);
    }

    /// Ends the root.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.end();
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_up_to_the_limit_is_read_and_past_it_refused() {
        let nested = |depth: usize| {
            let mut bytes = vec![COMPOUND, 0, 0];
            for _ in 1..depth {
                bytes.extend([COMPOUND, 0, 1, b'a']);
            }
            bytes.extend(vec![END; depth]);
            bytes
        };
        let deepest = nested(DEPTH_MAX);
        let node = root(&deepest).unwrap();
        assert_eq!(canonical(node, &[]), deepest);
        assert_eq!(root(&nested(DEPTH_MAX + 1)).unwrap_err(), NbtError::Deep);
        assert_eq!(root(&nested(1_000_000)).unwrap_err(), NbtError::Deep);
        let mut lists = vec![COMPOUND, 0, 0, LIST, 0, 0];
        lists.extend([LIST, 0, 0, 0, 1].repeat(1_000_000));
        assert_eq!(root(&lists).unwrap_err(), NbtError::Deep);
    }

    #[test]
    fn lengths_that_the_bytes_do_not_hold_are_refused_without_allocating() {
        let field = |kind: u8, rest: &[u8]| [&[COMPOUND, 0, 0, kind, 0, 1, b'a'], rest].concat();
        let most = [0x7f, 0xff, 0xff, 0xff];
        for (kind, rest, error) in [
            (LONG_ARRAY, most.to_vec(), NbtError::Short),
            (BYTE_ARRAY, vec![0xff, 0xff, 0xff, 0xff], NbtError::Length(-1)),
            (LIST, [&[LONG][..], &most].concat(), NbtError::Short),
            (LIST, [&[COMPOUND][..], &most].concat(), NbtError::Short),
            (LIST, [&[END][..], &most].concat(), NbtError::Length(0x7fff_ffff)),
            (LIST, [&[13][..], &most].concat(), NbtError::Kind(13)),
            (STRING, vec![0, 9, 1], NbtError::Short),
            (77, vec![], NbtError::Kind(77)),
        ] {
            assert_eq!(root(&field(kind, &rest)).unwrap_err(), error, "type {kind}");
        }
        assert_eq!(root(&[LIST, 0, 0]).unwrap_err(), NbtError::Root(LIST));
        assert_eq!(root(&[]).unwrap_err(), NbtError::Short);
    }

    #[test]
    fn one_content_has_one_spelling() {
        let mut a = Writer::new();
        a.int("x", 5);
        a.string("id", "chest");
        a.compound("tag");
        a.byte("b", 1);
        a.byte("a", 2);
        a.end();
        let mut b = Writer::new();
        b.compound("tag");
        b.byte("a", 7);
        b.byte("a", 2);
        b.byte("b", 1);
        b.end();
        b.string("id", "chest");
        let (a, b) = (a.finish(), b.finish());
        let canonical_a = canonical(root(&a).unwrap(), &["x", "y", "z"]);
        assert_eq!(canonical_a, canonical(root(&b).unwrap(), &[]));
        assert_eq!(canonical(root(&canonical_a).unwrap(), &[]), canonical_a);
    }
}
