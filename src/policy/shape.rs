//! Which texts a pattern means, for comparing patterns with each other.
//!
//! Flows in: patterns, as written or compiled. Flows out: whether one means all, or anything, of
//! what another means. Each answer is claimed only when it is sure: a `true` of `covers` and a
//! `false` of `overlaps`.

use crate::policy::document::Negated;
use crate::policy::pattern::{ActionPattern, ArnPattern, Glob, Syntax};
use crate::policy::statement::{Actions, Resources};

/// What a pattern of actions or resources means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `*`.
    Everything,
    /// Parts that are matched each alone: two of an action, five of an ARN.
    Parts(Box<[Tokens]>),
}

/// One part of a pattern.
type Tokens = Box<[Token]>;

/// One piece of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// Any characters, also none.
    Any,
    /// This character.
    Char(char),
    /// Exactly one character.
    One,
    /// A text that is the same wherever it stands in one request.
    Variable(Box<str>),
}

impl Shape {
    /// A pattern of actions, as written.
    pub(crate) fn action(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        match lower.split_once(':') {
            None if lower == "*" => Self::Everything,
            None => Self::Parts(Box::new([tokens(&lower, Variables::Plain)])),
            Some((service, name)) => Self::Parts(Box::new([
                tokens(service, Variables::Plain),
                tokens(name, Variables::Plain),
            ])),
        }
    }

    /// All actions of a service.
    pub(crate) fn service(name: &str) -> Self {
        Self::Parts(Box::new([literal(&name.to_ascii_lowercase()), Box::new([Token::Any])]))
    }

    /// A pattern of resources, as written.
    pub(crate) fn arn(text: &str, variables: Variables) -> Self {
        if text == "*" {
            return Self::Everything;
        }
        Self::Parts(arn_parts(text, |part| tokens(part, variables)))
    }

    /// One resource, whose characters stand for themselves.
    pub(crate) fn resource(text: &str) -> Self {
        Self::Parts(arn_parts(text, literal))
    }

    /// Whether everything that the other means is meant; `true` only if that is sure.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everything, _) => true,
            (Self::Parts(_), Self::Everything) => false,
            (Self::Parts(own), Self::Parts(other)) => {
                own.len() == other.len()
                    && own.iter().zip(other).all(|(own, other)| covers(own, other))
            }
        }
    }

    /// Whether something is meant by both; `false` only if that is sure.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everything, _) | (_, Self::Everything) => true,
            (Self::Parts(own), Self::Parts(other)) => {
                own.len() == other.len()
                    && own.iter().zip(other).all(|(own, other)| overlaps(own, other))
            }
        }
    }

    /// The same with any characters after it.
    fn then_anything(self) -> Self {
        let Self::Parts(mut parts) = self else { return self };
        if let Some(last) = parts.last_mut() {
            let tokens = last.iter().cloned().chain(std::iter::once(Token::Any));
            *last = tokens.collect();
        }
        Self::Parts(parts)
    }

    /// One part, if it is plain text.
    pub(crate) fn literal(&self, part: usize) -> Option<String> {
        let Self::Parts(parts) = self else { return None };
        let of = |token: &Token| match token {
            Token::Char(char) => Some(*char),
            Token::Any | Token::One | Token::Variable(_) => None,
        };
        parts.get(part)?.iter().map(of).collect()
    }

    /// The pattern as it is written, without `arn:`.
    pub(crate) fn render(&self) -> String {
        let Self::Parts(parts) = self else { return "*".to_owned() };
        let of = |part: &Tokens| part.iter().map(Token::render).collect::<String>();
        parts.iter().map(of).collect::<Vec<_>>().join(":")
    }
}

impl Token {
    fn render(&self) -> String {
        match self {
            Self::Any => "*".to_owned(),
            Self::Char(char) => char.to_string(),
            Self::One => "?".to_owned(),
            Self::Variable(name) => format!("${{{name}}}"),
        }
    }
}

impl From<&ActionPattern> for Shape {
    fn from(pattern: &ActionPattern) -> Self {
        match pattern {
            ActionPattern::Any => Self::Everything,
            ActionPattern::Exact(text) => {
                let (service, name) = text.split_once(':').unwrap_or((text, ""));
                Self::Parts(Box::new([literal(service), literal(name)]))
            }
            ActionPattern::Like { service, name } => {
                Self::Parts(Box::new([literal(service), of_glob(name)]))
            }
        }
    }
}

impl From<&ArnPattern> for Shape {
    fn from(pattern: &ArnPattern) -> Self {
        match pattern {
            ArnPattern::Any => Self::Everything,
            ArnPattern::Exact(text) => Self::resource(text),
            ArnPattern::Prefix(text) => Self::Parts(arn_parts(text, literal)).then_anything(),
            ArnPattern::Like { head, resource } => {
                let parts = head.iter().skip(1).chain(std::iter::once(resource));
                Self::Parts(parts.map(of_glob).collect())
            }
        }
    }
}

/// The patterns of one element, such as `Action` or `NotAction`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shapes {
    pub(crate) negated: Negated,
    pub(crate) shapes: Box<[Shape]>,
}

