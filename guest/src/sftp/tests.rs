// SPDX-License-Identifier: Apache-2.0
//! Packets as a client sends them; OpenSSH's own clients are in the tests of
//! the SSH server.

use super::*;

/// The answers to requests, each as its kind and what follows its number.
fn ask(requests: &[Writer]) -> io::Result<Vec<(u8, Vec<u8>)>> {
    let mut input = vec![0, 0, 0, 5, INIT, 0, 0, 0, 3];
    for request in requests {
        let rest = kind_and_rest(request);
        input.extend(u32::try_from(rest.len()).unwrap().to_be_bytes());
        input.extend(rest);
    }
    let mut output = Vec::new();
    let served = serve(&input[..], &mut output);
    let mut answers = Vec::new();
    let mut rest = &output[..];
    while let Some(packet) = read(&mut rest)? {
        answers.push((packet[0], packet.get(5..).unwrap_or_default().to_vec()));
    }
    served.map(|()| answers.split_off(1))
}

fn kind_and_rest(request: &Writer) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut copy = Writer::new(0);
    copy.append(request);
    copy.send(&mut bytes).unwrap();
    let kind = request.kind();
    bytes.drain(..4);
    bytes[0] = kind;
    bytes
}

fn request(kind: u8, strings: &[&[u8]]) -> Writer {
    let mut request = Writer::answer(kind, 7);
    strings.iter().for_each(|string| request.string(string));
    request
}

fn code(answer: &(u8, Vec<u8>)) -> u32 {
    assert_eq!(answer.0, 101, "{answer:?}");
    Reader::new(&answer.1).number().unwrap()
}

#[test]
fn a_file_is_written_and_read_back() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file");
    let path = path.to_str().unwrap().as_bytes();
    let mut open = request(3, &[path]);
    // Read, write, create, exclusively; and a mode.
    for number in [1 | 2 | 8 | 32, 4, 0o600] {
        open.number(number);
    }
    let handle = 0u32.to_be_bytes();
    let mut write = request(6, &[&handle]);
    write.long(3);
    write.string(b"bytes");
    let mut read = request(5, &[&handle]);
    read.long(0);
    read.number(1 << 30);
    let mut beyond = request(5, &[&handle]);
    beyond.long(8);
    beyond.number(1);
    let close = || request(4, &[&handle]);
    let answers =
        ask(&[open, write, read, beyond, close(), close(), request(17, &[path])]).unwrap();
    assert_eq!(answers[0].0, 102);
    assert_eq!(code(&answers[1]), 0);
    let mut data = Reader::new(&answers[2].1);
    assert_eq!(data.string().unwrap(), b"\0\0\0bytes");
    assert_eq!(code(&answers[3]), 1, "the end of the file");
    assert_eq!((code(&answers[4]), code(&answers[5])), (0, 5));
    let mut attributes = Reader::new(&answers[6].1);
    attributes.number().unwrap();
    assert_eq!(attributes.long().unwrap(), 8);
}

#[test]
fn a_directory_is_listed_to_its_end() {
    let home = tempfile::tempdir().unwrap();
    for n in 0..300 {
        std::fs::write(home.path().join(format!("{n}")), "").unwrap();
    }
    let path = home.path().to_str().unwrap().as_bytes();
    let list = || request(12, &[&0u32.to_be_bytes()]);
    let answers = ask(&[request(11, &[path]), list(), list(), list(), list()]).unwrap();
    let count = |answer: &(u8, Vec<u8>)| Reader::new(&answer.1).number().unwrap();
    assert_eq!((count(&answers[1]), count(&answers[2]), count(&answers[3])), (130, 128, 44));
    assert_eq!(code(&answers[4]), 1);
}

#[test]
fn what_is_wrong_has_its_code_and_nonsense_ends_it() {
    let answers = ask(&[
        request(17, &[b"/no/such"]),
        request(99, &[]),
        request(5, &[b"none"]),
        request(17, &[]),
        request(200, &[b"none@nowhere"]),
        request(18, &[b"/proc/self/exe", b"/proc/self/fd"]),
    ])
    .unwrap();
    let codes: Vec<u32> = answers.iter().map(code).collect();
    assert_eq!(codes[..5], [2, 8, 5, 5, 8]);
    assert!(serve(&[0, 0, 0, 0][..], io::sink()).is_err());
    assert!(serve(&[0xff, 0xff, 0xff, 0xff, 1][..], io::sink()).is_err());
    assert!(serve(&[0, 0, 0, 1, 9][..], io::sink()).is_err());
    assert!(serve(&b""[..], io::sink()).is_ok());
    // Half a request.
    assert!(serve(&[0, 0, 0, 5, 1, 0, 0, 0, 3, 0, 0, 0, 9, 1][..], io::sink()).is_err());
}
