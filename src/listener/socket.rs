//! Listening sockets: one for each worker at the same address, so that the kernel spreads connections.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};

use crate::listener::TlsFiles;

/// One listener, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSpec {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its certificate and key; `None` for plain HTTP.
    pub tls: Option<TlsFiles>,
}

/// One listener's sockets, one for each worker.
#[derive(Debug)]
pub struct Sockets {
    /// Where they listen; the port is the kernel's choice if 0 was configured.
    pub address: SocketAddr,
    /// The sockets.
    pub sockets: Vec<TcpListener>,
    /// The certificate in force, replaced when its files change.
    pub tls: Option<Arc<ArcSwap<ServerConfig>>>,
}

impl Sockets {
    /// Binds one socket for each worker.
    ///
    /// # Errors
    /// The address is not ours or is in use.
    pub fn bind(
        address: SocketAddr,
        workers: usize,
        tls: Option<Arc<ServerConfig>>,
    ) -> io::Result<Self> {
        // Sockets that share an address would also share it with another process, unnoticed.
        if address.port() != 0 {
            drop(bind_one(address, Sharing::Alone)?);
        }
        let mut address = address;
        let mut sockets = Vec::with_capacity(workers);
        for _ in 0..workers {
            let socket = bind_one(address, Sharing::Workers)?;
            address = socket.local_addr()?;
            sockets.push(socket);
        }
        let tls = tls.map(|config| Arc::new(ArcSwap::new(config)));
        Ok(Self { address, sockets, tls })
    }
}

/// Whether a socket shares its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    Alone,
    Workers,
}

fn bind_one(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::Workers)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Connections that wait to be accepted; the kernel's own limit may be lower.
const BACKLOG: i32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_an_address_and_nobody_else_does() {
        let first = Sockets::bind("127.0.0.1:0".parse().unwrap(), 3, None).unwrap();
        assert_eq!(first.sockets.len(), 3);
        let second = Sockets::bind(first.address, 1, None);
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
