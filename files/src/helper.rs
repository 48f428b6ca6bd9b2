// SPDX-License-Identifier: Apache-2.0
//! What the host asks of the helpers in the guest that pack and unpack: their names, their
//! arguments and how they end. On stderr they write a line for each note, and an error last.

/// Packs to its stdout.
pub const OUT: &str = "tar-out";

/// Unpacks from its stdin.
pub const IN: &str = "tar-in";

/// Exit code of a helper that sent less of a file than it had said.
pub const INCOMPLETE: u8 = 2;

/// What `OUT` is to pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub path: Vec<u8>,
    /// Of the first entry.
    pub name: Vec<u8>,
    /// A link is what it leads to.
    pub follow: bool,
}

/// Where `IN` is to unpack to, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incoming {
    pub place: Vec<u8>,
    /// Owners are those of the tar, not root.
    pub owners: bool,
    /// `place` is a directory, and each entry goes below it by its own name.
    pub each: bool,
    /// Before the workload: into a read-only root too, through the links of the image, and on
    /// the disk when it ends.
    pub hook: bool,
}

const YES: &[u8] = b"yes";
const NO: &[u8] = b"no";

impl Outgoing {
    /// What follows the helper's name.
    pub fn arguments(&self) -> Vec<Vec<u8>> {
        vec![self.path.clone(), self.name.clone(), word(self.follow)]
    }

    /// Of arguments that `arguments` made.
    pub fn parse(arguments: &[Vec<u8>]) -> Option<Self> {
        let [path, name, follow] = arguments else { return None };
        Some(Self { path: path.clone(), name: name.clone(), follow: truth(follow)? })
    }
}

impl Incoming {
    /// What follows the helper's name.
    pub fn arguments(&self) -> Vec<Vec<u8>> {
        vec![self.place.clone(), word(self.owners), word(self.each), word(self.hook)]
    }

    /// Of arguments that `arguments` made.
    pub fn parse(arguments: &[Vec<u8>]) -> Option<Self> {
        let [place, owners, each, hook] = arguments else { return None };
        let (owners, each, hook) = (truth(owners)?, truth(each)?, truth(hook)?);
        Some(Self { place: place.clone(), owners, each, hook })
    }
}

fn word(truth: bool) -> Vec<u8> {
    if truth { YES.to_vec() } else { NO.to_vec() }
}

fn truth(word: &[u8]) -> Option<bool> {
    match word {
        YES => Some(true),
        NO => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_survive() {
        let outgoing = Outgoing { path: b"-x".to_vec(), name: b".".to_vec(), follow: true };
        assert_eq!(Outgoing::parse(&outgoing.arguments()), Some(outgoing));
        let incoming = Incoming { place: b"/\xff".to_vec(), each: true, ..Incoming::default() };
        assert_eq!(Incoming::parse(&incoming.arguments()), Some(incoming));
        assert_eq!(Incoming::parse(&[b"/".to_vec()]), None);
    }
}
