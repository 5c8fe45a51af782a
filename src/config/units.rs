//! Durations and sizes as people write them: a whole number and its unit.
//!
//! Flows in: text. Flows out: a `Duration` or a number of bytes. Rounds and guesses nothing.

use std::time::Duration;

/// Why a text is no duration or size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// The text does not start with a whole number.
    #[error("does not start with a whole number")]
    NoNumber,
    /// A duration without a unit.
    #[error("has no unit")]
    NoUnit,
    /// The value does not fit.
    #[error("is too large")]
    TooLarge,
    /// The unit is not known.
    #[error("has an unknown unit")]
    UnknownUnit,
}

/// Parses a duration: a whole number and one of `ms`, `s`, `m`, `h`, `d`.
///
/// ```
/// use std::time::Duration;
///
/// use crossgate::config::units::{UnitError, parse_duration};
///
/// assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
/// assert_eq!(parse_duration("90d"), Ok(Duration::from_secs(90 * 86_400)));
/// assert_eq!(parse_duration("5"), Err(UnitError::NoUnit));
/// ```
///
/// # Errors
/// The text has another shape, or the duration more milliseconds than fit in 64 bits.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let (number, unit) = split(text)?;
    let unit_ms = match unit {
        "" => return Err(UnitError::NoUnit),
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(UnitError::UnknownUnit),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or(UnitError::TooLarge)
}

/// Parses a size in bytes: a whole number, then nothing or one of `B`, `KiB`, `MiB`, `GiB`, `TiB`.
///
/// ```
/// use crossgate::config::units::{UnitError, parse_size};
///
/// assert_eq!(parse_size("64KiB"), Ok(65_536));
/// assert_eq!(parse_size("100"), Ok(100));
/// assert_eq!(parse_size("64KB"), Err(UnitError::UnknownUnit));
/// ```
///
/// # Errors
/// The text has another shape, or the size does not fit in 64 bits.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let (number, unit) = split(text)?;
    let unit_bytes = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1_u64 << 40,
        _ => return Err(UnitError::UnknownUnit),
    };
    number.checked_mul(unit_bytes).ok_or(UnitError::TooLarge)
}

/// A duration as [`parse_duration`] reads it, in the largest unit that divides it.
pub fn format_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")]
        .into_iter()
        .find(|(unit_ms, _)| ms >= *unit_ms && ms.is_multiple_of(*unit_ms))
        .map_or_else(|| format!("{ms}ms"), |(unit_ms, unit)| format!("{}{unit}", ms / unit_ms))
}

/// A size as [`parse_size`] reads it, in the largest unit that divides it.
pub fn format_size(bytes: u64) -> String {
    [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
        .into_iter()
        .find(|(unit_bytes, _)| bytes >= *unit_bytes && bytes.is_multiple_of(*unit_bytes))
        .map_or_else(|| bytes.to_string(), |(unit, name)| format!("{}{name}", bytes / unit))
}

fn split(text: &str) -> Result<(u64, &str), UnitError> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end).ok_or(UnitError::NoNumber)?;
    if digits.is_empty() {
        return Err(UnitError::NoNumber);
    }
    // Only digits are left, so the one way to fail is to overflow.
    let number = digits.parse().map_err(|_| UnitError::TooLarge)?;
    Ok((number, unit.strip_prefix(' ').unwrap_or(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_duration(text: &str, expect: Result<u64, UnitError>) {
        assert_eq!(parse_duration(text), expect.map(Duration::from_millis), "{text:?}");
    }

    #[track_caller]
    fn check_size(text: &str, expect: Result<u64, UnitError>) {
        assert_eq!(parse_size(text), expect, "{text:?}");
    }

    #[test]
    fn durations_have_a_number_and_a_unit() {
        check_duration("250ms", Ok(250));
        check_duration("5s", Ok(5_000));
        check_duration("10m", Ok(600_000));
        check_duration("1h", Ok(3_600_000));
        check_duration("90d", Ok(7_776_000_000));
        check_duration("0s", Ok(0));
        check_duration("5 s", Ok(5_000));
    }

    #[test]
    fn other_durations_are_refused_with_their_reason() {
        for text in ["", "s", "-5s", "+5s", " 5s", "five"] {
            check_duration(text, Err(UnitError::NoNumber));
        }
        check_duration("5", Err(UnitError::NoUnit));
        for text in ["5S", "5sec", "1.5s", "5s ", "1h30m", "5  s", "5µs", "1w"] {
            check_duration(text, Err(UnitError::UnknownUnit));
        }
        check_duration("18446744073709551616ms", Err(UnitError::TooLarge));
        check_duration("18446744073709551615ms", Ok(u64::MAX));
        check_duration("18446744073709552s", Err(UnitError::TooLarge));
    }

    #[test]
    fn sizes_are_binary_or_plain_bytes() {
        check_size("0", Ok(0));
        check_size("100", Ok(100));
        check_size("100B", Ok(100));
        check_size("64KiB", Ok(65_536));
        check_size("50GiB", Ok(50 << 30));
        check_size("16777215TiB", Ok(16_777_215 << 40));
        check_size("16777216TiB", Err(UnitError::TooLarge));
        for text in ["64KB", "64k", "64kib", "1.5MiB"] {
            check_size(text, Err(UnitError::UnknownUnit));
        }
        check_size("KiB", Err(UnitError::NoNumber));
    }

    #[test]
    fn values_are_written_as_they_are_read() {
        for text in ["250ms", "1500ms", "5s", "90s", "10m", "1h", "90d"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
        for text in ["0", "100", "64KiB", "1025", "50GiB"] {
            assert_eq!(format_size(parse_size(text).unwrap()), text);
        }
    }
}
