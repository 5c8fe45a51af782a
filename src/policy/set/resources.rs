//! An account's resources: by name, else by the most specific pattern.
//!
//! Flows in: entries. Flows out: the one entry that counts for a resource.

use std::cmp::Reverse;
use std::hash::{BuildHasher as _, Hasher};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::iam::Arn;
use crate::policy::context::{ConditionKey, Context, Values};
use crate::policy::pattern::ArnPattern;
use crate::policy::question::Resource;
use crate::policy::set::account::{AccountError, ResourceEntry};

/// Resources and patterns by their literal prefixes.
#[derive(Debug, Default)]
pub(super) struct ResourceIndex {
    // The more specific before the less, so that the first that matches counts.
    entries: Vec<Indexed>,
    buckets: HashTable<Bucket>,
    // Of the patterns' literal prefixes; distinct, the longest first.
    prefix_lengths: Vec<usize>,
}

#[derive(Debug)]
struct Indexed {
    entry: Arc<ResourceEntry>,
    /// `None` for a name without wildcards.
    pattern: Option<ArnPattern>,
    prefix_len: usize,
}

/// The entries whose literal prefixes have one hash.
#[derive(Debug)]
struct Bucket {
    hash: u64,
    first: usize,
    more: Vec<usize>,
}

impl ResourceIndex {
    pub(super) fn new(list: Vec<Arc<ResourceEntry>>) -> Result<Self, AccountError> {
        let mut entries = list.into_iter().map(Indexed::new).collect::<Result<Vec<_>, _>>()?;
        entries.sort_by(|a, b| a.specificity().cmp(&b.specificity()));
        let mut index = Self::default();
        for (place, indexed) in entries.iter().enumerate() {
            let hash = Prefixes::of(&indexed.entry.pattern).hash(indexed.prefix_len);
            index.add(hash, place);
            if indexed.pattern.is_some() {
                index.prefix_lengths.push(indexed.prefix_len);
            }
        }
        index.prefix_lengths.sort_unstable_by_key(|len| Reverse(*len));
        index.prefix_lengths.dedup();
        index.entries = entries;
        index.check_twice()?;
        Ok(index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<ResourceEntry>> {
        self.entries.iter().map(|indexed| &indexed.entry)
    }

    pub(super) fn find(&self, arn: Arn<'_>) -> Option<&Arc<ResourceEntry>> {
        self.matching(arn).next().map(|indexed| &indexed.entry)
    }

    /// A pattern that means the text of another one means all that the other does: its wildcards
    /// stand for the other's too.
    pub(super) fn wider(&self, entry: &ResourceEntry) -> Option<&Arc<ResourceEntry>> {
        let arn = Arn::parse(&entry.pattern)?;
        let mut all = self.matching(arn).map(|indexed| &indexed.entry);
        all.find(|other| other.pattern != entry.pattern)
    }

    /// All entries that mean a resource, the most specific first.
    fn matching<'i, 'a>(&'i self, arn: Arn<'a>) -> impl Iterator<Item = &'i Indexed> + use<'i, 'a> {
        let prefixes = Prefixes::of(arn.as_str());
        let whole = arn.as_str().len();
        let shorter = self.prefix_lengths.iter().copied().filter(move |len| *len < whole);
        std::iter::once(whole)
            .chain(shorter)
            .flat_map(move |len| self.bucket(prefixes.hash(len)))
            .filter_map(|place| self.entries.get(place))
            .filter(move |indexed| indexed.matches(arn))
    }

    fn bucket(&self, hash: u64) -> impl Iterator<Item = usize> {
        let found = self.buckets.find(hash, |bucket| bucket.hash == hash);
        found
            .into_iter()
            .flat_map(|bucket| std::iter::once(bucket.first).chain(bucket.more.iter().copied()))
    }

    fn add(&mut self, hash: u64, place: usize) {
        if let Some(bucket) = self.buckets.find_mut(hash, |bucket| bucket.hash == hash) {
            bucket.more.push(place);
        } else {
            let bucket = Bucket { hash, first: place, more: Vec::new() };
            self.buckets.insert_unique(hash, bucket, |bucket| bucket.hash);
        }
    }

    fn check_twice(&self) -> Result<(), AccountError> {
        for bucket in &self.buckets {
            let same = self.bucket(bucket.hash).filter_map(|place| self.entries.get(place));
            let mut names: Vec<_> = same.map(|it| (compared(&it.entry.pattern), it)).collect();
            names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            let mut pairs = names.iter().zip(names.iter().skip(1));
            if let Some((_, (_, twice))) = pairs.find(|(a, b)| a.0 == b.0) {
                return Err(AccountError::Twice(twice.entry.pattern.clone()));
            }
        }
        Ok(())
    }
}

impl Indexed {
    fn new(entry: Arc<ResourceEntry>) -> Result<Self, AccountError> {
        let text = &*entry.pattern;
        let pattern = parse(text)?;
        let wildcard = memchr::memchr2(b'*', b'?', text.as_bytes());
        let prefix_len = wildcard.unwrap_or(text.len());
        Ok(Self { entry, pattern, prefix_len })
    }

