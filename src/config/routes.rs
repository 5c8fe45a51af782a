//! `routes`: which request asks what of whom.

use std::sync::Arc;

use http::Method;

use crate::config::finding::Span;
use crate::config::node::{Node, Value};
use crate::config::reader::{Reader, Table};
use crate::config::route_lints;
use crate::config::upstreams::Upstreams;
use crate::route::{
    ContextSource, ContextSpec, QuestionSpec, RouteError, RouteField, RouteSpec, RouteTable,
};

pub(super) const ROUTE_KEYS: &[&str] = &[
    "path",
    "methods",
    "action",
    "resource",
    "key_action",
    "owner",
    "context",
    "upstream",
    "public",
];

/// Routes as configured, and compiled.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// In the order of the document.
    pub(super) specs: Vec<RouteSpec>,
    /// Compiled; empty if there are findings.
    pub(super) table: Arc<RouteTable>,
}

/// Reads and compiles `routes`.
pub(super) fn read(reader: &mut Reader<'_>, root: Table<'_>, upstreams: &mut Upstreams) -> Routes {
    let nodes = root.get("routes").and_then(|node| reader.list(node, "routes")).unwrap_or_default();
    let (specs, places): (Vec<RouteSpec>, Vec<Table<'_>>) =
        nodes.iter().filter_map(|node| read_route(reader, node, upstreams)).unzip();
    let is_empty = |node: &Node| matches!(&node.value, Value::List(nodes) if nodes.is_empty());
    if root.get("routes").is_none_or(is_empty) {
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
                refuse(reader, &specs, &places, error);
            }
            Arc::default()
        }
    };
    route_lints::check(&mut reader.findings, &specs, &places);
    Routes { specs, table }
}

fn refuse(reader: &mut Reader<'_>, specs: &[RouteSpec], places: &[Table<'_>], error: RouteError) {
    let Some((place, spec)) = places.get(error.route).zip(specs.get(error.route)) else {
        return reader.findings.error(Span::START, error.message);
    };
    let at = match (key_of(error.field), error.field) {
        // A route that takes all methods does not say so.
        ("methods", _) if place.get("methods").is_none() => place.value_at("path"),
        (key, RouteField::Context(index)) => {
            let entry = place.get(key).and_then(|node| node.as_table().get(index));
            entry.map_or(place.at, |entry| entry.key_at)
        }
        (key, _) => place.value_at(key),
    };
    // The compiler sees what the environment holds; messages must not.
    let message = places.iter().fold(error.message, |message, it| it.as_written(&message));
    let message = match place.get("context") {
        None => message,
        Some(context) => context_as_written(context, message),
    };
    let mut before = specs.iter().zip(places).take(error.route);
    let other = before.find(|(other, _)| route_lints::is_same(&other.path, &spec.path));
    match (error.field, other) {
        (RouteField::Methods, Some((_, other))) => {
            let hint = format!("it is at line {}", other.at.line);
            reader.findings.error_hint(at, message, hint);
        }
        (_, _) => reader.findings.error(at, message),
    }
}

/// A message with the context's texts as they are written, where the environment filled them.
fn context_as_written(context: &Node, message: String) -> String {
    let nodes = context.as_table().iter().flat_map(|entry| match &entry.node.value {
        Value::List(nodes) => nodes.as_slice(),
        Value::Null | Value::Scalar(_) | Value::Table(_) => std::slice::from_ref(&entry.node),
    });
    nodes.fold(message, |message, node| match node.as_text() {
        Some(text) if !text.is_empty() && text != node.written() => {
            message.replace(text, node.written())
        }
        Some(_) | None => message,
    })
}

fn key_of(field: RouteField) -> &'static str {
    match field {
        RouteField::Path => "path",
        RouteField::Methods => "methods",
        RouteField::Action => "action",
        RouteField::Resource => "resource",
        RouteField::KeyAction => "key_action",
        RouteField::Context(_) => "context",
        RouteField::Owner => "owner",
    }
}

fn read_route<'n>(
    reader: &mut Reader<'_>,
    node: &'n Node,
    upstreams: &mut Upstreams,
) -> Option<(RouteSpec, Table<'n>)> {
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
    Some((spec, table))
}

fn check_public(reader: &mut Reader<'_>, table: Table<'_>) {
    for key in ["action", "resource", "owner", "key_action", "context"] {
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
    let context = match table.get("context") {
        None => Vec::new(),
        Some(node) => read_context(reader, node)?,
    };
    Some(QuestionSpec { action: action?, resource: resource?, owner: owner?, key_action, context })
}

fn read_context(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<ContextSpec>> {
    let Value::Table(entries) = &node.value else {
        reader.wrong_type(
            node,
            "`context` is a mapping",
            "like `context: { \"aws:RequestTag/team\": \"{header:x-team}\" }`",
        );
        return None;
    };
    let mut specs = Some(Vec::with_capacity(entries.len()));
    for entry in entries {
        // All that is wrong is told, not the first alone.
        let source = read_source(reader, &entry.node);
        specs = specs.zip(source).map(|(mut specs, source)| {
            specs.push(ContextSpec { key: entry.key.as_str().into(), source });
            specs
        });
    }
    specs
}

fn read_source(reader: &mut Reader<'_>, node: &Node) -> Option<ContextSource> {
    let Value::List(nodes) = &node.value else {
        return reader.text(node, "context").map(ContextSource::One);
    };
    if nodes.is_empty() {
        let hint = "leave the key out: then no request has it";
        reader.findings.error_hint(node.at, "`context` has a key without values", hint);
        return None;
    }
    let texts: Vec<_> = nodes.iter().map(|node| reader.text(node, "context")).collect();
    texts.into_iter().collect::<Option<_>>().map(ContextSource::Many)
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
            reader.findings.error(node.at, format!("method `{}` comes twice", node.written()));
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
            format!(
                "methods are compared exactly; write `{}`",
                node.written().to_ascii_uppercase()
            ),
        ),
        Err(_) => (format!("`{}` is no method", node.written()), "like `GET`".to_owned()),
    };
    reader.findings.error_hint(node.at, message, hint);
    None
}
