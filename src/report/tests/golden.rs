//! Whole reports, as they are written. `PGWEIR_TEST_WRITE=1` writes them anew.

use super::*;

/// Writes a page to where `make pages` looks at it.
fn show(name: &str, page: &str) {
    if let Some(folder) = std::env::var_os("PGWEIR_TEST_PAGES") {
        std::fs::write(std::path::Path::new(&folder).join(name), page).expect("it can be written");
    }
}

fn check(name: &str, written: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/tests").join(name);
    if std::env::var_os("PGWEIR_TEST_WRITE").is_some() {
        std::fs::write(&path, written).expect("it can be written");
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, known, "{name} is not what it was; PGWEIR_TEST_WRITE=1 writes it anew");
}

#[test]
fn the_text_is_as_it_was_and_fits_a_hundred_columns() {
    for (name, report) in [("advised.txt", advised()), ("plain.txt", sample(2))] {
        let text = report.text(false);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        check(name, &text);
        let coloured = report.text(true);
        let mut rest = coloured.as_str();
        let mut bare = String::new();
        while let Some((before, behind)) = rest.split_once("\u{1b}[") {
            bare += before;
            rest = behind.split_once('m').expect("a colour ends").1;
        }
        assert_eq!(bare + rest, text, "colours change nothing else");
    }
}

#[test]
fn markdown_is_as_it_was() {
    check("advised.md", &advised().markdown());
}

#[test]
fn the_first_screen_says_what_to_do() {
    let text = advised().text(false);
    let first: Vec<_> = text.lines().take(12).collect();
    assert!(first.iter().any(|line| line.starts_with("DO THESE FIRST")), "{first:#?}");
    assert!(first.iter().any(|line| line.starts_with("FIX-1") && line.contains("19 m")), "{first:#?}");
    let plain = sample(10).text(false);
    assert!(plain.lines().take(12).any(|line| line.starts_with("- Q7 takes 86 % of all time")), "{plain}");
}

#[test]
fn html_has_no_network_and_no_script_and_every_picture_has_words() {
    let html = advised().html();
    show("advised.html", &html);
    show("plain.html", &sample(10).html());
    let fleet = Report::of(scope(10), &fleet(), None);
    show("fleet.html", &fleet.html());
    show("budget.html", &Report::of(scope(10), &history(), Some(&several())).html());
    for absent in ["<script", "http://", "https://", "src=", "url(", "@import", " style=", "javascript:"] {
        assert!(!html.contains(absent), "{absent}");
    }
    for picture in html.split("<svg").skip(1) {
        let tag = picture.split('>').next().unwrap_or_default();
        assert!(tag.contains("aria-label=\"") || tag.contains("aria-hidden=\"true\""), "{tag}");
    }
    assert!(
        html.matches("aria-label=\"Five clocks.").count() == 3
            && html.contains("Time that clients waited, in parts of 60 s")
    );
    let ids: Vec<_> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    for link in html.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(ids.contains(&link), "{link} leads nowhere");
    }
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len(), "names stand once");
}

#[test]
fn values_in_plans_are_not_shown() {
    let report = advised();
    for form in [report.text(false), report.markdown(), report.html(), report.json()] {
        assert!(!form.contains("somebody@example.com") && !form.contains("4711"), "{form}");
    }
}
