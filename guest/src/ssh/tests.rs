// SPDX-License-Identifier: Apache-2.0
//! The server without a VM, as far as that goes: what it gives those who do not
//! show a key. The rest is shown with OpenSSH's clients, from the host.

use std::time::Duration;

use mvm_proto::Process;
use russh::client;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

/// A server, with its client's end of the connection: it lets key 1 in.
fn server() -> (DuplexStream, JoinHandle<io::Result<()>>) {
    let (ours, theirs) = duplex(1 << 16);
    let setup = Setup {
        host_key: key(0),
        authorized: vec![key(1).public_key().clone()],
        workload: Process::default(),
        hostname: "box".into(),
    };
    (ours, tokio::spawn(serve(setup, Reaper::default(), Running::default(), theirs)))
}

struct Any;

impl client::Handler for Any {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

/// One that has agreed on keys, and not said who it is.
async fn encrypted(stream: DuplexStream) -> client::Handle<Any> {
    client::connect_stream(Arc::default(), stream, Any).await.unwrap()
}

async fn shows(client: &mut client::Handle<Any>, seed: u8) -> bool {
    let key = PrivateKeyWithHashAlg::new(Arc::new(key(seed)), None);
    client.authenticate_publickey("root", key).await.unwrap().success()
}

/// The clock goes on by itself while everyone waits.
#[tokio::test(start_paused = true)]
async fn who_shows_no_key_has_a_minute_from_the_start_however_far_it_came() {
    for stage in 0..4 {
        let began = Instant::now();
        let (mut stream, served) = server();
        // What it holds is open to the end.
        let mut client = None;
        match stage {
            0 => {}
            1 => stream.write_all(b"SSH-2.0-slow").await.unwrap(),
            2 => {
                // Late, which gives it no more time.
                sleep(Duration::from_secs(40)).await;
                stream.write_all(b"SSH-2.0-slow\r\n").await.unwrap();
                stream.read_u8().await.unwrap();
            }
            _ => {
                sleep(Duration::from_secs(40)).await;
                let (other, _) = duplex(1);
                let mut encrypted = encrypted(std::mem::replace(&mut stream, other)).await;
                assert!(!shows(&mut encrypted, 2).await);
                client = Some(encrypted);
            }
        }
        let error = served.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{stage}: {error}");
        let after = began.elapsed();
        assert!(after >= Duration::from_secs(60), "{stage}: {after:?}");
        assert!(after < Duration::from_secs(61), "{stage}: {after:?}");
        drop((stream, client));
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_shown_a_key_may_stay() {
    let (stream, served) = server();
    let mut client = encrypted(stream).await;
    assert!(shows(&mut client, 1).await);
    sleep(Duration::from_secs(3600)).await;
    assert!(!served.is_finished());
    assert!(!client.is_closed());
    drop(client);
    let error = served.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}");
}
