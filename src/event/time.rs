//! Times as events write them: `2025-10-10T14:03:27.41+0000`.

use crate::clock::{UnixMillis, UnixSeconds};

/// Appends the seconds' part, `2025-10-10T14:03:27`; what is after the year 9999 reads as its end.
pub fn write_seconds(out: &mut Vec<u8>, time: UnixSeconds) {
    let seconds = time.0.min(SECONDS_MAX);
    let (year, month, day) = civil(seconds / DAY_SECONDS);
    let of_day = seconds % DAY_SECONDS;
    two(out, year / 100);
    two(out, year % 100);
    for (separator, value) in [
        (b'-', month),
        (b'-', day),
        (b'T', of_day / 3600),
        (b':', of_day / 60 % 60),
        (b':', of_day % 60),
    ] {
        out.push(separator);
        two(out, value);
    }
}

/// Appends the fraction and the zone, `.41+0000`.
pub fn write_fraction(out: &mut Vec<u8>, time: UnixMillis) {
    out.push(b'.');
    two(out, time.0 % 1000 / 10);
    out.extend_from_slice(b"+0000");
}

/// The time by RFC 3339, with as much of the fraction as it has: `2025-10-10T14:03:27.41Z`.
pub fn rfc3339(time: UnixMillis) -> String {
    let millis = i64::try_from(time.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .map_or_else(|_| time.0.to_string(), |time| time.to_string())
}

/// Reads a time as events write it, or as RFC 3339 has it.
pub fn parse(text: &str) -> Option<UnixMillis> {
    let millis = text.parse::<jiff::Timestamp>().ok()?.as_millisecond();
    Some(UnixMillis(u64::try_from(millis).unwrap_or(0)))
}

/// Reads the form that events have, without regard to other forms; tens of nanoseconds.
pub fn parse_event_time(text: &[u8]) -> Option<UnixMillis> {
    let digits = |from: usize, to: usize| {
        let number =
            |sum: u64, byte: &u8| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0'));
        text.get(from..to)?.iter().try_fold(0, number)
    };
    // `2025-10-10T14:03:27.41+0000`
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.')];
    if !marks.iter().all(|(at, mark)| text.get(*at) == Some(mark)) || text.get(22..)? != b"+0000" {
        return None;
    }
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let (hour, minute, second) = (digits(11, 13)?, digits(14, 16)?, digits(17, 19)?);
    if year < 1970 || 23 < hour || 59 < minute || 59 < second {
        return None;
    }
    let day = days(year, month, day)?;
    let seconds = day * DAY_SECONDS + hour * 3600 + minute * 60 + second;
    Some(UnixMillis(seconds * 1000 + digits(20, 22)? * 10))
}

/// The day of a time, as `2025-10-10`.
pub fn day_text(day: u64) -> String {
    let (year, month, day) = civil(day.min(SECONDS_MAX / DAY_SECONDS));
    format!("{year:04}-{month:02}-{day:02}")
}

/// The days since 1970 of a time.
pub fn day_of(time: UnixMillis) -> u64 {
    time.seconds().0 / DAY_SECONDS
}

/// The whole time as text, for people: `2025-10-10 14:03:27`.
pub fn text(time: UnixMillis) -> String {
    let mut out = Vec::with_capacity(19);
    write_seconds(&mut out, time.seconds());
    String::from_utf8_lossy(&out).replace('T', " ")
}

fn two(out: &mut Vec<u8>, value: u64) {
    let digit = |value: u64| b'0' + u8::try_from(value % 10).unwrap_or(0);
    out.extend_from_slice(&[digit(value / 10), digit(value)]);
}

/// Days since 1970 as year, month, day; Howard Hinnant's `civil_from_days` for days after 1970.
fn civil(days: u64) -> (u64, u64, u64) {
    // Eras of 400 years, counted from 0000-03-01.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// Days since 1970 of a date; Howard Hinnant's `days_from_civil` for years after 1970.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let month_days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=month_days).contains(&day) {
        return None;
    }
    // Years from March on, so that the leap day is a year's last.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    Some(year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468)
}

/// The seconds of a day.
pub const DAY_SECONDS: u64 = 86_400;
/// 9999-12-31T23:59:59Z.
const SECONDS_MAX: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    fn event_time(millis: u64) -> String {
        let mut out = Vec::new();
        write_seconds(&mut out, UnixMillis(millis).seconds());
        write_fraction(&mut out, UnixMillis(millis));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn event_times_have_two_fraction_digits_and_a_numeric_zone() {
        assert_eq!(event_time(0), "1970-01-01T00:00:00.00+0000");
        assert_eq!(event_time(1_760_104_997_419), "2025-10-10T14:03:17.41+0000");
        assert_eq!(event_time(951_782_399_999), "2000-02-28T23:59:59.99+0000");
        assert_eq!(event_time(951_782_400_000), "2000-02-29T00:00:00.00+0000");
        assert_eq!(event_time(u64::MAX), "9999-12-31T23:59:59.61+0000");
    }

    #[test]
    fn every_day_agrees_with_jiff() {
        for day in 0..60_000_u64 {
            let seconds = i64::try_from(day * DAY_SECONDS + 45_296).unwrap();
            let expected = jiff::Timestamp::from_second(seconds).unwrap().to_string();
            let mut out = Vec::new();
            write_seconds(&mut out, UnixSeconds(day * DAY_SECONDS + 45_296));
            assert_eq!(format!("{}Z", str::from_utf8(&out).unwrap()), expected);
            write_fraction(&mut out, UnixMillis(990));
            let millis = (day * DAY_SECONDS + 45_296) * 1000 + 990;
            assert_eq!(parse_event_time(&out), Some(UnixMillis(millis)));
        }
    }

    #[test]
    fn event_times_and_rfc_3339_are_read() {
        assert_eq!(parse("2025-10-10T14:03:17.41+0000"), Some(UnixMillis(1_760_104_997_410)));
        assert_eq!(parse("2025-10-10T14:03:17.41Z"), Some(UnixMillis(1_760_104_997_410)));
        assert_eq!(parse("2025-10-10T16:03:17.41+02:00"), Some(UnixMillis(1_760_104_997_410)));
        assert_eq!(parse("yesterday"), None);
    }

    #[test]
    fn event_times_are_read_as_rfc_3339_has_them_or_not_at_all() {
        for text in [
            "2024-02-29T23:59:59.99+0000",
            "2023-02-29T23:59:59.99+0000",
            "2023-13-01T00:00:00.00+0000",
            "2023-00-01T00:00:00.00+0000",
            "2023-04-31T00:00:00.00+0000",
            "2023-01-00T00:00:00.00+0000",
            "2023-01-01T24:00:00.00+0000",
            "2023-01-01T00:60:00.00+0000",
            "2023-01-01T00:00:60.00+0000",
            "1969-12-31T23:59:59.00+0000",
            "2023-01-01T00:00:00.00+0100",
            "2023-01-01T00:00:00.000+0000",
            "2023-01-01T00:00:00.0x+0000",
            "2023-01-01t00:00:00.00+0000",
            "",
        ] {
            let read = parse_event_time(text.as_bytes());
            assert!(read.is_none() || read == parse(text), "{text}");
        }
        let leap = parse_event_time(b"2024-02-29T23:59:59.99+0000");
        assert_eq!(leap, Some(UnixMillis(1_709_251_199_990)));
    }
}
