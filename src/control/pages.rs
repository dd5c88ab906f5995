//! Where the pages of the WAL begin: nothing is ever written into their heads, so that a position before a head and one behind it are one.
//!
//! A primary tells where the next record will begin, which is behind a head when the last one has filled its page; a replica that has replayed all of
//! it tells where that one ended, which is before the head. Without this, replicas of an idle primary seem to be some bytes behind until somebody writes.

use crate::plan::consistency::Lsn;

/// The head of a page as it is declared, before it is rounded up to the alignment (`XLogPageHeaderData`).
const HEAD: u64 = 20;
/// What the first page of a file has more of (`XLogLongPageHeaderData`).
const MORE: u64 = 16;

/// How the WAL of a cluster is laid out, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages {
    page: u64,
    file: u64,
    head: u64,
}

impl Pages {
    /// Pages of `page` bytes, in files of `file` bytes, with records that begin at multiples of `alignment`. `None`: that cannot be.
    pub fn new(page: u64, file: u64, alignment: u64) -> Option<Pages> {
        let sound = [page, file, alignment].iter().all(|size| size.is_power_of_two());
        let sound = sound && alignment <= 16 && (64..=1 << 20).contains(&page) && file >= page;
        sound.then(|| Pages { page, file, head: HEAD.next_multiple_of(alignment) })
    }

    /// The same position for all that nothing can be written between: the beginning of the page where it is in its head, or right behind
    /// that. No record ends there, so that whoever has replayed up to the beginning has replayed all.
    pub fn normal(self, lsn: Lsn) -> Lsn {
        let within = lsn.0 % self.page;
        let begin = lsn.0 - within;
        let head = if begin.is_multiple_of(self.file) { self.head + MORE } else { self.head };
        if within <= head { Lsn(begin) } else { lsn }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::balance::Random;

    impl Pages {
        /// Where PostgreSQL places the byte of this number of all that are no heads: as the beginning of a record, or as its end
        /// (`XLogBytePosToRecPtr`, `XLogBytePosToEndRecPtr`).
        fn place(self, byte: u64, is_end: bool) -> Lsn {
            let (head, first) = (self.head, self.head + MORE);
            let in_page = self.page - head;
            let in_file = self.file / self.page * in_page - MORE;
            let (files, left) = (byte / in_file, byte % in_file);
            let offset = if left < self.page - first {
                if is_end && left == 0 { 0 } else { left + first }
            } else {
                let left = left - (self.page - first);
                let (pages, left) = (left / in_page, left % in_page);
                self.page * (pages + 1) + if is_end && left == 0 { 0 } else { left + head }
            };
            Lsn(files * self.file + offset)
        }
    }

    #[test]
    fn a_record_begins_where_the_one_before_has_ended_and_order_is_kept() {
        let mut random = Random::new(11);
        let mut apart = 0;
        for (page, file, alignment) in [(8192, 16 << 20, 8), (8192, 1 << 20, 8), (64, 256, 8), (128, 256, 4)]
        {
            let pages = Pages::new(page, file, alignment).expect("it can be");
            let mut byte = 0;
            let mut before = pages.normal(pages.place(byte, true));
            for _ in 0..20_000 {
                byte += alignment * (1 + (random.unit() * 40.0) as u64);
                let (begin, end) = (pages.place(byte, false), pages.place(byte, true));
                apart += u64::from(begin != end);
                let now = pages.normal(end);
                assert_eq!(pages.normal(begin), now, "{pages:?} {byte}");
                assert!(now > before, "{pages:?} {byte}: {now} is not behind {before}");
                assert!(now <= end, "who is said to be there has been there");
                before = now;
            }
        }
        assert!(apart > 1000, "pages were filled to the end: {apart}");
    }

    #[test]
    fn heads_are_as_long_as_postgresqls() {
        let pages = Pages::new(8192, 16 << 20, 8).expect("it can be");
        let check = |text: &str, expected: &str| {
            let lsn: Lsn = text.parse().expect("a position");
            assert_eq!(pages.normal(lsn).to_string(), expected, "{text}");
        };
        check("0/3000028", "0/3000000");
        check("0/3000030", "0/3000030");
        check("0/3002018", "0/3002000");
        check("0/3002020", "0/3002020");
        check("0/3002000", "0/3002000");
        check("0/3001FF8", "0/3001FF8");
        check("0/0", "0/0");
    }

    #[test]
    fn what_cannot_be_is_none() {
        for (page, file, alignment) in [(0, 16, 8), (8192, 4096, 8), (8192, 16 << 20, 0), (8000, 16 << 20, 8)]
        {
            assert_eq!(Pages::new(page, file, alignment), None);
        }
    }
}
