//! A real `nats-server` with `JetStream`, which can be killed and started again.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use async_nats::jetstream;
use tempfile::TempDir;

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
            let client = options.connect(self.address.to_string()).await.unwrap();
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
