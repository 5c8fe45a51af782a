//! The compiled route table: a look-up by path, then by method.

use std::fmt::Write as _;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method, request};
use matchit::{InsertError, Params, Router};

use crate::iam::{AccountId, Action, AuthzRequest, RequestOrigin, RouteValues};
use crate::route::Upstream;
use crate::route::context::{ContextSpec, ContextTemplates};
use crate::route::template::{self, PathTemplate, Piece, Token};

/// One route, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSpec {
    /// Path template with `{name}` and a last `{*name}`.
    pub path: Box<str>,
    /// Methods it takes; empty: all.
    pub methods: Vec<Method>,
    /// What authorization needs; `None` for a public route, which is forwarded without a token.
    pub question: Option<QuestionSpec>,
    /// Where permitted requests go.
    pub upstream: Arc<Upstream>,
}

/// What a route asks the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionSpec {
    /// `service:Action`.
    pub action: Box<str>,
    /// ARN template with path parameters.
    pub resource: Box<str>,
    /// Owner account: a literal, `{parameter}` or `{header:name}`.
    pub owner: Box<str>,
    /// The action on the resource's key; `None`: by the request's method.
    pub key_action: Option<Box<str>>,
    /// The condition keys that the route gives values to.
    pub context: Vec<ContextSpec>,
}

/// Which field of a route is wrong, so that the configuration can point at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the configuration's key")]
pub enum RouteField {
    Path,
    Methods,
    Action,
    Resource,
    KeyAction,
    Owner,
    /// The condition key with this position.
    Context(usize),
}

/// Why a route can't be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RouteError {
    /// Index of the route in the list given.
    pub route: usize,
    /// The field at fault.
    pub field: RouteField,
    /// What is wrong and what to do, lower case, no full stop.
    pub message: String,
}

/// One compiled route.
#[derive(Debug)]
pub struct Route {
    /// The path template as configured; names the route in events and metrics.
    pub path: Box<str>,
    /// What it asks; `None` for a public route.
    pub question: Option<Question>,
    /// Where permitted requests go.
    pub upstream: Arc<Upstream>,
    methods: Vec<Method>,
}

/// What a route asks, ready to be filled from a request.
#[derive(Debug)]
pub struct Question {
    action: Action,
    key_action: KeyAction,
    resource: Vec<Piece>,
    // How many of the first pieces stand before the resource part of the ARN, where a value with
    // a `:` would shift the ARN's segments.
    head_pieces: usize,
    owner: Owner,
    context: ContextTemplates,
}

/// Room for what a question is filled with from a request; kept for its capacity.
#[derive(Debug, Default)]
pub struct QuestionBuffer {
    resource: String,
    context: RouteValues,
}

/// What is done with the key of a resource.
#[derive(Debug)]
enum KeyAction {
    /// By the method: what reads decrypts, what writes makes a data key.
    ByMethod { reads: Option<Action>, writes: Option<Action> },
    /// What the route says.
    Given(Action),
}

#[derive(Debug)]
enum Owner {
    Header(HeaderName),
    Literal(AccountId),
    Parameter(usize),
}

/// Routes, compiled for look-up by path and method.
#[derive(Debug, Default)]
pub struct RouteTable {
    routes: Vec<Route>,
    // By path template: the routes that share it, apart by method.
    paths: Vec<PathRoutes>,
    router: Router<usize>,
}

#[derive(Debug)]
struct PathRoutes {
    canonical: String,
    routes: Vec<usize>,
}

/// A route that matched, with its path parameters.
#[derive(Debug)]
pub struct RouteMatch<'t, 'p> {
    /// The route's position in [`RouteTable::routes`].
    pub index: usize,
    /// The route.
    pub route: &'t Route,
    params: Params<'t, 'p>,
}

/// Why a request of a known route is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuestionError {
    /// A path parameter would change the ARN's structure.
    #[error("a path parameter has a `:`")]
    Colon,
    /// A header that the route's context takes is repeated, no text, or such that an upstream may
    /// not read the same.
    #[error("a header that describes the request is malformed")]
    Context,
    /// The path parameter or header that names the owner account is absent, repeated, no account,
    /// or such that an upstream may not read the same.
    #[error("the owner account is missing or malformed")]
    Owner,
    /// The route is public.
    #[error("the route asks no question")]
    Public,
    /// The resource name is too long.
    #[error("the resource is too long")]
    Long,
}

