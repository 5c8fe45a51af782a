//! A real `nats-server` with `JetStream`, which can be killed and started again.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use async_nats::jetstream;
use nkeys::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::keys::encode;
use super::{SOON, free_address, poll_until};

pub struct Nats {
    pub address: SocketAddr,
    directory: TempDir,
    child: Child,
}

/// A message of the stream.
pub struct Message {
    pub id: String,
    pub line: String,
}

impl Nats {
    pub fn start() -> Self {
        Self::with("")
    }

    /// Starts it with more of a configuration.
    pub fn with(configuration: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = free_address();
        let text = format!(
            "listen: \"{address}\"\njetstream {{ store_dir: \"{}\" }}\n{configuration}\n",
            directory.path().join("store").display()
        );
        fs::write(directory.path().join("nats.conf"), text).unwrap();
        let child = spawn(directory.path());
        let nats = Self { address, directory, child };
        nats.wait();
        nats
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again with what is on its disk.
    pub fn restart(&mut self) {
        self.child = spawn(self.directory.path());
        self.wait();
    }

    /// All messages of a stream.
    pub fn messages(&self, options: async_nats::ConnectOptions, stream: &str) -> Vec<Message> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client =
                options.connect(format!("localhost:{}", self.address.port())).await.unwrap();
            let stream = jetstream::new(client.clone()).get_stream(stream).await.unwrap();
            let state = stream.get_info().await.unwrap().state;
            let mut messages = Vec::new();
            for sequence in state.first_sequence..=state.last_sequence {
                let message = stream.get_raw_message(sequence).await.unwrap();
                let id = message.headers.get("Nats-Msg-Id").unwrap().to_string();
                let line = String::from_utf8(message.payload.to_vec()).unwrap();
                messages.push(Message { id, line });
            }
            messages
        })
    }

    fn wait(&self) {
        poll_until("nats-server listens", SOON, || TcpStream::connect(self.address).is_ok());
    }
}

/// Who may speak to a server in operator mode: what it is configured with, and a user's credentials.
pub struct Operator {
    pub configuration: String,
    pub credentials: String,
}

impl Operator {
    pub fn new() -> Self {
        let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
        let (system, user) = (KeyPair::new_account(), KeyPair::new_user());
        let of_operator = json!({ "type": "operator", "version": 2 });
        let limits = json!({ "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
            "wildcards": true, "conn": -1, "leaf": -1, "mem_storage": -1, "disk_storage": -1,
            "streams": -1, "consumer": -1 });
        let of_account = json!({ "limits": limits, "type": "account", "version": 2 });
        let of_system = json!({ "limits": { "subs": -1, "data": -1, "payload": -1, "imports": -1,
            "exports": -1, "wildcards": true, "conn": -1, "leaf": -1 }, "type": "account", "version": 2 });
        let of_user =
            json!({ "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2 });
        let configuration = format!(
            "operator: {}\nsystem_account: {system}\nresolver: MEMORY\n\
             resolver_preload: {{ {account}: {}, {system}: {} }}\n",
            signed(&operator, &operator, &of_operator),
            signed(&operator, &account, &of_account),
            signed(&operator, &system, &of_system),
            system = system.public_key(),
            account = account.public_key(),
        );
        let credentials = format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            signed(&account, &user, &of_user),
            user.seed().unwrap(),
        );
        Self { configuration, credentials }
    }
}

/// A NATS token: what an issuer says of a subject.
fn signed(issuer: &KeyPair, subject: &KeyPair, what: &Value) -> String {
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let claims = json!({ "jti": subject.public_key(), "iat": super::now(), "name": "test",
        "iss": issuer.public_key(), "sub": subject.public_key(), "nats": what });
    let text = format!(
        "{}.{}",
        encode(header.to_string().as_bytes()),
        encode(claims.to_string().as_bytes())
    );
    let signature = issuer.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", encode(&signature))
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(directory: &Path) -> Child {
    // Debian keeps it where only root's path looks.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    Command::new("nats-server")
        .env("PATH", path)
        .arg("--config")
        .arg(directory.join("nats.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("nats-server, which tests/install installs: {error}"))
}
