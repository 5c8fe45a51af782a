//! `crossgate demo`: the whole product on loopback, with nothing to set up.
//!
//! Flows in: nothing. Flows out: a story on standard output, or addresses and commands to try.
//! Leaves nothing behind: its files are in a temporary directory, its ports are the kernel's choice.

mod cast;
mod client;
mod issuer;
mod play;
mod policies;
mod screen;
mod server;
mod stage;
mod story;

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstream::ColorChoice;
use clap::Args;
use metrics_exporter_prometheus::BuildError;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

use crate::cli::demo::cast::{Caller, DEV, Login, OWNERS, PAY, SHOP};
use crate::cli::demo::client::AskError;
use crate::cli::demo::policies::{OPEN, SHARED};
use crate::cli::demo::screen::{Command, Commands, Place, RoleCommands, Screen};
use crate::cli::demo::stage::Stage;
use crate::cli::demo::story::Story;
use crate::cli::explain::ExplainError;
use crate::config::ConfigError;
use crate::event::log::{EventLogError, ReadError};
use crate::event::query::QueryError;
use crate::event::report::Colour;
use crate::gateway::StartError;

/// Shows the whole product on loopback.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Play the story, print what happened and end: exit 1 if it did not come out as expected.
    #[arg(long)]
    pub once: bool,
    /// Leave the story's files in this new directory: configuration, settings, policies and events
    #[arg(long, value_name = "DIR", requires = "once")]
    pub keep: Option<PathBuf>,
}

/// Why the demo can't run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum DemoError {
    /// A request has no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The demo's own configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The event log did not end well.
    #[error(transparent)]
    Events(#[from] EventLogError),
    /// A request can't be explained.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// A signal came before the story was told.
    #[error("interrupted")]
    Interrupted,
    /// A file, a socket or the output fails.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// No key can be made, or it can't sign.
    #[error("the identity provider has no usable key")]
    Key,
    /// Metrics can't be installed.
    #[error(transparent)]
    Metrics(#[from] BuildError),
    /// The proxy started and is not ready.
    #[error("the proxy does not become ready")]
    NotReady,
    /// A query of the story is none.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The event log can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The demo's own settings are refused.
    #[error("the demo's settings are no settings")]
    Settings,
    /// The files are to be kept where something is.
    #[error("`{}` is there already", .0.display())]
    Taken(PathBuf),
    /// The proxy can't start.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Runs until the story is told, or until Ctrl-C: 0; 1 if the story is another one; 2 if it can't.
pub fn run(args: &DemoArgs) -> ExitCode {
    // Whatever is worth a warning is worth it here too; all else would be in the way of the story.
    let log = tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(LevelFilter::WARN);
    let _ = log.with_ansi(io::stderr().is_terminal()).without_time().try_init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.map_err(DemoError::from).and_then(|runtime| {
        let (once, keep) = (args.once, args.keep.as_deref());
        runtime.block_on(async { if once { tell(keep).await } else { invite().await } })
    });
    match ended {
        Ok(code) => code,
        // Whoever reads has seen enough.
        Err(DemoError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Plays the story and prints each act as it ends.
async fn tell(keep: Option<&Path>) -> Result<ExitCode, DemoError> {
    let mut signals = Signals::new()?;
    let screen = Screen::new(colour());
    print(&screen.opening())?;
    let stage = Stage::set(keep).await?;
    let acts = tokio::select! {
        acts = live_acts(&stage, screen) => acts,
        () = signals.received() => Err(DemoError::Interrupted),
    };
    // After a clean end the log holds all that was recorded, and its files can go.
    let files = stage.end().await?;
    let acts = acts?;
    let events = stage::recorded(files.path())?;
    match keep {
        None => files.close()?,
        // They are beside it already.
        Some(directory) => std::fs::rename(files.keep(), directory)?,
    }
    print(&screen.queries(&events)?)?;
    print(&screen.replay(SHOP, &play::replay(SHOP, &events)?))?;
    let story = acts(events);
    let differences = story::differences(&story)?;
    print(&screen.verdict(&differences))?;
    if let Some(directory) = keep {
        print(&screen.kept(directory))?;
    }
    Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The acts that need the proxy. The story is whole with all the events of the log.
async fn live_acts(
    stage: &Stage,
    screen: Screen,
) -> Result<impl FnOnce(Vec<Value>) -> Story + use<>, DemoError> {
    let (answers, first_events) = play::answers(stage).await?;
    print(&screen.answers(&answers, &first_events))?;
    let candidate = play::readiness(DEV, &first_events);
    let readiness = play::readiness(SHOP, &first_events);
    print(&screen.preview(&candidate, &readiness))?;
    let switch = play::switch(stage).await?;
    print(&screen.switch(&switch))?;
    let sharing = play::share(stage).await?;
    print(&screen.sharing(&sharing))?;
    let (sessions, events) = play::hold_sessions(stage).await?;
    print(&screen.sessions(&sessions, &events)?)?;
    Ok(|events| Story {
        answers,
        first_events,
        candidate,
        readiness,
        switch,
        sharing,
        sessions,
        events,
    })
}

/// Prints what to try, and serves until a signal.
async fn invite() -> Result<ExitCode, DemoError> {
    let mut signals = Signals::new()?;
    let screen = Screen::new(colour());
    print(&screen.opening())?;
    let stage = Stage::set(None).await?;
    let program = std::env::args().next().unwrap_or_else(|| "crossgate".to_owned());
    let Stage { proxy, admin, sts, .. } = stage;
    let place = Place { files: stage.files(), proxy, admin, sts, program: &program };
    let printed =
        commands(&stage).and_then(|commands| Ok(print(&screen.invitation(&place, &commands))?));
    if printed.is_ok() {
        signals.received().await;
    }
    stage.end().await?.close()?;
    printed?;
    print(&screen.farewell())?;
    Ok(ExitCode::SUCCESS)
}

/// What asks the demo to end. Taken before anything starts, so that nothing is left behind.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The stranger at each account, then the others at the limited one; the partner at the order that
/// is encrypted; who asks for sessions of roles.
fn commands(stage: &Stage) -> Result<Commands, DemoError> {
    let command = |caller: Caller, owner, order| {
        let token = stage.token(caller, owner)?;
        let url = format!("http://{}{}", stage.proxy, cast::order_path(owner, order));
        Ok(Command { caller, owner, order, token, url })
    };
    let stranger = OWNERS.map(|owner| (Caller::Stranger, owner));
    let others = [Caller::Partner, Caller::Own, Caller::Profile].map(|caller| (caller, PAY));
    let asked = stranger.into_iter().chain(others);
    let open = asked.map(|(caller, owner)| command(caller, owner, OPEN));
    let open = open.collect::<Result<_, DemoError>>()?;
    let roles = RoleCommands {
        by_password: stage.token(Caller::Developer(Login::Password), PAY)?,
        second_factor: stage.token(Caller::Developer(Login::SecondFactor), PAY)?,
        vendor: stage.token(Caller::Partner, PAY)?,
    };
    Ok(Commands { open, shared: command(Caller::Partner, PAY, SHARED)?, roles })
}

fn colour() -> Colour {
    match anstream::stdout().current_choice() {
        ColorChoice::Never => Colour::Plain,
        ColorChoice::Always | ColorChoice::AlwaysAnsi | ColorChoice::Auto => Colour::Ansi,
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
