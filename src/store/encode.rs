//! Sums as they stand in a row, and back.

use crate::stats::histogram::{Histogram, STEPS};
use crate::stats::tally::{Begun, CLOCKS, Habits, Rests, Sums};

/// Numbers with blanks between them.
pub(super) fn numbers(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

/// The same back; what is missing or no number is 0.
pub(super) fn read_numbers<const N: usize>(text: &str) -> [u64; N] {
    let mut all = text.split(' ').map(|number| number.parse().unwrap_or(0));
    std::array::from_fn(|_| all.next().unwrap_or(0))
}

/// Errors by class.
pub(super) fn errors(errors: &[([u8; 2], u64)]) -> String {
    let one = |(class, count): &([u8; 2], u64)| format!("{}={count}", String::from_utf8_lossy(class));
    errors.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// The same back, added to sums.
pub(super) fn read_errors(text: &str, sums: &mut Sums) {
    for one in text.split(' ') {
        let Some((class, count)) = one.split_once('=') else { continue };
        if let (Some(class), Ok(count)) = (class.as_bytes().first_chunk(), count.parse()) {
            sums.failed(*class, count);
        }
    }
}

/// How statements come in transaction blocks; nothing where there were none.
pub(super) fn habits(habits: &Habits) -> String {
    let Habits { blocks, inside, most, loops, looped, rests, begun } = *habits;
    if blocks == 0 {
        return String::new();
    }
    let own = [blocks, inside, most, loops, looped];
    let rests = [rests.count, rests.micros, rests.longest];
    let begun = [begun.count, begun.statements, begun.trips, begun.looped, begun.micros, begun.idle];
    // What came with a later version stands behind, and may be missing.
    numbers(&[&own[..], &rests, &begun].concat())
}

/// The same back.
pub(super) fn read_habits(text: &str) -> Habits {
    let [blocks, inside, most, loops, looped, count, micros, longest, rest @ ..] = read_numbers::<14>(text);
    let rests = Rests { count, micros, longest };
    let [count, statements, trips, of_loops, micros, idle] = rest;
    let begun = Begun { count, statements, trips, looped: of_loops, micros, idle };
    Habits { blocks, inside, most, loops, looped, rests, begun }
}

/// The steps of all clocks.
pub(super) fn steps(times: &[Histogram; CLOCKS.len()]) -> Vec<u8> {
    let mut out = vec![];
    for times in times {
        put(&mut out, times.counts().count() as u64);
        for (step, count) in times.counts() {
            put(&mut out, step as u64);
            put(&mut out, count.into());
        }
    }
    out
}

/// The same back; what cannot be read is left out.
pub(super) fn read_steps(bytes: &[u8]) -> [Histogram; CLOCKS.len()] {
    let mut rest = bytes;
    std::array::from_fn(|_| {
        let mut times = Histogram::default();
        for _ in 0..take(&mut rest).unwrap_or(0).min(STEPS as u64) {
            if let (Some(step), Some(count)) = (take(&mut rest), take(&mut rest)) {
                times.put(step as usize, count.min(u32::MAX.into()) as u32);
            }
        }
        times
    })
}

/// Seven bits a byte, the lowest first.
fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_come_back_as_they_were() {
        let mut sums = Sums::default();
        [1, 7, 900, 70_000, 1 << 40].into_iter().for_each(|micros| sums.times[4].add(micros));
        sums.times[0].put(3, u32::MAX);
        assert_eq!(read_steps(&steps(&sums.times)), sums.times);
        sums.failed(*b"23", 4);
        sums.failed(*b"40", 1);
        let mut read = Sums::default();
        read_errors(&errors(&sums.errors), &mut read);
        read_errors("", &mut read);
        assert_eq!(read.errors, sums.errors);
        [3, 12].into_iter().for_each(|statements| sums.habits.merge(&Habits::of_block(statements)));
        assert_eq!(read_habits("2 15 12 1 12"), sums.habits, "as it was before there was more");
        sums.habits.rests = Rests { count: 1, micros: 2, longest: 3 };
        sums.habits.begun = Begun { count: 4, statements: 5, trips: 6, looped: 7, micros: 8, idle: 9 };
        assert_eq!(read_habits(&habits(&sums.habits)), sums.habits);
        assert_eq!(read_habits(&habits(&Habits::default())), Habits::default());
        assert_eq!(read_numbers::<3>(&numbers(&[1, 0, u64::MAX])), [1, 0, u64::MAX]);
    }

    #[test]
    fn what_is_no_row_of_ours_is_read_as_nothing() {
        for bytes in [&b""[..], &[0xff; 40], &[5, 1], &[200, 200, 1]] {
            let read = read_steps(bytes);
            assert!(read.iter().map(Histogram::len).sum::<u64>() <= 5 * u64::from(u32::MAX) * STEPS as u64);
        }
        assert_eq!(read_numbers::<2>("x"), [0, 0]);
    }
}
