//! A route's own condition keys: what each is filled with from a request.

use http::{HeaderMap, HeaderName};

use crate::iam::{Recording, RouteContext, RouteKey, RouteValues};
use crate::policy::{ConditionKey, KeyName, is_secret};
use crate::route::QuestionError;
use crate::route::table::is_read_differently;
use crate::route::template::{self, PathTemplate, Token};

/// A condition key of a route, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextSpec {
    /// The key, for example `aws:RequestTag/team`.
    pub key: Box<str>,
    /// What it is filled with.
    pub source: ContextSource,
}

/// What a condition key is filled with: text, `{parameter}` and `{header:name}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextSource {
    /// Several values; one whose header is absent is left out.
    Many(Vec<Box<str>>),
    /// A single value; the key is absent where a header of it is.
    One(Box<str>),
}

/// A route's condition keys, compiled.
#[derive(Debug, Default)]
pub(super) struct ContextTemplates {
    keys: Box<[RouteKey]>,
    // In the order of the keys.
    sources: Box<[Source]>,
}

#[derive(Debug)]
enum Source {
    /// The values are the same for every request, and are with the key.
    Fixed,
    Many(Box<[Template]>),
    One(Template),
}

type Template = Box<[Piece]>;

/// The values of a [`Source::Fixed`].
type FixedValues = Box<[Box<str>]>;

#[derive(Debug)]
enum Piece {
    Header(HeaderName),
    Literal(Box<str>),
    Parameter(usize),
}

impl ContextTemplates {
    /// Compiles a route's keys.
    ///
    /// # Errors
    /// The position of the key that is at fault, and what is wrong with it.
    pub(super) fn compile(
        specs: &[ContextSpec],
        path: &PathTemplate,
    ) -> Result<Self, (usize, String)> {
        let mut keys: Vec<RouteKey> = Vec::new();
        let mut sources = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            let key = ConditionKey::new(&spec.key);
            if keys.iter().any(|known| *known.key == *key.as_str()) {
                let why = format!("the condition key `{}` comes twice", spec.key);
                return Err((index, why));
            }
            let compiled = check_key(&key, spec).and_then(|()| Source::compile(spec, &key, path));
            let (source, fixed) = compiled.map_err(|why| (index, why))?;
            let is_withheld = is_secret(key.as_str()) || source.takes_a_secret();
            let recording = if is_withheld { Recording::Withheld } else { Recording::Told };
            keys.push(RouteKey { key: key.as_str().into(), fixed, recording });
            sources.push(source);
        }
        Ok(Self { keys: keys.into(), sources: sources.into() })
    }

    /// Fills the keys from a request. Allocates only for keys with several values that differ
    /// between requests.
    ///
    /// # Errors
    /// A header is repeated, no text, or such that an upstream may not read the same.
    pub(super) fn fill<'a, 'p>(
        &'a self,
        headers: &HeaderMap,
        parameter: &impl Fn(usize) -> Option<&'p str>,
        values: &'a mut RouteValues,
    ) -> Result<RouteContext<'a>, QuestionError> {
        values.clear();
        for source in &self.sources {
            match source {
                Source::Fixed => values.push_fixed(),
                Source::Many(templates) => {
                    let mut list = Vec::with_capacity(templates.len());
                    for template in templates {
                        if is_there(template, headers)? {
                            let parts = parts(template, headers, parameter);
                            list.push(parts.collect::<String>().into_boxed_str());
                        }
                    }
                    values.push_many(list);
                }
                Source::One(template) => {
                    if is_there(template, headers)? {
                        values.push_one(parts(template, headers, parameter));
                    } else {
                        values.push_absent();
                    }
                }
            }
        }
        Ok(RouteContext::new(&self.keys, values))
    }
}

