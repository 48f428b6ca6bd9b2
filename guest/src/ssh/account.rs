// SPDX-License-Identifier: Apache-2.0
//! Who may log in, and what a session of theirs has around it: the workload's
//! environment, and over it what login(1) and sshd(8) set.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use mvm_proto::Process;

use crate::users::{self, Credentials};

const DEFAULT_SHELL: &[u8] = b"/bin/sh";

/// What is not known of the client: there is no network between. sshd says the
/// same of a connection that is none of TCP.
const NOWHERE: &[u8] = b"UNKNOWN 65535";

/// A user whose key was taken.
#[derive(Debug)]
pub struct Account {
    /// As a `Process` names it.
    pub user: String,
    pub name: Vec<u8>,
    pub shell: Vec<u8>,
    pub home: Vec<u8>,
    pub credentials: Credentials,
    additional_groups: Vec<String>,
}

impl Account {
    /// Root and the workload's user, by name or number; nobody else.
    pub fn find(name: &str, workload: &Process) -> io::Result<Option<Self>> {
        let own = workload.user.split(':').next().unwrap_or_default();
        let own_groups = || workload.additional_groups.clone();
        let main = users::resolve(&workload.user, &own_groups()).ok();
        if name.is_empty() || name.contains(':') {
            return Ok(None);
        }
        if name == own {
            return main.map(|main| Self::new(&workload.user, own_groups(), main)).transpose();
        }
        // An image without passwd(5) has a root all the same.
        let user = if name == "root" && users::login(name)?.is_none() { "0" } else { name };
        let Ok(found) = users::resolve(user, &[]) else { return Ok(None) };
        match main {
            Some(main) if main.uid == found.uid => {
                Self::new(&workload.user, own_groups(), main).map(Some)
            }
            _ if found.uid == 0 => Self::new(user, Vec::new(), found).map(Some),
            _ => Ok(None),
        }
    }

    fn new(user: &str, groups: Vec<String>, credentials: Credentials) -> io::Result<Self> {
        let login = users::login(user)?;
        let number = || credentials.uid.to_string().into_bytes();
        let (name, shell) = match login {
            Some(login) => (login.name, login.shell),
            None if credentials.uid == 0 => (b"root".to_vec(), Vec::new()),
            None => (number(), Vec::new()),
        };
        let shell = if shell.is_empty() { DEFAULT_SHELL.to_vec() } else { shell };
        let home = credentials.home.clone();
        Ok(Self { user: user.into(), name, shell, home, credentials, additional_groups: groups })
    }

    /// A process of this user in the workload's surroundings.
    pub fn process(&self, workload: &Process, args: Vec<Vec<u8>>) -> Process {
        let at_home = fs::metadata(Path::new(std::ffi::OsStr::from_bytes(&self.home)))
            .is_ok_and(|home| home.is_dir());
        Process {
            args,
            env: self.environment(&workload.env),
            cwd: if at_home { self.home.clone() } else { b"/".to_vec() },
            user: self.user.clone(),
            additional_groups: self.additional_groups.clone(),
            rlimits: workload.rlimits.clone(),
            capabilities: workload.capabilities,
            no_new_privileges: workload.no_new_privileges,
            ..Process::default()
        }
    }

    fn environment(&self, workload: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut all = workload.to_vec();
        let mut set = |name: &[u8], value: &[u8]| all.push([name, b"=", value].concat());
        set(b"HOME", &self.home);
        set(b"USER", &self.name);
        set(b"LOGNAME", &self.name);
        set(b"SHELL", &self.shell);
        set(b"SSH_CLIENT", &[NOWHERE, b" 65535"].concat());
        set(b"SSH_CONNECTION", &[NOWHERE, b" ", NOWHERE].concat());
        // A terminal is the session's own, with a name that the client gives.
        all.retain(|entry| !entry.starts_with(b"TERM="));
        all
    }
}

/// Whether a client may set this variable: Debian's `AcceptEnv`, what terminals
/// say of themselves, and what git asks for.
pub fn is_accepted(name: &str) -> bool {
    const ACCEPTED: [&str; 8] = [
        "LANG",
        "LANGUAGE",
        "COLORTERM",
        "TERM_PROGRAM",
        "TERM_PROGRAM_VERSION",
        "NO_COLOR",
        "TZ",
        "GIT_PROTOCOL",
    ];
    let category = |name: &str| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    ACCEPTED.contains(&name) || name.strip_prefix("LC_").is_some_and(category)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment;

    fn workload(user: &str) -> Process {
        Process {
            user: user.into(),
            env: vec![b"A=1".to_vec(), b"HOME=/elsewhere".to_vec(), b"TERM=x".to_vec()],
            ..Process::default()
        }
    }

    #[test]
    fn root_and_the_workloads_user_and_nobody_else() {
        let uid = |name: &str, user: &str| {
            let account = Account::find(name, &workload(user)).unwrap();
            account.map(|account| (account.credentials.uid, account.credentials.gid))
        };
        assert_eq!(uid("root", "1000:7"), Some((0, 0)));
        assert_eq!(uid("0", "1000:7"), Some((0, 0)));
        assert_eq!(uid("1000", "1000:7"), Some((1000, 7)));
        for stranger in ["1001", "", "daemon", "no-such", "root:7", "-1", "nobody"] {
            assert_eq!(uid(stranger, "1000:7"), None, "{stranger}");
        }
        // By its number, the one that has a name.
        assert_eq!(uid("1", "daemon"), uid("daemon", "1"));
        assert!(uid("daemon", "1").is_some());
    }

    #[test]
    fn a_session_has_the_workloads_environment_under_a_logins() {
        let account = Account::find("root", &workload("")).unwrap().unwrap();
        let process = account.process(&workload(""), vec![b"sh".to_vec()]);
        let env = environment::complete(&process.env, b"/", b"box", true);
        let value = |name: &str| environment::get(&env, name.as_bytes());
        assert_eq!(value("A"), Some(&b"1"[..]));
        assert_eq!(value("HOME"), Some(&b"/root"[..]));
        assert_eq!(value("USER"), Some(&b"root"[..]));
        assert_eq!(value("TERM"), Some(&b"xterm"[..]));
    }

    #[test]
    fn a_client_sets_no_path() {
        for name in ["LANG", "LC_ALL", "LC_CTYPE", "COLORTERM", "GIT_PROTOCOL"] {
            assert!(is_accepted(name), "{name}");
        }
        for name in ["PATH", "LD_PRELOAD", "LC_x", "BASH_ENV", "", "HOME"] {
            assert!(!is_accepted(name), "{name}");
        }
    }
}
