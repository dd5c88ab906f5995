//! What messages say: how long a statement took, with which values, by which plan.

use serde_json::Value;

use crate::advice::Plan;

/// What a message is.
#[derive(Debug, PartialEq)]
pub(super) enum Said<'a> {
    /// A statement was run in so many microseconds.
    Ran(u64, &'a str),
    /// It was only prepared or bound, in so many: that is time of the same statement, and no call.
    Prepared(u64, &'a str),
    /// It took so many, by this plan. The log has the statement by itself, too, where it logs durations.
    Explained(u64, String, Option<Box<Plan>>),
    /// A duration without a statement.
    Unnamed,
    /// Something else.
    Other,
}

/// Reads a message.
pub(super) fn said(message: &str) -> Said<'_> {
    let Some(rest) = message.strip_prefix("duration: ") else { return Said::Other };
    let Some((number, rest)) = rest.split_once(" ms") else { return Said::Other };
    let Ok(milliseconds) = number.trim().parse::<f64>() else { return Said::Other };
    let micros = (milliseconds.max(0.0) * 1000.0).round() as u64;
    let rest = rest.trim_start();
    if let Some(plan) = rest.strip_prefix("plan:") {
        return explained(micros, plan.trim_start());
    }
    let words = [
        ("statement: ", true),
        ("execute fetch from ", true),
        ("execute ", true),
        ("parse ", false),
        ("bind ", false),
    ];
    for (word, ran) in words {
        let Some(behind) = rest.strip_prefix(word) else { continue };
        // Behind the name of a statement, and of its portal, stands a colon.
        let text =
            if word == "statement: " { Some(behind) } else { behind.split_once(": ").map(|(_, text)| text) };
        return match text {
            Some(text) if ran => Said::Ran(micros, text),
            Some(text) => Said::Prepared(micros, text),
            None => Said::Unnamed,
        };
    }
    if rest.is_empty() { Said::Unnamed } else { Said::Other }
}

/// What auto_explain says. Its plans in JSON are read; those in text give the statement alone.
fn explained(micros: u64, plan: &str) -> Said<'static> {
    if plan.starts_with('{') {
        let Ok(value) = serde_json::from_str::<Value>(plan) else { return Said::Other };
        let Some(text) = value["Query Text"].as_str() else { return Said::Other };
        return Said::Explained(micros, text.to_owned(), Plan::parse(plan).ok().map(Box::new));
    }
    let Some(behind) = plan.strip_prefix("Query Text: ") else { return Said::Other };
    // The plan begins with the first line that has a cost.
    let lines =
        behind.lines().take_while(|line| !(line.contains("(cost=") || line.starts_with("Query Parameters:")));
    Said::Explained(micros, lines.collect::<Vec<_>>().join("\n"), None)
}

/// Values behind `parameters:` (`Parameters:` since 16): `$1 = 'it''s', $2 = NULL`. `None`: they are cut, or are none.
pub(super) fn parameters(detail: &str) -> Option<Vec<Option<String>>> {
    let rest = detail.strip_prefix("parameters: ").or_else(|| detail.strip_prefix("Parameters: "))?;
    let mut values = vec![];
    let mut rest = rest.trim_start();
    loop {
        let behind = rest.strip_prefix('$')?;
        let (number, behind) = behind.split_once(" = ")?;
        if number.parse() != Ok(values.len() + 1) {
            return None;
        }
        rest = match behind.strip_prefix("NULL") {
            Some(behind) => {
                values.push(None);
                behind
            }
            None => {
                let (value, behind) = quoted(behind.strip_prefix('\'')?)?;
                // log_parameter_max_length has cut it.
                if behind.starts_with("...") || value.ends_with("...") {
                    return None;
                }
                values.push(Some(value));
                behind
            }
        };
        match rest.strip_prefix(", ") {
            Some(behind) => rest = behind,
            None => return rest.trim().is_empty().then_some(values),
        }
    }
}

/// A value up to its quote, and what is behind that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '\'' {
            value.push(c);
        } else if chars.peek().is_some_and(|next| next.1 == '\'') {
            value.push('\'');
            chars.next();
        } else {
            return Some((value, &text[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart() {
        assert_eq!(said("duration: 12.345 ms  statement: select 1"), Said::Ran(12_345, "select 1"));
        assert_eq!(said("duration: 0.1 ms  execute <unnamed>: select $1"), Said::Ran(100, "select $1"));
        assert_eq!(said("duration: 0.1 ms  execute fetch from a/b: select 2"), Said::Ran(100, "select 2"));
        assert_eq!(said("duration: 1 ms  bind s1: select $1"), Said::Prepared(1000, "select $1"));
        assert_eq!(said("duration: 1.5 ms"), Said::Unnamed);
        for other in
            ["checkpoint starting", "duration: x ms  statement: a", "duration: ", "duration: 1 ms  plan:\n{"]
        {
            assert_eq!(said(other), Said::Other, "{other}");
        }
        let text = "duration: 3 ms  plan:\nQuery Text: select *\nfrom t\nSeq Scan on t  (cost=0.00..1.00 rows=1 width=4)";
        assert_eq!(said(text), Said::Explained(3000, "select *\nfrom t".into(), None));
        let json = "duration: 3 ms  plan:\n{ \"Query Text\": \"select 1\", \"Plan\": { \"Node Type\": \"Result\" } }";
        assert!(
            matches!(said(json), Said::Explained(3000, text, Some(plan)) if text == "select 1" && plan.top.kind == "Result")
        );
    }

    #[test]
    fn values_are_read_or_are_not() {
        let some =
            |values: &[&str]| Some(values.iter().map(|value| Some((*value).to_owned())).collect::<Vec<_>>());
        assert_eq!(parameters("parameters: $1 = 'it''s', $2 = 'a, $3 = '"), some(&["it's", "a, $3 = "]));
        assert_eq!(parameters("Parameters: $1 = NULL"), Some(vec![None]));
        for none in [
            "parameters: $2 = '1'",
            "parameters: $1 = '12...'",
            "parameters: $1 = 'x",
            "prepare: x",
            "parameters: ",
        ] {
            assert_eq!(parameters(none), None, "{none}");
        }
    }
}
