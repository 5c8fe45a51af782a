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

/// Reads a time as events write it, or as RFC 3339 has it.
pub fn parse(text: &str) -> Option<UnixMillis> {
    let millis = text.parse::<jiff::Timestamp>().ok()?.as_millisecond();
    Some(UnixMillis(u64::try_from(millis).unwrap_or(0)))
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
            assert_eq!(format!("{}Z", String::from_utf8(out).unwrap()), expected);
        }
    }

    #[test]
    fn event_times_and_rfc_3339_are_read() {
        assert_eq!(parse("2025-10-10T14:03:17.41+0000"), Some(UnixMillis(1_760_104_997_410)));
        assert_eq!(parse("2025-10-10T14:03:17.41Z"), Some(UnixMillis(1_760_104_997_410)));
        assert_eq!(parse("2025-10-10T16:03:17.41+02:00"), Some(UnixMillis(1_760_104_997_410)));
        assert_eq!(parse("yesterday"), None);
    }
}
