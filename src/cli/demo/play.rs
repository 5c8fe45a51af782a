//! Plays the story over real connections. In: the stage. Out: what happened, act by act.

mod sessions;
mod sharing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::cli::demo::DemoError;
use crate::cli::demo::cast::{self, Caller, OWNERS, Owner, order_path};
use crate::cli::demo::client::Client;
use crate::cli::demo::policies::OPEN;
use crate::cli::demo::stage::Stage;
use crate::cli::demo::story::{Asked, SWITCHED, Switch};
use crate::clock::SystemClock;
use crate::event::replay::{Proposal, Replay, ReplayReport, Scope};
use crate::event::report::{KnownSetting, ReadinessReport, ReadinessTally, Window};
use crate::iam::AccountId;
use crate::perimeter::AccountSetting;
use crate::settings;
use crate::verdict::Mode;

pub(super) use sessions::hold_sessions;
pub(super) use sharing::share;

/// Every caller asks at every account.
pub(super) async fn answers(stage: &Stage) -> Result<(Vec<Asked>, Vec<Value>), DemoError> {
    let mut answers = Vec::new();
    for caller in Caller::FOUR {
        for owner in OWNERS {
            answers.push(stage.ask(caller, owner, OPEN).await?);
        }
    }
    let events = stage.recorded(|events| FIRST_EVENTS <= events.len()).await?;
    Ok((answers, events))
}

/// The readiness report on what was recorded.
pub(super) fn readiness(owner: &Owner, events: &[Value]) -> ReadinessReport {
    let window = Window { since: None, until: SystemClock.now() };
    let mut tally = ReadinessTally::new(owner.id, window);
    for event in events {
        let at = event.get("eventTime").and_then(Value::as_str).and_then(crate::event::time::parse);
        tally.add(at.unwrap_or_else(|| SystemClock.now()), event);
    }
    let account = AccountId::parse(owner.id);
    let settings = settings::parse(&cast::settings()).ok().zip(account.ok());
    let setting = settings.as_ref().map(|(settings, account)| settings.setting(*account));
    tally.finish(setting.map_or(KnownSetting::Unknown, KnownSetting::AtEnd))
}

/// What the record says to a setting that never was: the account admits nobody.
pub(super) fn replay(owner: &Owner, events: &[Value]) -> Result<ReplayReport, DemoError> {
    let settings = settings::parse(&cast::settings()).map_err(|_| DemoError::Settings)?;
    let account = AccountId::parse(owner.id).map_err(|_| DemoError::Settings)?;
    let nobody = AccountSetting::uniform(Mode::Limited, Arc::default());
    let settings = Some(Arc::new(settings.with_account(account, nobody)));
    let window = Window { since: None, until: SystemClock.now() };
    let mut replay = Replay::new(Proposal { settings, policies: None }, Scope::All, window);
    for event in events {
        let at = event.get("eventTime").and_then(Value::as_str).and_then(crate::event::time::parse);
        replay.add(at.unwrap_or_else(|| SystemClock.now()), event);
    }
    Ok(replay.finish())
}

/// Switches an account while the partner goes on asking.
pub(super) async fn switch(stage: &Stage) -> Result<Switch, DemoError> {
    let stream = Stream::start(stage, Caller::Partner, SWITCHED, OPEN)?;
    stream.answered_at_least(STREAM_STEP).await;
    let answered_before = stream.asker.answered.load(Ordering::Relaxed);
    let changed = stage.limit(SWITCHED).await;
    let sent_before = stream.asker.sent.load(Ordering::Relaxed);
    stream.answered_at_least(sent_before + STREAM_STEP).await;
    let mut after = Vec::new();
    for caller in Caller::FOUR {
        after.push(stage.ask(caller, SWITCHED, OPEN).await);
    }
    let (sent, answered) = stream.end().await;
    let after = after.into_iter().collect::<Result<_, _>>()?;
    Ok(Switch { status: changed?.status, sent, answered, answered_before, sent_before, after })
}

/// One caller's requests, over several connections, without a pause worth the name.
struct Stream {
    asker: Arc<Asker>,
    connections: JoinSet<()>,
}

/// What the connections of a stream share.
struct Asker {
    client: Client,
    url: (std::net::SocketAddr, String),
    token: String,
    sent: AtomicUsize,
    answered: AtomicUsize,
    ended: AtomicBool,
}

impl Stream {
    fn start(
        stage: &Stage,
        caller: Caller,
        owner: &'static Owner,
        order: u8,
    ) -> Result<Self, DemoError> {
        let asker = Arc::new(Asker {
            client: stage.client.clone(),
            url: (stage.proxy, order_path(owner, order)),
            token: stage.token(caller, owner)?,
            sent: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
        });
        let mut connections = JoinSet::new();
        for _ in 0..STREAM_CONNECTIONS {
            connections.spawn(Arc::clone(&asker).run());
        }
        Ok(Self { asker, connections })
    }

    /// Waits for answers, not for ever: answers that never come are found by the count.
    async fn answered_at_least(&self, answers: usize) {
        let deadline = Instant::now() + STREAM_WAIT_MAX;
        while self.asker.answered.load(Ordering::Relaxed) < answers && Instant::now() < deadline {
            sleep(STREAM_PAUSE).await;
        }
    }

    /// Waits for the last answers. How many were sent, and how many answered 200.
    async fn end(mut self) -> (usize, usize) {
        self.asker.ended.store(true, Ordering::Relaxed);
        while self.connections.join_next().await.is_some() {}
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        (count(&self.asker.sent), count(&self.asker.answered))
    }
}

impl Asker {
    async fn run(self: Arc<Self>) {
        let (at, path) = &self.url;
        while !self.ended.load(Ordering::Relaxed) {
            self.sent.fetch_add(1, Ordering::Relaxed);
            let reply = self.client.get(*at, path, Some(&self.token)).await;
            if reply.is_ok_and(|reply| reply.status == 200) {
                self.answered.fetch_add(1, Ordering::Relaxed);
            }
            sleep(STREAM_PAUSE).await;
        }
    }
}

/// Two of the candidate, two of report-only, one denial.
const FIRST_EVENTS: usize = 5;
/// What was changed stays so, on each of the workers.
const ASKED_AFTER: usize = 20;
const STREAM_CONNECTIONS: usize = 4;
/// Requests before the change, and after it.
const STREAM_STEP: usize = 100;
const STREAM_PAUSE: Duration = Duration::from_millis(1);
const STREAM_WAIT_MAX: Duration = Duration::from_secs(5);