/// How much of what is asked an element means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// Nothing; that is sure.
    Nothing,
    /// Perhaps something, perhaps all.
    Part,
    /// All; that is sure.
    Whole,
}

impl Shapes {
    /// One pattern.
    pub(crate) fn only(shape: Shape) -> Self {
        Self { negated: Negated::No, shapes: Box::new([shape]) }
    }

    /// How much of a pattern the element means.
    pub(crate) fn fit(&self, asked: &Shape) -> Fit {
        let listed = if self.shapes.iter().any(|it| it.covers(asked)) {
            Fit::Whole
        } else if self.shapes.iter().any(|it| it.overlaps(asked)) {
            Fit::Part
        } else {
            Fit::Nothing
        };
        match (self.negated, listed) {
            (Negated::No, listed) => listed,
            (Negated::Yes, Fit::Nothing) => Fit::Whole,
            (Negated::Yes, Fit::Part) => Fit::Part,
            (Negated::Yes, Fit::Whole) => Fit::Nothing,
        }
    }

    /// Whether the element means all that another one means; `true` only if that is sure.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let all = |wide: &Self, narrow: &Self| {
            narrow.shapes.iter().all(|it| wide.shapes.iter().any(|wide| wide.covers(it)))
        };
        match (self.negated, other.negated) {
            (Negated::No, Negated::No) => all(self, other),
            // What this leaves out, the other leaves out too.
            (Negated::Yes, Negated::Yes) => all(other, self),
            (Negated::Yes, Negated::No) => other.shapes.iter().all(|it| self.fit(it) == Fit::Whole),
            (Negated::No, Negated::Yes) => self.shapes.contains(&Shape::Everything),
        }
    }
}

impl From<&Actions> for Shapes {
    fn from(actions: &Actions) -> Self {
        Self {
            negated: actions.negated,
            shapes: actions.patterns.iter().map(Shape::from).collect(),
        }
    }
}

impl From<&Resources> for Shapes {
    fn from(resources: &Resources) -> Self {
        let shapes = resources.patterns.iter().map(Shape::from).collect();
        Self { negated: resources.negated, shapes }
    }
}

/// Whether `${…}` is a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variables {
    /// It is the value of a key.
    Expanded,
    /// It is text.
    Plain,
}

/// The parts after `arn:`. The first three compare without letter case.
fn arn_parts(text: &str, part: impl Fn(&str) -> Tokens) -> Box<[Tokens]> {
    let parts = text.splitn(6, ':').skip(1).enumerate();
    parts
        .map(|(index, text)| if index < 3 { part(&text.to_ascii_lowercase()) } else { part(text) })
        .collect()
}

fn literal(text: &str) -> Tokens {
    text.chars().map(Token::Char).collect()
}

fn tokens(text: &str, variables: Variables) -> Tokens {
    let mut tokens = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let variable = match variables {
            Variables::Expanded => rest.strip_prefix("${").and_then(|inner| inner.split_once('}')),
            Variables::Plain => None,
        };
        if let Some((name, after)) = variable {
            tokens.push(of_variable(name));
            rest = after;
            continue;
        }
        match char {
            '*' => push_any(&mut tokens),
            '?' => tokens.push(Token::One),
            other => tokens.push(Token::Char(other)),
        }
        rest = rest.get(char.len_utf8()..).unwrap_or_default();
    }
    tokens.into()
}

/// `${*}`, `${?}` and `${$}` are the characters themselves.
fn of_variable(name: &str) -> Token {
    match name {
        "*" => Token::Char('*'),
        "?" => Token::Char('?'),
        "$" => Token::Char('$'),
        _ => Token::Variable(name.to_lowercase().into()),
    }
}

fn of_glob(glob: &Glob) -> Tokens {
    let syntax = Syntax { wildcards: true, variables: true };
    tokens(&glob.render(syntax), Variables::Expanded)
}

/// Two `*` mean what one does.
fn push_any(tokens: &mut Vec<Token>) {
    if tokens.last() != Some(&Token::Any) {
        tokens.push(Token::Any);
    }
}

/// The usual match of a pattern, with the other's tokens as the text: its `*` stands for texts of
/// all lengths, so that only a `*` takes it.
fn covers(pattern: &[Token], text: &[Token]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // Where to go on if what follows the last `*` does not fit: one token later.
    let mut last: Option<(&[Token], &[Token])> = None;
    loop {
        match (pattern, text) {
            ([Token::Any, after @ ..], _) => {
                last = Some((after, text));
                pattern = after;
                continue;
            }
            ([own, after @ ..], [other, rest @ ..]) if takes(own, other) => {
                (pattern, text) = (after, rest);
                continue;
            }
            ([], []) => return true,
            ([..], [..]) => {}
        }
        let Some((after, [_, rest @ ..])) = last else { return false };
        last = Some((after, rest));
        (pattern, text) = (after, rest);
    }
}

/// Whether a token that is no `*` means all that another one means.
fn takes(own: &Token, other: &Token) -> bool {
    match (own, other) {
        (Token::One, Token::Char(_) | Token::One) => true,
        (own, other) => own == other && *own != Token::Any,
    }
}

