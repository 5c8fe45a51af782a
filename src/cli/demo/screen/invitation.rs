//! What to try while the demo runs. Pure.

mod roles;

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::cli::demo::cast::{Caller, OWNERS, Owner, PAY, SHOP, order_path, settings_path};
use crate::cli::demo::policies::{SHARED, shared_arn};
use crate::cli::demo::screen::Screen;
use crate::cli::demo::stage::Files;
use crate::verdict::Mode;

pub(in crate::cli::demo) use roles::RoleCommands;

/// Where the demo runs.
pub(in crate::cli::demo) struct Place<'p> {
    pub(in crate::cli::demo) files: Files<'p>,
    pub(in crate::cli::demo) proxy: SocketAddr,
    pub(in crate::cli::demo) admin: SocketAddr,
    pub(in crate::cli::demo) sts: SocketAddr,
    /// How this program was called.
    pub(in crate::cli::demo) program: &'p str,
}

/// A request to try.
pub(in crate::cli::demo) struct Command {
    pub(in crate::cli::demo) caller: Caller,
    pub(in crate::cli::demo) owner: &'static Owner,
    pub(in crate::cli::demo) order: u8,
    pub(in crate::cli::demo) token: String,
    pub(in crate::cli::demo) url: String,
}

/// What to try: who is asked, and for what.
pub(in crate::cli::demo) struct Commands {
    /// Of the order that is open to everybody.
    pub(in crate::cli::demo) open: Vec<Command>,
    /// Of the order that is encrypted and shared.
    pub(in crate::cli::demo) shared: Command,
    /// Of sessions of roles.
    pub(in crate::cli::demo) roles: RoleCommands,
}

impl Screen {
    /// Addresses, files and commands to try.
    pub(in crate::cli::demo) fn invitation(self, place: &Place<'_>, commands: &Commands) -> String {
        let Self { bold, dim, .. } = self;
        let Place { files, admin, program, .. } = place;
        let mut out = String::from("\n");
        for owner in OWNERS {
            let Owner { name, id, mode } = owner;
            let (mode, what) = (mode.as_str(), means(*mode));
            let _ = writeln!(out, "   {bold}{name:10}{bold:#}{dim}{id}{dim:#}  {mode:13} {what}");
        }
        out.push_str(&self.heading(1, "Ask for an order (tokens are of this demo, for an hour)"));
        for command in &commands.open {
            self.ask(&mut out, command, command.caller.expected(command.owner.mode));
        }
        out.push_str(&self.heading(2, "See what was recorded, and what `limited` would break"));
        let events = files.events();
        let (events, shop) = (events.display(), SHOP.id);
        let _ = writeln!(out, "{program} events query --dir {events} 'responseData.decision:Deny'");
        let _ = writeln!(out, "{program} report readiness --dir {events} --account {shop}");
        out.push_str(
            &self.heading(3, "Change a mode: edit, save, and ask again two seconds later"),
        );
        let _ = writeln!(
            out,
            "{bold}# with `mode: limited` sam is refused by acme-shop too:{bold:#} {}",
            files.settings().display()
        );
        let _ = writeln!(out, "curl http://{admin}{}", settings_path(SHOP));
        self.shared(&mut out, place, &commands.shared);
        self.roles(&mut out, place, &commands.roles);
        let _ = writeln!(out, "\n{dim}Ctrl-C ends it and removes its files.{dim:#}");
        out
    }

    /// The encrypted order: refused, explained, mended, allowed.
    fn shared(self, out: &mut String, place: &Place<'_>, command: &Command) {
        let dim = self.dim;
        let Place { files, program, .. } = place;
        out.push_str(&self.heading(
            4,
            "Share an encrypted order: three policies must agree, and one forgot Parcel",
        ));
        self.ask(out, command, 403);
        let configuration = files.configuration();
        let configuration = format!("--config {}", configuration.display());
        let (path, token) = (order_path(PAY, SHARED), &command.token);
        self.says(out, "which side says no?");
        let _ = writeln!(
            out,
            "{program} explain {configuration} --path {path} --token {dim}{token}{dim:#}"
        );
        self.says(out, "who can reach the order, and what is doubtful?");
        let _ = writeln!(out, "{program} access {configuration} --resource {}", shared_arn());
        let _ = writeln!(out, "{program} check {configuration}");
        self.says(out, "mend the key's policy, and ask again a moment later");
        let (mended, key) = (files.mended_key(), files.key());
        let _ = writeln!(out, "mv {} {}", mended.display(), key.display());
        self.ask(out, command, 200);
    }

    fn says(self, out: &mut String, what: &str) {
        let bold = self.bold;
        let _ = writeln!(out, "{bold}# {what}{bold:#}");
    }

    fn ask(self, out: &mut String, command: &Command, expected: u16) {
        let Self { bold, dim, .. } = self;
        let Command { caller, owner, order, token, url } = command;
        let status = self.status(expected);
        let who =
            format!("{} {}, order {order} of {}", caller.person(), caller.origin(), owner.name);
        let _ = writeln!(out, "{bold}# {who}{bold:#}: {status}");
        let _ = writeln!(out, "curl -i -H 'Authorization: Bearer {dim}{token}{dim:#}' {url}");
    }

    /// After Ctrl-C.
    pub(in crate::cli::demo) fn farewell(self) -> String {
        let dim = self.dim;
        format!("\n{dim}Ended; its files are removed.{dim:#}\n")
    }
}

/// What a mode does, in a sentence.
fn means(mode: Mode) -> &'static str {
    match mode {
        Mode::Unrestricted => "everybody comes in; a candidate is asked beside it",
        Mode::ReportOnly => "everybody comes in; what `limited` would say is recorded",
        Mode::Limited => "its own and the allowlist (Parcel) come in, nobody else",
    }
}
