// SPDX-License-Identifier: Apache-2.0
//! Who a process runs as: Docker's `USER[:GROUP]` with the image's own
//! /etc/passwd and /etc/group (a static program has no NSS, and the image's
//! could not be trusted). The rules are those of moby/sys/user, which Docker
//! and runc use. The guest decides by them; the host asks beforehand, for the
//! owners of volumes.

use thiserror::Error;

/// More of either file than any image has is not read.
pub const MAX_FILE: u64 = 4 << 20;

/// The largest ID that Docker takes.
const MAX_ID: u32 = i32::MAX as u32;

#[derive(Debug, PartialEq, Eq)]
pub struct Credentials {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups, the primary one first.
    pub groups: Vec<u32>,
    pub home: Vec<u8>,
}

/// In Docker's words.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum UserError {
    #[error("unable to find user {0}: no matching entries in passwd file")]
    NoUser(String),
    #[error("unable to find group {0}: no matching entries in group file")]
    NoGroup(String),
    #[error("uids and gids must be in range 0-{MAX_ID}: {0}")]
    Range(String),
    #[error("{0}")]
    Unreadable(String),
}

struct User {
    name: Vec<u8>,
    uid: u32,
    gid: u32,
    home: Vec<u8>,
    shell: Vec<u8>,
}

/// What passwd(5) says of a login.
#[derive(Debug, PartialEq, Eq)]
pub struct Login {
    pub name: Vec<u8>,
    /// Empty where none is named, which means /bin/sh.
    pub shell: Vec<u8>,
}

struct Group {
    name: Vec<u8>,
    gid: u32,
    members: Vec<Vec<u8>>,
}

/// Looks `user` and `additional` groups up in the contents of passwd(5) and
/// group(5).
pub fn resolve(
    user: &str,
    additional: &[String],
    passwd: &[u8],
    group: &[u8],
) -> Result<Credentials, UserError> {
    let (user, group_part) = match user.split_once(':') {
        Some((user, group)) => (user, group),
        None => (user, ""),
    };
    let number = if user.is_empty() { Some(0) } else { number(user)? };
    let entry = users(passwd)
        .find(|entry| entry.name == user.as_bytes() || number.is_some_and(|uid| entry.uid == uid));
    let mut found = match (&entry, number) {
        (Some(entry), _) => Credentials {
            uid: entry.uid,
            gid: entry.gid,
            groups: Vec::new(),
            home: entry.home.clone(),
        },
        (None, Some(uid)) => Credentials { uid, gid: 0, groups: Vec::new(), home: b"/".to_vec() },
        (None, None) => return Err(UserError::NoUser(user.into())),
    };
    let mut supplementary = Vec::new();
    if !group_part.is_empty() {
        found.gid = find_group(group_part, group)?;
    } else if let Some(entry) = &entry {
        // Only who names no group gets those the file has for the name.
        let member = |candidate: &Group| candidate.members.contains(&entry.name);
        supplementary.extend(groups(group).filter(member).map(|group| group.gid));
    }
    for name in additional {
        supplementary.push(find_group(name, group)?);
    }
    found.groups.push(found.gid);
    for gid in supplementary {
        if !found.groups.contains(&gid) {
            found.groups.push(gid);
        }
    }
    Ok(found)
}

/// The entry of a user who is named as for `resolve`, if there is one.
pub fn login(user: &str, passwd: &[u8]) -> Option<Login> {
    let user = user.split(':').next().unwrap_or_default();
    let number = if user.is_empty() { Some(0) } else { number(user).ok()? };
    users(passwd)
        .find(|entry| entry.name == user.as_bytes() || number.is_some_and(|uid| entry.uid == uid))
        .map(|entry| Login { name: entry.name, shell: entry.shell })
}

fn find_group(name: &str, file: &[u8]) -> Result<u32, UserError> {
    let number = number(name)?;
    groups(file)
        .find(|group| group.name == name.as_bytes() || number == Some(group.gid))
        .map(|group| group.gid)
        .or(number)
        .ok_or_else(|| UserError::NoGroup(name.into()))
}

/// `None` for a name; an error for a number that is no ID.
fn number(text: &str) -> Result<Option<u32>, UserError> {
    match text.parse::<i128>() {
        Ok(n) => match u32::try_from(n) {
            Ok(n) if n <= MAX_ID => Ok(Some(n)),
            _ => Err(UserError::Range(text.into())),
        },
        Err(_) => Ok(None),
    }
}

/// The entries of passwd(5); lines that are none are skipped.
fn users(file: &[u8]) -> impl Iterator<Item = User> {
    lines(file).filter_map(|line| {
        let mut fields = line.split(|b| *b == b':');
        let name = fields.next()?.to_vec();
        let uid = id(fields.nth(1)?)?;
        let gid = id(fields.next()?)?;
        let home = fields.nth(1).unwrap_or_default().to_vec();
        let home = if home.is_empty() { b"/".to_vec() } else { home };
        let shell = fields.next().unwrap_or_default().to_vec();
        Some(User { name, uid, gid, home, shell })
    })
}

