//! Plays the act of the encrypted order. In: the stage. Out: what happened.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use http::Method;
use tokio::time::{Instant, sleep};

use crate::cli::demo::DemoError;
use crate::cli::demo::cast::{Caller, PAY, order_path};
use crate::cli::demo::client::AskError;
use crate::cli::demo::play::{ASKED_AFTER, STREAM_STEP, STREAM_WAIT_MAX, Stream};
use crate::cli::demo::policies::{self, KeyPolicy, SHARED};
use crate::cli::demo::stage::Stage;
use crate::cli::demo::story::{Asked, Explained, Mend, Sharing};
use crate::cli::explain::{self, ExplainArgs, Format, Outcome};

/// The partner is refused, learns why, and is let in.
pub(in crate::cli::demo) async fn share(stage: &Stage) -> Result<Sharing, DemoError> {
    let refused = ask(stage).await?;
    let explained = explain(stage).await?;
    let proposed = propose(stage).await?;
    let mend = mend(stage).await?;
    Ok(Sharing { refused, explained, proposed, mend })
}

async fn ask(stage: &Stage) -> Result<Asked, DemoError> {
    stage.ask(Caller::Partner, PAY, SHARED).await
}

/// What the command says about the same request.
async fn explain(stage: &Stage) -> Result<Explained, DemoError> {
    let path = order_path(PAY, SHARED).parse().map_err(http::Error::from);
    let args = ExplainArgs {
        config: stage.files().configuration(),
        token: Some(stage.token(Caller::Partner, PAY)?),
        token_file: None,
        method: Method::GET,
        path: path.map_err(AskError::from)?,
        headers: Vec::new(),
        source_ip: Ipv4Addr::LOCALHOST.into(),
        at: None,
        format: Format::Text,
    };
    // It waits for the identity provider's keys, which this thread serves.
    let explained = tokio::task::spawn_blocking(move || {
        let mut out = Vec::new();
        explain::explain(&args, &mut out).map(|outcome| (outcome, out))
    });
    let (outcome, out) = explained.await.map_err(io::Error::from)??;
    let text = anstream::adapter::strip_str(&String::from_utf8_lossy(&out)).to_string();
    Ok(Explained { is_permitted: outcome == Outcome::Permitted, text })
}

/// Asks while the mended policies are the candidate, which is gone then.
async fn propose(stage: &Stage) -> Result<Asked, DemoError> {
    let (beside, candidate) = (stage.files().proposal(), stage.files().candidate());
    policies::write(&beside, KeyPolicy::Mended)?;
    let revision = stage.policies_revision().await?;
    // Whole at once: nobody sees half a tree.
    std::fs::rename(&beside, &candidate)?;
    let revision = stage.policies_after(revision).await?;
    let proposed = ask(stage).await?;
    std::fs::rename(&candidate, &beside)?;
    stage.policies_after(revision).await?;
    Ok(proposed)
}

/// Mends the key's policy while the owner's user goes on asking.
async fn mend(stage: &Stage) -> Result<Mend, DemoError> {
    let stream = Stream::start(stage, Caller::Own, PAY, SHARED)?;
    stream.answered_at_least(STREAM_STEP).await;
    let mut asked = ask(stage).await?;
    std::fs::rename(stage.files().mended_key(), stage.files().key())?;
    let mut refusals = 0;
    let deadline = Instant::now() + STREAM_WAIT_MAX;
    while asked.status == 403 && Instant::now() < deadline {
        refusals += 1;
        sleep(ASK_INTERVAL).await;
        asked = ask(stage).await?;
    }
    let mut after = vec![asked];
    for _ in 0..ASKED_AFTER {
        after.push(ask(stage).await?);
    }
    let (sent, answered) = stream.end().await;
    Ok(Mend { sent, answered, refusals, after })
}

const ASK_INTERVAL: Duration = Duration::from_millis(10);
