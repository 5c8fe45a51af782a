//! `crossgate run`: the proxy, until a signal ends it.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::{self, Config};
use crate::gateway::Gateway;
use crate::telemetry;

/// Runs the proxy.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "crossgate.yaml")]
    pub config: PathBuf,
    /// How this process's own log is written to standard error.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What is logged, as `level` or `module=level,…`.
    #[arg(long, value_name = "FILTER", default_value = "info", env = "CROSSGATE_LOG")]
    pub log: String,
}

/// How the process's own log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Runs until SIGTERM or SIGINT, then drains: 0; 2 if it can't start.
pub fn run(args: &RunArgs) -> ExitCode {
    if let Err(error) = log_to_stderr(&args.log, args.log_format) {
        return cannot_run(&error);
    }
    let config = match config::load(&args.config) {
        Ok(config) => config,
        Err(error) => return cannot_run(&error.to_string()),
    };
    warn_of(&config);
    let metrics = match telemetry::install() {
        Ok(metrics) => metrics,
        Err(error) => return cannot_run(&error.to_string()),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cannot_run(&error.to_string()),
    };
    runtime.block_on(async {
        let file = config.file.clone();
        match Gateway::start(config, metrics).await {
            Ok(gateway) => serve(gateway, &file).await,
            Err(error) => cannot_run(&error.to_string()),
        }
    })
}

async fn serve(gateway: Gateway, file: &Path) -> ExitCode {
    for address in &gateway.addresses {
        tracing::info!(%address, "listening");
    }
    if let Some(address) = gateway.admin_address {
        tracing::info!(%address, "admin listening");
    }
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    );
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = signals else {
        return cannot_run("signals can't be received");
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                tracing::info!(file = %file.display(), "asked to reload");
                gateway.reload().await;
            }
        }
    }
    tracing::info!("draining");
    match gateway.drain().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cannot_run(&error.to_string()),
    }
}

fn log_to_stderr(filter: &str, format: LogFormat) -> Result<(), String> {
    let unreadable = |error: &dyn std::error::Error| format!("`{filter}`: {error}");
    let mut parsed = EnvFilter::try_new(filter).map_err(|error| unreadable(&error))?;
    if parsed.max_level_hint() == Some(LevelFilter::TRACE) {
        let tamed = NATS_TAMED.parse().map_err(|error| unreadable(&error))?;
        parsed = parsed.add_directive(tamed);
    }
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let set = match format {
        LogFormat::Json => subscriber.json().try_init(),
        LogFormat::Text => subscriber.try_init(),
    };
    set.map_err(|error| error.to_string())
}

fn warn_of(config: &Config) {
    for finding in &config.warnings {
        tracing::warn!("{finding}");
    }
}

fn cannot_run(error: &str) -> ExitCode {
    // The log may be filtered; why a process did not start must not be.
    anstream::eprintln!("error: {error}");
    ExitCode::from(2)
}

/// At trace the NATS client writes what it logs in with.
const NATS_TAMED: &str = "async_nats::connection=debug";
