//! The nearest known word to one that is not known: what a message suggests for a slip of the pen. Imports nothing of ours.

/// `; did you mean ...?` when a known word is near, else nothing.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(word, known) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    }
}

/// The known word that is at most a few letters away, or that has `word` as its first or last part.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    let near = |known: &str| {
        let distance = distance(&word, &known.to_lowercase().replace('-', "_"));
        if distance <= allowed { Some(distance) } else { is_part(&word, known).then_some(allowed + 1) }
    };
    known
        .into_iter()
        .filter_map(|known| Some((near(known)?, known)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

fn is_part(one: &str, other: &str) -> bool {
    let ends = |long: &str, short: &str| {
        long.strip_suffix(short).is_some_and(|rest| rest.ends_with('_'))
            || long.strip_prefix(short).is_some_and(|rest| rest.starts_with('_'))
    };
    !one.is_empty() && (ends(one, other) || ends(other, one))
}

/// Levenshtein's distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["pool_mode", "pool_size", "lifetime", "min_idle", "cert_file"];
        let check = |word, expected| assert_eq!(nearest(word, known), expected, "{word}");
        check("pool_sise", Some("pool_size"));
        check("pool-size", Some("pool_size"));
        check("poolsize", Some("pool_size"));
        check("default_pool_size", Some("pool_size"));
        check("mode", Some("pool_mode"));
        check("cert", Some("cert_file"));
        check("lifetme", Some("lifetime"));
        check("idle_min", None);
        check("zebra", None);
        check("", None);
    }
}