    fn matches(&self, arn: Arn<'_>) -> bool {
        match &self.pattern {
            None => Arn::parse(&self.entry.pattern).is_some_and(|own| same_arn(own, arn)),
            Some(pattern) => pattern.matches(Resource::Named(arn), &NoContext),
        }
    }

    /// Names before patterns, a longer literal prefix before a shorter one, fewer wildcards before
    /// more, then by text.
    fn specificity(&self) -> (bool, Reverse<usize>, usize, &str) {
        let text = &*self.entry.pattern;
        let wildcards = text.bytes().filter(|byte| matches!(byte, b'*' | b'?')).count();
        (self.pattern.is_some(), Reverse(self.prefix_len), wildcards, text)
    }
}

/// Whether two ARNs name one resource: partition, service and region have no letter case.
pub(super) fn same_arn(a: Arn<'_>, b: Arn<'_>) -> bool {
    a.resource() == b.resource()
        && a.account() == b.account()
        && a.region().eq_ignore_ascii_case(b.region())
        && a.service().eq_ignore_ascii_case(b.service())
        && a.partition().eq_ignore_ascii_case(b.partition())
}

/// A name or pattern as it is compared with others.
pub(in crate::policy) fn compared(text: &str) -> String {
    let (head, rest) = split(text);
    head.to_ascii_lowercase() + rest
}

/// Whether a text is a resource's name, or a pattern of them.
pub(in crate::policy) fn check_pattern(text: &str) -> Result<(), AccountError> {
    parse(text).map(drop)
}

/// A pattern; none for a name without wildcards.
fn parse(text: &str) -> Result<Option<ArnPattern>, AccountError> {
    if !text.contains(['*', '?']) && Arn::parse(text).is_some() {
        return Ok(None);
    }
    let parsed = ArnPattern::parse(text, false);
    parsed.map(Some).map_err(|error| AccountError::pattern(text, error))
}

/// The hashes of a text's prefixes; without letter case up to the fourth colon.
#[derive(Clone)]
struct Prefixes<'t> {
    head: &'t str,
    rest: &'t str,
    hashed: foldhash::fast::FoldHasher<'static>,
}

impl<'t> Prefixes<'t> {
    fn of(text: &'t str) -> Self {
        let (head, rest) = split(text);
        let mut hashed = HASHER.build_hasher();
        write_lower(&mut hashed, head.as_bytes());
        Self { head, rest, hashed }
    }

    fn hash(&self, len: usize) -> u64 {
        let beyond = len.checked_sub(self.head.len());
        if let Some(rest) = beyond.and_then(|len| self.rest.as_bytes().get(..len)) {
            let mut hashed = self.hashed.clone();
            hashed.write(rest);
            return hashed.finish();
        }
        let mut hashed = HASHER.build_hasher();
        write_lower(&mut hashed, self.head.as_bytes().get(..len).unwrap_or_default());
        // As above for a prefix that ends where the head does.
        hashed.write(&[]);
        hashed.finish()
    }
}

/// Before and after the fourth colon: what has no letter case, and what has.
fn split(text: &str) -> (&str, &str) {
    let fourth = memchr::memchr_iter(b':', text.as_bytes()).nth(3);
    fourth.and_then(|colon| text.split_at_checked(colon)).unwrap_or((text, ""))
}

fn write_lower(hasher: &mut impl Hasher, bytes: &[u8]) {
    for chunk in bytes.chunks(CHUNK_BYTES) {
        let mut lower = [0; CHUNK_BYTES];
        for (lower, byte) in lower.iter_mut().zip(chunk) {
            *lower = byte.to_ascii_lowercase();
        }
        hasher.write(&lower);
    }
}

/// Patterns of resources have no variables.
struct NoContext;

impl Context for NoContext {
    fn values(&self, _: &ConditionKey) -> Values<'_> {
        Values::Absent
    }
}

