//! JSON against its schema, by a validator of what the schema uses, which tries itself first.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::advice::{Advised, Observed, Workload};

/// What is wrong with a value, by its path.
fn problems(root: &Value, schema: &Value, value: &Value, path: &str, out: &mut Vec<String>) {
    let mut wrong = |what: String| out.push(format!("{path}: {what}"));
    if let Some(name) = schema["$ref"].as_str() {
        let part = &root["$defs"][name.rsplit('/').next().unwrap_or_default()];
        assert!(!part.is_null(), "{name} is not there");
        problems(root, part, value, path, out);
        return;
    }
    if !schema["const"].is_null() && schema["const"] != *value {
        wrong(format!("is not {}", schema["const"]));
    }
    if let Some(values) = schema["enum"].as_array()
        && !values.contains(value)
    {
        wrong(format!("{value} is none of {values:?}"));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    let is = |kind: &&str| match *kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("type {other}"),
    };
    if !types.is_empty() && !types.iter().any(is) {
        wrong(format!("{value} is no {types:?}"));
    }
    if let Some(least) = schema["minimum"].as_f64()
        && value.as_f64().is_some_and(|number| number < least)
    {
        wrong(format!("{value} is below {least}"));
    }
    if let (Some(pattern), Some(text)) = (schema["pattern"].as_str(), value.as_str())
        && !regex::Regex::new(pattern).expect("a pattern").is_match(text)
    {
        wrong(format!("{text} is not like {pattern}"));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.is_object() && value.get(name).is_none() {
            wrong(format!("{name} is missing"));
        }
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        problems(root, part, value, path, out);
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(known), _) => problems(root, known, member, &path, out),
            (None, Value::Bool(false)) => out.push(format!("{path}: is not known")),
            (None, Value::Object(_)) => problems(root, &schema["additionalProperties"], member, &path, out),
            (None, _) => {}
        }
    }
    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
        problems(root, &schema["items"], item, &format!("{path}[{at}]"), out);
    }
}

fn check(text: &str) -> Vec<String> {
    let mut schema: Value = serde_json::from_str(json::SCHEMA).expect("the schema is JSON");
    // Others pass over what they do not know; we tell all that we write.
    schema["additionalProperties"] = false.into();
    let value: Value = serde_json::from_str(text).expect("it is JSON");
    let mut out = vec![];
    problems(&schema, &schema, &value, "", &mut out);
    out
}

#[test]
fn reports_are_as_the_schema_has_them() {
    let empty = Report::of(scope(5), &History::default(), None);
    let fleet = Report::of(scope(5), &fleet(), None);
    for report in [advised(), sample(1), sample(10), fleet, empty] {
        assert_eq!(check(&report.json()), [""; 0]);
    }
}

#[test]
fn what_is_not_as_the_schema_has_it_is_found() {
    let good: Value = serde_json::from_str(&advised().json()).expect("it is JSON");
    let broken = |path: &str, value: Value| {
        let mut bad = good.clone();
        *bad.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
        check(&bad.to_string()).len()
    };
    assert_eq!(check(&good.to_string()), [""; 0]);
    for (path, value) in [
        ("/version", json!(2)),
        ("/source", json!("rumour")),
        ("/statements/0/calls", json!(-1)),
        ("/statements/0/id", json!("first")),
        ("/statements/0/clocks/total/p95_us", json!("long")),
        ("/fixes/0/proof/grade", json!("sure")),
        ("/fixes/1/action/run/0", json!(5)),
        ("/others/served", json!({})),
    ] {
        assert!(broken(path, value) > 0, "{path}");
    }
    let mut more = good.clone();
    more["secret"] = json!(1);
    assert_eq!(check(&more.to_string()), [".secret: is not known"]);
}

#[test]
fn every_member_is_told() {
    let schema: Value = serde_json::from_str(json::SCHEMA).expect("the schema is JSON");
    let page = json::page::text();
    let parts = schema["$defs"].as_object().expect("parts");
    for part in parts.values().chain([&schema]) {
        for (name, member) in part["properties"].as_object().into_iter().flatten() {
            let told = member["description"].as_str().is_some_and(|text| text.ends_with('.'));
            assert!(told && page.contains(&format!("| `{name}` | ")), "{name}");
        }
    }
}

#[test]
fn what_a_report_said_comes_back() {
    let report = advised();
    let before = json::before(&report.json(), "last.json".into()).expect("it can be read");
    let same = report.as_before("last.json".into());
    assert_eq!((before.statements, before.names, before.fixes), (same.statements, same.names, same.fixes));
    assert_eq!((before.seconds, before.all.calls, before.is_complete), (3600.0, 2616, true));
    let refused = |text: &str| json::before(text, "x".into()).expect_err("refused");
    assert!(refused("{").contains("it is no JSON"));
    assert!(refused("{}").contains("has no `version`"));
    assert!(refused(r#"{"version": 9}"#).contains("of version 9"));
    assert!(refused(r#"{"version": 1}"#).contains("`seconds`"));
    assert!(refused(r#"{"version": 1, "seconds": 5, "all": 3}"#).contains("`all`"));
    let text = report.json().replace("\"Q7\"", "\"Q7<b>\"");
    assert!(
        !json::before(&text, "x".into())
            .expect("it can be read")
            .names
            .values()
            .any(|name| name.contains('<'))
    );
}

#[test]
fn advice_for_programs_has_fixes_as_a_report_has_them() {
    let shape = Observed { fingerprint: 2, text: "select $1".into(), ..Observed::default() };
    let workload = Workload { window: Duration::from_secs(3600), shapes: vec![shape] };
    let advised = Advised { advice: advice(), plans: 7, hypothetical: true, ..Advised::default() };
    let names: Vec<String> = (1..=advised.advice.fixes.len()).map(|number| format!("FIX-{number}")).collect();
    let value: Value =
        serde_json::from_str(&json::advice::text(&advised, &workload, &names)).expect("it is JSON");
    let schema: Value = serde_json::from_str(json::SCHEMA).expect("the schema is JSON");
    let mut out = vec![];
    for (name, part) in [("fixes", "fix"), ("rejected", "rejected")] {
        let all = value[name].as_array().expect(name);
        assert!(!all.is_empty(), "{name}");
        all.iter().for_each(|one| problems(&schema, &schema["$defs"][part], one, name, &mut out));
    }
    assert_eq!(out, [""; 0]);
    // In the order that advice has, which is that of the names.
    assert_eq!((&value["fixes"][1]["id"], &value["fixes"][1]["code"]), (&json!("FIX-2"), &json!("index")));
    assert_eq!(value["statements"][1]["fixes"], json!(["FIX-3"]));
    assert_eq!(value["statements"][1]["text"], json!("select $1"));
    assert_eq!((&value["seconds"], &value["plans"]), (&json!(3600.0), &json!(7)));
    assert_eq!(value["statements"][0]["fixes"], json!(["FIX-2"]));
}
