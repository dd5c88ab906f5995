//! What becomes of the keys of another pooler: the form of the tables that drive the import, its report and its page.

use super::value::Value;

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It means the same here.
    Taken,
    /// It is taken over, and means something else in one respect.
    Changed,
    /// It is not taken over.
    Left,
}

/// What a value of a key becomes.
#[derive(Debug, Clone, PartialEq)]
pub enum Turned {
    /// This value, which means the same.
    Same(Value),
    /// This value, which differs as the sentence says.
    But(Value, String),
    /// Nothing has to be written: pgweir is so by itself.
    Nothing,
    /// It cannot be taken over, as the sentence says, with what to do.
    Cannot(String),
}

/// How values are turned.
#[derive(Debug, Clone, Copy)]
pub enum How {
    /// By this function.
    By(fn(&str) -> Turned),
    /// It names a file or folder.
    Path,
    /// By code of its source, since it goes together with other keys; or not at all.
    Own,
}

/// A key of another pooler, or several of which the same is to be said.
#[derive(Debug)]
pub struct Key {
    /// Its names.
    pub names: &'static [&'static str],
    /// What becomes of it.
    pub fate: Fate,
    /// The keys of pgweir that it becomes, such as `limits.max_clients`; `rule.when.user` is one of a rule file.
    pub to: &'static [&'static str],
    /// How its values are turned.
    pub how: How,
    /// `Taken`: a remark, or nothing. `Changed`: how it differs. `Left`: why, and what to do.
    pub says: &'static str,
    /// The value that holds there when nobody writes one, where that has to be written here.
    pub default: Option<&'static str>,
}

/// A key that means the same here.
pub const fn taken(
    names: &'static [&'static str],
    to: &'static [&'static str],
    by: fn(&str) -> Turned,
) -> Key {
    Key { names, fate: Fate::Taken, to, how: How::By(by), says: "", default: None }
}

/// A key that names a file, and means the same here.
pub const fn path(names: &'static [&'static str], to: &'static [&'static str]) -> Key {
    Key { names, fate: Fate::Taken, to, how: How::Path, says: "", default: None }
}

/// A key that its source's own code takes over.
pub const fn own(
    names: &'static [&'static str],
    fate: Fate,
    to: &'static [&'static str],
    says: &'static str,
) -> Key {
    Key { names, fate, to, how: How::Own, says, default: None }
}

/// A key that is not taken over: why, and what to do.
pub const fn left(names: &'static [&'static str], says: &'static str) -> Key {
    Key { names, fate: Fate::Left, to: &[], how: How::Own, says, default: None }
}

impl Key {
    /// With the value that holds when nobody writes one.
    pub const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// With how it differs here.
    pub const fn but(mut self, says: &'static str) -> Self {
        self.fate = Fate::Changed;
        self.says = says;
        self
    }

    /// With a remark.
    pub const fn remark(mut self, says: &'static str) -> Self {
        self.says = says;
        self
    }
}

/// Keys that stand together in the source.
#[derive(Debug)]
pub struct Section {
    /// As it is called there, such as `[pgbouncer]`.
    pub name: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

impl Section {
    /// The key of that name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.names.contains(&name))
    }
}

/// A pooler whose configuration can be imported.
#[derive(Debug)]
pub struct Source {
    /// Its name.
    pub title: &'static str,
    /// Which versions the table was made from.
    pub version: &'static str,
    /// What is to be known before the keys, by paragraphs.
    pub about: &'static [&'static str],
    /// Its sections.
    pub sections: &'static [&'static Section],
}