impl RouteTable {
    /// Compiles routes.
    ///
    /// # Errors
    /// Every route that is malformed or overlaps another one, not just the first.
    pub fn compile(specs: &[RouteSpec]) -> Result<Self, Vec<RouteError>> {
        let mut table = Self::default();
        let mut errors = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            if let Err((field, message)) = table.add(spec) {
                errors.push(RouteError { route: index, field, message });
            }
        }
        if errors.is_empty() { Ok(table) } else { Err(errors) }
    }

    /// The route for a decoded path and a method; no allocation.
    pub fn find<'t, 'p>(&'t self, method: &Method, path: &'p str) -> Option<RouteMatch<'t, 'p>> {
        let found = self.router.at(path).ok()?;
        let path = self.paths.get(*found.value)?;
        let (index, route) = path.routes.iter().find_map(|index| {
            let route = self.routes.get(*index)?;
            route.takes(method).then_some((*index, route))
        })?;
        Some(RouteMatch { index, route, params: found.params })
    }

    /// The routes, in the order of the configuration.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    fn add(&mut self, spec: &RouteSpec) -> Result<(), (RouteField, String)> {
        let path = PathTemplate::parse(&spec.path).map_err(|why| (RouteField::Path, why))?;
        let question =
            spec.question.as_ref().map(|asked| Question::compile(asked, &path)).transpose()?;
        let index = self.routes.len();
        match self.paths.iter().position(|known| known.canonical == path.canonical) {
            Some(shared) => self.share_path(shared, spec, index)?,
            None => self.add_path(path.canonical, spec, index)?,
        }
        self.routes.push(Route {
            path: spec.path.clone(),
            question,
            upstream: Arc::clone(&spec.upstream),
            methods: spec.methods.clone(),
        });
        Ok(())
    }

    fn add_path(
        &mut self,
        canonical: String,
        spec: &RouteSpec,
        index: usize,
    ) -> Result<(), (RouteField, String)> {
        self.router.insert(canonical.clone(), self.paths.len()).map_err(|error| {
            let why = match &error {
                InsertError::Conflict { with } => format!(
                    "the path `{}` overlaps `{}` and neither is more specific",
                    spec.path,
                    self.path_of(with)
                ),
                _ => format!("the path `{}` can't be routed: {error}", spec.path),
            };
            (RouteField::Path, why)
        })?;
        self.paths.push(PathRoutes { canonical, routes: vec![index] });
        Ok(())
    }

    /// Adds a route to those of the same path, if their methods are apart.
    fn share_path(
        &mut self,
        shared: usize,
        spec: &RouteSpec,
        index: usize,
    ) -> Result<(), (RouteField, String)> {
        let Some(path) = self.paths.get_mut(shared) else { return Ok(()) };
        for other in path.routes.iter().filter_map(|other| self.routes.get(*other)) {
            if spec.methods.is_empty() || other.methods.is_empty() {
                let why =
                    format!("the path `{}` has another route for the same methods", spec.path);
                return Err((RouteField::Methods, why));
            }
            if let Some(method) = spec.methods.iter().find(|method| other.takes(method)) {
                let why = format!("the path `{}` has another route for {method}", spec.path);
                return Err((RouteField::Methods, why));
            }
        }
        path.routes.push(index);
        Ok(())
    }

    fn path_of(&self, canonical: &str) -> String {
        let path = self.paths.iter().find(|path| path.canonical == canonical);
        let first = path.and_then(|path| self.routes.get(*path.routes.first()?));
        first.map_or_else(|| canonical.to_owned(), |route| route.path.to_string())
    }
}

impl Route {
    fn takes(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.contains(method)
    }
}

impl RouteMatch<'_, '_> {
    /// Fills the route's question from the request, into `buffer`.
    ///
    /// # Errors
    /// The request is malformed, or the route is public and asks nothing.
    pub fn ask<'a>(
        &'a self,
        head: &request::Parts,
        origin: RequestOrigin<'a>,
        buffer: &'a mut QuestionBuffer,
    ) -> Result<AuthzRequest<'a>, QuestionError> {
        let question = self.route.question.as_ref().ok_or(QuestionError::Public)?;
        let owner = match &question.owner {
            Owner::Literal(account) => *account,
            Owner::Parameter(position) => owner_account(self.parameter(*position))?,
            Owner::Header(name) => owner_in_header(&head.headers, name)?,
        };
        self.fill_resource(question, &mut buffer.resource)?;
        let parameter = |position| self.parameter(position);
        let context = question.context.fill(&head.headers, &parameter, &mut buffer.context)?;
        Ok(AuthzRequest {
            action: &question.action,
            key_action: question.key_action.of(&head.method),
            resource: &buffer.resource,
            owner,
            context,
            origin,
        })
    }

    fn fill_resource(&self, question: &Question, buffer: &mut String) -> Result<(), QuestionError> {
        buffer.clear();
        for (index, piece) in question.resource.iter().enumerate() {
            match piece {
                Piece::Literal(text) => buffer.push_str(text),
                Piece::Parameter(position) => {
                    let value = self.parameter(*position).unwrap_or_default();
                    if index < question.head_pieces && value.contains(':') {
                        return Err(QuestionError::Colon);
                    }
                    buffer.push_str(value);
                }
            }
        }
        if buffer.len() > RESOURCE_BYTES_MAX {
            return Err(QuestionError::Long);
        }
        Ok(())
    }

    fn parameter(&self, position: usize) -> Option<&str> {
        self.params.iter().nth(position).map(|(_, value)| value)
    }
}

