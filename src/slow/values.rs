//! Values of parameters as they were sent, in text form.

use std::fmt::Write as _;

/// More parameters than these are not read.
const MOST: usize = 500;
/// A value whose text is longer, in bytes, is left out.
const LONGEST: usize = 1000;
/// Days from the first of January 1970 to that of 2000, where PostgreSQL's times begin.
const EPOCH: i64 = 10_957;
const DAY: i64 = 86_400_000_000;

/// Values of a Bind message, from behind its two names; of each its text, `None` for NULL, or why it cannot be told. `None`: it is malformed, or has too many.
pub fn values(bind: &[u8], types: &[u32]) -> Option<Vec<Result<Option<String>, &'static str>>> {
    let (formats, rest) = shorts(bind)?;
    let (count, mut rest) = short(rest)?;
    if usize::from(count) > MOST {
        return None;
    }
    let mut values = vec![];
    for at in 0..usize::from(count) {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let value = match usize::try_from(i32::from_be_bytes(*length)) {
            Ok(length) => Some(behind.get(..length)?),
            Err(_) => None,
        };
        rest = &behind[value.map_or(0, <[u8]>::len)..];
        let format = if formats.len() == 1 { formats.first() } else { formats.get(at) };
        let binary = format.is_some_and(|format| *format != 0);
        let kind = types.get(at).copied().unwrap_or(0);
        values.push(match value {
            None => Ok(None),
            Some(value) if binary => decoded(value, kind).map(Some),
            Some(value) => text(value).map(Some),
        });
    }
    Some(values)
}

fn short(bytes: &[u8]) -> Option<(u16, &[u8])> {
    bytes.split_first_chunk::<2>().map(|(number, rest)| (u16::from_be_bytes(*number), rest))
}

/// A list of numbers, behind how many they are.
fn shorts(bytes: &[u8]) -> Option<(Vec<u16>, &[u8])> {
    let (count, rest) = short(bytes)?;
    let (list, rest) = rest.split_at_checked(2 * usize::from(count))?;
    Some((list.as_chunks::<2>().0.iter().map(|number| u16::from_be_bytes(*number)).collect(), rest))
}

fn text(value: &[u8]) -> Result<String, &'static str> {
    match std::str::from_utf8(value) {
        Ok(_) if value.len() > LONGEST => Err("too long"),
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        _ => Err("no UTF-8"),
    }
}

/// A value in binary form, by the number of its type (`pg_type.dat`).
fn decoded(value: &[u8], kind: u32) -> Result<String, &'static str> {
    let element = match kind {
        1000 => 16,
        1001 => 17,
        1005 => 21,
        1007 => 23,
        1016 => 20,
        1021 => 700,
        1022 => 701,
        1009 => 25,
        1015 => 1043,
        1028 => 26,
        1115 => 1114,
        1182 => 1082,
        1185 => 1184,
        1231 => 1700,
        2951 => 2950,
        0 => return Err("binary, of a type that is not known"),
        _ => return scalar(value, kind),
    };
    array(value, element)
}

fn scalar(value: &[u8], kind: u32) -> Result<String, &'static str> {
    const WRONG: &str = "not of its type's length";
    let wrong = |_| WRONG;
    Ok(match kind {
        16 => if *value.first().ok_or(WRONG)? == 0 { "f" } else { "t" }.to_owned(),
        // "char", name, text, json, bpchar, varchar, and what is unknown, are the same in both forms; jsonb has a version before it.
        18 | 19 | 25 | 114 | 705 | 1042 | 1043 => return text(value),
        3802 => return text(value.strip_prefix(&[1]).ok_or("of another version")?),
        17 => {
            if value.len() > LONGEST / 2 {
                return Err("too long");
            }
            value.iter().fold("\\x".to_owned(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            })
        }
        21 => i16::from_be_bytes(value.try_into().map_err(wrong)?).to_string(),
        23 => i32::from_be_bytes(value.try_into().map_err(wrong)?).to_string(),
        20 => i64::from_be_bytes(value.try_into().map_err(wrong)?).to_string(),
        26 => u32::from_be_bytes(value.try_into().map_err(wrong)?).to_string(),
        700 => float(f64::from(f32::from_be_bytes(value.try_into().map_err(wrong)?)), |_| {
            f32::from_be_bytes(value.try_into().unwrap_or_default()).to_string()
        }),
        701 => float(f64::from_be_bytes(value.try_into().map_err(wrong)?), |number| number.to_string()),
        1082 => date(i64::from(i32::from_be_bytes(value.try_into().map_err(wrong)?))),
        1114 => timestamp(i64::from_be_bytes(value.try_into().map_err(wrong)?)),
        1184 => {
            let text = timestamp(i64::from_be_bytes(value.try_into().map_err(wrong)?));
            if text.ends_with("infinity") { text } else { text + "+00" }
        }
        1700 => numeric(value).ok_or("no number")?,
        2950 => uuid(value.try_into().map_err(wrong)?),
        _ => return Err("binary, of a type that is not read"),
    })
}

