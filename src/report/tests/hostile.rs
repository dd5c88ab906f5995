//! Statements, names and sentences that try to be more than words.

use super::*;

const TEXTS: [&str; 8] = [
    "select '<script>alert(1)</script>'",
    "\"><img src=x onerror=alert(1)>",
    "</code></pre><style>*{display:none}</style>",
    "]] | `x` ``` \n# heading\n[x](javascript:alert(1))",
    "\u{1b}[2J\u{1b}]0;title\u{7} \u{202e}gnirts\u{0}",
    "' onmouseover='alert(1)' x='",
    "&lt;b&gt; &#60;i&#62;",
    "表表表表 \u{1f600}\u{301}",
];

/// A report in which all that others give is one of these.
fn report(hostile: &str) -> Report {
    let mut history = history();
    let sums = Sums { calls: 9, timed: 9, micros: [0, 9, 0, 0, 900_000_000], ..Sums::default() };
    let name = Who { database: hostile.into(), user: hostile.into(), application: hostile.into() };
    history.counted.add(name, 77, format!("{hostile} {}", hostile.repeat(30)).into(), sums);
    history.instances.push(hostile.into());
    for name in [hostile, "other"] {
        history.by_instance.insert(name.into(), ByInstance::default());
    }
    history.marks = marks(hostile, hostile);
    history
        .marks
        .iter_mut()
        .for_each(|mark| (mark.database, mark.instance) = (hostile.into(), hostile.into()));
    let mut advice = advice();
    for fix in &mut advice.fixes {
        fix.title = hostile.into();
        fix.evidence = vec![hostile.into()];
        fix.helps.push(77);
        fix.action =
            Action::Sql { run: vec![hostile.into()], undo: vec![hostile.into()], concurrently: false };
    }
    advice.verdicts[0].why = hostile.into();
    advice.rejected[0].what = hostile.into();
    advice.rejected[0].why = hostile.into();
    advice.notes = vec![hostile.into()];
    let mut scope = scope(10);
    scope.name = hostile.into();
    advice.fixes.push(Fix {
        price: Price { bytes: 5_000_000, writes: 0.1 },
        saves: Some(9.0),
        ..advice.fixes[1].clone()
    });
    advice.fixes.iter_mut().take(2).for_each(|fix| {
        let run = vec!["CREATE INDEX ON t (a)".to_owned()];
        fix.action = Action::Sql { run, undo: vec![hostile.into()], concurrently: false };
        fix.price.bytes = 4_000_000;
    });
    let mut report = Report::of(scope, &history, Some(&advice));
    let samples: Vec<Stored> = samples(hostile)
        .into_iter()
        .map(|one| Stored {
            fingerprint: 77,
            text: format!("select 1 from \"{hostile}\" where a = $1 and b = $2"),
            ..one
        })
        .collect();
    report.take_samples(&samples);
    report
}

/// The tags of a page, with their attributes. What is in quotes is left out.
fn tags(html: &str) -> Vec<String> {
    let mut found = vec![];
    let mut rest = html;
    while let Some((_, behind)) = rest.split_once('<') {
        let mut tag = String::new();
        let mut quoted = false;
        let mut end = 0;
        for (at, c) in behind.char_indices() {
            end = at;
            match c {
                '"' => quoted = !quoted,
                '>' if !quoted => break,
                c if !quoted => tag.push(c),
                _ => {}
            }
        }
        found.push(tag);
        rest = &behind[end..];
    }
    found
}

#[test]
fn html_has_the_same_tags_whatever_statements_say() {
    let known = tags(&report("plain words").html());
    let mut known: Vec<_> = known.iter().collect();
    known.sort();
    known.dedup();
    for hostile in TEXTS {
        let html = report(hostile).html();
        for tag in tags(&html) {
            assert!(known.contains(&&tag), "<{tag}> by {hostile}");
        }
        assert!(!html.contains('\u{1b}') && !html.contains('\u{202e}') && !html.contains('\u{0}'));
    }
}

#[test]
fn a_terminal_gets_no_commands() {
    for hostile in TEXTS {
        let text = report(hostile).text(false);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{hostile:?}");
        assert!(!text.contains('\u{202e}'));
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}

#[test]
fn markdown_has_no_tags_and_no_headings_of_others() {
    let marks = |report: &Report| {
        let markdown = report.markdown();
        let outside = markdown.split("```").step_by(2).collect::<String>();
        let outside = outside.replace("<a id=\"", "").replace("\"></a>", "");
        (
            outside.lines().filter(|line| line.starts_with('#')).count(),
            outside.contains("<script") || outside.contains("<img src"),
        )
    };
    let known = marks(&report("plain words"));
    for hostile in &TEXTS[..3] {
        // What stands between back quotes is code, and not more.
        let markdown = report(hostile).markdown();
        let bare: String = markdown.split('`').step_by(2).collect();
        assert!(!bare.contains("<script") && !bare.contains("<img") && !bare.contains("<style"), "{bare}");
    }
    assert_eq!(marks(&report(TEXTS[5])).0, known.0);
}

#[test]
fn json_is_json_and_comes_back() {
    for hostile in TEXTS {
        let one = report(hostile);
        let before = json::before(&one.json(), "x".into()).expect("it can be read");
        assert!(before.statements[&77].text.starts_with(hostile));
    }
}
