// SPDX-License-Identifier: Apache-2.0
//! Modes of a terminal as a client asks for them (RFC 4254, section 8). What
//! Linux does not have is left out.

use std::os::fd::AsFd;

use russh::Pty;
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios,
    tcgetattr, tcsetattr,
};

/// A special code that is none.
const DISABLED: u32 = 255;

pub fn set(terminal: impl AsFd, modes: &[(Pty, u32)]) -> rustix::io::Result<()> {
    if modes.is_empty() {
        return Ok(());
    }
    let mut settings = tcgetattr(&terminal)?;
    for (mode, value) in modes {
        apply(&mut settings, *mode, *value);
    }
    tcsetattr(&terminal, OptionalActions::Now, &settings)
}

fn apply(settings: &mut Termios, mode: Pty, value: u32) {
    if let Some(code) = code(mode) {
        // 0 is what Linux has for none (_POSIX_VDISABLE).
        let value = if value == DISABLED { 0 } else { value };
        settings.special_codes[code] = u8::try_from(value).unwrap_or(0);
    } else if let Some(flag) = input(mode) {
        settings.input_modes.set(flag, value != 0);
    } else if let Some(flag) = local(mode) {
        settings.local_modes.set(flag, value != 0);
    } else if let Some(flag) = output(mode) {
        settings.output_modes.set(flag, value != 0);
    } else if let Some(flag) = control(mode) {
        settings.control_modes.set(flag, value != 0);
    }
}

fn code(mode: Pty) -> Option<SpecialCodeIndex> {
    Some(match mode {
        Pty::VINTR => SpecialCodeIndex::VINTR,
        Pty::VQUIT => SpecialCodeIndex::VQUIT,
        Pty::VERASE => SpecialCodeIndex::VERASE,
        Pty::VKILL => SpecialCodeIndex::VKILL,
        Pty::VEOF => SpecialCodeIndex::VEOF,
        Pty::VEOL => SpecialCodeIndex::VEOL,
        Pty::VEOL2 => SpecialCodeIndex::VEOL2,
        Pty::VSTART => SpecialCodeIndex::VSTART,
        Pty::VSTOP => SpecialCodeIndex::VSTOP,
        Pty::VSUSP => SpecialCodeIndex::VSUSP,
        Pty::VREPRINT => SpecialCodeIndex::VREPRINT,
        Pty::VWERASE => SpecialCodeIndex::VWERASE,
        Pty::VLNEXT => SpecialCodeIndex::VLNEXT,
        Pty::VDISCARD => SpecialCodeIndex::VDISCARD,
        _ => return None,
    })
}

fn input(mode: Pty) -> Option<InputModes> {
    Some(match mode {
        Pty::IGNPAR => InputModes::IGNPAR,
        Pty::PARMRK => InputModes::PARMRK,
        Pty::INPCK => InputModes::INPCK,
        Pty::ISTRIP => InputModes::ISTRIP,
        Pty::INLCR => InputModes::INLCR,
        Pty::IGNCR => InputModes::IGNCR,
        Pty::ICRNL => InputModes::ICRNL,
        Pty::IUCLC => InputModes::IUCLC,
        Pty::IXON => InputModes::IXON,
        Pty::IXANY => InputModes::IXANY,
        Pty::IXOFF => InputModes::IXOFF,
        Pty::IMAXBEL => InputModes::IMAXBEL,
        Pty::IUTF8 => InputModes::IUTF8,
        _ => return None,
    })
}

fn local(mode: Pty) -> Option<LocalModes> {
    Some(match mode {
        Pty::ISIG => LocalModes::ISIG,
        Pty::ICANON => LocalModes::ICANON,
        Pty::XCASE => LocalModes::XCASE,
        Pty::ECHO => LocalModes::ECHO,
        Pty::ECHOE => LocalModes::ECHOE,
        Pty::ECHOK => LocalModes::ECHOK,
        Pty::ECHONL => LocalModes::ECHONL,
        Pty::NOFLSH => LocalModes::NOFLSH,
        Pty::TOSTOP => LocalModes::TOSTOP,
        Pty::IEXTEN => LocalModes::IEXTEN,
        Pty::ECHOCTL => LocalModes::ECHOCTL,
        Pty::ECHOKE => LocalModes::ECHOKE,
        Pty::PENDIN => LocalModes::PENDIN,
        _ => return None,
    })
}

fn output(mode: Pty) -> Option<OutputModes> {
    Some(match mode {
        Pty::OPOST => OutputModes::OPOST,
        Pty::OLCUC => OutputModes::OLCUC,
        Pty::ONLCR => OutputModes::ONLCR,
        Pty::OCRNL => OutputModes::OCRNL,
        Pty::ONOCR => OutputModes::ONOCR,
        Pty::ONLRET => OutputModes::ONLRET,
        _ => return None,
    })
}

fn control(mode: Pty) -> Option<ControlModes> {
    Some(match mode {
        Pty::CS7 => ControlModes::CS7,
        Pty::CS8 => ControlModes::CS8,
        Pty::PARENB => ControlModes::PARENB,
        Pty::PARODD => ControlModes::PARODD,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_set_and_the_rest_stays() {
        let size = mvm_proto::Terminal::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let (_master, slave) =
            crate::terminal::open(&size, rustix::process::geteuid()).expect("a terminal");
        let before = tcgetattr(&slave).unwrap();
        let asked = [
            (Pty::ECHO, 0),
            (Pty::VINTR, 7),
            (Pty::VEOF, DISABLED),
            (Pty::VSUSP, 70_000),
            (Pty::TTY_OP_ISPEED, 9600),
            (Pty::OPOST, 1),
        ];
        set(&slave, &asked).unwrap();
        let after = tcgetattr(&slave).unwrap();
        assert!(!after.local_modes.contains(LocalModes::ECHO));
        assert!(after.output_modes.contains(OutputModes::OPOST));
        assert_eq!(after.special_codes[SpecialCodeIndex::VINTR], 7);
        assert_eq!(after.special_codes[SpecialCodeIndex::VEOF], 0);
        assert_eq!(after.special_codes[SpecialCodeIndex::VSUSP], 0);
        assert_eq!(after.input_modes, before.input_modes);
    }
}
