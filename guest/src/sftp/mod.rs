// SPDX-License-Identifier: Apache-2.0
//! An SFTP server on stdin and stdout, version 3 (draft-ietf-secsh-filexfer-02)
//! with the extensions of OpenSSH that its own clients use. It is a process of
//! the user, so what that may not reach, it may not. One request after the
//! other, each of bounded size; a client's handles are bounded, too.

mod attributes;
mod files;
mod handles;
mod listing;
mod requests;
mod wire;

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

use requests::Server;
use wire::{MAX_PACKET, Reader, Writer};

const INIT: u8 = 1;
const VERSION: u8 = 2;

/// The one version that OpenSSH speaks.
const OURS: u32 = 3;

/// Serves until the client ends its side. An error is a client that does not
/// keep to the protocol, or one that has gone.
pub fn serve(input: impl Read, output: impl Write) -> io::Result<()> {
    let mut input = BufReader::with_capacity(MAX_PACKET, input);
    let mut output = BufWriter::with_capacity(MAX_PACKET, output);
    greet(&mut input, &mut output)?;
    let mut server = Server::default();
    while let Some(packet) = read(&mut input)? {
        server.answer(Reader::new(&packet))?.send(&mut output)?;
        // What came together is answered together.
        if input.buffer().is_empty() {
            output.flush()?;
        }
    }
    output.flush()
}

fn greet(input: &mut impl BufRead, output: &mut impl Write) -> io::Result<()> {
    let Some(packet) = read(input)? else { return Ok(()) };
    let mut packet = Reader::new(&packet);
    if packet.byte()? != INIT {
        return Err(wire::bad("no greeting"));
    }
    let mut answer = Writer::new(VERSION);
    answer.number(OURS);
    for (name, version) in requests::EXTENSIONS {
        answer.string(name.as_bytes());
        answer.string(version.as_bytes());
    }
    answer.send(output)?;
    output.flush()
}

/// The next packet; `None` at the end of the input.
fn read(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    if input.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length == 0 || length > MAX_PACKET {
        return Err(wire::bad("a packet of a size that is none"));
    }
    let mut packet = vec![0; length];
    input.read_exact(&mut packet)?;
    Ok(Some(packet))
}

#[cfg(test)]
mod tests;
