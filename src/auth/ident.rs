//! User name maps, in the `pg_ident.conf` format (PostgreSQL manual 21.2): which system or certificate user may be which role.

use std::collections::BTreeMap;
use std::path::Path;

use super::certificate::CertificateNames;
use super::hba::lines::{Line, read_lines};
use super::hba::{ClientName, FileError, Rule, Sources};

/// All maps of a file. Immutable; a reload makes another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentMaps {
    maps: BTreeMap<String, Vec<Entry>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    system_user: String,
    role: Role,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Role {
    Any,
    Named(String),
}

impl IdentMaps {
    /// Reads a file in `pg_ident.conf` format: lines of map name, system user, PostgreSQL role; exact names, and `all`
    /// for the role. `include` and `include_if_exists` are followed.
    ///
    /// # Errors
    /// [`FileError`] with file and line: what is wrong and what to do. Regular expressions and `+role` are refused.
    pub fn read(path: &Path, sources: &Sources<'_>) -> Result<Self, FileError> {
        let mut maps = Self::default();
        for line in read_lines(path, sources)? {
            let (map, entry) = parse_entry(&line)?;
            maps.maps.entry(map).or_default().push(entry);
        }
        Ok(maps)
    }

    /// Whether a map of this name has entries. A rule that names a map without any lets nobody in.
    #[must_use]
    pub fn contains(&self, map: &str) -> bool {
        self.maps.contains_key(map)
    }

    /// Whether `system_user` may log in as `role`. Without a map the two must be the same name.
    #[must_use]
    pub fn allows(&self, map: Option<&str>, system_user: &str, role: &str) -> bool {
        let Some(map) = map else {
            return system_user == role;
        };
        let entries = self.maps.get(map).map_or(&[][..], Vec::as_slice);
        entries.iter().any(|entry| {
            entry.system_user == system_user
                && match &entry.role {
                    Role::Any => true,
                    Role::Named(name) => name == role,
                }
        })
    }

    /// Whether a verified certificate with these names may log in as `role` under `rule`: its common or distinguished name
    /// (`clientname`), by the rule's map. For the method `cert` and for `clientcert=verify-full`.
    #[must_use]
    pub fn allows_certificate(&self, rule: &Rule, names: &CertificateNames, role: &str) -> bool {
        let name = match rule.options.client_name {
            ClientName::CommonName => names.cn.as_deref(),
            ClientName::DistinguishedName => Some(names.dn.as_str()),
        };
        name.is_some_and(|name| self.allows(rule.options.map.as_deref(), name, role))
    }
}

fn parse_entry(line: &Line) -> Result<(String, Entry), FileError> {
    const FORM: &str = "write: map name, system user, PostgreSQL role";
    let [map, system_user, role] = line.fields.as_slice() else {
        return Err(line.error("a map entry has three fields", FORM));
    };
    let map = line.single(map, "map name")?;
    let system_user = line.single(system_user, "system user")?;
    let role = line.single(role, "role")?;
    for token in [system_user, role] {
        if token.text.starts_with('/') {
            return Err(line.error(
                format!("regular expressions such as \"{}\" are not supported", token.text),
                "write one line for each name",
            ));
        }
    }
    if !role.quoted && role.text.starts_with('+') {
        return Err(line.error(
            format!("role membership such as \"{}\" is not supported", role.text),
            "write one line for each role, or the name in quotes if it begins with +",
        ));
    }
    let role = if role.is_keyword("all") { Role::Any } else { Role::Named(role.text.clone()) };
    Ok((map.text.clone(), Entry { system_user: system_user.text.clone(), role }))
}

#[cfg(test)]
#[path = "ident_tests.rs"]
mod tests;
