// SPDX-License-Identifier: Apache-2.0
//! The first bytes on the channel. virtio-serial has no connect event, so the
//! guest announces itself: magic, version, and the nonce that the host put on
//! the kernel command line of this very boot. The host discards what came
//! before it, answers, and from then on the stream is yamux.

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Raised when either side could misread the other.
pub const VERSION: u16 = 1;

/// Bytes that may come before the hello (a previous user of the port, noise of
/// the firmware). The guest is hostile: more than this is refused.
pub const MAX_NOISE: usize = 64 * 1024;

const MAGIC: [u8; 8] = *b"\0mvm-ch\n";
const NONCE_LENGTH: usize = 16;
const FRAME_LENGTH: usize = MAGIC.len() + 2 + NONCE_LENGTH;

/// Ties a hello to one boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce(pub [u8; NONCE_LENGTH]);

impl Nonce {
    /// Reads the 32 hexadecimal digits of the kernel argument.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut nonce = [0; NONCE_LENGTH];
        if text.len() != 2 * NONCE_LENGTH || !text.is_ascii() {
            return None;
        }
        for (byte, digits) in nonce.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).ok()?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Self(nonce))
    }

    pub fn to_hex(self) -> String {
        self.0.iter().map(|b| format!("{b:02x}")).collect()
    }
}

/// Why no channel came to be.
#[derive(Debug, Error)]
pub enum HelloError {
    #[error("the channel was closed before the hello")]
    Closed,
    #[error("{MAX_NOISE} bytes came and no hello among them")]
    Noise,
    #[error("the other side speaks version {theirs} of the channel, this one {VERSION}")]
    Version { theirs: u16 },
    #[error("the channel failed: {0}")]
    Io(#[from] std::io::Error),
}

/// The guest's half: announces itself, then waits for the host's answer.
pub async fn announce<T>(channel: &mut T, nonce: Nonce) -> Result<(), HelloError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    channel.write_all(&frame(nonce)).await?;
    channel.flush().await?;
    accept(channel, nonce).await
}

/// The host's half: finds the hello of this boot and answers it. The caller
/// sets the deadline.
pub async fn greet<T>(channel: &mut T, nonce: Nonce) -> Result<(), HelloError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    accept(channel, nonce).await?;
    channel.write_all(&frame(nonce)).await?;
    channel.flush().await?;
    Ok(())
}

fn frame(nonce: Nonce) -> [u8; FRAME_LENGTH] {
    let mut frame = [0; FRAME_LENGTH];
    frame[..8].copy_from_slice(&MAGIC);
    frame[8..10].copy_from_slice(&VERSION.to_be_bytes());
    frame[10..].copy_from_slice(&nonce.0);
    frame
}

/// Reads byte by byte, since what follows the hello belongs to the next
/// protocol and must stay in the stream.
async fn accept<T: AsyncRead + Unpin>(channel: &mut T, nonce: Nonce) -> Result<(), HelloError> {
    let mut window = [0; FRAME_LENGTH];
    for _ in 0..MAX_NOISE {
        let byte = match channel.read_u8().await {
            Ok(byte) => byte,
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(HelloError::Closed);
            }
            Err(e) => return Err(e.into()),
        };
        window.rotate_left(1);
        window[FRAME_LENGTH - 1] = byte;
        if window[..8] == MAGIC && window[10..] == nonce.0 {
            let theirs = u16::from_be_bytes([window[8], window[9]]);
            return if theirs == VERSION { Ok(()) } else { Err(HelloError::Version { theirs }) };
        }
    }
    Err(HelloError::Noise)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: Nonce = Nonce([7; NONCE_LENGTH]);

    #[test]
    fn nonce_survives_hex() {
        assert_eq!(Nonce::from_hex(&NONCE.to_hex()), Some(NONCE));
        for bad in ["", "07", "zz070707070707070707070707070707", &"é".repeat(16)] {
            assert_eq!(Nonce::from_hex(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn both_halves_meet_and_leave_what_follows() {
        let (mut host, mut guest) = tokio::io::duplex(256);
        let guest_half = async {
            guest.write_all(b"noise\0mvm-ch").await.unwrap();
            announce(&mut guest, NONCE).await.unwrap();
            guest.write_all(b"next").await.unwrap();
        };
        let host_half = async {
            greet(&mut host, NONCE).await.unwrap();
            let mut next = [0; 4];
            host.read_exact(&mut next).await.unwrap();
            assert_eq!(&next, b"next");
        };
        tokio::join!(guest_half, host_half);
    }

    #[tokio::test]
    async fn hello_of_another_boot_is_noise() {
        let (mut host, mut guest) = tokio::io::duplex(256);
        guest.write_all(&frame(Nonce([8; NONCE_LENGTH]))).await.unwrap();
        drop(guest);
        assert!(matches!(greet(&mut host, NONCE).await, Err(HelloError::Closed)));
    }

    #[tokio::test]
    async fn endless_noise_is_refused() {
        let (mut host, mut guest) = tokio::io::duplex(MAX_NOISE + 1);
        guest.write_all(&vec![b'x'; MAX_NOISE + 1]).await.unwrap();
        assert!(matches!(greet(&mut host, NONCE).await, Err(HelloError::Noise)));
    }

    #[tokio::test]
    async fn another_version_is_named() {
        let (mut host, mut guest) = tokio::io::duplex(256);
        let mut hello = frame(NONCE);
        hello[9] = 99;
        guest.write_all(&hello).await.unwrap();
        let error = greet(&mut host, NONCE).await.unwrap_err();
        assert!(matches!(error, HelloError::Version { theirs: 99 }), "{error}");
    }
}
