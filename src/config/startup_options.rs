//! `options` as libpq and the start-up message have it: `-c name=value --other-name=value`.

use std::collections::BTreeMap;

/// Settings by name. A backslash takes the next character, a space too, as it is.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut settings = BTreeMap::new();
    let mut words = split(text).into_iter();
    while let Some(word) = words.next() {
        let setting = if word == "-c" {
            words.next().ok_or("ends with -c; write -c name=value")?
        } else if let Some(rest) = word.strip_prefix("-c").or_else(|| word.strip_prefix("--")) {
            rest.to_owned()
        } else {
            return Err(format!("holds `{word}`; only -c name=value and --name=value are known"));
        };
        let Some((name, value)) = setting.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(format!("holds `{setting}`; write -c name=value"));
        };
        settings.insert(name.replace('-', "_"), value.to_owned());
    }
    Ok(settings)
}

fn split(text: &str) -> Vec<String> {
    let mut words = vec![];
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(characters.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn options_are_read_as_the_server_reads_them() {
        let check = |text: &str, expected: Result<&[(&str, &str)], &str>| {
            let expected = expected
                .map(|pairs| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
                .map_err(str::to_owned);
            assert_eq!(parse(text), expected, "{text}");
        };
        check("", Ok(&[]));
        check("-c geqo=off  -cwork_mem=1MB", Ok(&[("geqo", "off"), ("work_mem", "1MB")]));
        check("--statement-timeout=5min", Ok(&[("statement_timeout", "5min")]));
        check(r"-c search_path=a,\ b\\c", Ok(&[("search_path", r"a, b\c")]));
        check("-c", Err("ends with -c; write -c name=value"));
        check("-c geqo", Err("holds `geqo`; write -c name=value"));
        check("-d 5", Err("holds `-d`; only -c name=value and --name=value are known"));
    }
}
