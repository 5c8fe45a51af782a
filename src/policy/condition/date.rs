//! Points in time as conditions write them: W3C date and time formats, or seconds since 1970.

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};

use crate::clock::UnixSeconds;
use crate::policy::condition::number::is_digits;

/// A point in time, as what has passed since 1970-01-01T00:00:00Z.
///
/// Not `jiff::Timestamp`: that one ends a day before 9999-12-31T23:59:59Z, which policies like to
/// write for "never".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(SignedDuration);

impl Moment {
    /// Parses `2024`, `2024-01`, `2024-01-01`, `2024-01-01T10:00Z`, with seconds, a fraction of up
    /// to nine digits and an offset; or seconds since 1970, which four digits are not.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some((date, time)) = text.split_once('T') {
            return parse_time(parse_full_date(date)?, time);
        }
        let (whole, _) = text.split_once('.').unwrap_or((text, ""));
        if is_digits(whole) && text.len() != 4 {
            return parse_epoch(text);
        }
        let date = match text.len() {
            4 => Date::new(number(text)?, 1, 1).ok()?,
            7 => parse_month(text)?,
            _ => parse_full_date(text)?,
        };
        Some(Self::at(date.to_datetime(Time::midnight())))
    }

    /// A moment of the clock.
    pub(super) fn from_unix(time: UnixSeconds) -> Self {
        Self(SignedDuration::from_secs(i64::try_from(time.0).unwrap_or(i64::MAX)))
    }

    fn at(utc: DateTime) -> Self {
        Self(utc.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0)))
    }
}

/// `1700000000` and `1700000000.5`.
fn parse_epoch(text: &str) -> Option<Moment> {
    let (whole, nanos) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, parse_nanos(fraction)?),
        None => (text, 0),
    };
    Some(Moment(SignedDuration::new(whole.parse().ok()?, nanos)))
}

/// `2024-01`.
fn parse_month(text: &str) -> Option<Date> {
    let (year, month) = text.split_once('-')?;
    Date::new(fixed(year, 4)?, fixed(month, 2)?, 1).ok()
}

/// `2024-01-01`.
fn parse_full_date(text: &str) -> Option<Date> {
    let (month, day) = text.rsplit_once('-')?;
    let first = parse_month(month)?;
    Date::new(first.year(), first.month(), fixed(day, 2)?).ok()
}

/// `10:00Z`, `10:00:00.5+02:00`.
fn parse_time(date: Date, text: &str) -> Option<Moment> {
    let zone_at = text.find(['Z', '+', '-'])?;
    let (time, zone) = text.split_at_checked(zone_at)?;
    let (time, nanos) = match time.split_once('.') {
        Some((time, fraction)) => (time, Some(parse_nanos(fraction)?)),
        None => (time, None),
    };
    let mut parts = time.split(':');
    let (hour, minute) = (fixed(parts.next()?, 2)?, fixed(parts.next()?, 2)?);
    let second = match (parts.next(), nanos) {
        (Some(second), _) => fixed(second, 2)?,
        (None, None) => 0,
        (None, Some(_)) => return None,
    };
    if parts.next().is_some() {
        return None;
    }
    let time = Time::new(hour, minute, second, nanos.unwrap_or(0)).ok()?;
    let Moment(local) = Moment::at(date.to_datetime(time));
    Some(Moment(local.checked_sub(parse_offset(zone)?)?))
}

/// `Z`, `+02:00`.
fn parse_offset(text: &str) -> Option<SignedDuration> {
    if text == "Z" {
        return Some(SignedDuration::ZERO);
    }
    let (hours, minutes) = text.strip_prefix(['+', '-'])?.split_once(':')?;
    let offset = Time::new(fixed(hours, 2)?, fixed(minutes, 2)?, 0, 0).ok()?;
    let offset =
        SignedDuration::from_mins(i64::from(offset.hour()) * 60 + i64::from(offset.minute()));
    Some(if text.starts_with('-') { -offset } else { offset })
}

/// The digits of a fraction as nanoseconds.
fn parse_nanos(fraction: &str) -> Option<i32> {
    let zeros = 9_usize.checked_sub(fraction.len())?;
    let digits: i32 = number(fraction)?;
    digits.checked_mul(10_i32.checked_pow(u32::try_from(zeros).ok()?)?)
}

/// A number of so many digits.
fn fixed<N: std::str::FromStr>(text: &str, digits: usize) -> Option<N> {
    if text.len() == digits { number(text) } else { None }
}

/// Digits alone; `parse` would take a sign.
fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    if is_digits(text) { text.parse().ok() } else { None }
}