fn float(number: f64, shown: impl Fn(f64) -> String) -> String {
    match number {
        _ if number.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        number => shown(number),
    }
}

/// A day, so many after the first of January 2000. Years before the first have their era behind them.
fn date(days: i64) -> String {
    match days {
        days if days == i64::from(i32::MAX) => "infinity".to_owned(),
        days if days == i64::from(i32::MIN) => "-infinity".to_owned(),
        _ => {
            let (year, month, day) = civil(days + EPOCH);
            let era = if year > 0 { "" } else { " BC" };
            format!("{:04}-{month:02}-{day:02}{era}", if year > 0 { year } else { 1 - year })
        }
    }
}

fn timestamp(micros: i64) -> String {
    match micros {
        i64::MAX => "infinity".to_owned(),
        i64::MIN => "-infinity".to_owned(),
        _ => {
            let (days, rest) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
            let seconds = rest / 1_000_000;
            let date = date(days);
            let (day, era) = date.strip_suffix(" BC").map_or((&*date, ""), |day| (day, " BC"));
            let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
            format!("{day} {clock}.{:06}{era}", rest % 1_000_000)
        }
    }
}

/// Year, month and day of a day since the first of January 1970 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
pub(super) fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// `numeric` (`numeric_send`): digits to the base of 10,000, the weight of the first, sign, and how many decimals are shown.
fn numeric(value: &[u8]) -> Option<String> {
    let (count, rest) = short(value)?;
    let (weight, rest) = short(rest)?;
    let (sign, rest) = short(rest)?;
    let (scale, rest) = short(rest)?;
    match sign {
        0xC000 => return Some("NaN".to_owned()),
        0xD000 => return Some("Infinity".to_owned()),
        0xF000 => return Some("-Infinity".to_owned()),
        _ => {}
    }
    let weight = i32::from(weight as i16);
    if rest.len() != 2 * usize::from(count) || weight.abs() > 60 || scale > 240 {
        return None;
    }
    let digits: Vec<u16> = rest.as_chunks::<2>().0.iter().map(|digit| u16::from_be_bytes(*digit)).collect();
    let digit = |at: i32| usize::try_from(at).ok().and_then(|at| digits.get(at)).copied().unwrap_or(0);
    let mut out = if sign == 0x4000 { "-".to_owned() } else { String::new() };
    let _ = write!(out, "{}", digit(0) * u16::from(weight >= 0));
    (1..=weight).for_each(|at| out.push_str(&format!("{:04}", digit(at))));
    if scale > 0 {
        let groups = (weight + 1)..(weight + 1 + (i32::from(scale) + 3) / 4);
        let decimals: String = groups.map(|at| format!("{:04}", digit(at))).collect();
        let _ = write!(out, ".{}", decimals.get(..usize::from(scale))?);
    }
    Some(out)
}

