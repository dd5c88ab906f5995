//! Days and times of day, without a time zone database: an offset from UTC is written where it matters.

use std::fmt;

const DAY: i64 = 86_400;
const MINUTE: i64 = 60;

/// Seconds since 1970, UTC; what a rule takes for the time.
pub type Seconds = i64;

/// A day of the proleptic Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Year.
    pub year: u16,
    /// Month, from 1.
    pub month: u8,
    /// Day, from 1.
    pub day: u8,
}

impl Date {
    /// When the day begins, in UTC. By Howard Hinnant's `days_from_civil`.
    pub fn start(self) -> Seconds {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let of_era = year.rem_euclid(400);
        let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
        let of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
        (era * 146_097 + of_era - 719_468) * DAY
    }

    /// When the day is over, in UTC.
    pub fn end(self) -> Seconds {
        self.start() + DAY
    }
}

impl fmt::Display for Date {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Days of the week as a set; bit 0 is Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days(u8);

/// Their names, in order.
pub const DAY_NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Days {
    /// Every day.
    pub const ALL: Days = Days(0x7f);
    /// None.
    pub const NONE: Days = Days(0);

    /// With this day too, by its number from Monday.
    pub fn with(self, day: usize) -> Days {
        Days(self.0 | 1 << (day % 7))
    }

    fn has(self, day: i64) -> bool {
        self.0 & 1 << day.rem_euclid(7) != 0
    }
}

/// A part of the day on some days of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The days on which it begins.
    pub days: Days,
    /// Its first minute of the day.
    pub from: u16,
    /// The minute of the day before which it ends; where that is not later than `from`, it ends on the next day.
    pub to: u16,
    /// Minutes by which its time of day is ahead of UTC.
    pub zone: i16,
}

/// Minutes of a day.
pub const MINUTES: u16 = 1440;

impl Default for Window {
    fn default() -> Self {
        Window { days: Days::ALL, from: 0, to: MINUTES, zone: 0 }
    }
}

impl Window {
    /// Whether that time is in it.
    pub fn contains(&self, now: Seconds) -> bool {
        let local = now.saturating_add(i64::from(self.zone) * MINUTE);
        let minute = local.rem_euclid(DAY) / MINUTE;
        // 1970 began on a Thursday.
        let today = local.div_euclid(DAY) + 3;
        let (from, to) = (i64::from(self.from), i64::from(self.to));
        if from < to {
            return self.days.has(today) && (from..to).contains(&minute);
        }
        self.days.has(today) && minute >= from || self.days.has(today - 1) && minute < to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_1970() {
        let check = |year, month, day, days: i64| {
            let date = Date { year, month, day };
            assert_eq!((date.start(), date.end()), (days * DAY, (days + 1) * DAY), "{date}");
        };
        check(1970, 1, 1, 0);
        check(1970, 3, 1, 59);
        check(2000, 2, 29, 11_016);
        check(2024, 12, 31, 20_088);
        check(1969, 12, 31, -1);
        check(2100, 3, 1, 47_541);
    }

    #[test]
    fn windows_are_parts_of_days() {
        // 2026-11-30 is a Monday.
        let monday = Date { year: 2026, month: 11, day: 30 }.start();
        let check = |window: Window, day: i64, hour: i64, expected: bool| {
            let now = monday + day * DAY + hour * 3600;
            assert_eq!(window.contains(now), expected, "{window:?} day {day}, {hour} h");
        };
        let work = Window { days: Days::NONE.with(0).with(1), from: 480, to: 1080, zone: 0 };
        check(work, 0, 8, true);
        check(work, 0, 7, false);
        check(work, 0, 18, false);
        check(work, 1, 17, true);
        check(work, 2, 12, false);
        check(Window::default(), 5, 0, true);
        let night = Window { days: Days::NONE.with(6), from: 1320, to: 360, zone: 0 };
        check(night, -1, 22, true);
        check(night, 0, 5, true);
        check(night, 0, 6, false);
        check(night, 0, 22, false);
        check(night, 1, 5, false);
        let east = Window { zone: 60, ..work };
        check(east, 0, 7, true);
        check(east, 0, 17, false);
        check(Window { days: Days::NONE.with(0), zone: 120, ..Window::default() }, -1, 22, true);
    }
}
