//! `crossgate external-id new`: an external ID that nobody guesses.
//!
//! Flows in: the system's randomness. Flows out: one line on standard output.

use std::io::{self, Write as _};
use std::process::ExitCode;

use aws_lc_rs::rand;
use clap::{Args, Subcommand};

/// Makes external IDs
#[derive(Debug, Args)]
pub struct ExternalIdArgs {
    #[command(subcommand)]
    command: ExternalIdCommand,
}

/// What to do with external IDs.
#[derive(Debug, Subcommand)]
enum ExternalIdCommand {
    /// Prints a new one: 160 random bits, in letters and digits that are not mistaken for others.
    /// Pick one for each customer and keep it; the customer writes it into the role's trust policy
    New,
}

/// Runs `crossgate external-id`: 0 done, 2 could not run.
pub fn run(args: &ExternalIdArgs) -> ExitCode {
    let ExternalIdCommand::New = args.command;
    let written = new().and_then(|id| writeln!(io::stdout(), "{id}"));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

fn new() -> io::Result<String> {
    let mut random = [0; CHARACTERS];
    rand::fill(&mut random).map_err(|_| io::Error::other("the system gives no randomness"))?;
    Ok(spell(&random))
}

/// Five bits of each byte as a character, in groups that can be read out.
fn spell(random: &[u8; CHARACTERS]) -> String {
    let character = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or('2');
    let groups = random.chunks(GROUP).map(|group| group.iter().map(character).collect::<String>());
    groups.collect::<Vec<_>>().join("-")
}

/// Without `I`, `O`, `0` and `1`. There are 32, so that no character is more likely than another.
const ALPHABET: [char; 32] = [
    'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'J', 'K', 'L', 'M', 'N', 'P', 'Q', 'R', 'S', 'T', 'U',
    'V', 'W', 'X', 'Y', 'Z', '2', '3', '4', '5', '6', '7', '8', '9',
];
/// 160 bits, 5 in each.
const CHARACTERS: usize = 32;
const GROUP: usize = 8;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn an_id_has_160_bits_and_a_form_that_roles_take() {
        let ids: BTreeSet<String> = (0..1000).map(|_| new().unwrap()).collect();
        assert_eq!(ids.len(), 1000);
        for id in &ids {
            assert_eq!(id.len(), CHARACTERS + 3, "{id}");
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&byte);
            assert!(id.bytes().all(allowed), "{id}");
            assert!(!id.contains(['0', 'O', '1', 'I', 'l', 'o', 'i']), "{id}");
        }
        let used: BTreeSet<char> = ids.iter().flat_map(|id| id.chars()).collect();
        assert_eq!(used.len(), ALPHABET.len() + 1, "each character, and the dash");
    }

    #[test]
    fn each_bit_of_the_system_counts_once() {
        let mut random = [0; CHARACTERS];
        for (index, byte) in random.iter_mut().enumerate() {
            *byte = u8::try_from(index).unwrap() | 0b1010_0000;
        }
        assert_eq!(spell(&random), "ABCDEFGH-JKLMNPQR-STUVWXYZ-23456789");
    }
}
