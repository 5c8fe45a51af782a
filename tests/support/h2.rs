//! An HTTP/2 client on one connection.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// Sends requests on the connection; cloning it adds a user, not a connection.
pub type Sender = SendRequest<Full<Bytes>>;

/// An HTTP/2 connection with prior knowledge.
pub async fn connect(address: SocketAddr) -> Sender {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    over(stream).await
}

/// An HTTP/2 connection over a stream that is set up already.
pub async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Sender {
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move {
        // Its end is seen by whoever sends next.
        let _ended = connection.await;
    });
    sender
}

/// Sends one request and collects its answer.
pub async fn ask(
    sender: &Sender,
    request: http::Request<Full<Bytes>>,
) -> hyper::Result<Response<Bytes>> {
    let mut sender = sender.clone();
    sender.ready().await?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
}

/// A GET with a token.
pub fn get(authority: SocketAddr, path: &str, token: &str) -> http::Request<Full<Bytes>> {
    http::Request::get(format!("http://{authority}{path}"))
        .header("authorization", format!("Bearer {token}"))
        .body(Full::default())
        .unwrap()
}

/// A runtime for one test.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
