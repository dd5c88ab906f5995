//! What the cache has to do with a statement for which a rule caches: what is a part of its key, on what its result depends, or why it is not kept.

use super::{Line, Statement};
use crate::catalog::{Contents, Detail, Relations};
use crate::plan::cacheable::{Around, Dependencies, Dependency, On, Refusal, judge};
use crate::rules::Cache;
use crate::rules::caching::TableName;
use crate::sql::facts::Name;
use crate::sql::{Dialect, facts, shape};

/// So many tables are told, and so many settings.
const TABLES: usize = 20;

/// What a rule asks of the cache for a statement, and what is known of who sends it.
#[derive(Debug)]
pub struct Wish<'a> {
    /// The rule's name.
    pub rule: &'a str,
    /// What it asks.
    pub cache: &'a Cache,
    /// What is known of the database: nothing, if none was asked.
    pub known: Known<'a>,
    /// Names of the session's settings that are a part of the key; `None`: there is no session.
    pub settings: Option<Vec<String>>,
    /// It would come as a Query; `None`: that is not known.
    pub simple: Option<bool>,
    /// Why the session would not ask the cache now: one of [`super::REASONS`].
    pub kept_from: Option<&'static str>,
    /// It is more than a read by what it reaches, or that is not known.
    pub not_a_read: bool,
}

/// What is known of a database.
#[derive(Debug, Clone, Copy)]
pub enum Known<'a> {
    /// None was asked.
    NotAsked,
    /// It has not been read yet, or is changing.
    NotYet,
    /// This, and it holds.
    Contents(&'a Contents),
}

impl Statement<'_> {
    /// `cache`, and where a result may be kept, `cache key` and `cache tags`. The reason of the first is the name of a refusal
    /// (`docs/guide/cache-refusals.md`), or why the session does not ask now.
    pub fn cached(&self, dialect: Dialect, wish: &Wish<'_>) -> Vec<Line> {
        let asked = format!("level {}, by rule {}", wish.cache.level.word(), wish.rule);
        let refused =
            |why: Refusal| vec![Line::new("cache", format!("not kept: {why} ({asked})")).because(why.name())];
        let contents = match wish.known {
            Known::NotAsked => {
                let value = format!("{asked}; without a database, whether it may be kept is not known");
                return vec![Line::new("cache", value)];
            }
            Known::NotYet => return refused(Refusal::DefinitionsUnknown),
            Known::Contents(contents) => contents,
        };
        let mut tags = match self.dependencies(dialect, contents) {
            Ok(_) if wish.not_a_read => return refused(Refusal::NotARead),
            Ok(dependencies) => told(&dependencies, contents),
            Err(why) => return refused(why),
        };
        match declared(&wish.cache.depends_on, contents.relations.as_ref()) {
            Ok(more) => tags.extend(more),
            Err(why) => return refused(why),
        }
        let cache = match wish.kept_from {
            None => Line::new("cache", asked),
            Some(why) => Line::new("cache", format!("not asked: {why} ({asked})")).because(why),
        };
        let tags = ["database".to_owned(), "definitions".to_owned()].into_iter().chain(tags);
        vec![
            cache,
            Line::new("cache key", self.key(wish)),
            Line::new("cache tags", tags.collect::<Vec<_>>().join(", ")),
        ]
    }

    fn dependencies(&self, dialect: Dialect, contents: &Contents) -> Result<Dependencies, Refusal> {
        let text = self.text();
        // As sessions have it: a name stands for all tables of that name.
        let around = Around { contents, search_path: None, temporary: false };
        judge(text, dialect, &facts(text, dialect, &shape(text, dialect)), &around)
    }

    /// The parts of its key by name.
    fn key(&self, wish: &Wish<'_>) -> String {
        let settings = match wish.settings.as_deref() {
            None => "settings".to_owned(),
            Some([]) => "settings (none)".to_owned(),
            Some(names) => {
                let mut told: Vec<&str> = names.iter().take(TABLES).map(String::as_str).collect();
                told.extend((names.len() > told.len()).then_some("and more"));
                format!("settings ({})", told.join(", "))
            }
        };
        let form = match wish.simple {
            None => "protocol",
            Some(true) => "protocol (simple)",
            Some(false) => "protocol (extended, and what is described)",
        };
        let parameters = match wish.simple {
            Some(true) => "",
            _ => ", types and values of parameters, formats of results",
        };
        format!("database, user, {settings}, {form}, text{parameters}")
    }
}

/// `public.t (id, name)`, `public.u (any row)`, `public.u (any row, or id as the answer shows)`.
fn told(dependencies: &Dependencies, contents: &Contents) -> Vec<String> {
    let tables = &dependencies.tables;
    let one = |one: &Dependency| {
        let name = name_of(one.table, contents);
        let link = dependencies.links.iter().find(|link| link.table == one.table);
        match (&one.on, link) {
            (On::Keys(keys), _) => {
                let columns = keys.iter().map(|key| column(one.table, key.number, contents));
                format!("{name} ({})", columns.collect::<Vec<_>>().join(", "))
            }
            (On::Any, Some(link)) => {
                let column = column(link.table, link.column, contents);
                format!("{name} (any row, or {column} as the answer shows)")
            }
            (On::Any, None) => format!("{name} (any row)"),
        }
    };
    let mut told: Vec<String> = tables.iter().take(TABLES).map(one).collect();
    if let Some(more) = tables.len().checked_sub(TABLES).filter(|more| *more > 0) {
        told.push(format!("and {more} more"));
    }
    told
}

