//! `routes`: which request asks what of whom.

use std::sync::Arc;

use http::Method;

use crate::config::finding::Span;
use crate::config::node::{Node, Value};
use crate::config::reader::{Reader, Table};
use crate::config::route_lints;
use crate::config::upstreams::Upstreams;
use crate::route::{QuestionSpec, RouteField, RouteSpec, RouteTable};

pub(super) const ROUTE_KEYS: &[&str] =
    &["path", "methods", "action", "resource", "key_action", "owner", "upstream", "public"];

/// Routes as configured, and compiled.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// In the order of the document.
    pub(super) specs: Vec<RouteSpec>,
    /// Compiled; empty if there are findings.
    pub(super) table: Arc<RouteTable>,
}

/// Where a route's fields are; what it does not have is at the route.
#[derive(Clone, Copy, Debug)]
pub(super) struct RouteSpans {
    pub(super) path: Span,
    methods: Span,
    action: Span,
    resource: Span,
    owner: Span,
}

/// Reads and compiles `routes`.
pub(super) fn read(reader: &mut Reader<'_>, root: Table<'_>, upstreams: &mut Upstreams) -> Routes {
    let nodes = root.get("routes").and_then(|node| reader.list(node, "routes")).unwrap_or_default();
    let (specs, spans): (Vec<RouteSpec>, Vec<RouteSpans>) =
        nodes.iter().filter_map(|node| read_route(reader, node, upstreams)).unzip();
    if nodes.is_empty() {
        reader.findings.warn(
            root.key_at("routes"),
            "no `routes`: every request is answered 404",
            "like `routes: [{ path: /healthz, public: true, upstream: … }]`",
        );
    }
    let table = match RouteTable::compile(&specs) {
        Ok(table) => Arc::new(table),
        Err(errors) => {
            for error in errors {
                let at = spans.get(error.route).map_or(root.at, |spans| spans.of(error.field));
                reader.findings.error(at, error.message);
            }
            Arc::default()
        }
    };
    route_lints::check(&mut reader.findings, &specs, &spans);
    Routes { specs, table }
}

impl RouteSpans {
    fn new(table: Table<'_>) -> Self {
        Self {
            path: table.value_at("path"),
            methods: table.value_at("methods"),
            action: table.value_at("action"),
            resource: table.value_at("resource"),
            owner: table.value_at("owner"),
        }
    }

    fn of(&self, field: RouteField) -> Span {
        match field {
            RouteField::Path => self.path,
            RouteField::Methods => self.methods,
            RouteField::Action => self.action,
            RouteField::Resource => self.resource,
            RouteField::Owner => self.owner,
        }
    }
}

fn read_route(
    reader: &mut Reader<'_>,
    node: &Node,
    upstreams: &mut Upstreams,
) -> Option<(RouteSpec, RouteSpans)> {
    let table = reader.table(node, "routes", ROUTE_KEYS)?;
    let path = reader
        .require(table, "path", "like `path: /v1/{account}/orders`")
        .and_then(|node| reader.text(node, "path"));
    let methods = read_methods(reader, table);
    let public = match table.get("public") {
        None => Some(false),
        Some(node) => reader.boolean(node, "public"),
    };
    let question = match public {
        None => None,
        Some(true) => {
            check_public(reader, table);
            Some(None)
        }
        Some(false) => read_question(reader, table).map(Some),
    };
    let upstream = reader
        .require(table, "upstream", "the name of one of `upstreams`")
        .and_then(|node| upstreams.find(reader, node));
    let spec =
        RouteSpec { path: path?, methods: methods?, question: question?, upstream: upstream? };
    Some((spec, RouteSpans::new(table)))
}

fn check_public(reader: &mut Reader<'_>, table: Table<'_>) {
    for key in ["action", "resource", "owner", "key_action"] {
        if table.get(key).is_some() {
            reader.findings.error_hint(
                table.key_at(key),
                format!("a public route asks no decision, so it has no `{key}`"),
                format!("remove `public: true` to protect the route, or `{key}` to leave it open"),
            );
        }
    }
}

fn read_question(reader: &mut Reader<'_>, table: Table<'_>) -> Option<QuestionSpec> {
    let mut text = |key: &str, like: &str| {
        let hint = format!("like `{key}: {like}`; or `public: true` to forward without a token");
        let node = reader.require(table, key, &hint)?;
        reader.text(node, key)
    };
    let action = text("action", "orders:GetOrder");
    let resource = text("resource", "\"arn:aws:orders::{account}:order/{order}\"");
    let owner = text("owner", "\"{account}\"");
    let key_action = match table.get("key_action") {
        None => None,
        Some(node) => Some(reader.text(node, "key_action")?),
    };
    Some(QuestionSpec { action: action?, resource: resource?, owner: owner?, key_action })
}

fn read_methods(reader: &mut Reader<'_>, table: Table<'_>) -> Option<Vec<Method>> {
    let Some(node) = table.get("methods") else {
        return Some(Vec::new());
    };
    let nodes = reader.list(node, "methods")?;
    if matches!(&node.value, Value::List(nodes) if nodes.is_empty()) {
        let hint = "leave `methods` out to take all of them";
        reader.findings.error_hint(node.at, "`methods` is empty: nothing could come in", hint);
        return None;
    }
    let mut methods = Vec::with_capacity(nodes.len());
    for node in nodes {
        let method = read_method(reader, node)?;
        if methods.contains(&method) {
            reader.findings.error(node.at, format!("method `{method}` comes twice"));
        }
        methods.push(method);
    }
    Some(methods)
}

fn read_method(reader: &mut Reader<'_>, node: &Node) -> Option<Method> {
    let text = reader.text(node, "methods")?;
    let upper = text.to_ascii_uppercase();
    let (message, hint) = match Method::from_bytes(text.as_bytes()) {
        Ok(Method::CONNECT) => {
            ("method `CONNECT` is never forwarded".to_owned(), "remove it".to_owned())
        }
        Ok(method) if *text == *upper => return Some(method),
        Ok(_) => (
            format!("method `{}` is not in capitals", node.written()),
            format!("methods are compared exactly; write `{upper}`"),
        ),
        Err(_) => (format!("`{}` is no method", node.written()), "like `GET`".to_owned()),
    };
    reader.findings.error_hint(node.at, message, hint);
    None
}
