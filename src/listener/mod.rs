//! Accepts connections and serves requests on them: one thread per core, each with its own runtime,
//! sockets and upstream connections; nothing of a request crosses threads.
//!
//! Flows in: TCP connections. Flows out: requests for the proxy. Decides nothing.

mod connection;
mod io;
mod socket;
mod tls;
mod worker;

pub use socket::{ListenerSpec, Sockets};
pub use tls::{TlsError, TlsFiles, server_config};
pub use worker::{Worker, WorkerError};