fn name_of(table: u32, contents: &Contents) -> String {
    let relations = contents.relations.as_ref();
    let names = relations.and_then(|all| Some(all.names(all.by_oid(table)?)));
    names.map_or_else(|| table.to_string(), |(schema, name)| format!("{schema}.{name}"))
}

fn column(table: u32, number: i16, contents: &Contents) -> String {
    let named = |detail: &Detail| {
        let of = detail.all_columns().find(|(column, _)| column.number == number);
        of.map(|(_, name)| name.to_owned())
    };
    let detail = contents.grounds.as_ref().and_then(|grounds| grounds.detail(table));
    detail.and_then(named).unwrap_or_else(|| number.to_string())
}

/// What a rule says that it depends on beside; one that is not known keeps it from being kept.
fn declared(names: &[TableName], relations: Option<&Relations>) -> Result<Vec<String>, Refusal> {
    let is_known = |name: &TableName| {
        let named = Name { schema: name.schema.clone(), name: name.name.clone() };
        relations.is_some_and(|relations| !relations.named(&named, None).is_empty())
    };
    if !names.iter().all(is_known) {
        return Err(Refusal::UnknownRelation);
    }
    Ok(names.iter().map(|name| format!("{} (any row, by the rule)", name.written())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Barriers, Grounds, Row};

    fn row(columns: &[&str]) -> Row {
        let value = |column: &&str| (!column.is_empty()).then(|| (*column).to_owned());
        columns.iter().map(value).collect()
    }

    fn contents() -> Contents {
        let relations =
            ["16400 public t r", "16401 public r r"].map(|text| row(&text.split(' ').collect::<Vec<_>>()));
        let details = ["16400", "16401"]
            .map(|oid| row(&[oid, "p", "f", "d", "1 4 i\n2 t n", "1", "", "", "f", "", "", "", "f"]));
        Contents {
            relations: Relations::new(&relations, &[]),
            grounds: Grounds::new(Barriers::default(), Barriers::default(), &details, &[]),
            ..Contents::default()
        }
    }

    fn wish<'a>(cache: &'a Cache, known: Known<'a>) -> Wish<'a> {
        Wish {
            rule: "kept",
            cache,
            known,
            settings: None,
            simple: Some(true),
            kept_from: None,
            not_a_read: false,
        }
    }

    fn lines(text: &str, wish: &Wish<'_>) -> Vec<(&'static str, String, Option<&'static str>)> {
        let statement = Statement::of(text.as_bytes(), true.into()).expect("a statement");
        let lines = statement.cached(true.into(), wish);
        lines.into_iter().map(|line| (line.item, line.value, line.reason)).collect()
    }

    #[test]
    fn dependencies_or_the_refusal() {
        let (contents, cache) = (contents(), Cache::default());
        let wish = wish(&cache, Known::Contents(&contents));
        let kept = |text: &str, tags: &str| {
            let told = lines(text, &wish);
            assert_eq!(told[0], ("cache", "level session, by rule kept".to_owned(), None), "{text}");
            assert_eq!(told[1].1, "database, user, settings, protocol (simple), text");
            assert_eq!(told[2], ("cache tags", format!("database, definitions{tags}"), None), "{text}");
        };
        let text = "select * from t join r on r.n = t.n where t.i = 7 and t.n = 'x';";
        kept(text, ", public.t (i, n), public.r (n)");
        kept(
            "select t.n, r.i from t join r on r.n = t.n where t.i = 7",
            ", public.t (i), public.r (any row, or n as the answer shows)",
        );
        kept(
            "select count(*) from t join r on r.n > t.n where t.i = 7",
            ", public.t (i), public.r (any row)",
        );
        kept("select 1", "");
        let refused = |text: &str, why: &'static str| {
            let value = format!("not kept: {why} (level session, by rule kept)");
            assert_eq!(lines(text, &wish), [("cache", value, Some(why))], "{text}");
        };
        refused("select current_date", "session_value");
        refused("select * from nowhere", "unknown_relation");
        refused("delete from t", "not_understood");
    }

    #[test]
    fn who_asks_and_what_is_known() {
        let (contents, mut cache) = (contents(), Cache::default());
        let first = |wish: &Wish<'_>| lines("select * from t", wish).swap_remove(0);
        let told = first(&wish(&cache, Known::NotAsked));
        assert!(told.1.ends_with("by rule kept; without a database, whether it may be kept is not known"));
        assert_eq!(first(&wish(&cache, Known::NotYet)).2, Some("definitions_unknown"));
        let known = Known::Contents(&contents);
        assert_eq!(first(&Wish { not_a_read: true, ..wish(&cache, known) }).2, Some("not_a_read"));
        let asking = Wish {
            kept_from: Some("pinned"),
            settings: Some(vec!["datestyle".to_owned(), "timezone".to_owned()]),
            simple: Some(false),
            ..wish(&cache, known)
        };
        let told = lines("select * from t", &asking);
        assert_eq!(told[0].1, "not asked: pinned (level session, by rule kept)");
        assert_eq!(
            told[1].1,
            "database, user, settings (datestyle, timezone), protocol (extended, and what is described), text, \
             types and values of parameters, formats of results"
        );
        let table = |name: &str| TableName { schema: None, name: name.into() };
        cache.depends_on = vec![table("r")];
        let tags = lines("select * from t", &wish(&cache, known)).swap_remove(2).1;
        assert_eq!(tags, "database, definitions, public.t (any row), r (any row, by the rule)");
        cache.depends_on = vec![table("nowhere")];
        assert_eq!(first(&wish(&cache, known)).2, Some("unknown_relation"));
    }
}
