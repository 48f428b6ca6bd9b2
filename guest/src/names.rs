// SPDX-License-Identifier: Apache-2.0
//! The names a machine knows: its own, /etc/hosts and /etc/resolv.conf. The
//! image may have anything in those places, links to elsewhere included; what
//! stands there is replaced, never written through.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use mvm_proto::InitConfig;

use crate::error::{Failure, Step, complain};

/// What Docker writes above the container's own line.
const HOSTS: &str = "127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
";

/// Debian's address for the own name where no network gives another.
const OWN_ADDRESS: &str = "127.0.1.1";

pub fn configure(config: &InitConfig) -> Result<(), Failure> {
    let name = &config.hostname;
    rustix::system::sethostname(name.as_bytes()).step(|| format!("set the host name {name}"))?;
    replace("hostname", &format!("{name}\n"))?;
    replace("hosts", &hosts(config))?;
    replace("resolv.conf", &resolv_conf(config))
}

fn hosts(config: &InitConfig) -> String {
    let mut text = String::from(HOSTS);
    let own = config.network.as_ref().map_or(OWN_ADDRESS, |network| &network.address);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{own}\t{}", config.hostname);
    for entry in &config.hosts {
        let _ = writeln!(text, "{}\t{}", entry.address, entry.name);
    }
    text
}

fn resolv_conf(config: &InitConfig) -> String {
    let mut text = String::new();
    if !config.search_domains.is_empty() {
        let _ = writeln!(text, "search {}", config.search_domains.join(" "));
    }
    for server in &config.nameservers {
        let _ = writeln!(text, "nameserver {server}");
    }
    if !config.resolver_options.is_empty() {
        let _ = writeln!(text, "options {}", config.resolver_options.join(" "));
    }
    text
}

/// Puts a new file in the place of /etc/`name`. An image whose /etc is no
/// directory, or has a directory there, keeps it: it works without.
fn replace(name: &str, content: &str) -> Result<(), Failure> {
    let directory = Path::new("/etc");
    let path = directory.join(name);
    let written = fs::create_dir(directory)
        .or_else(|e| if e.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(e) })
        .and_then(|()| match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        })
        .and_then(|()| {
            // O_EXCL also refuses to follow a link.
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o644).open(&path)
        })
        .and_then(|mut file| file.write_all(content.as_bytes()));
    let shapes = [
        io::ErrorKind::NotFound,
        io::ErrorKind::NotADirectory,
        io::ErrorKind::IsADirectory,
        io::ErrorKind::AlreadyExists,
    ];
    match written {
        Err(e) if shapes.contains(&e.kind()) || e.raw_os_error() == Some(libc::ELOOP) => {
            complain(format_args!("{} is left as the image has it: {e}", path.display()));
            Ok(())
        }
        result => result.step(|| format!("write {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mvm_proto::{HostEntry, MessageField, Network};

    fn config() -> InitConfig {
        let mut entry = HostEntry::new();
        entry.name = "db".into();
        entry.address = "10.0.0.9".into();
        let mut config = InitConfig::new();
        config.hostname = "box".into();
        config.hosts = vec![entry];
        config
    }

    #[test]
    fn hosts_end_with_the_own_name_and_the_extra_ones() {
        let mut config = config();
        assert!(hosts(&config).ends_with("allrouters\n127.0.1.1\tbox\n10.0.0.9\tdb\n"));
        let mut network = Network::new();
        network.address = "10.0.2.15".into();
        config.network = MessageField::some(network);
        assert!(hosts(&config).ends_with("\n10.0.2.15\tbox\n10.0.0.9\tdb\n"));
    }

    #[test]
    fn no_server_is_an_empty_file() {
        let mut config = config();
        assert_eq!(resolv_conf(&config), "");
        config.nameservers = vec!["10.0.2.3".into(), "fe80::1".into()];
        config.search_domains = vec!["a.example".into(), "b.example".into()];
        config.resolver_options = vec!["ndots:2".into(), "rotate".into()];
        assert_eq!(
            resolv_conf(&config),
            "search a.example b.example\nnameserver 10.0.2.3\nnameserver fe80::1\n\
             options ndots:2 rotate\n"
        );
    }
}
