//! Rules as they are written to a rule file, in the form of `rules/`.

use std::fmt::Write;

use super::value::{Value, quoted};

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What there is to know of it, a line each.
    pub comment: Vec<String>,
    /// When it applies.
    pub when: Vec<(&'static str, Value)>,
    /// What it does.
    pub then: Vec<(&'static str, Value)>,
}

/// The rules as a file.
pub fn text(about: &str, rules: &[Rule]) -> String {
    let mut text = format!("# {about}\n");
    for rule in rules {
        text.push('\n');
        for line in &rule.comment {
            let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "[[rule]]\nname = {}", quoted(&rule.name));
        if !rule.when.is_empty() {
            let _ = writeln!(text, "when = {}", Value::Table(rule.when.clone()));
        }
        let _ = writeln!(text, "then = {}", Value::Table(rule.then.clone()));
    }
    text
}

/// The rules with names that a rule file takes, each another.
pub fn named(rules: Vec<Rule>) -> Vec<Rule> {
    let mut taken = std::collections::BTreeMap::<String, usize>::new();
    let named = rules.into_iter().map(|mut rule| {
        let sound: String = rule
            .name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
            .take(LONGEST_NAME)
            .collect();
        let mut name = sound.clone();
        // A number that was given already is not tried again, but the name with it may be there by itself.
        while taken.contains_key(&name) {
            let number = taken.entry(sound.clone()).or_insert(1);
            *number += 1;
            name = format!("{sound}-{number}");
        }
        taken.insert(name.clone(), 1);
        rule.name = name;
        rule
    });
    named.collect()
}

/// A rule's name has 63 bytes at most; this leaves room for a number.
const LONGEST_NAME: usize = 56;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_toml_with_names_of_their_own() {
        let rule = |name: &str| Rule {
            name: name.to_owned(),
            comment: vec!["one\ntwo".to_owned()],
            when: vec![("user", Value::text("a\"b"))],
            then: vec![("route", Value::text("replica"))],
        };
        let text = text("about", &named(vec![rule("a b"), rule("a-b"), rule(&"x".repeat(100))]));
        let table: toml::Table = toml::from_str(&text).expect("it is TOML");
        let names: Vec<_> =
            table["rule"].as_array().expect("rules").iter().map(|rule| rule["name"].as_str()).collect();
        assert_eq!(names, [Some("a-b"), Some("a-b-2"), Some(&*"x".repeat(56))]);
        assert_eq!(table["rule"][0]["when"]["user"].as_str(), Some("a\"b"));
    }
}
