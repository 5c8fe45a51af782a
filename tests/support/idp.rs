//! An identity provider: publishes keys, signs tokens, and fails in every way that providers do.

use std::io::Read;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::keys::{Key, key_set};
use super::lock;
use super::server::Server;
use super::wire::Wire;

/// The provider. Its issuer is its address.
pub struct Idp {
    server: Server,
    shared: Arc<Shared>,
    key: Key,
}

/// How the provider answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// With its keys.
    Up,
    /// With this body instead of its keys.
    Body(String),
    /// With this status.
    Status(u16),
    /// It closes each connection without a word.
    Down,
    /// It reads and never answers.
    Hanging,
}

#[derive(Debug)]
struct Shared {
    health: Mutex<Health>,
    published: Mutex<Value>,
    asked: Mutex<Vec<String>>,
}

impl Idp {
    /// A provider with one RSA key, up.
    pub fn start() -> Self {
        Self::with_key(Key::rs256("first"))
    }

    /// A provider with this key, up.
    pub fn with_key(key: Key) -> Self {
        let shared = Arc::new(Shared {
            health: Mutex::new(Health::Up),
            published: Mutex::new(key_set([&key])),
            asked: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let server = Server::start(move |stream| serving.serve(stream));
        Self { server, shared, key }
    }

    /// The issuer of its tokens.
    pub fn issuer(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Where its key set is.
    pub fn keys_url(&self) -> String {
        format!("{}/keys", self.issuer())
    }

    /// The key that signs.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// An ordinary token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.key.token(claims)
    }

    /// Publishes these keys and no others; the last one signs from now on.
    pub fn rotate(&mut self, keys: &[&Key]) {
        *lock(&self.shared.published) = key_set(keys.iter().copied());
        self.key = (*keys.last().unwrap()).clone();
    }

    /// Publishes any document as the key set.
    pub fn publish(&self, document: Value) {
        *lock(&self.shared.published) = document;
    }

    /// Answers like this from now on.
    pub fn set_health(&self, health: Health) {
        *lock(&self.shared.health) = health;
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        lock(&self.shared.asked).iter().filter(|asked| *asked == path).count()
    }

    /// How often anything was asked for.
    pub fn asked_at_all(&self) -> usize {
        lock(&self.shared.asked).len()
    }
}

impl Shared {
    /// One request a connection.
    fn serve(&self, stream: TcpStream) {
        let issuer = format!("http://{}", stream.local_addr().unwrap());
        let mut wire = Wire::new(stream);
        let Ok(Some(head)) = wire.read_head() else { return };
        let path = head.start.split(' ').nth(1).unwrap_or_default().to_owned();
        lock(&self.asked).push(path.clone());
        let health = lock(&self.health).clone();
        let (status, body) = match health {
            Health::Down => return,
            Health::Hanging => {
                // Ends when the peer gives up.
                let _gone = wire.stream.read(&mut [0]);
                return;
            }
            Health::Status(status) => (status, String::new()),
            Health::Body(body) => (200, body),
            Health::Up => self.document(&path, &issuer),
        };
        let answer = format!(
            "HTTP/1.1 {status} Answer\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            body.len()
        );
        let _sent = wire.send(answer);
    }

    fn document(&self, path: &str, issuer: &str) -> (u16, String) {
        match path {
            "/keys" => (200, lock(&self.published).to_string()),
            "/.well-known/openid-configuration" => {
                let keys = format!("{issuer}/keys");
                (200, json!({"issuer": issuer, "jwks_uri": keys}).to_string())
            }
            _ => (404, String::new()),
        }
    }
}
