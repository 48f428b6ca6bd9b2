// SPDX-License-Identifier: Apache-2.0
//! Off means off; on means out, and no further than was said.

use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::Home;
use crate::{image, is_libkrun, need, ready};

/// What a guest could try from inside, as root, with Python's sockets: TCP and
/// UDP to whatever might be the host, raw frames, vsock to its ports (the
/// agent's own among them, which has been dialled already), the datagrams by
/// which libkrun's TSI is spoken to, and the kernel's own hijacking of sockets.
const TRY_EVERY_WAY: &str = r#"
import os, socket, sys
port = int(sys.argv[1])
hosts = ["127.0.0.1", "10.0.2.2", "10.0.2.3", "192.168.127.1", "169.254.1.1", "192.0.2.1", "8.8.8.8"]
out = []
def attempt(name, act):
    try:
        act()
        out.append(name)
    except OSError:
        pass
def tcp(host, family=socket.AF_INET):
    s = socket.socket(family); s.settimeout(2); s.connect((host, port))
def udp(host):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2)
    s.sendto(b"out", (host, port))
    if host == "127.0.0.1": raise OSError("the guest's own")
for host in hosts:
    attempt("tcp " + host, lambda: tcp(host))
    attempt("udp " + host, lambda: udp(host))
for host in ["::1", "fe80::1", "2001:db8::1"]:
    attempt("tcp " + host, lambda: tcp(host, socket.AF_INET6))
def ping():
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP); s.settimeout(2)
    s.sendto(bytes([8, 0, 247, 255, 0, 0, 0, 0]), ("10.0.2.2", 0)); s.recv(100)
attempt("icmp", ping)
AF_VSOCK = getattr(socket, "AF_VSOCK", 40)
def vsock(cid, port, kind=socket.SOCK_STREAM):
    s = socket.socket(AF_VSOCK, kind); s.settimeout(2); s.connect((cid, port))
    s.send(bytes(64))
    # libkrun says yes to every dial of a port it knows: out is who is answered.
    if kind == socket.SOCK_STREAM and not s.recv(1): raise OSError("the end")
for cid in [0, 1, 2, 3]:
    for p in [1, 22, 620, 621, 1023, 1024, 1025, 1026, port]:
        attempt("vsock %d:%d" % (cid, p), lambda: vsock(cid, p))
        attempt("vsock datagram %d:%d" % (cid, p), lambda: vsock(cid, p, socket.SOCK_DGRAM))
interfaces = [i for i in os.listdir("/sys/class/net") if i != "lo"]
words = open("/proc/cmdline").read()
print("out:", out, "interfaces:", interfaces, "tsi:", "tsi" in words)
"#;

#[test]
fn none_is_none() {
    let home = need!(ready());
    let heard = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let datagrams = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    let count = Arc::clone(&heard);
    std::thread::spawn(move || {
        while listener.accept().is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let output = home
        .mvm(["run", "--rm", "--network", "none", &image("debian:12"), "python3", "-c"])
        .args([TRY_EVERY_WAY, &port.to_string()])
        .timeout(Duration::from_secs(300))
        .run();
    output.status(0).stdout("out: [] interfaces: [] tsi: False\n");
    assert_eq!(heard.load(Ordering::Relaxed), 0);
    datagrams.set_nonblocking(true).unwrap();
    assert!(datagrams.recv(&mut [0; 16]).is_err(), "a datagram came out");
}

#[test]
fn user_reaches_out() {
    if !rustix::process::geteuid().is_root() {
        crate::skip!("needs root to make a network");
    }
    let home = need!(ready());
    // A network of this thread's own: what it starts lives there too.
    std::thread::spawn(move || in_a_network_of_our_own(&home)).join().unwrap();
}

/// A network with one address, which is its way out, and loopback.
fn in_a_network_of_our_own(home: &Home) {
    // SAFETY: no descriptor or memory is unshared, only this thread's network.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.unwrap();
    let ip = |line: &str| {
        let done = Command::new("ip").args(line.split(' ')).status().expect("run ip");
        assert!(done.success(), "ip {line}");
    };
    ip("link set lo up");
    ip("link add out0 type veth peer name out1");
    ip("address add 192.0.2.1/24 dev out0");
    ip("link set out1 up");
    ip("link set out0 up");
    ip("route add default via 192.0.2.2 dev out0");
    let outside = serve("192.0.2.1:0", "outside");
    let loopback = serve("127.0.0.1:0", "loopback");
    let output = home
        .mvm(["run", "--rm", "--network", "user", &image("debian:12"), "python3", "-c", FETCH])
        .args([format!("192.0.2.1:{outside}"), format!("10.0.2.2:{loopback}")])
        .run();
    // QEMU's own user network maps the gateway to the host's loopback.
    let through_gateway = if is_libkrun() { "no way" } else { "loopback" };
    output.status(0).stdout(format!("eth0 lo\noutside\n{through_gateway}\n"));
}

const FETCH: &str = r#"
import os, socket, sys
print(*sorted(os.listdir("/sys/class/net")))
for place in sys.argv[1:]:
    host, port = place.split(":")
    try:
        s = socket.create_connection((host, int(port)), 10)
        print(s.makefile().readline().strip())
    except OSError:
        print("no way")
"#;

/// Greets every connection with one line; gives the port.
fn serve(address: &str, body: &'static str) -> u16 {
    let listener = TcpListener::bind(address).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let _ = writeln!(&connection, "{body}");
        }
    });
    port
}
