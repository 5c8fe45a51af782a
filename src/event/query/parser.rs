//! From text to clauses: recursive descent, bounded in length, terms and nesting.
//!
//! `AND` binds tighter than `OR`; clauses that just stand side by side are alternatives, where
//! `+` makes one required and `-` or `NOT` excludes what it matches.

use crate::event::query::combine::{Joint, Signed, combine};
use crate::event::query::matcher::{Bound, Clause, Field, Occur, Test};
use crate::event::query::{CLAUSES_MAX, NESTING_MAX, QUERY_BYTES_MAX, QueryError, QueryErrorKind};

pub(super) fn parse(text: &str) -> Result<Clause, QueryError> {
    if QUERY_BYTES_MAX < text.len() {
        return Err(QueryError { position: 1, kind: QueryErrorKind::Long });
    }
    let mut parser = Parser { chars: text.chars().collect(), at: 0, clauses: 0, depth: 0 };
    parser.space();
    if parser.peek().is_none() {
        return Ok(Clause::All);
    }
    let clause = parser.alternatives(None)?;
    match parser.peek() {
        None => Ok(clause),
        Some(_) => Err(parser.expected("a term or the end")),
    }
}

/// A query being read.
struct Parser {
    chars: Vec<char>,
    at: usize,
    clauses: usize,
    depth: usize,
}

type Parsed<T> = Result<T, QueryError>;

impl Parser {
    /// Clauses up to the end or a closing parenthesis.
    fn alternatives(&mut self, field: Option<&Field>) -> Parsed<Clause> {
        let mut groups = vec![(Joint::Side, vec![self.signed(field)?])];
        while let Some(joint) = self.joint() {
            let next = self.signed(field)?;
            match (joint, groups.last_mut()) {
                (Joint::And, Some((_, group))) => group.push(next),
                (Joint::And, None) | (Joint::Or | Joint::Side, _) => {
                    groups.push((joint, vec![next]));
                }
            }
        }
        Ok(combine(groups))
    }

    /// What joins the last clause to the next one; `None` at the end.
    fn joint(&mut self) -> Option<Joint> {
        self.space();
        if self.word("AND") || self.symbol("&&") {
            return Some(Joint::And);
        }
        if self.word("OR") || self.symbol("||") {
            return Some(Joint::Or);
        }
        match self.peek() {
            None | Some(')') => None,
            Some(_) => Some(Joint::Side),
        }
    }

    fn signed(&mut self, field: Option<&Field>) -> Parsed<Signed> {
        self.space();
        let sign = match self.peek() {
            Some('+') => Some(Occur::Must),
            Some('-' | '!') => Some(Occur::MustNot),
            _ => None,
        };
        if sign.is_some() {
            self.at += 1;
        } else if self.word("NOT") {
            let mut signed = self.deeper(|parser| parser.signed(field))?;
            // A double negation requires nothing of other clauses.
            signed = match signed.sign {
                Some(Occur::MustNot) => Signed { sign: None, clause: signed.clause },
                Some(Occur::Must | Occur::Should) | None => {
                    Signed { sign: Some(Occur::MustNot), clause: signed.clause }
                }
            };
            return Ok(signed);
        }
        let clause = self.deeper(|parser| parser.clause(field))?;
        Ok(Signed { sign, clause })
    }

    fn clause(&mut self, field: Option<&Field>) -> Parsed<Clause> {
        self.space();
        self.clauses += 1;
        if CLAUSES_MAX < self.clauses {
            return Err(self.error(QueryErrorKind::Clauses));
        }
        if self.peek() == Some('(') {
            return self.group(field);
        }
        if field.is_none()
            && let Some(field) = self.field_name()?
        {
            self.space();
            // `*:` is any field, as no field is.
            let field = (!field.is_any()).then_some(field);
            let clause = if self.peek() == Some('(') {
                self.group(field.as_ref())?
            } else {
                self.test(field)?
            };
            return Ok(clause);
        }
        self.test(field.cloned())
    }

    fn group(&mut self, field: Option<&Field>) -> Parsed<Clause> {
        self.at += 1;
        let clause = self.alternatives(field)?;
        self.space();
        if self.peek() != Some(')') {
            return Err(self.expected("`)`"));
        }
        self.at += 1;
        self.boost()?;
        Ok(clause)
    }

    /// A field's name and its colon; nothing is read if there is no colon.
    fn field_name(&mut self) -> Parsed<Option<Field>> {
        if self.peek() == Some('/') {
            return Ok(None);
        }
        let start = self.at;
        let name = self.raw_term(&[':']);
        self.space();
        if self.peek() != Some(':') || name.is_empty() {
            self.at = start;
            return Ok(None);
        }
        self.at += 1;
        let name: String = name.into_iter().map(|(c, _)| c).collect();
        if name == "_exists_" {
            self.space();
            let name: String = self.raw_term(&[]).into_iter().map(|(c, _)| c).collect();
            if name.is_empty() {
                return Err(self.expected("a field's name"));
            }
            // What follows reads as the test of presence.
            self.chars.splice(self.at..self.at, ['*']);
            return Ok(Some(Field::new(&name)));
        }
        Ok(Some(Field::new(&name)))
    }

    fn test(&mut self, field: Option<Field>) -> Parsed<Clause> {
        self.space();
        let start = self.at;
        let test = match self.peek() {
            Some('"') => Test::phrase(&self.quoted('"', "a closing `\"`")?),
            Some('/') => {
                let pattern = self.quoted('/', "a closing `/`")?;
                Test::regex(&pattern).map_err(|kind| error_at(start, kind))?
            }
            Some('[' | '{') => self.range()?,
            Some('<' | '>') if field.is_some() => self.comparison()?,
            _ => {
                let term = self.raw_term(&[]);
                let nameless = field.is_none() && term.first() == Some(&(':', Literal::Plain));
                if term.is_empty() || nameless || reserved(&term) {
                    self.at = start;
                    return Err(self.expected("a term"));
                }
                Test::term(&term).map_err(|kind| error_at(start, kind))?
            }
        };
        self.boost()?;
        Ok(Clause::Leaf { field, test })
    }