impl Question {
    fn compile(spec: &QuestionSpec, path: &PathTemplate) -> Result<Self, (RouteField, String)> {
        let action = compile_action(&spec.action).map_err(|why| (RouteField::Action, why))?;
        let key_action = match &spec.key_action {
            Some(given) => compile_action(given).map(KeyAction::Given),
            None => Ok(KeyAction::by_method()),
        };
        let key_action = key_action.map_err(|why| (RouteField::KeyAction, why))?;
        let (resource, head_pieces) =
            compile_resource(&spec.resource, path).map_err(|why| (RouteField::Resource, why))?;
        let owner = compile_owner(&spec.owner, path).map_err(|why| (RouteField::Owner, why))?;
        let context = ContextTemplates::compile(&spec.context, path)
            .map_err(|(index, why)| (RouteField::Context(index), why))?;
        Ok(Self { action, key_action, resource, head_pieces, owner, context })
    }
}

impl KeyAction {
    fn by_method() -> Self {
        Self::ByMethod {
            reads: Action::parse("kms:Decrypt"),
            writes: Action::parse("kms:GenerateDataKey"),
        }
    }

    fn of(&self, method: &Method) -> Option<&Action> {
        match self {
            Self::Given(action) => Some(action),
            Self::ByMethod { reads, .. } if matches!(*method, Method::GET | Method::HEAD) => {
                reads.as_ref()
            }
            Self::ByMethod { writes, .. }
                if matches!(*method, Method::POST | Method::PUT | Method::PATCH) =>
            {
                writes.as_ref()
            }
            Self::ByMethod { .. } => None,
        }
    }
}

/// Whether an upstream may see another value of a field than we do: `Connection` ends it at this
/// hop, or a second spelling becomes the same name where servers fold what is no letter or digit.
pub(super) fn is_read_differently(headers: &HeaderMap, name: &HeaderName) -> bool {
    let own = name.as_str();
    let connection = headers.get_all(http::header::CONNECTION).iter();
    let mut ended = connection
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim);
    let fold = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
    let same =
        |other: &str| other.len() == own.len() && other.bytes().map(fold).eq(own.bytes().map(fold));
    ended.any(|token| token.eq_ignore_ascii_case(own))
        || headers.keys().any(|key| key != name && same(key.as_str()))
}

fn owner_in_header(headers: &HeaderMap, name: &HeaderName) -> Result<AccountId, QuestionError> {
    if is_read_differently(headers, name) {
        return Err(QuestionError::Owner);
    }
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(QuestionError::Owner);
    };
    owner_account(value.to_str().ok())
}

fn owner_account(text: Option<&str>) -> Result<AccountId, QuestionError> {
    text.and_then(|text| AccountId::parse(text).ok()).ok_or(QuestionError::Owner)
}

fn compile_action(text: &str) -> Result<Action, String> {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    Action::parse(text)
        .filter(|_| text.bytes().all(is_known))
        .ok_or_else(|| format!("the action `{text}` is not of the form `service:Action`"))
}

fn compile_resource(text: &str, path: &PathTemplate) -> Result<(Vec<Piece>, usize), String> {
    let tokens = template::split(text)?;
    let mut shape = String::new();
    let mut pieces = Vec::new();
    let mut head_pieces = 0;
    for token in tokens {
        if shape.matches(':').count() < ARN_HEAD_COLONS {
            head_pieces += 1;
        }
        match token {
            Token::Literal(literal) => {
                shape.push_str(literal);
                pieces.push(Piece::Literal(literal.into()));
            }
            Token::Name(name) => {
                let _ = write!(shape, "{{{name}}}");
                pieces.push(Piece::Parameter(path.position(name)?));
            }
        }
    }
    if text == "*" {
        return Ok((pieces, 0));
    }
    if !text.starts_with("arn:") || shape.matches(':').count() < ARN_HEAD_COLONS {
        return Err(format!(
            "the resource `{text}` is neither `*` nor of the form `arn:partition:service:region:account:resource`"
        ));
    }
    Ok((pieces, head_pieces))
}