/// Most heads, for example `arn:aws:dynamodb:eu-central-1:`, fit into two.
const CHUNK_BYTES: usize = 16;

const HASHER: FixedState = FixedState::with_seed(0);

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(pattern: &str) -> Arc<ResourceEntry> {
        Arc::new(ResourceEntry {
            pattern: pattern.into(),
            policy: None,
            key: None,
            tags: Box::default(),
            file: "r.json".into(),
        })
    }

    #[track_caller]
    fn check(patterns: &[&str], asked: &str, expect: Option<&str>) {
        let index = ResourceIndex::new(patterns.iter().map(|it| entry(it)).collect()).unwrap();
        let found = index.find(Arn::parse(asked).unwrap());
        assert_eq!(found.map(|entry| &*entry.pattern), expect, "{asked}");
    }

    #[test]
    fn a_name_is_found_without_the_letter_case_of_its_first_parts() {
        let names = ["arn:aws:orders:eu:111:order/1", "arn:aws:orders:eu:111:order/2"];
        check(&names, "arn:aws:orders:eu:111:order/1", Some(names[0]));
        check(&names, "arn:AWS:Orders:EU:111:order/2", Some(names[1]));
        for other in ["order/3", "Order/1", "order/1/", "order/"] {
            check(&names, &format!("arn:aws:orders:eu:111:{other}"), None);
        }
        check(&names, "arn:aws:orders:us:111:order/1", None);
        check(&names, "arn:aws:orders:eu:112:order/1", None);
    }

    #[test]
    fn the_most_specific_pattern_counts() {
        let all = [
            "*",
            "arn:aws:s3:::b*",
            "arn:aws:s3:::b/*",
            "arn:aws:s3:::b/k/?",
            "arn:aws:s3:::b/k/*",
            "arn:aws:s3:::b/k/*/*",
            "arn:aws:s3:::b/k/x",
            "arn:*:s3:::c/long/prefix/*",
            "arn:aws:s3:::c/*",
        ];
        let expect = [
            ("b/k/x", "b/k/x"),
            ("b/k/*", "b/k/*"),
            ("b/k/xy", "b/k/*"),
            ("b/k/", "b/k/*"),
            ("b/x", "b/*"),
            ("b2", "b*"),
            ("c/long/prefix/1", "c/*"),
        ];
        for (asked, pattern) in expect {
            check(&all, &format!("arn:aws:s3:::{asked}"), Some(&format!("arn:aws:s3:::{pattern}")));
        }
        check(&all, "arn:aws-cn:s3:::c/long/prefix/1", Some("arn:*:s3:::c/long/prefix/*"));
        check(&all, "ARN:aws:s3:::x".replacen("ARN", "arn", 1).as_str(), Some("*"));
    }

    #[test]
    fn a_request_is_never_a_pattern() {
        check(&["arn:aws:s3:::b/k"], "arn:aws:s3:::b/*", None);
        check(&["arn:aws:s3:::b/k?"], "arn:aws:s3:::b/*", None);
    }

    #[test]
    fn equal_patterns_are_refused() {
        let twice = |a: &str, b: &str| ResourceIndex::new(vec![entry(a), entry(b)]).unwrap_err();
        let name = "arn:aws:s3:::b";
        assert_eq!(twice(name, name), AccountError::Twice(name.into()));
        let error = twice("arn:aws:s3:EU::b", "arn:aws:s3:eu::b");
        assert!(matches!(error, AccountError::Twice(_)));
        ResourceIndex::new(vec![entry(name), entry("arn:aws:s3:::B")]).unwrap();
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", "b", "arn:aws:s3", "arn:aws:s3:*"] {
            let error = ResourceIndex::new(vec![entry(text)]).unwrap_err();
            assert!(matches!(error, AccountError::Pattern(..)), "{text}");
        }
    }

    #[test]
    fn a_wider_pattern_is_found() {
        let all = ["arn:aws:s3:::b/k", "arn:aws:s3:::b/*", "arn:aws:s3:::c/*"];
        let index = ResourceIndex::new(all.iter().map(|it| entry(it)).collect()).unwrap();
        let wider = |text: &str| index.wider(&entry(text)).map(|it| it.pattern.to_string());
        assert_eq!(wider("arn:aws:s3:::b/k").as_deref(), Some("arn:aws:s3:::b/*"));
        assert_eq!(wider("arn:aws:s3:::b/*"), None);
        assert_eq!(wider("arn:aws:s3:::c/*"), None);
    }
}