/// Whether some text fits both: pattern times pattern steps, row by row from the ends.
fn overlaps(a: &[Token], b: &[Token]) -> bool {
    // A row holds, for each tail of `b` from the empty one on, whether it meets a tail of `a`.
    let mut row = vec![true];
    for token in b.iter().rev() {
        row.push(row.last() == Some(&true) && is_wide(token));
    }
    for own in a.iter().rev() {
        let mut next = vec![is_wide(own) && row.first() == Some(&true)];
        for (other, pair) in b.iter().rev().zip(row.windows(2)) {
            let [shorter, same] = pair else { continue };
            let meets = if is_wide(own) || is_wide(other) {
                *same || next.last() == Some(&true)
            } else {
                *shorter && (own == other || *own == Token::One || *other == Token::One)
            };
            next.push(meets);
        }
        row = next;
    }
    row.last() == Some(&true)
}

/// Whether a token means texts of several lengths.
fn is_wide(token: &Token) -> bool {
    match token {
        Token::Any | Token::Variable(_) => true,
        Token::Char(_) | Token::One => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(text: &str) -> Tokens {
        tokens(text, Variables::Expanded)
    }

    #[track_caller]
    fn check(a: &str, b: &str, expect_covers: bool, expect_overlaps: bool) {
        assert_eq!(covers(&plain(a), &plain(b)), expect_covers, "{a} covers {b}");
        assert_eq!(overlaps(&plain(a), &plain(b)), expect_overlaps, "{a} overlaps {b}");
        assert_eq!(overlaps(&plain(b), &plain(a)), expect_overlaps, "{b} overlaps {a}");
    }

    #[test]
    fn one_pattern_covers_another_only_if_it_takes_all_of_it() {
        check("*", "", true, true);
        check("get*", "getobject", true, true);
        check("get*", "get*object", true, true);
        check("*object", "get*", false, true);
        check("a?c", "abc", true, true);
        check("a?c", "a*c", false, true);
        check("a*c", "a?c", true, true);
        check("abc", "a?c", false, true);
        check("a*", "b*", false, false);
        check("", "", true, true);
        check("", "a", false, false);
        check("*a*b", "xaxbxab", true, true);
        check("a*b", "a*c", false, false);
    }

    #[test]
    fn a_variable_is_covered_by_itself_and_by_a_star() {
        check("home/${aws:username}", "home/${AWS:UserName}", true, true);
        check("home/*", "home/${aws:username}/*", true, true);
        check("home/${aws:username}", "home/a", false, true);
        check("home/a", "home/${aws:username}", false, true);
        check("home/?", "home/${aws:username}", false, true);
        check("home/${*}", "home/a", false, false);
    }

    #[test]
    fn parts_are_matched_each_alone() {
        let arn = |text| Shape::arn(text, Variables::Plain);
        let wide = arn("arn:aws:s3:*:111111111111:b");
        assert!(!wide.overlaps(&arn("arn:aws:s3:eu:222222222222:b")));
        assert!(wide.covers(&arn("ARN:AWS:S3:eu:111111111111:b")));
        assert!(!wide.covers(&arn("*")));
        assert!(arn("*").covers(&wide));
        assert!(Shape::action("S3:Get*").covers(&Shape::action("s3:getobject")));
        assert!(!Shape::action("s3:Get*").overlaps(&Shape::action("sqs:GetObject")));
        assert!(Shape::service("s3").covers(&Shape::action("s3:x")));
        assert!(!Shape::service("s3").covers(&Shape::action("*")));
    }

    #[test]
    fn a_resource_has_no_wildcards() {
        let pattern = Shape::arn("arn:aws:s3:::b/a", Variables::Plain);
        assert!(!pattern.overlaps(&Shape::resource("arn:aws:s3:::b/*")));
        assert!(
            Shape::arn("arn:aws:s3:::b/*", Variables::Plain)
                .covers(&Shape::resource("arn:aws:s3:::b/*"))
        );
    }

    proptest! {
        /// The two answers against all short texts: what is claimed holds for each of them.
        #[test]
        fn what_is_claimed_holds_for_every_text(a in "[ab*?]{0,5}", b in "[ab*?]{0,5}") {
            let (left, right) = (plain(&a), plain(&b));
            let (covering, overlapping) = (covers(&left, &right), overlaps(&left, &right));
            let mut met = false;
            for text in texts() {
                let text = literal(&text);
                let (by_a, by_b) = (covers(&left, &text), covers(&right, &text));
                prop_assert!(!covering || by_a || !by_b);
                met |= by_a && by_b;
            }
            // A pattern with a `*` has at most four other tokens: two of them meet in eight letters.
            prop_assert_eq!(met, overlapping);
        }
    }

    /// All texts of `a`, `b` up to a length of eight.
    fn texts() -> Vec<String> {
        let mut texts = vec![String::new()];
        let mut from = 0;
        for _ in 0..8 {
            let end = texts.len();
            for index in from..end {
                for char in ['a', 'b'] {
                    texts.push(format!("{}{char}", texts[index]));
                }
            }
            from = end;
        }
        texts
    }
}