impl Source {
    fn compile(
        spec: &ContextSpec,
        key: &ConditionKey,
        path: &PathTemplate,
    ) -> Result<(Self, FixedValues), String> {
        let texts = match (&spec.source, role(key.name)) {
            (ContextSource::Many(texts), Role::Free | Role::Multivalued) => texts,
            (ContextSource::Many(_), Role::Single | Role::Derived) => {
                return Err(format!("the condition key `{}` has a single value", spec.key));
            }
            (ContextSource::One(text), Role::Multivalued) => std::slice::from_ref(text),
            (ContextSource::One(text), Role::Free | Role::Single | Role::Derived) => {
                return Ok((Self::One(compile(text, path)?), Box::default()));
            }
        };
        let templates =
            texts.iter().map(|text| compile(text, path)).collect::<Result<Vec<_>, _>>()?;
        let fixed: Option<FixedValues> = templates.iter().map(literal).collect();
        Ok(match fixed {
            Some(fixed) => (Self::Fixed, fixed),
            None => (Self::Many(templates.into()), Box::default()),
        })
    }

    /// Whether it takes a header that is there to carry a secret.
    fn takes_a_secret(&self) -> bool {
        let templates = match self {
            Self::Fixed => &[],
            Self::Many(templates) => &**templates,
            Self::One(template) => std::slice::from_ref(template),
        };
        templates.iter().flatten().any(|piece| match piece {
            Piece::Header(name) => SECRET_HEADERS.iter().any(|part| name.as_str().contains(part)),
            Piece::Literal(_) | Piece::Parameter(_) => false,
        })
    }
}

fn compile(text: &str, path: &PathTemplate) -> Result<Template, String> {
    let piece = |token| match token {
        Token::Literal(literal) => Ok(Piece::Literal(literal.into())),
        Token::Name(name) => match name.strip_prefix("header:") {
            None => path.position(name).map(Piece::Parameter),
            Some(header) => HeaderName::from_bytes(header.trim().as_bytes())
                .map(Piece::Header)
                .map_err(|_| format!("`{header}` is no header name")),
        },
    };
    template::split(text)?.into_iter().map(piece).collect()
}

/// The text of a template that has no placeholder.
fn literal(template: &Template) -> Option<Box<str>> {
    match &**template {
        [] => Some(Box::default()),
        [Piece::Literal(text)] => Some(text.clone()),
        _ => None,
    }
}

/// Whether all headers of a template are there.
fn is_there(template: &Template, headers: &HeaderMap) -> Result<bool, QuestionError> {
    for piece in template {
        let Piece::Header(name) = piece else { continue };
        let mut values = headers.get_all(name).iter();
        let (first, second) = (values.next(), values.next());
        // An absent field counts too: an upstream may read another spelling as this one.
        if second.is_some() || is_read_differently(headers, name) {
            return Err(QuestionError::Context);
        }
        match first {
            None => return Ok(false),
            Some(value) if value.to_str().is_err() => return Err(QuestionError::Context),
            Some(_) => {}
        }
    }
    Ok(true)
}

fn parts<'t, 'p: 't>(
    template: &'t Template,
    headers: &'t HeaderMap,
    parameter: &'t impl Fn(usize) -> Option<&'p str>,
) -> impl Iterator<Item = &'t str> {
    template.iter().filter_map(|piece| match piece {
        Piece::Header(name) => headers.get(name)?.to_str().ok(),
        Piece::Literal(text) => Some(&**text),
        Piece::Parameter(position) => parameter(*position),
    })
}

/// Refuses what is no key, and a key that crossgate derives: a route can't say otherwise.
fn check_key(key: &ConditionKey, spec: &ContextSpec) -> Result<(), String> {
    let text = &spec.key;
    let is_sound = text.len() <= KEY_BYTES_MAX
        && text.split_once(':').is_some_and(|(service, name)| {
            !service.is_empty() && !name.is_empty() && !name.chars().any(char::is_control)
        });
    if !is_sound {
        return Err(format!("`{text}` is no condition key of the form `service:Name`"));
    }
    if key.tag().is_some_and(str::is_empty) {
        return Err(format!("the condition key `{text}` names no tag"));
    }
    match role(key.name) {
        Role::Derived => {
            Err(format!("crossgate derives the condition key `{text}`, so a route can't say it"))
        }
        Role::Free | Role::Multivalued | Role::Single => Ok(()),
    }
}

