//! `Arn`: a resource name, split where its parts end.

/// An ARN, borrowed: `arn:partition:service:region:account:resource`.
///
/// Split at the first five colons; the resource part may hold more of them (facts of AWS's
/// "Amazon Resource Names"). Comparing two of them compares their text.
///
/// ```
/// use crossgate::iam::Arn;
///
/// let arn = Arn::parse("arn:aws:orders:eu:111111111111:order/a:b").unwrap();
/// assert_eq!((arn.service(), arn.account(), arn.resource()), ("orders", "111111111111", "order/a:b"));
/// assert!(Arn::parse("arn:aws:orders").is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arn<'a> {
    text: &'a str,
    // INVARIANT: the places of the first five colons, in order; see `parse`.
    colons: [u16; 5],
}

impl<'a> Arn<'a> {
    /// Splits a text; `None` if it does not start with `arn:` or has fewer than five colons.
    ///
    /// No allocation.
    pub fn parse(text: &'a str) -> Option<Self> {
        if !text.starts_with("arn:") {
            return None;
        }
        // The five colons stand close together: looking at each byte is faster than searching.
        let mut places = text.bytes().enumerate().filter(|(_, byte)| *byte == b':');
        let mut next = || places.next().and_then(|(place, _)| u16::try_from(place).ok());
        let colons = [next()?, next()?, next()?, next()?, next()?];
        Some(Self { text, colons })
    }

    /// The whole name.
    pub fn as_str(self) -> &'a str {
        self.text
    }

    /// The second part, for example `aws`.
    pub fn partition(self) -> &'a str {
        self.between(0, 1)
    }

    /// The third part, for example `orders`.
    pub fn service(self) -> &'a str {
        self.between(1, 2)
    }

    /// The fourth part; often empty.
    pub fn region(self) -> &'a str {
        self.between(2, 3)
    }

    /// The fifth part; empty for some services.
    pub fn account(self) -> &'a str {
        self.between(3, 4)
    }

    /// All after the fifth colon.
    pub fn resource(self) -> &'a str {
        let [.., last] = self.colons;
        self.text.get(usize::from(last) + 1..).unwrap_or_default()
    }

    /// All six parts in order.
    pub fn segments(self) -> [&'a str; 6] {
        ["arn", self.partition(), self.service(), self.region(), self.account(), self.resource()]
    }

    /// Whether this names a KMS key: an alias has no policy of its own.
    pub fn is_key(self) -> bool {
        self.service().eq_ignore_ascii_case("kms") && self.resource().starts_with("key/")
    }

    /// Whether this names a role.
    pub fn is_role(self) -> bool {
        self.service().eq_ignore_ascii_case("iam") && self.resource().starts_with("role/")
    }

    fn between(self, left: usize, right: usize) -> &'a str {
        let colon = |index: usize| self.colons.get(index).copied().map_or(0, usize::from);
        self.text.get(colon(left) + 1..colon(right)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_part_may_hold_colons_and_slashes() {
        let arn = Arn::parse("arn:aws:s3:::b/k:1").unwrap();
        assert_eq!(arn.segments(), ["arn", "aws", "s3", "", "", "b/k:1"]);
        assert_eq!(Arn::parse("arn:::::").unwrap().segments(), ["arn", "", "", "", "", ""]);
    }

    #[test]
    fn other_texts_are_none() {
        let late = format!("arn:aws:s3:::{}", "x".repeat(1 << 17));
        assert!(Arn::parse(&late).is_some());
        let far = format!("arn:{}:s3:::b", "x".repeat(1 << 17));
        assert_eq!(Arn::parse(&far), None);
        for text in ["", "*", "arn", "arn:aws:s3::", "ARN:aws:s3:::b", " arn:aws:s3:::b"] {
            assert_eq!(Arn::parse(text), None, "{text}");
        }
    }
}
