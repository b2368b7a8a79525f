//! Moments as people write them: a time, how long ago, or a tick.

use std::str::FromStr;

/// A moment of a world's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Milliseconds since 1970.
    Time(u64),
    /// Milliseconds before now.
    Ago(u64),
    /// A tick of the world.
    Tick(u64),
}

const FORMS: &str = "a moment is a time as 2026-05-01T18:30:00Z or 2026-05-01T18:30:00+02:00, how long ago as 30s, 10m, 2h or 3d, \
                     or a tick as tick:1200";

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = match text.split_once([':', ' ']) {
            Some(("tick", tick)) => tick.trim().parse().ok().map(Self::Tick),
            _ => ago(text).map(Self::Ago).or_else(|| time(text).map(Self::Time)),
        };
        found.ok_or_else(|| format!("{text:?} is no moment: {FORMS}"))
    }
}

fn ago(text: &str) -> Option<u64> {
    let unit_ms = match text.chars().last()? {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    text[..text.len() - 1].parse::<u64>().ok()?.checked_mul(unit_ms)
}

/// RFC 3339: date, time with or without parts of a second, and Z or an offset.
fn time(text: &str) -> Option<u64> {
    if !text.is_ascii() || text.len() < 20 {
        return None;
    }
    let number = |from: usize, length: usize| {
        let digits = text.get(from..from + length)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<i64>().ok())?
    };
    let is = |at: usize, any: &str| text[at..=at].contains(|c: char| any.contains(c));
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let days = match month {
        2 => 28 + i64::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let fits = is(4, "-") && is(7, "-") && is(10, "Tt ") && is(13, ":") && is(16, ":");
    if !fits || !(1..=12).contains(&month) || !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (ms, offset) = part_of_second(&text[19..])?;
    let seconds = ((days_before(year, month, day) * 24 + hour) * 60 + minute - offset) * 60 + second;
    u64::try_from(seconds * 1_000 + ms).ok()
}

/// Milliseconds, and the offset in minutes.
fn part_of_second(rest: &str) -> Option<(i64, i64)> {
    let (ms, zone) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let ms = format!("{:0<3}", &rest[..digits])[..3].parse().ok().filter(|_| digits > 0)?;
            (ms, &rest[digits..])
        }
    };
    if zone.eq_ignore_ascii_case("z") {
        return Some((ms, 0));
    }
    let sign = match zone.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone[1..].split_once(':')?;
    let two = |text: &str| text.parse::<i64>().ok().filter(|n| text.len() == 2 && (0..60).contains(n));
    Some((ms, sign * (two(hours).filter(|hours| *hours < 24)? * 60 + two(minutes)?)))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar (Hinnant, days_from_civil).
const fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let (year_of_era, month_from_march) = (year - era * 400, (month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// A time for people, in UTC (Hinnant, civil_from_days).
pub fn told(time_ms: u64) -> String {
    let seconds = (time_ms / 1_000) as i64;
    let (days, second) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * month_from_march + 2) / 5 + 1, (month_from_march + 2) % 12 + 1);
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        for (text, when) in [
            ("tick:1200", When::Tick(1_200)),
            ("tick 7", When::Tick(7)),
            ("10m", When::Ago(600_000)),
            ("2h", When::Ago(7_200_000)),
            ("45s", When::Ago(45_000)),
            ("3d", When::Ago(259_200_000)),
            ("1970-01-01T00:00:00Z", When::Time(0)),
            ("2000-02-29T12:34:56.789Z", When::Time(951_827_696_789)),
            ("2000-02-29t14:34:56.7+02:00", When::Time(951_827_696_700)),
            ("2026-05-01 18:30:00-01:30", When::Time(1_777_665_600_000)),
        ] {
            assert_eq!(text.parse(), Ok(when), "{text}");
        }
        for text in [
            "",
            "m",
            "10",
            "ten m",
            "tick",
            "tick:x",
            "2026-05-01",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-05-01T00:00:00",
            "ä",
            "1960-01-01T00:00:00Z",
        ] {
            let error = text.parse::<When>().unwrap_err();
            assert!(error.contains("2026-05-01T18:30:00Z"), "{text}: {error}");
        }
    }

    #[test]
    fn times_are_told_as_they_are_read() {
        for day in (0..60_000).step_by(13) {
            let ms = day * 86_400_000 + (day * 7_919 % 86_400) * 1_000;
            assert_eq!(told(ms).parse(), Ok(When::Time(ms)), "{}", told(ms));
        }
    }
}
