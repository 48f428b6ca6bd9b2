// SPDX-License-Identifier: Apache-2.0
//! The loopback, and the one interface that the host may have given, set up
//! with fixed addresses: DHCP would cost a round trip and a daemon.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use mvm_proto::Network;
use rustix::io::Errno;

use crate::error::{Failure, Step};
use crate::netlink::Netlink;
use crate::uevent;

/// The interface is there when init starts; slow buses get this long.
const PATIENCE: Duration = Duration::from_secs(5);

struct Interface {
    name: String,
    index: u32,
}

pub fn configure(network: Option<&Network>) -> Result<(), Failure> {
    let netlink = Netlink::open().step(|| "open rtnetlink")?;
    let loopback = find(|_, name| name == "lo").step(|| "look for the loopback")?;
    if let Some(loopback) = loopback {
        netlink.bring_up(loopback.index, 0).step(|| "bring up the loopback")?;
    }
    match network {
        Some(network) => attach(&netlink, network),
        None => Ok(()),
    }
}

fn attach(netlink: &Netlink, network: &Network) -> Result<(), Failure> {
    let mac = network.mac.to_ascii_lowercase();
    let by_mac = || find(|address, name| address == mac && name != "lo");
    let step = || format!("look for the interface with MAC {mac}");
    let interface = uevent::wait_for(PATIENCE, by_mac)
        .step(step)?
        .ok_or_else(|| Failure::new(step(), Errno::NODEV))?;
    let Interface { name, index } = &interface;
    let address = parse(&network.address)?;
    let prefix =
        u8::try_from(network.prefix).ok().filter(|prefix| *prefix <= 32).ok_or_else(|| {
            Failure::invalid("configure the network", format!("no prefix: {}", network.prefix))
        })?;
    // No IPv6 is given: a name with both addresses must not wait for one that
    // leads nowhere. A kernel without IPv6 has no such file.
    let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
    netlink
        .add_address(*index, address, prefix)
        .step(|| format!("give {name} the address {address}/{prefix}"))?;
    netlink.bring_up(*index, network.mtu).step(|| format!("bring up {name}"))?;
    if !network.gateway.is_empty() {
        let gateway = parse(&network.gateway)?;
        netlink
            .add_default_route(*index, gateway)
            .step(|| format!("route through {gateway} on {name}"))?;
    }
    Ok(())
}

fn parse(address: &str) -> Result<Ipv4Addr, Failure> {
    address.parse().map_err(|_| {
        Failure::invalid("configure the network", format!("no IPv4 address: {address}"))
    })
}

/// The interface whose address and name `matches` takes.
fn find(matches: impl Fn(&str, &str) -> bool) -> io::Result<Option<Interface>> {
    for entry in fs::read_dir("/sys/class/net")? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Some entries (bonding_masters) are no interfaces.
        let read = |attribute| fs::read_to_string(entry.path().join(attribute));
        let (Ok(address), Ok(index)) = (read("address"), read("ifindex")) else { continue };
        if matches(address.trim(), &name) {
            let index = index.trim().parse().map_err(io::Error::other)?;
            return Ok(Some(Interface { name, index }));
        }
    }
    Ok(None)
}
