//! The demo's own servers on loopback: the identity provider's keys, and the service behind.
//!
//! Flows in: requests. Flows out: JSON. They live as long as the [`Servers`].

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Both servers, until dropped.
#[derive(Debug)]
pub(super) struct Servers {
    /// Where the identity provider's keys are.
    pub(super) issuer: SocketAddr,
    /// The service behind the proxy.
    pub(super) upstream: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Servers {
    /// Starts both on free ports.
    pub(super) async fn start(key_set: Value) -> io::Result<Self> {
        let mut tasks = JoinSet::new();
        let issuer = listen(&mut tasks, move |request| keys(&key_set, request)).await?;
        let upstream = listen(&mut tasks, order).await?;
        Ok(Self { issuer, upstream, _tasks: tasks })
    }
}

async fn listen<A>(tasks: &mut JoinSet<()>, answer: A) -> io::Result<SocketAddr>
where
    A: Fn(&Request<Incoming>) -> (StatusCode, Value) + Send + Sync + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tasks.spawn(accept(listener, Arc::new(answer)));
    Ok(address)
}

async fn accept<A>(listener: TcpListener, answer: Arc<A>)
where
    A: Fn(&Request<Incoming>) -> (StatusCode, Value) + Send + Sync + 'static,
{
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        if connections.len() < CONNECTIONS_MAX {
            connections.spawn(serve(stream, Arc::clone(&answer)));
        }
    }
}

async fn serve<A>(stream: TcpStream, answer: Arc<A>)
where
    A: Fn(&Request<Incoming>) -> (StatusCode, Value) + Send + Sync + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (status, body) = answer(&request);
        let mut response = Response::new(Full::new(Bytes::from(format!("{body}\n"))));
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        async move { Ok::<_, Infallible>(response) }
    });
    // A client that goes away is no matter of this server.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn keys(key_set: &Value, request: &Request<Incoming>) -> (StatusCode, Value) {
    if request.method() == Method::GET && request.uri().path() == "/keys" {
        (StatusCode::OK, key_set.clone())
    } else {
        (StatusCode::NOT_FOUND, json!({ "error": "only /keys is here" }))
    }
}

/// An order, and what the proxy told of the caller.
fn order(request: &Request<Incoming>) -> (StatusCode, Value) {
    let caller = told(request.headers());
    (StatusCode::OK, json!({ "order": request.uri().path(), "caller": caller }))
}

fn told(headers: &HeaderMap) -> Map<String, Value> {
    let told = headers.iter().filter(|(name, _)| name.as_str().starts_with("x-crossgate-"));
    let told = told.map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), Value::String(value))
    });
    told.collect()
}

/// The gateway's pools and a few visitors.
const CONNECTIONS_MAX: usize = 256;
