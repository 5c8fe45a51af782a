//! What the tests of the running program stand on: an identity provider, an upstream, clients and
//! the program itself, all on real sockets.
//!
//! Nothing here knows the inside of crossgate. Each server is plain threads over plain sockets, so
//! that a test decides every byte and every pause. Waiting is polling with a deadline; a test never
//! sleeps for a fixed time and hopes.

#![expect(
    dead_code,
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::format_push_string,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "each test file uses its part of the harness; a failed test panics; the clock is real"
)]

pub mod collector;
pub mod events;
pub mod frames;
pub mod gate;
pub mod h2;
pub mod identities;
pub mod idp;
pub mod keys;
pub mod lines;
pub mod nats;
pub mod policies;
pub mod raw;
pub mod roles;
pub mod scrape;
pub mod server;
pub mod tls;
pub mod upstream;
pub mod wire;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Asks again until the answer is there.
///
/// # Panics
/// With `what` when there is no answer in time.
#[track_caller]
pub fn poll<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Asks again until it holds.
#[track_caller]
pub fn poll_until(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    poll(what, within, || holds().then_some(()));
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// An address on loopback that nothing listens on.
///
/// Ports come from below the range that the kernel hands out for outgoing connections, counted
/// from a start of this process, so that tests side by side do not meet.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % u32::from(PORTS)).unwrap();
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let offset = (u32::from(start) * PORT_STRIDE + u32::from(step)) % u32::from(PORTS);
        let port = PORT_FIRST + u16::try_from(offset).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// The lock's content, also after a panic elsewhere: a failed test tells of itself.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Time for what happens at once on an idle machine and is never a matter of seconds.
pub const SOON: Duration = Duration::from_secs(10);
/// How long a change of a watched file may take: 2 s by contract, and room for a busy machine.
pub const RELOADED: Duration = Duration::from_secs(6);

const POLL_INTERVAL: Duration = Duration::from_millis(5);
const PORT_FIRST: u16 = 12_000;
const PORTS: u16 = 20_000;
const PORT_STRIDE: u32 = 37;