fn uuid(value: [u8; 16]) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(value));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// An array of one dimension (`array_send`): dimensions, whether there are NULLs, the type, then length and lower bound, then the elements.
fn array(value: &[u8], element: u32) -> Result<String, &'static str> {
    const WRONG: &str = "no array";
    let mut rest = value;
    let mut int = || -> Result<i32, &'static str> {
        let (number, behind) = rest.split_first_chunk::<4>().ok_or(WRONG)?;
        rest = behind;
        Ok(i32::from_be_bytes(*number))
    };
    let (dimensions, _, _) = (int()?, int()?, int()?);
    if dimensions == 0 {
        return Ok("{}".to_owned());
    }
    if dimensions != 1 {
        return Err("an array of several dimensions");
    }
    let (count, lower) = (int()?, int()?);
    if lower != 1 {
        return Err("an array that does not begin at 1");
    }
    let mut out = "{".to_owned();
    for at in 0..count.max(0) {
        let (length, behind) = rest.split_first_chunk::<4>().ok_or(WRONG)?;
        out.push_str(if at > 0 { "," } else { "" });
        rest = behind;
        match usize::try_from(i32::from_be_bytes(*length)) {
            Err(_) => out.push_str("NULL"),
            Ok(length) => {
                let (one, behind) = behind.split_at_checked(length).ok_or(WRONG)?;
                rest = behind;
                let text = scalar(one, element)?;
                let _ = write!(out, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
            }
        }
        if out.len() > LONGEST {
            return Err("too long");
        }
    }
    Ok(out + "}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(values: &[(&[u8], u32)]) -> Vec<Result<Option<String>, &'static str>> {
        let mut bytes = vec![0, 1, 0, 1];
        bytes.extend_from_slice(&(values.len() as u16).to_be_bytes());
        for (value, _) in values {
            bytes.extend_from_slice(&(value.len() as u32).to_be_bytes());
            bytes.extend_from_slice(value);
        }
        bytes.extend_from_slice(&[0, 0]);
        let types: Vec<u32> = values.iter().map(|(_, kind)| *kind).collect();
        super::values(&bytes, &types).expect("well formed")
    }

    #[test]
    fn values_of_common_types_are_read() {
        let array = [
            &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 23, 0, 0, 0, 3, 0, 0, 0, 1][..],
            &[0, 0, 0, 4, 0, 0, 0, 7],
            &[255; 4],
            &[0, 0, 0, 4, 255, 255, 255, 255],
        ]
        .concat();
        let texts =
            [&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 1, 0, 0, 0, 1][..], &[0, 0, 0, 4], b"a\"\\b"]
                .concat();
        for (value, kind, expected) in [
            (&[1][..], 16, "t"),
            (&[255, 255], 21, "-1"),
            (&[0, 0, 1, 0], 23, "256"),
            (&[0, 0, 0, 0, 0, 0, 0, 9], 20, "9"),
            (&1.5_f32.to_be_bytes(), 700, "1.5"),
            (&0.1_f64.to_be_bytes(), 701, "0.1"),
            (&f64::NEG_INFINITY.to_be_bytes(), 701, "-Infinity"),
            (b"caf\xc3\xa9", 25, "caf\u{e9}"),
            (b"\x01{}", 3802, "{}"),
            (&[0xde, 0xad], 17, "\\xdead"),
            (&0_i32.to_be_bytes(), 1082, "2000-01-01"),
            (&(-1_i32).to_be_bytes(), 1082, "1999-12-31"),
            (&9831_i32.to_be_bytes(), 1082, "2026-12-01"),
            (&(-730_500_i32).to_be_bytes(), 1082, "0002-12-17 BC"),
            (&1_500_000_i64.to_be_bytes(), 1114, "2000-01-01 00:00:01.500000"),
            (&(-1_i64).to_be_bytes(), 1184, "1999-12-31 23:59:59.999999+00"),
            (&i64::MAX.to_be_bytes(), 1184, "infinity"),
            (&[0, 2, 0, 0, 0, 0, 0, 2, 0, 12, 13, 72], 1700, "12.34"),
            (&[0, 1, 255, 255, 64, 0, 0, 3, 0, 50], 1700, "-0.005"),
            (&[0, 1, 0, 1, 0, 0, 0, 0, 0, 3], 1700, "30000"),
            (&[0, 0, 0, 0, 0, 0, 0, 0], 1700, "0"),
            (&[0, 0, 0, 0, 192, 0, 0, 0], 1700, "NaN"),
            (&[0x11; 16], 2950, "11111111-1111-1111-1111-111111111111"),
            (&array, 1007, "{\"7\",NULL,\"-1\"}"),
            (&texts, 1009, "{\"a\\\"\\\\b\"}"),
            (&[0; 12], 1007, "{}"),
        ] {
            assert_eq!(bind(&[(value, kind)]), [Ok(Some(expected.to_owned()))], "{kind}");
        }
    }

    #[test]
    fn what_cannot_be_told_has_a_reason() {
        let long = vec![b'x'; LONGEST + 1];
        for (value, kind) in [
            (&[1, 2][..], 0),
            (&[1], 23),
            (&[1], 600),
            (&[0xff], 25),
            (&long, 25),
            (&[0, 0, 0, 9], 1007),
            (b"\x02{}", 3802),
        ] {
            assert!(bind(&[(value, kind)])[0].is_err(), "{kind}");
        }
        let text = [&[0, 0, 0, 2, 0, 0, 0, 1][..], b"x", &[255; 4], &[0, 0]].concat();
        assert_eq!(values(&text, &[]), Some(vec![Ok(Some("x".into())), Ok(None)]));
        for cut in 0..text.len() - 2 {
            assert_eq!(values(&text[..cut], &[]), None, "{cut}");
        }
        let many = [&[0, 0, 255, 255][..], &[255; 4 * 65_535], &[0, 0]].concat();
        assert_eq!(values(&many, &[]), None);
    }

    #[test]
    fn no_bytes_do_harm() {
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        const KINDS: [u32; 12] = [16, 17, 20, 23, 701, 1007, 1009, 1082, 1114, 1231, 1700, 2950];
        for _ in 0..50_000 {
            let length = next() % 24;
            let value: Vec<u8> = (0..length).map(|_| (next() % 7 * (next() % 60)) as u8).collect();
            let _ = decoded(&value, KINDS[(next() % 12) as usize]);
        }
    }
}