    /// `[a TO b]`, `{a TO b}` and mixed.
    fn range(&mut self) -> Parsed<Test> {
        let lower_included = self.peek() == Some('[');
        self.at += 1;
        let lower = self.bound(lower_included)?;
        self.space();
        if !self.word("TO") {
            return Err(self.expected("`TO`"));
        }
        let text = self.bound_text()?;
        self.space();
        let upper_included = match self.peek() {
            Some(']') => true,
            Some('}') => false,
            _ => return Err(self.expected("`]` or `}`")),
        };
        self.at += 1;
        Ok(Test::range(lower, Bound::new(&text, upper_included)))
    }

    fn bound(&mut self, included: bool) -> Parsed<Bound> {
        Ok(Bound::new(&self.bound_text()?, included))
    }

    fn bound_text(&mut self) -> Parsed<String> {
        self.space();
        if self.peek() == Some('"') {
            return self.quoted('"', "a closing `\"`");
        }
        let start = self.at;
        while self.peek().is_some_and(|c| !c.is_whitespace() && !matches!(c, ']' | '}')) {
            self.at += 1;
        }
        let text: String = self.chars.get(start..self.at).unwrap_or_default().iter().collect();
        if text.is_empty() { Err(self.expected("a bound")) } else { Ok(text) }
    }

    /// `>n`, `>=n`, `<n`, `<=n`.
    fn comparison(&mut self) -> Parsed<Test> {
        let greater = self.peek() == Some('>');
        self.at += 1;
        let included = self.peek() == Some('=');
        if included {
            self.at += 1;
        }
        self.space();
        let text = if self.peek() == Some('"') {
            self.quoted('"', "a closing `\"`")?
        } else {
            self.raw_term(&[]).into_iter().map(|(c, _)| c).collect()
        };
        if text.is_empty() {
            return Err(self.expected("a bound"));
        }
        let bound = Bound::new(&text, included);
        Ok(if greater {
            Test::range(bound, Bound::Unbounded)
        } else {
            Test::range(Bound::Unbounded, bound)
        })
    }

    /// What stands between two delimiters; a backslash takes away the delimiter's meaning.
    fn quoted(&mut self, delimiter: char, expected: &'static str) -> Parsed<String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let Some(c) = self.peek() else { return Err(self.expected(expected)) };
            self.at += 1;
            if c == delimiter {
                return Ok(text);
            }
            if c != '\\' {
                text.push(c);
                continue;
            }
            let Some(next) = self.peek() else { return Err(self.expected(expected)) };
            self.at += 1;
            // A regular expression keeps its own escapes.
            if delimiter == '/' && next != '/' {
                text.push('\\');
            }
            text.push(next);
        }
    }

    /// A term as far as it goes; each character with whether it was escaped.
    fn raw_term(&mut self, ends: &[char]) -> Vec<(char, Literal)> {
        let mut term = Vec::new();
        while let Some(c) = self.peek() {
            if c == '\\' {
                let Some(next) = self.chars.get(self.at + 1).copied() else { break };
                term.push((next, Literal::Escaped));
                self.at += 2;
                continue;
            }
            let ended = c.is_whitespace()
                || matches!(c, '(' | ')' | '[' | ']' | '{' | '}' | '"' | '^' | '~')
                || ends.contains(&c);
            if ended {
                break;
            }
            term.push((c, Literal::Plain));
            self.at += 1;
        }
        term
    }

    /// `^n` changes a rank, which a yes-or-no answer doesn't have; it is read and dropped.
    fn boost(&mut self) -> Parsed<()> {
        match self.peek() {
            Some('~') => Err(self.error(QueryErrorKind::Fuzzy)),
            Some('^') => {
                self.at += 1;
                let start = self.at;
                while self.peek().is_some_and(|c| c.is_ascii_digit() || c == '.') {
                    self.at += 1;
                }
                if start == self.at { Err(self.expected("a number")) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        // A pair of parentheses takes one step, a negation another.
        if NESTING_MAX < self.depth {
            return Err(self.error(QueryErrorKind::Nesting));
        }
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// Takes an operator that is a word of its own.
    fn word(&mut self, word: &str) -> bool {
        let end = self.at + word.chars().count();
        let ends = self
            .chars
            .get(end)
            .is_none_or(|c| c.is_whitespace() || matches!(c, '(' | ')' | '"' | '+' | '-' | '!'));
        ends && self.symbol(word)
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let end = self.at + symbol.chars().count();
        let found = self
            .chars
            .get(self.at..end)
            .is_some_and(|chars| chars.iter().copied().eq(symbol.chars()));
        if found {
            self.at = end;
        }
        found
    }

    fn expected(&self, what: &'static str) -> QueryError {
        self.error(QueryErrorKind::Expected(what))
    }

    fn error(&self, kind: QueryErrorKind) -> QueryError {
        error_at(self.at, kind)
    }
}

/// Whether a character of a term was written with a backslash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    Escaped,
    Plain,
}

fn error_at(at: usize, kind: QueryErrorKind) -> QueryError {
    QueryError { position: at + 1, kind }
}

/// Whether a term is an operator, which has to be quoted to be a term.
fn reserved(term: &[(char, Literal)]) -> bool {
    let plain = |word: &str| {
        term.iter().copied().eq(word.chars().map(|character| (character, Literal::Plain)))
    };
    plain("AND") || plain("OR") || plain("NOT")
}