fn compile_owner(text: &str, path: &PathTemplate) -> Result<Owner, String> {
    let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return AccountId::parse(text).map(Owner::Literal).map_err(|error| {
            format!("the owner `{text}`: {error}, or use `{{parameter}}` or `{{header:name}}`")
        });
    };
    match name.strip_prefix("header:") {
        None => path.position(name).map(Owner::Parameter),
        Some(header) => HeaderName::from_bytes(header.trim().as_bytes())
            .map(Owner::Header)
            .map_err(|_| format!("`{header}` is no header name")),
    }
}

/// An ARN has five colons before its resource part.
const ARN_HEAD_COLONS: usize = 5;

/// AWS bounds an ARN at 2,048 characters; a longer one is no resource that a policy could name.
const RESOURCE_BYTES_MAX: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream() -> Arc<Upstream> {
        Arc::new(Upstream {
            name: "u".into(),
            endpoints: vec!["http://127.0.0.1:1".parse().unwrap()],
            connect_timeout: std::time::Duration::from_secs(1),
            response_timeout: std::time::Duration::from_secs(1),
        })
    }

    fn spec(methods: &[Method], path: &str, resource: &str, owner: &str) -> RouteSpec {
        RouteSpec {
            path: path.into(),
            methods: methods.to_vec(),
            question: Some(QuestionSpec {
                action: "orders:Get".into(),
                resource: resource.into(),
                owner: owner.into(),
                key_action: None,
                context: Vec::new(),
            }),
            upstream: upstream(),
        }
    }

    fn plain(path: &str) -> RouteSpec {
        spec(&[], path, "*", "1")
    }

    #[track_caller]
    fn refused(specs: &[RouteSpec], field: RouteField, part: &str) {
        let errors = RouteTable::compile(specs).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].field, field, "{errors:?}");
        assert!(errors[0].message.contains(part), "{errors:?}");
    }

    fn head(method: Method, headers: &HeaderMap) -> request::Parts {
        let mut head = http::Request::new(()).into_parts().0;
        head.method = method;
        head.headers = headers.clone();
        head
    }

    const ORIGIN: RequestOrigin<'_> = RequestOrigin {
        source_ip: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        transport: crate::iam::Transport::Plain,
        user_agent: None,
        referer: None,
    };

    #[track_caller]
    fn asked(spec: RouteSpec, path: &str, headers: &HeaderMap) -> Result<String, QuestionError> {
        let table = RouteTable::compile(&[spec]).unwrap();
        let matched = table.find(&Method::GET, path).unwrap();
        let mut buffer = QuestionBuffer::default();
        let request = matched.ask(&head(Method::GET, headers), ORIGIN, &mut buffer)?;
        Ok(format!("{} {} {}", request.action.as_str(), request.resource, request.owner))
    }

    #[test]
    fn what_is_done_with_a_key_follows_the_method_unless_it_is_given() {
        let key_action = |route: &RouteSpec, method: Method| {
            let table = RouteTable::compile(std::slice::from_ref(route)).unwrap();
            let matched = table.find(&method, "/x").unwrap();
            let mut buffer = QuestionBuffer::default();
            let request =
                matched.ask(&head(method, &HeaderMap::new()), ORIGIN, &mut buffer).unwrap();
            request.key_action.map(|action| action.as_str().to_owned())
        };
        let mut route = plain("/x");
        for (method, expect) in [
            (Method::GET, Some("kms:Decrypt")),
            (Method::HEAD, Some("kms:Decrypt")),
            (Method::POST, Some("kms:GenerateDataKey")),
            (Method::PUT, Some("kms:GenerateDataKey")),
            (Method::PATCH, Some("kms:GenerateDataKey")),
            (Method::DELETE, None),
            (Method::OPTIONS, None),
        ] {
            assert_eq!(key_action(&route, method).as_deref(), expect);
        }
        route.question.as_mut().unwrap().key_action = Some("kms:Encrypt".into());
        assert_eq!(key_action(&route, Method::DELETE).as_deref(), Some("kms:Encrypt"));
        route.question.as_mut().unwrap().key_action = Some("Encrypt".into());
        refused(&[route], RouteField::KeyAction, "service:Action");
    }

    #[test]
    fn a_question_is_filled_from_the_path() {
        let route = spec(
            &[Method::GET],
            "/v1/accounts/{account}/orders/{*order}",
            "arn:aws:orders::{account}:order/{order}",
            "{account}",
        );
        assert_eq!(
            asked(route, "/v1/accounts/a-1/orders/x/y:z", &HeaderMap::new()).unwrap(),
            "orders:Get arn:aws:orders::a-1:order/x/y:z a-1"
        );
    }

    #[test]
    fn the_owner_can_be_a_header_that_comes_once() {
        let route = || spec(&[], "/x", "*", "{header:X-Account}");
        let mut headers = HeaderMap::new();
        assert_eq!(asked(route(), "/x", &headers), Err(QuestionError::Owner));
        headers.append("x-account", "a1".parse().unwrap());
        assert_eq!(asked(route(), "/x", &headers).unwrap(), "orders:Get * a1");
        headers.append("x-account", "a1".parse().unwrap());
        assert_eq!(asked(route(), "/x", &headers), Err(QuestionError::Owner));
    }

    #[test]
    fn a_parameter_can_not_shift_the_segments_of_an_arn() {
        let route = || spec(&[], "/{region}/{id}", "arn:aws:s:{region}:1:x/{id}", "1");
        assert!(asked(route(), "/eu/a:b", &HeaderMap::new()).is_ok());
        assert_eq!(asked(route(), "/e:u/a", &HeaderMap::new()), Err(QuestionError::Colon));
        let long = format!("/eu/{}", "a".repeat(RESOURCE_BYTES_MAX));
        assert_eq!(asked(route(), &long, &HeaderMap::new()), Err(QuestionError::Long));
        let no_account = spec(&[], "/{id}", "*", "{id}");
        assert_eq!(asked(no_account, "/a.b", &HeaderMap::new()), Err(QuestionError::Owner));
    }

    #[test]
    fn the_most_specific_route_wins_whatever_the_order() {
        for paths in [["/a/{x}", "/a/b"], ["/a/b", "/a/{x}"]] {
            let table = RouteTable::compile(&paths.map(plain)).unwrap();
            assert_eq!(&*table.find(&Method::GET, "/a/b").unwrap().route.path, "/a/b");
            assert_eq!(&*table.find(&Method::GET, "/a/c").unwrap().route.path, "/a/{x}");
            for absent in ["/a", "/a/", "/a/b/", "/A/b", "/"] {
                assert!(table.find(&Method::GET, absent).is_none(), "{absent}");
            }
        }
    }

    #[test]
    fn one_path_is_shared_by_methods_with_their_own_parameter_names() {
        let table = RouteTable::compile(&[
            spec(&[Method::GET], "/a/{x}", "*", "{x}"),
            spec(&[Method::POST], "/a/{y}", "*", "{y}"),
        ])
        .unwrap();
        assert_eq!(table.find(&Method::POST, "/a/1").unwrap().index, 1);
        assert!(table.find(&Method::PUT, "/a/1").is_none());
    }

    #[test]
    fn overlaps_are_refused() {
        refused(&[plain("/a/{x}"), plain("/a/{y}")], RouteField::Methods, "same methods");
        let get = |path| spec(&[Method::GET], path, "*", "1");
        refused(&[get("/a"), get("/a")], RouteField::Methods, "another route for GET");
        refused(&[plain("/a/{x}"), plain("/a/{*y}")], RouteField::Path, "overlaps `/a/{x}`");
    }

    #[test]
    fn malformed_routes_are_refused() {
        for (path, part) in [
            ("a", "does not start with `/`"),
            ("/{x", "brace"),
            ("/x}", "brace"),
            ("/{}", "no name"),
            ("/{a b}", "no name"),
            ("/{x}/{x}", "twice"),
            ("/{*x}/a", "last"),
            ("/a//b", "no request reaches"),
            ("/a/../b", "no request reaches"),
            ("/a%20b", "no request reaches"),
            ("/a;b", "no request reaches"),
        ] {
            refused(&[plain(path)], RouteField::Path, part);
        }
        refused(&[spec(&[], "/{x}", "arn:aws:s3:::{y}", "1")], RouteField::Resource, "`{x}`");
        refused(&[spec(&[], "/x", "bucket", "1")], RouteField::Resource, "neither `*` nor");
        refused(&[spec(&[], "/x", "*", "a/b")], RouteField::Owner, "characters");
        refused(&[spec(&[], "/x", "*", "{y}")], RouteField::Owner, "has none");
        let mut unnamed = plain("/x");
        unnamed.question.as_mut().unwrap().action = "Get".into();
        refused(&[unnamed], RouteField::Action, "service:Action");
    }

    #[test]
    fn every_malformed_route_is_named() {
        let errors = RouteTable::compile(&[plain("a"), plain("/ok"), plain("b")]).unwrap_err();
        assert_eq!(errors.iter().map(|error| error.route).collect::<Vec<_>>(), [0, 2]);
    }
}
