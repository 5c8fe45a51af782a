//! Decimal numbers of any length, compared exactly as they are written.

use std::cmp::Ordering;

/// A decimal number, borrowed. Equal numbers compare equal however they are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal<'a> {
    sign: Sign,
    // Without leading zeros.
    whole: &'a str,
    // Without trailing zeros.
    fraction: &'a str,
}

/// Zero is positive, whatever its sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Minus,
    Plus,
}

impl<'a> Decimal<'a> {
    /// Parses digits with an optional sign and an optional fraction; no exponent.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (sign, digits) = match text.strip_prefix(['-', '+']) {
            Some(digits) if text.starts_with('-') => (Sign::Minus, digits),
            Some(digits) => (Sign::Plus, digits),
            None => (Sign::Plus, text),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (digits, None),
        };
        if !is_digits(whole) || fraction.is_some_and(|fraction| !is_digits(fraction)) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.unwrap_or_default().trim_end_matches('0');
        let sign = if whole.is_empty() && fraction.is_empty() { Sign::Plus } else { sign };
        Some(Self { sign, whole, fraction })
    }

    fn cmp_magnitude(self, other: Self) -> Ordering {
        let whole = || self.whole.cmp(other.whole);
        let fraction = || self.fraction.cmp(other.fraction);
        self.whole.len().cmp(&other.whole.len()).then_with(whole).then_with(fraction)
    }
}

impl PartialEq for Decimal<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal<'_> {}

impl PartialOrd for Decimal<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.sign, other.sign) {
            (Sign::Plus, Sign::Plus) => self.cmp_magnitude(*other),
            (Sign::Minus, Sign::Minus) => other.cmp_magnitude(*self),
            (Sign::Plus, Sign::Minus) => Ordering::Greater,
            (Sign::Minus, Sign::Plus) => Ordering::Less,
        }
    }
}

/// One digit or more.
pub(super) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