/// The entries of group(5); lines that are none are skipped.
fn groups(file: &[u8]) -> impl Iterator<Item = Group> {
    lines(file).filter_map(|line| {
        let mut fields = line.split(|b| *b == b':');
        let name = fields.next()?.to_vec();
        let gid = id(fields.nth(1)?)?;
        let members = fields.next().unwrap_or_default();
        let members = members.split(|b| *b == b',').map(|m| m.trim_ascii().to_vec()).collect();
        Some(Group { name, gid, members })
    })
}

fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split(|b| *b == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty() && !matches!(line[0], b'#' | b'+' | b'-' | b':'))
}

fn id(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.parse().ok().filter(|id| *id <= MAX_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n\
        # a comment\nbroken\nbad:x:zero:0::/:\n:x:0:0::/nameless:\n\
        web:x:33:34:web,server:/var/www:/usr/sbin/nologin\n\
        homeless:x:50:50:::\n\xff\xfe:x:60:60::/raw:\nshort:x:70:70\n1000:x:5:5::/digits:\n";
    const GROUP: &[u8] = b"root:x:0:\nbin:x:1:root,web\nweb:x:34:\nnonsense\nadm:x:4: web \n\
        big:x:99999999999:web\n";

    fn found(user: &str) -> Result<(u32, u32, Vec<u32>, String), UserError> {
        resolve(user, &[], PASSWD, GROUP)
            .map(|c| (c.uid, c.gid, c.groups, String::from_utf8(c.home).unwrap()))
    }

    #[test]
    fn names_and_numbers_find_the_entry_and_its_groups() {
        let web = (33, 34, vec![34, 1, 4], "/var/www".to_string());
        assert_eq!(found("web"), Ok(web.clone()));
        assert_eq!(found("33"), Ok(web));
        assert_eq!(found(""), Ok((0, 0, vec![0, 1], "/root".into())));
        assert_eq!(found("root"), found("0"));
    }

    #[test]
    fn a_login_has_the_shell_of_its_entry() {
        let shell = |user: &str| {
            let login = login(user, PASSWD)?;
            Some((String::from_utf8(login.name).unwrap(), String::from_utf8(login.shell).unwrap()))
        };
        let some = |name: &str, shell: &str| Some((name.to_owned(), shell.to_owned()));
        assert_eq!(shell(""), some("root", "/bin/sh"));
        assert_eq!(shell("33:adm"), some("web", "/usr/sbin/nologin"));
        assert_eq!(shell("homeless"), some("homeless", ""));
        assert_eq!(shell("short"), some("short", ""));
        assert_eq!(shell("ghost"), None);
        assert_eq!(shell("-1"), None);
    }

    #[test]
    fn a_named_group_replaces_the_others() {
        assert_eq!(found("web:adm"), Ok((33, 4, vec![4], "/var/www".into())));
        assert_eq!(found("web:777"), Ok((33, 777, vec![777], "/var/www".into())));
        assert_eq!(found("1234:bin"), Ok((1234, 1, vec![1], "/".into())));
        assert_eq!(found(":bin"), Ok((0, 1, vec![1], "/root".into())));
    }

    #[test]
    fn a_number_needs_no_entry_and_a_name_does() {
        assert_eq!(found("4000"), Ok((4000, 0, vec![0], "/".into())));
        assert_eq!(found("ghost"), Err(UserError::NoUser("ghost".into())));
        assert_eq!(
            found("ghost").unwrap_err().to_string(),
            "unable to find user ghost: no matching entries in passwd file"
        );
        assert_eq!(found("web:ghosts"), Err(UserError::NoGroup("ghosts".into())));
        for range in ["-1", "4294967296", "2147483648"] {
            assert_eq!(found(range), Err(UserError::Range(range.into())));
        }
    }

    #[test]
    fn bad_lines_are_no_entries() {
        assert_eq!(found("bad"), Err(UserError::NoUser("bad".into())));
        assert_eq!(found("broken"), Err(UserError::NoUser("broken".into())));
        assert_eq!(found("homeless").unwrap().3, "/");
        assert_eq!(found("short"), Ok((70, 70, vec![70], "/".into())));
        // The first match wins, by name or by number, as in Docker.
        assert_eq!(found("1000").unwrap().0, 5);
    }

    #[test]
    fn additional_groups_come_last_and_once() {
        let add = ["adm".to_string(), "34".to_string(), "900".to_string()];
        let all = resolve("web", &add, PASSWD, GROUP).unwrap();
        assert_eq!(all.groups, [34, 1, 4, 900]);
        let ghost = ["ghosts".to_string()];
        assert_eq!(resolve("web", &ghost, PASSWD, GROUP), Err(UserError::NoGroup("ghosts".into())));
    }
}
