// SPDX-License-Identifier: Apache-2.0
//! Consoles of Windows.

use std::io;
use std::time::Duration;

use tokio::sync::mpsc;
use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::System::Console::{
    CONSOLE_MODE, CONSOLE_SCREEN_BUFFER_INFO, DISABLE_NEWLINE_AUTO_RETURN, ENABLE_ECHO_INPUT,
    ENABLE_LINE_INPUT, ENABLE_PROCESSED_INPUT, ENABLE_VIRTUAL_TERMINAL_INPUT,
    ENABLE_VIRTUAL_TERMINAL_PROCESSING, GetConsoleMode, GetConsoleScreenBufferInfo, GetStdHandle,
    STD_HANDLE, STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, SetConsoleMode,
};

use super::{Change, Size};

/// A console does not tell of its size: it is looked at, as Docker does.
const LOOK: Duration = Duration::from_millis(250);

/// Modes of the console on stdin, and of that on stdout if there is one.
pub struct Settings {
    input: CONSOLE_MODE,
    output: Option<CONSOLE_MODE>,
}

impl Settings {
    pub fn get() -> io::Result<Self> {
        Ok(Self { input: mode(STD_INPUT_HANDLE)?, output: mode(STD_OUTPUT_HANDLE).ok() })
    }

    pub fn set_raw(&self) -> io::Result<()> {
        let cooked = ENABLE_ECHO_INPUT | ENABLE_LINE_INPUT | ENABLE_PROCESSED_INPUT;
        set_mode(STD_INPUT_HANDLE, (self.input & !cooked) | ENABLE_VIRTUAL_TERMINAL_INPUT)?;
        if let Some(output) = self.output {
            let sequences = ENABLE_VIRTUAL_TERMINAL_PROCESSING | DISABLE_NEWLINE_AUTO_RETURN;
            set_mode(STD_OUTPUT_HANDLE, output | sequences)?;
        }
        Ok(())
    }

    pub fn restore(&self) {
        // A console that is gone needs no modes.
        let _ = set_mode(STD_INPUT_HANDLE, self.input);
        if let Some(output) = self.output {
            let _ = set_mode(STD_OUTPUT_HANDLE, output);
        }
    }
}

/// Of the console on stdout.
pub fn size() -> Option<Size> {
    let mut info = CONSOLE_SCREEN_BUFFER_INFO::default();
    // SAFETY: the handle is checked, and the pointer is to a whole structure of
    // ours that outlives the call.
    let known = unsafe { GetConsoleScreenBufferInfo(handle(STD_OUTPUT_HANDLE).ok()?, &mut info) };
    let window = info.srWindow;
    let length =
        |first: i16, last: i16| u16::try_from(last.checked_sub(first)?.checked_add(1)?).ok();
    (known != 0).then_some(())?;
    Some(Size {
        rows: length(window.Top, window.Bottom)?,
        columns: length(window.Left, window.Right)?,
    })
}

/// What happens from now on. Inside a runtime.
pub fn changes() -> io::Result<mpsc::Receiver<Change>> {
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        let mut before = size();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = size();
            if now != before && sender.send(Change::Resized).await.is_err() {
                return;
            }
            before = now;
        }
    });
    Ok(receiver)
}

/// A console that is gone takes its processes with it.
pub fn is_gone(_error: &io::Error) -> bool {
    false
}

/// There are no stopped processes here.
pub fn stop_this_process() {}

fn handle(which: STD_HANDLE) -> io::Result<HANDLE> {
    // SAFETY: takes a number.
    let handle = unsafe { GetStdHandle(which) };
    match handle.is_null() || handle == INVALID_HANDLE_VALUE {
        true => Err(io::Error::last_os_error()),
        false => Ok(handle),
    }
}

fn mode(which: STD_HANDLE) -> io::Result<CONSOLE_MODE> {
    let mut mode = 0;
    // SAFETY: the handle is checked, and the pointer is to a number of ours
    // that outlives the call.
    match unsafe { GetConsoleMode(handle(which)?, &mut mode) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(mode),
    }
}

fn set_mode(which: STD_HANDLE, mode: CONSOLE_MODE) -> io::Result<()> {
    // SAFETY: the handle is checked; the mode is a number.
    match unsafe { SetConsoleMode(handle(which)?, mode) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
