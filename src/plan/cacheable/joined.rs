//! Columns that are equal to constants by way of other columns: `r.t = t.id AND t.id = 7` says `r.t = 7` too.
//!
//! Let `v` be a variable of a level, and let comparisons that are all *of* `v` ([`crate::sql::facts::Conjunct::of`]) lead from a column of `v` by equal columns to a constant. A row of `v` that
//! has another value there changes nothing in what the level gives. Where such a row comes into a combination, whatever of its columns these comparisons have tied to it so far has that other value,
//! and whatever they have tied to the constant has the constant's. A combination that it keeps from being filled with nulls, or is filled for want of it, differs in nothing but nulls. So where the
//! two meet in a comparison, which is true neither of two values nor of a null, both are without consequence: in WHERE and ON of an inner join they go, and on the side of an outer join that is filled they match
//! nothing. Where a join on the way keeps the side of `v`, or both, no comparison of `v` stands; what it fills for want of the row has null for the column of `v`, and the next comparison on the way is not true of it. That each comparison is of `v` is needed: `t LEFT JOIN r ON r.t = t.id AND t.id = 7` leaves all rows of `t` in the result.

use super::KeyColumn;
use super::dependencies::Search;
use super::values::is_cast_within;
use crate::catalog::{ColumnKind, Detail, KeyType, RelationKind};
use crate::sql::facts::{ColumnName, Conjunct, Constant, Level};

/// In a level with more comparisons of columns, these are not followed: it would take their number to the third power.
const MOST: usize = 24;

/// A column of a variable of the level, by its number and the column's name.
type Place<'l> = (usize, &'l str);

impl Search<'_> {
    /// The columns of a variable that are equal to constants, by themselves or by way of others; those by themselves, if they are its whole primary key.
    pub(super) fn keys_by_joins<'l>(
        &self,
        level: &'l Level,
        at: usize,
        detail: &Detail,
    ) -> Vec<(KeyColumn, &'l str)> {
        let mut keys = self.keys(level, at, detail);
        let is_there =
            |keys: &[(KeyColumn, &str)], number: i16| keys.iter().any(|(key, _)| key.number == number);
        let is_row = !detail.key.is_empty() && detail.key.iter().all(|number| is_there(&keys, *number));
        let many = level.equalities.len() > MOST;
        if is_row || many || self.grounds.odd_equality || level.variables[at].renamed {
            return keys;
        }
        for column in level.equalities.iter().filter(|one| one.of.contains(&at)).flat_map(|one| &one.columns)
        {
            if let Some(known) = detail.column(&column.name)
                && let ColumnKind::Key(kind) = known.kind
                && !is_there(&keys, known.number)
                && self.is_of(level, at, column)
                && let Some(constant) = self.constant_by_joins(level, at, &column.name, kind)
            {
                keys.push((KeyColumn { number: known.number, kind, constant }, &column.name));
            }
        }
        keys
    }

    /// What a column of a variable is equal to by way of others of its kind.
    fn constant_by_joins(&self, level: &Level, at: usize, column: &str, kind: KeyType) -> Option<Constant> {
        let mut places: Vec<Place<'_>> = vec![(at, column)];
        let mut next = 0;
        while let Some(place) = places.get(next).copied() {
            next += 1;
            let is_place =
                |column: &ColumnName| *column.name == *place.1 && self.is_of(level, place.0, column);
            let is_of = |one: &&Conjunct| one.of.contains(&at) && one.sees.contains(&place.0);
            let of = level.conjuncts.iter().filter(is_of).filter(|one| is_place(&one.column));
            let fits =
                |constant: &&Constant| constant.cast.as_deref().is_none_or(|cast| is_cast_within(cast, kind));
            if let Some(constant) = of.map(|one| &one.constant).find(fits) {
                return Some(constant.clone());
            }
            for one in level.equalities.iter().filter(|one| one.of.contains(&at)) {
                let [left, right] = &one.columns;
                for (here, there) in [(left, right), (right, left)] {
                    let is_it = one.sees.contains(&place.0) && is_place(here);
                    let other = is_it.then(|| self.place_of(level, there, kind)).flatten();
                    let seen = |other: &Place<'_>| one.sees.contains(&other.0) && !places.contains(other);
                    let new = other.filter(seen);
                    places.extend(new);
                }
            }
        }
        None
    }

    /// Whose column it is, if that is certain, and its values are of this kind.
    fn place_of<'l>(&self, level: &'l Level, column: &'l ColumnName, kind: KeyType) -> Option<Place<'l>> {
        let at = (0..level.variables.len()).find(|at| self.is_of(level, *at, column))?;
        let variable = &level.variables[at];
        let ids = self.relations.named(variable.table.as_ref().filter(|_| !variable.renamed)?, self.path);
        let is_alike = |id| {
            let is_table = matches!(self.relations.kind(id), RelationKind::Table | RelationKind::Partitioned);
            let detail = self.grounds.detail(self.relations.oid(id)).filter(|_| is_table);
            let known = detail.and_then(|detail| detail.column(&column.name)).map(|known| known.kind);
            matches!(known, Some(ColumnKind::Key(other)) if are_alike(other, kind))
        };
        (!ids.is_empty() && ids.into_iter().all(is_alike)).then_some((at, &*column.name))
    }
}

/// Whether values of two types are equal exactly if their texts are.
pub(super) fn are_alike(one: KeyType, other: KeyType) -> bool {
    let is_integer = |kind: KeyType| matches!(kind, KeyType::Int2 | KeyType::Int4 | KeyType::Int8);
    one == other || is_integer(one) && is_integer(other)
}