/// What a route may say with a key.
enum Role {
    /// Nothing: it says what crossgate knows, or what only the identity may say.
    Derived,
    /// One value or several.
    Free,
    /// Several values.
    Multivalued,
    /// One value.
    Single,
}

fn role(key: KeyName) -> Role {
    match key {
        KeyName::Other => Role::Free,
        KeyName::CalledVia | KeyName::SourceOrgPaths | KeyName::TagKeys => Role::Multivalued,
        KeyName::CalledViaFirst
        | KeyName::CalledViaLast
        | KeyName::RequestTag
        | KeyName::RequestedRegion
        | KeyName::ResourceTag
        | KeyName::SourceAccount
        | KeyName::SourceArn
        | KeyName::SourceOrgId
        | KeyName::SourceVpc
        | KeyName::SourceVpce
        | KeyName::VpcSourceIp => Role::Single,
        KeyName::CurrentTime
        | KeyName::EpochTime
        | KeyName::FederatedProvider
        | KeyName::MultiFactorAuthAge
        | KeyName::MultiFactorAuthPresent
        | KeyName::PrincipalAccount
        | KeyName::PrincipalArn
        | KeyName::PrincipalIsAwsService
        | KeyName::PrincipalOrgId
        | KeyName::PrincipalOrgPaths
        | KeyName::PrincipalServiceName
        | KeyName::PrincipalServiceNamesList
        | KeyName::PrincipalTag
        | KeyName::PrincipalType
        | KeyName::Referer
        | KeyName::ResourceAccount
        | KeyName::ResourceOrgId
        | KeyName::ResourceOrgPaths
        | KeyName::SecureTransport
        | KeyName::SourceIdentity
        | KeyName::SourceIp
        | KeyName::TokenIssueTime
        | KeyName::UserAgent
        | KeyName::UserId
        | KeyName::UserName
        | KeyName::ViaAwsService => Role::Derived,
    }
}

/// Parts of the names of headers that carry secrets.
const SECRET_HEADERS: [&str; 13] = [
    "api-key",
    "api_key",
    "apikey",
    "authorization",
    "bearer",
    "cookie",
    "credential",
    "external-id",
    "jwt",
    "passw",
    "secret",
    "signature",
    "token",
];

