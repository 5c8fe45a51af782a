//! `crossgate health`: asks a running proxy, so that an image without a shell can have a health check.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::config;

/// Asks a running proxy whether it is ready.
#[derive(Args, Clone, Debug)]
pub struct HealthArgs {
    /// The configuration of the proxy on this machine.
    #[arg(long, value_name = "FILE", default_value = "crossgate.yaml")]
    pub config: PathBuf,
    /// Ask only whether it is alive.
    #[arg(long)]
    pub live: bool,
}

/// Exit 0 if it is, 1 if not, 2 if it can't be asked.
pub fn run(args: &HealthArgs) -> ExitCode {
    let address = match config::load(&args.config) {
        Ok(config) => config.admin.map(|admin| reachable(admin.address)),
        Err(error) => return cannot_ask(&error.to_string()),
    };
    let Some(address) = address else {
        return cannot_ask("the configuration has no admin listener");
    };
    let path = if args.live { "/healthz" } else { "/readyz" };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cannot_ask(&error.to_string()),
    };
    let asked = runtime.block_on(async { tokio::time::timeout(TIMEOUT, ask(address, path)).await });
    match asked {
        Ok(Ok(StatusCode::OK)) => ExitCode::SUCCESS,
        Ok(Ok(status)) => {
            anstream::eprintln!("{path} answered {status}");
            ExitCode::from(1)
        }
        Ok(Err(error)) => {
            anstream::eprintln!("{address} did not answer: {error}");
            ExitCode::from(1)
        }
        Err(_) => {
            anstream::eprintln!("{address} did not answer within {} s", TIMEOUT.as_secs());
            ExitCode::from(1)
        }
    }
}

async fn ask(address: SocketAddr, path: &str) -> Result<StatusCode, Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request =
        Request::get(path).header("host", address.to_string()).body(Empty::<&[u8]>::new())?;
    tokio::select! {
        answer = sender.send_request(request) => Ok(answer?.status()),
        ended = connection => Err(ended.err().map_or("the connection ended".into(), Into::into)),
    }
}

/// A listener on all addresses is asked by loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn cannot_ask(why: &str) -> ExitCode {
    anstream::eprintln!("error: {why}");
    ExitCode::from(2)
}

/// Less than the time that container runtimes give a health check.
const TIMEOUT: Duration = Duration::from_secs(3);