/// The longest tag key of AWS, and room for its prefix.
const KEY_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::iam::RouteValue;

    fn one(key: &str, text: &str) -> ContextSpec {
        ContextSpec { key: key.into(), source: ContextSource::One(text.into()) }
    }

    fn many(key: &str, texts: &[&str]) -> ContextSpec {
        let texts = texts.iter().map(|text| (*text).into()).collect();
        ContextSpec { key: key.into(), source: ContextSource::Many(texts) }
    }

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    /// The values of `key` for a request of `/o/{id}` with `id` = `7`.
    #[track_caller]
    fn check(spec: ContextSpec, fields: &[(&'static str, &'static str)], expect: Option<&[&str]>) {
        let path = PathTemplate::parse("/o/{id}").unwrap();
        let key = spec.key.to_lowercase();
        let templates = ContextTemplates::compile(&[spec], &path).unwrap();
        let mut values = RouteValues::default();
        let parameter = |position| (position == 0).then_some("7");
        let context = templates.fill(&headers(fields), &parameter, &mut values).unwrap();
        let found = context.get(&key).map(|value| match value {
            RouteValue::One(text) => vec!["one", text],
            RouteValue::Many(texts) => texts.iter().map(|text| &**text).collect(),
        });
        assert_eq!(found.as_deref(), expect);
    }

    #[track_caller]
    fn refused(spec: ContextSpec, part: &str) {
        let path = PathTemplate::parse("/o/{id}").unwrap();
        let error = ContextTemplates::compile(&[one("a:first", "1"), spec], &path).unwrap_err();
        assert_eq!(error.0, 1, "{error:?}");
        assert!(error.1.contains(part), "{error:?}");
    }

    #[test]
    fn a_key_is_filled_from_text_path_and_headers() {
        check(one("o:Kind", "gold"), &[], Some(&["one", "gold"]));
        check(
            one("o:Kind", "n{id}-{header:X-Team}"),
            &[("x-team", "a b")],
            Some(&["one", "n7-a b"]),
        );
        check(one("o:Kind", "n{id}-{header:x-team}"), &[], None);
        check(one("o:Kind", "{header:x-team}"), &[("x-team", "")], Some(&["one", ""]));
        check(many("o:Kinds", &["a", "b"]), &[], Some(&["a", "b"]));
        check(many("o:Kinds", &["a", "{header:x-team}"]), &[], Some(&["a"]));
        check(many("o:Kinds", &["{header:x-team}"]), &[], Some(&[]));
        check(many("o:Kinds", &["{id}", "{header:x-team}"]), &[("x-team", "t")], Some(&["7", "t"]));
        // A key that IAM knows with several values never has a single one.
        check(one("aws:TagKeys", "team"), &[], Some(&["team"]));
        check(one("aws:RequestTag/Team", "red"), &[], Some(&["one", "red"]));
    }

    #[test]
    fn a_header_that_upstream_may_read_differently_is_refused() {
        let path = PathTemplate::parse("/o").unwrap();
        for spec in [one("o:Kind", "{header:x-team}"), many("o:Kinds", &["{header:x-team}", "a"])] {
            let templates = ContextTemplates::compile(&[spec], &path).unwrap();
            for fields in [
                &[("x-team", "a"), ("x-team", "a")][..],
                &[("x-team", "a"), ("x_team", "b")],
                &[("x_team", "b")],
                &[("x-team", "a"), ("connection", "close, X-Team")],
                &[("x-team", "caf\u{e9}")],
            ] {
                let mut values = RouteValues::default();
                let filled = templates.fill(&headers(fields), &|_| None, &mut values);
                assert_eq!(filled.map(|_| ()).unwrap_err(), QuestionError::Context, "{fields:?}");
            }
        }
    }

    #[test]
    fn what_may_be_a_secret_is_told_by_no_event() {
        let path = PathTemplate::parse("/o/{id}").unwrap();
        for (spec, expected) in [
            (one("o:Kind", "{header:x-team}"), Recording::Told),
            (one("o:Kind", "{id}"), Recording::Told),
            (one("o:Key", "{header:x-amz-server-side-encryption-aws-kms-key-id}"), Recording::Told),
            (one("o:Kind", "n{header:Authorization}"), Recording::Withheld),
            (one("o:Kind", "{header:x-api-key}"), Recording::Withheld),
            (one("o:Kind", "{id}{header:X-Amz-Security-Token}"), Recording::Withheld),
            (many("o:Kinds", &["a", "{header:cookie}"]), Recording::Withheld),
            (one("sts:ExternalId", "{header:x-team}"), Recording::Withheld),
            (one("STS:externalid", "fixed"), Recording::Withheld),
        ] {
            let templates = ContextTemplates::compile(&[spec], &path).unwrap();
            assert_eq!(templates.keys[0].recording, expected, "{:?}", templates.keys[0].key);
        }
    }

    #[test]
    fn keys_that_crossgate_derives_are_refused() {
        for key in [
            "aws:SourceIp",
            "AWS:sourceip",
            "aws:PrincipalTag/team",
            "aws:PrincipalArn",
            "aws:username",
            "aws:MultiFactorAuthPresent",
            "aws:SecureTransport",
            "aws:UserAgent",
            "aws:FederatedProvider",
            "aws:SourceIdentity",
            "aws:ViaAWSService",
            "aws:ResourceOrgPaths",
        ] {
            refused(one(key, "x"), "derives");
        }
    }

    #[test]
    fn malformed_keys_and_values_are_refused() {
        refused(one("A:First", "x"), "twice");
        refused(one("first", "x"), "no condition key");
        refused(one(":x", "x"), "no condition key");
        refused(one("aws:RequestTag/", "x"), "names no tag");
        refused(one(&format!("a:{}", "b".repeat(KEY_BYTES_MAX)), "x"), "no condition key");
        refused(one("a:b", "{other}"), "no parameter");
        refused(one("a:b", "{header:a b}"), "no header name");
        refused(one("a:b", "{id"), "brace");
        refused(many("aws:RequestTag/team", &["a"]), "single value");
    }
}
